"""Each chunk heard in its order: what it holds, and how it follows the one before.

Rule 1: of the sound only the ends of one chunk are in memory: those that the next may overlap.

Rule 2: where times say that two chunks are apart, nothing of them is the same recording, however
alike they are: a jingle may be heard twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from daemon.handlers.contract import Note
from daemon.handlers.merging.chunks import Chunk
from daemon.handlers.merging.order import Order
from daemon.text import display
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits
from dsp.mixing.joining.joins import Seam, seam_of
from dsp.mixing.joining.survey import Survey, surveyed

Gap = Literal["keep", "close"] | float


@dataclass(frozen=True)
class Used:
    """A chunk that is used."""

    chunk: Chunk
    survey: Survey
    start_s: Fraction | None
    """When it begins, counted from the first one, as the order's rule has it."""
    seam: Seam = field(default_factory=Seam)
    gap_s: Fraction = Fraction(0)
    """Silence that belongs before it; negative: it overlaps the one before by so much."""


@dataclass
class Heard:
    """What was heard."""

    used: list[Used] = field(default_factory=list)
    skipped: list[tuple[Chunk, str, str]] = field(default_factory=list)
    """With code and message."""
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Listener:
    """Hears the chunks of one drop."""

    order: Order
    gap: Gap
    longest_gap_s: float
    limits: Limits

    def hear(self, chunks: Sequence[Chunk], report: Callable[[float], None]) -> Heard:
        """Hear the chunks, which are in their order."""
        heard, first_of = Heard(), dict[str, tuple[str, Fraction | None]]()
        for number, chunk in enumerate(chunks):
            self._hear(heard, chunk, number, first_of)
            report((number + 1) / len(chunks))
        return heard

    def _hear(
        self,
        heard: Heard,
        chunk: Chunk,
        number: int,
        first_of: dict[str, tuple[str, Fraction | None]],
    ) -> None:
        assert chunk.probe is not None  # noqa: S101 - only those are ordered
        name = display(chunk.name)
        try:
            survey = surveyed(chunk.probe, self.limits)
        except AudioFormatError as error:
            heard.skipped.append((chunk, error.code, error.message))
            return
        start_s = self.order.starts_s[number] if self.order.starts_s else None
        first, at_s = first_of.setdefault(chunk.identity, (name, start_s))
        # Two silent chunks of the same bytes are twice the time, unless they say that they are not.
        again = not survey.silent or (start_s is not None and start_s == at_s)
        if first != name and again:
            text = f"{name} has the same bytes as {first}"
            heard.skipped.append((chunk, "CHUNK_DUPLICATE", text))
            return
        if survey.cut:
            there = f"the {survey.frames / chunk.probe.rate_hz:.3f} s that are there are used"
            heard.notes.append(Note("INPUT_TRUNCATED", f"{name} is cut short; {there}"))
        one = Used(chunk, survey, start_s)
        if heard.used:
            before = heard.used[-1]
            apart_s = _apart_s(before, one)
            gap_s = self._gap(heard, apart_s, name)
            seam = seam_of(
                before.survey,
                survey,
                expected_s=-apart_s
                if apart_s is not None and self.order.rule == "stamps"
                else None,
                overlaps=apart_s is None or apart_s <= self.order.resolution_s,
            )
            if gap_s < 0 and not seam.overlap_s:
                text = f"{name} begins {float(-gap_s):.3f} s before the end of the one before"
                heard.notes.append(Note("TIMES_OVERLAP", f"{text}; all of both is used"))
            one = replace(one, seam=seam, gap_s=gap_s)
            none = np.zeros((0, 1), np.float32)
            light = replace(before.survey, head=none, tail=none)
            heard.used[-1] = replace(before, survey=light)
        heard.used.append(one)

    def _gap(self, heard: Heard, apart_s: Fraction | None, name: str) -> Fraction:
        if not isinstance(self.gap, str):
            return Fraction(self.gap).limit_denominator(1_000_000)
        if self.gap == "close" or apart_s is None:
            return Fraction(0)
        if apart_s > self.longest_gap_s:
            text = f"{name} begins {float(apart_s):.0f} s after the end of the one before; closed"
            heard.notes.append(Note("GAP_CLOSED", text))
            return Fraction(0)
        return Fraction(0) if abs(apart_s) <= self.order.resolution_s else apart_s


def _apart_s(before: Used, after: Used) -> Fraction | None:
    """Return what is between two chunks by their times, if they have some."""
    if before.start_s is None or after.start_s is None:
        return None
    probe = before.survey.probe
    return after.start_s - before.start_s - Fraction(before.survey.frames, probe.rate_hz)
