"""Two mono files that are the sides of one stereo stem.

Pro Tools and others export a stereo track as ``Synth.L.wav`` and ``Synth.R.wav``. Heard as two
stems, each side gets a level and a place of its own, and the picture is lost.

Rules
-----
1. Both sides are mono, of one rate, of equal length to the frame and equally stamped, and lie in
   one folder. A name in the settings is a stem of its own: who names one side, means it.
2. ``-1`` and ``-2`` are sides only where no ``-0`` or ``-3`` follows: else they are takes.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dsp.audio import Block
from dsp.containers.junk import composed
from dsp.formats.reader import Probe, StemReader
from dsp.formats.wild_samples import WildSamples

_SIDE = re.compile(
    r"(?P<stem>.+?)(?:[ ._-]+(?P<side>l|r|left|right)|-(?P<number>\d+))(?P<suffix>\.\w+)",
    re.IGNORECASE,
)
_SIDES = {"l": 0, "left": 0, "1": 0, "r": 1, "right": 1, "2": 1}


def paired(probes: Sequence[Probe], named: set[str]) -> list[Probe]:
    """Return the stems with the sides of each pair as one, in the place of the left one.

    Parameters
    ----------
    named : set of str
        Composed names of the stems that the settings speak of.
    """
    sides: dict[tuple[str, bool], dict[int | str, Probe]] = {}
    for probe in probes:
        if found := _SIDE.fullmatch(probe.name):
            word = (found["side"] or found["number"]).lower()
            key = f"{found['stem']}{found['suffix']}", found["number"] is not None
            sides.setdefault(key, {})[_SIDES.get(word, word)] = probe
    taken = {probe.name for probe in probes}
    result = {probe.name: probe for probe in probes}
    for (name, _), found_sides in sides.items():
        if name in taken or found_sides.keys() != {0, 1}:
            continue
        left, right = found_sides[0], found_sides[1]
        if _are_one(left, right) and not named & {composed(left.name), composed(right.name)}:
            result[left.name] = replace(left, name=name, channels=2, sides=(left, right))
            del result[right.name]
    return list(result.values())


def _are_one(left: Probe, right: Probe) -> bool:
    facts = [(p.rate_hz, p.frames, p.time_stamp_frames) for p in (left, right)]
    mono = left.channels == right.channels == 1
    return mono and facts[0] == facts[1] and left.frames is not None


class PairReader:
    """The frames of two mono files side by side; fulfils what ``StemReader`` does."""

    def __init__(self, left: StemReader, right: StemReader) -> None:
        self._sides = left, right
        self.frames_read = 0

    def close(self) -> None:
        """Let go of both files."""
        for side in self._sides:
            side.close()

    @property
    def nonfinite(self) -> int:
        """Samples that were no numbers, of both."""
        return sum(side.nonfinite for side in self._sides)

    @property
    def wild(self) -> WildSamples | None:
        """What was found of wild samples, in the left side first."""
        found = [side.wild for side in self._sides if side.wild and side.wild.count]
        return found[0] if found else None

    def read(self, frames: int) -> Block:
        """Return the next ``(frames, 2)``, fewer only at the end.

        Raises
        ------
        AudioFormatError
            As ``StemReader.read``, of the side that is at fault.
        """
        blocks = [side.read(frames) for side in self._sides]
        length = max(map(len, blocks))  # a truncated side, where that was accepted, ends early
        self.frames_read += length
        return np.concatenate([np.pad(b, ((0, length - len(b)), (0, 0))) for b in blocks], axis=1)
