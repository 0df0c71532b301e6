"""Is one file whole? The rules, with the evidence they rest on.

Theory of operation
-------------------
================================  =====================================================
Evidence                          A file is whole when no program writes it, and
================================  =====================================================
manifest entry with its size      the size agrees                                → at once
marker, first seen no earlier     its header is not short                        → at once
than the last change
header ``complete``               it was quiet for ``settle`` over two looks
header ``unknown``; a long tail   it was quiet for ``settle_unknown`` over two looks
of zeros and no probe; or the
handler says ``JUDGE = "none"``
header ``short``, ``growing`` or  never; refused after ``truncated_after`` of quiet
``damaged``; no bytes; or a file
that cannot be opened
not audio                         never; refused after ``settle_unknown`` of quiet
================================  =====================================================

Rules
-----
1. A file that a program has open for writing is neither whole nor refused, however quiet.
2. The writer is asked after last: the answer holds for an instant only.
3. No clock and no disk here: evidence is asked of the caller, and only when it decides.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from daemon.config.manifest import Listed
from daemon.config.models import Limits, Settling
from daemon.errors import BadInput
from daemon.handlers.contract import Declaration
from daemon.intake.drop import Drop, Found, Signature
from daemon.intake.writer_probe import Writer
from daemon.text import display
from dsp.containers.header import Header

Reason = Literal["settling", "incomplete"]
ReadyBy = Literal["manifest", "marker", "header", "quiet", "accepted", "passed over"]

_LOOKS = 2
"""One look shows no change."""

LACKING = {
    "unreadable": "INPUT_UNREADABLE",
    "empty": "INPUT_EMPTY",
    "short": "INPUT_TRUNCATED",
    "growing": "INPUT_TRUNCATED",
    "damaged": "INPUT_DAMAGED",
}
"""Verdicts on which a file is refused after ``truncated_after``, and the codes."""


class Evidence(Protocol):
    """What only the disk can tell about a drop."""

    def header(self, file: Found) -> Header:
        """Read the header of a file; asked once per signature."""

    def zero_tail(self, file: Found) -> bool:
        """Tell whether the file ends in a long run of zeros."""

    def writer(self, file: Found) -> Writer:
        """Tell whether a program has the file open for writing, now."""

    def named(self, drop: Drop) -> frozenset[str]:
        """Return every text in the settings: a file that they name is meant."""

    def manifest(self, drop: Drop) -> tuple[Listed, ...]:
        """Return what the settings list under ``files``; ``BadInput`` when unusable."""


@dataclass(frozen=True)
class Rules:
    """What holds for one inbox: quiet times in seconds, limits, what its handler says."""

    settle_s: float
    settle_folder_s: float
    settle_single_s: float
    settle_unknown_s: float
    truncated_after_s: float
    manifest_after_s: float
    accept_truncated: bool = False
    limits: Limits = field(default_factory=Limits)
    handler: Declaration = field(default_factory=Declaration)

    @classmethod
    def of(
        cls,
        settling: Settling,
        limits: Limits | None = None,
        handler: Declaration | None = None,
        *,
        network: bool,
    ) -> "Rules":
        """Choose the times for a local or a network file system."""
        return cls(
            settling.settle_network_s if network else settling.settle_s,
            settling.settle_folder_network_s if network else settling.settle_folder_s,
            settling.settle_single_s,
            settling.settle_unknown_s * (2 if network else 1),
            settling.truncated_after_s,
            settling.manifest_after_s,
            settling.on_truncated == "accept",
            limits or Limits(),
            handler or Declaration(),
        )


@dataclass(slots=True)
class Seen:
    """What is remembered of a file, or of a marker, between looks."""

    signature: Signature
    since_s: float
    """When this signature was first seen."""
    looks: int = 0
    header: Header | None = None


@dataclass(frozen=True)
class FileAnswer:
    """How one file of a drop stands; goes into the status as an input."""

    path: str
    bytes: int
    bytes_expected: int | None = None
    seconds: float | None = None
    """Rough length of the audio."""
    ready_by: ReadyBy | None = None
    """By which evidence it is whole; ``None``: it is not."""
    warnings: tuple[tuple[str, str], ...] = ()
    """Code and message: what is wrong with it although it is taken."""


@dataclass(frozen=True)
class FileStatus:
    """How one file stands, and what it waits for."""

    file: FileAnswer
    reason: Reason = "settling"
    left_s: float | None = None
    """Until something can happen by itself; ``None``: never."""
    detail: str = ""
    refusal: BadInput | None = None


@dataclass(frozen=True)
class FileEvidence:
    """All that is known about one file at one instant."""

    rules: Rules
    file: Found
    seen: Seen
    header: Header
    listed: Listed | None
    marked: bool
    evidence: Evidence
    now_s: float

    @property
    def quiet_s(self) -> float:
        """Seconds since the file was last seen to change."""
        return self.now_s - self.seen.since_s

    @property
    def answer(self) -> FileAnswer:
        """What is told about the file while it is not whole."""
        found, header = self.file, self.header
        seconds = header.seconds(self.rules.limits.frames, self.rules.limits.rate_hz_min)
        wrapped = ("INPUT_SIZE_WRAPPED", f"{header.warning}; all of it is used")
        warnings = (wrapped,) if header.warning else ()
        return FileAnswer(
            found.path, found.bytes, header.bytes_expected, seconds, warnings=warnings
        )

    def assess(self) -> FileStatus:
        """Assess the file by the best evidence there is."""
        if self.header.verdict == "unreadable":  # even if the manifest lists its size
            return self._lacking(LACKING["unreadable"])
        if self.listed and self.listed.bytes is not None:
            return self._by_manifest(self.listed.bytes)
        if self.header.verdict == "not_audio":
            return self._refused_after(self.rules.settle_unknown_s, "INPUT_NOT_AUDIO")
        if code := LACKING.get(self.header.verdict):
            return self._lacking(code)
        return self._whole("marker") if self.marked else self._by_quiet()

    def _by_manifest(self, wanted: int) -> FileStatus:
        if self.file.bytes == wanted:
            return self._whole("manifest")
        detail = f"{self.file.bytes} of {wanted} bytes that job.yaml lists"
        status = self._refused_after(self.rules.manifest_after_s, "MANIFEST_MISMATCH", detail)
        return replace(status, file=replace(status.file, bytes_expected=wanted))

    def _by_quiet(self) -> FileStatus:
        """Assess a file with nothing against it: it must be left alone for long enough."""
        known = self.header.verdict == "complete"
        wanted_s = self.rules.settle_s if known else self.rules.settle_unknown_s
        if self.quiet_s < wanted_s or self.seen.looks < _LOOKS:
            why = "header complete" if known else self.header.detail
            return self._wait(wanted_s, why)
        if known and self.quiet_s < self.rules.settle_unknown_s and self._may_be_reserved():
            return self._wait(self.rules.settle_unknown_s, "ends in zeros, perhaps not yet written")
        return self._whole("header" if known else "quiet")

    def _may_be_reserved(self) -> bool:
        unsupported = self.evidence.writer(self.file) == "unsupported"
        return unsupported and self.evidence.zero_tail(self.file)

    def _lacking(self, code: str) -> FileStatus:
        """Assess a file of which something is missing."""
        # Where others of the drop will do, a marker says that no more of this one will come.
        hopeless = self.marked and self.rules.handler.judge == "any"
        status = self._refused_after(0.0 if hopeless else self.rules.truncated_after_s, code)
        if status.refusal and self.header.verdict == "growing" and self.rules.accept_truncated:
            warnings = (("INPUT_TRUNCATED", "taken although never closed"),)
            return FileStatus(replace(self.answer, ready_by="accepted", warnings=warnings))
        return status if status.refusal else replace(status, reason="incomplete")

    def _refused_after(self, after_s: float, code: str, detail: str = "") -> FileStatus:
        detail = detail or self.header.detail
        if self.quiet_s < after_s:
            return self._wait(after_s, detail)
        if self.evidence.writer(self.file) == "busy":
            return self._busy()
        name, answer = display(self.file.path), self.answer
        details: dict[str, object] = {"bytes": answer.bytes}
        details["bytes_expected"] = answer.bytes_expected
        problem = BadInput(code, f"{name}: {detail}", path=name, details=details)
        return FileStatus(answer, refusal=problem, detail=detail)

    def _whole(self, by: ReadyBy) -> FileStatus:
        if self.evidence.writer(self.file) == "busy":
            return self._busy()
        return FileStatus(replace(self.answer, ready_by=by))

    def _busy(self) -> FileStatus:
        return FileStatus(self.answer, "incomplete", None, "a program has it open for writing")

    def _wait(self, wanted_s: float, why: str) -> FileStatus:
        left_s = max(0.0, wanted_s - self.quiet_s)
        return FileStatus(self.answer, "settling", left_s, waiting(why, wanted_s, left_s))


def waiting(why: str, wanted_s: float, left_s: float) -> str:
    """Say what is waited for and how much of the wait is over."""
    return f"{why}; quiet for {wanted_s - left_s:.1f} of {wanted_s:g} s"
