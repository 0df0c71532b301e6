"""What one chunk holds, heard once from the first frame to the last.

Rule 1: memory is bounded whatever the length: only what may overlap is kept, of either end.
"""

from dataclasses import dataclass, field

import numpy as np

from dsp.audio import BLOCK_FRAMES, Block
from dsp.formats.reader import Limits, Probe, StemReader
from dsp.mixing.joining.overlap import LONGEST_S
from dsp.units import ratio_of

SILENCE = ratio_of(-80.0)
"""A chunk whose sample peak is no higher is silent."""


@dataclass(frozen=True)
class Survey:
    """A chunk that can be used."""

    probe: Probe
    frames: int
    """As decoded."""
    peak: float
    cut: bool
    """The file declares more than is there."""
    untouched: bool
    """No sample had to be mended to be a number."""
    head: Block = field(repr=False, compare=False)
    tail: Block = field(repr=False, compare=False)

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard in it."""
        return self.peak <= SILENCE


def surveyed(probe: Probe, limits: Limits) -> Survey:
    """Decode a chunk and return what it holds.

    Raises
    ------
    AudioFormatError
        It cannot be used; what is cut short can.
    """
    keep = round(LONGEST_S * probe.rate_hz)
    heads, tails, peak = list[Block](), list[Block](), 0.0
    with StemReader(probe, limits=limits, allow_ffmpeg=True, accept_truncated=True) as reader:
        while len(block := reader.read(BLOCK_FRAMES)):
            peak = max(peak, float(block.max()), -float(block.min()))
            if reader.frames_read - len(block) < keep:
                heads.append(block)
            tails.append(block)
            while sum(map(len, tails)) - len(tails[0]) >= keep:
                tails.pop(0)
        mended = reader.nonfinite + (reader.wild.count if reader.wild else 0)
        return Survey(
            probe,
            reader.frames_read,
            peak,
            cut=reader.cut,
            untouched=not mended,
            head=np.concatenate(heads)[:keep],
            tail=np.concatenate(tails)[-keep:],
        )
