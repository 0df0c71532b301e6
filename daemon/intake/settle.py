"""When is a drop whole? A state machine fed with looks, evidence and a steady clock.

Theory of operation
-------------------
Each look at a drop is compared with the one before: what changed starts its quiet time anew.
Each file that the handler works on is then assessed by ``completeness``. A folder has settled
when each of them is whole, nothing in it bears the name of a file still arriving, and the tree
was quiet for ``settle_folder``; a marker or a manifest saves that wait. A session that is exported
stem by stem pauses between two of them: a folder that grew after a pause must be quiet for twice
the longest one, and one with a single file, where the handler takes many as one, for
``settle_single``. A file that is named like
audio but is none is passed over with a warning, as long as the folder has another file that can
be used. So is any file that cannot be used, where the handler says ``JUDGE = "any"``; where it
says ``"none"``, no header is read.

Rules
-----
1. Ages are monotonic seconds since *we* saw a change. File times are compared with each other,
   never with a clock: clocks differ, and copiers preserve times.
2. A drop is assessed anew at every look until it is whole or refused; nothing is checked once and
   then forgotten.
3. A refusal, too, waits for quiet: taking a folder away from under its copier would leave the
   rest of it in the inbox as a second drop.
4. No clock and no disk here.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from daemon.config.manifest import Listed
from daemon.errors import BadInput
from daemon.intake.completeness import (
    LACKING,
    Evidence,
    FileAnswer,
    FileEvidence,
    FileStatus,
    Reason,
    Rules,
    Seen,
    waiting,
)
from daemon.intake.drop import Drop, Found, Signature
from daemon.text import display
from dsp.containers.header import Header
from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.containers.junk import composed, copies_among, said_of_copy

_DISPENSABLE = {"INPUT_NOT_AUDIO", *LACKING.values()}
_NOT_READ = Header("unknown", detail="its handler wants no header read")
_SOON_S = 0.001
"""However short the configured wait: one look shows no change."""
_AT_ONCE = "an empty .done in the folder starts it at once"
_PAUSES, _LONGEST_S = 2.0, 300.0
"""How many times the longest pause between two files of a folder may last, and the longest wait
for a next file."""
_AT_ONE_TIME_NS = 1_000_000_000
"""A folder changes with the file that comes into it; file systems round their times."""


@dataclass(frozen=True)
class DropStatus:
    """How a drop stands after one look."""

    settled: bool
    files: tuple[FileAnswer, ...]
    reason: Reason | None = None
    left_s: float | None = None
    """Until something can happen if nothing changes; ``None``: nothing will by itself."""
    detail: str = ""
    """The rule that holds it back and the time that is left, for people."""
    refusal: BadInput | None = None
    warnings: tuple[tuple[str, str], ...] = ()
    """Code and message."""
    grew: bool = False
    """Of a folder: it holds one file, or others came after a pause."""

    @property
    def inputs(self) -> tuple[dict[str, object], ...]:
        """Its files as the status has them."""
        told = ("bytes", "bytes_expected", "ready_by")
        return tuple(
            {"path": display(file.path)} | {key: getattr(file, key) for key in told}
            for file in self.files
        )


@dataclass(slots=True)
class Settler:
    """The memory of one drop from its first sighting until it is taken."""

    rules: Rules
    _files: dict[str, Seen] = field(default_factory=dict)
    _marks: dict[str, Seen] = field(default_factory=dict)
    _tree: tuple[tuple[str, Signature], ...] | None = None
    _tree_since_s: float = 0.0
    _tree_looks: int = 0
    _newest_ns: int = 0
    """The latest of its files' ctimes at the last look."""
    _pause_s: float = 0.0
    """The longest time without change before another file came."""

    def observe(self, drop: Drop, evidence: Evidence, now_s: float) -> DropStatus:
        """Take one look at the drop into account and say how it stands.

        `now_s` is monotonic and never less than at the look before.
        """
        self._note(drop, now_s)
        quiet_s = now_s - self._tree_since_s
        if drop.problem:
            return self._refused_when_quiet(drop, drop.problem, quiet_s)
        if drop.arriving:
            names = ", ".join(map(display, drop.arriving[:3]))
            return _waits(drop, "incomplete", None, f"still arriving, by its name: {names}")
        try:
            manifest = evidence.manifest(drop)
        except BadInput as problem:
            return self._refused_when_quiet(drop, problem, quiet_s)
        if lacking := self._lacking(drop, manifest, quiet_s):
            return lacking
        copies = copies_among(file.path for file in drop.accepted)
        if copies:
            named = evidence.named(drop)
            copies = {copy: of for copy, of in copies.items() if composed(copy) not in named}
        statuses = self._assess_files(drop, evidence, manifest, now_s, copies)
        found = self._assess_drop(drop, statuses, quiet_s, listed=bool(manifest))
        if not found.settled:
            return found
        told = [said_of_copy(display(copy), display(of)) for copy, of in copies.items()]
        warnings = (*found.warnings, *(("CONFLICT_COPY", text) for text in told))
        grew = self._pause_s > self.rules.settle_s or len(drop.accepted) == 1
        return replace(found, warnings=warnings, grew=grew)

    def _note(self, drop: Drop, now_s: float) -> None:
        self._files = _remember(self._files, drop.files, now_s)
        self._marks = _remember(self._marks, drop.marks, now_s)
        if drop.signature != self._tree:
            if self._tree and len(drop.signature) > len(self._tree):
                self._pause_s = max(self._pause_s, now_s - self._tree_since_s)
            if self._tree is None or len(drop.signature) > len(self._tree):
                self._pause_s = max(self._pause_s, self._unseen_pause_s(drop))
            self._tree, self._tree_since_s, self._tree_looks = drop.signature, now_s, 0
        self._tree_looks += 1

    def _unseen_pause_s(self, drop: Drop) -> float:
        """Return the longest pause between files that nobody watched: the daemon came later.

        Only times of one disk are compared, with each other. A folder whose own time is later
        than those of its files was moved here whole, and nothing follows from them.
        """
        times_ns = sorted(file.signature.ctime_ns for file in drop.accepted)
        before_ns, self._newest_ns = self._newest_ns, max(times_ns, default=0)
        if not before_ns and drop.ctime_ns > self._newest_ns + _AT_ONE_TIME_NS:
            return 0.0
        since = (time_ns for time_ns in times_ns if time_ns >= before_ns)
        gaps_s = ((later - earlier) / 1e9 for earlier, later in pairwise(since))
        return max((gap_s for gap_s in gaps_s if _PAUSES * gap_s <= _LONGEST_S), default=0.0)

    def _assess_files(
        self,
        drop: Drop,
        evidence: Evidence,
        manifest: Iterable[Listed],
        now_s: float,
        left_out: Container[str],
    ) -> list[FileStatus]:
        listed = {composed(line.name): line for line in manifest}
        statuses = []
        for file in (file for file in drop.accepted if file.path not in left_out):
            seen = self._files[file.path]
            if self.rules.handler.judge == "none":
                seen.header = _NOT_READ
            elif seen.header is None:
                seen.header = evidence.header(file)
            line, marked = listed.get(composed(file.path)), self._marked(file)
            case = FileEvidence(self.rules, file, seen, seen.header, line, marked, evidence, now_s)
            statuses.append(case.assess())
        return statuses

    def _assess_drop(
        self, drop: Drop, statuses: list[FileStatus], quiet_s: float, *, listed: bool
    ) -> DropStatus:
        if drop.kind == "folder":
            without = [self._can_do_without(status) for status in statuses]
            if all(without):
                return self._nothing_usable(drop, statuses, quiet_s)
            statuses = [
                _pass_over(status) if passed else _awaiting_bytes(status)
                for status, passed in zip(statuses, without, strict=True)
            ]
        files = tuple(status.file for status in statuses)
        if problem := next((status.refusal for status in statuses if status.refusal), None):
            return _refused(files, problem)
        if unready := [status for status in statuses if status.file.ready_by is None]:
            return _last_of(unready, files)
        wait_s, why = self._tree_wait(drop)
        left_s = 0.0 if listed else self._tree_left_s(drop, wait_s - quiet_s)
        if left_s > 0:
            detail = waiting(why, wait_s, left_s)
            return DropStatus(False, files, "settling", left_s, detail)  # noqa: FBT003 - reads as "not settled"
        return DropStatus(settled=True, files=files, warnings=_warnings(statuses))

    def _can_do_without(self, status: FileStatus) -> bool:
        """Tell whether the folder can be taken although this file cannot be used."""
        codes = _DISPENSABLE if self.rules.handler.judge == "any" else {"INPUT_NOT_AUDIO"}
        return status.refusal is not None and status.refusal.code in codes

    def _nothing_usable(
        self, drop: Drop, statuses: Sequence[FileStatus], quiet_s: float
    ) -> DropStatus:
        """Wait for something to come into a folder that has no usable file; then refuse it."""
        refusals = [status.refusal for status in statuses if status.refusal]
        known = [refusal for refusal in refusals if refusal.code != "INPUT_NOT_AUDIO"]
        if known:
            return _refused(tuple(status.file for status in statuses), known[0])
        if drop.files:
            after_s = self.rules.settle_unknown_s
            problem = self._none_of_its_kind(len(drop.files))
        else:
            after_s = self.rules.truncated_after_s
            problem = BadInput("INPUT_EMPTY", "the folder is empty")
        if self._whole_marked():
            return _refused(_plain(drop), problem)
        return _refused_after(drop, problem, after_s, quiet_s)

    def _none_of_its_kind(self, files: int) -> BadInput:
        accepts = self.rules.handler.accepts
        if AUDIO_SUFFIXES & accepts:
            return BadInput("NO_AUDIO", f"none of its {files} files is audio")
        kinds = " ".join(sorted(accepts)[:10])
        return BadInput("NO_INPUT", f"none of its {files} files is one that is taken here: {kinds}")

    def _lacking(self, drop: Drop, manifest: Iterable[Listed], quiet_s: float) -> DropStatus | None:
        """Wait for files that are known to be missing, and then refuse the drop."""
        if not (names := _missing(drop, manifest)):
            if not drop.placeholders:
                return None
            problem = _not_fetched(drop.placeholders, "a placeholder of a cloud drive")
            return _refused_after(drop, problem, self.rules.truncated_after_s, quiet_s)
        message = f"{len(names)} listed files are missing: {', '.join(names[:3])}"
        details: dict[str, object] = {"missing": list(names)}
        problem = BadInput("MANIFEST_MISSING_FILES", message, details=details)
        return _refused_after(drop, problem, self.rules.manifest_after_s, quiet_s)

    def _refused_when_quiet(self, drop: Drop, problem: BadInput, quiet_s: float) -> DropStatus:
        folder = drop.kind == "folder"
        after_s = self.rules.settle_folder_s if folder else self.rules.settle_s
        return _refused_after(drop, problem, after_s, quiet_s)

    def _tree_wait(self, drop: Drop) -> tuple[float, str]:
        """Return how long a folder must be quiet, in seconds, and why."""
        wait_s = self.rules.settle_folder_s
        single_s = max(wait_s, self.rules.settle_single_s)
        if len(drop.accepted) == 1 and self.rules.handler.judge == "all" and single_s > wait_s:
            return single_s, f"one file so far, more may come; {_AT_ONCE}"
        pause_s = min(_PAUSES * self._pause_s, _LONGEST_S)
        if pause_s > wait_s:
            return pause_s, f"files came up to {self._pause_s:.0f} s apart; {_AT_ONCE}"
        return wait_s, "all files are whole, the folder settles"

    def _tree_left_s(self, drop: Drop, left_s: float) -> float:
        if drop.kind != "folder" or self._whole_marked():
            return 0.0
        return max(left_s, _SOON_S if self._tree_looks == 1 else 0.0)

    def _marked(self, file: Found) -> bool:
        mark = self._marks.get(composed(file.path))
        own = mark is not None and mark.since_s >= self._files[file.path].since_s
        return own or self._whole_marked()

    def _whole_marked(self) -> bool:
        """Tell whether the drop's marker was first seen no earlier than its last change."""
        mark = self._marks.get("")
        return mark is not None and mark.since_s >= self._tree_since_s


def _remember(before: Mapping[str, Seen], files: Iterable[Found], now_s: float) -> dict[str, Seen]:
    """Carry over what is unchanged, begin anew with the rest, forget what has gone."""
    now: dict[str, Seen] = {}
    for file in files:
        seen = before.get(file.path)
        if seen is None or seen.signature != file.signature:
            seen = Seen(file.signature, now_s)
        seen.looks += 1
        now[file.path] = seen
    return now


def _pass_over(status: FileStatus) -> FileStatus:
    code = status.refusal.code if status.refusal else "INPUT_NOT_AUDIO"
    warnings = ((code, f"passed over: {status.detail}"),)
    return FileStatus(replace(status.file, ready_by="passed over", warnings=warnings))


def _awaiting_bytes(status: FileStatus) -> FileStatus:
    """Say of a file without bytes in a folder what it most often is."""
    if status.refusal and status.refusal.code == "INPUT_EMPTY":
        return replace(status, refusal=_not_fetched([status.file.path], "no bytes"))
    return status


def _not_fetched(paths: Sequence[str], why: str) -> BadInput:
    first, more = display(paths[0]), f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    return BadInput("INPUT_PLACEHOLDER", f"{first}: {why}{more}", path=first)


def _last_of(unready: list[FileStatus], files: tuple[FileAnswer, ...]) -> DropStatus:
    """Answer with the longest wait; one without an end is longer than any."""
    last = max(unready, key=lambda each: (each.left_s is None, each.left_s or 0.0))
    more = f" (and {len(unready) - 1} more)" if len(unready) > 1 else ""
    detail = f"{display(last.file.path)}: {last.detail}{more}"
    return DropStatus(False, files, last.reason, last.left_s, detail)  # noqa: FBT003 - reads as "not settled"


def _warnings(statuses: Iterable[FileStatus]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (code, f"{display(status.file.path)}: {text}")
        for status in statuses
        for code, text in status.file.warnings
    )


def _refused_after(drop: Drop, problem: BadInput, after_s: float, quiet_s: float) -> DropStatus:
    if (left_s := after_s - quiet_s) <= 0:
        return _refused(_plain(drop), problem)
    detail = waiting(problem.message, after_s, left_s)
    return _waits(drop, "incomplete", left_s, detail)


def _refused(files: tuple[FileAnswer, ...], problem: BadInput) -> DropStatus:
    return DropStatus(settled=False, files=files, left_s=0.0, detail=str(problem), refusal=problem)


def _waits(drop: Drop, reason: Reason, left_s: float | None, detail: str) -> DropStatus:
    return DropStatus(False, _plain(drop), reason, left_s, detail)  # noqa: FBT003 - reads as "not settled"


def _plain(drop: Drop) -> tuple[FileAnswer, ...]:
    return tuple(FileAnswer(file.path, file.bytes) for file in drop.files)


def _missing(drop: Drop, manifest: Iterable[Listed]) -> tuple[str, ...]:
    here = {composed(file.path) for file in drop.files}
    return tuple(line.name for line in manifest if composed(line.name) not in here)
