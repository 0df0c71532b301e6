"""The one shape of audio, and the grid that control data lives on.

Rules
-----
Rule 1: a block is ``(frames, channels)``, ``float32``, full scale ±1.0. Filter state,
coefficients and sums of energy are ``float64``: float32 biquads null at only −71 dB.

Rule 2: anything computed per window of frames uses windows anchored at absolute frame 0
of its stream, whatever blocks it was fed; ``Windows`` cuts blocks to that grid, so that
no result depends on the block size.
"""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Block: TypeAlias = NDArray[np.float32]
"""``(frames, channels)`` float32, full scale ±1.0."""

Curve: TypeAlias = NDArray[np.float64]
"""One value per control hop, ``(hops,)``."""

BLOCK_FRAMES = 65_536
"""Frames per block in the engine: an eighth less CPU than with half as many, for 8 MB more; twice
as many would win half of that and cost twice as much."""

HOP_FRAMES = 16
"""Frames per control hop of everything that changes gain: 0.33 ms at 48 kHz."""


class Windows:
    """Cut a stream of blocks into whole windows, anchored at frame 0.

    Parameters
    ----------
    frames : int
        Length of a window.
    channels : int
    """

    def __init__(self, frames: int, channels: int) -> None:
        self.frames = frames
        self._rest: Block = np.zeros((0, channels), np.float32)

    def push(self, block: Block) -> Block:
        """Return the frames that now form whole windows: ``(k * frames, channels)``, k ≥ 0."""
        if len(self._rest):
            block = np.concatenate([self._rest, block])
        whole = len(block) - len(block) % self.frames
        self._rest = block[whole:].copy()
        return block[:whole]

    def rest(self) -> Block:
        """Return the frames of the window that is not full yet."""
        return self._rest


class Fifo:
    """Frames that have arrived and were not taken yet."""

    def __init__(self, channels: int) -> None:
        self._blocks: list[Block] = [np.zeros((0, channels), np.float32)]
        self.frames = 0

    def put(self, block: Block) -> None:
        """Add a block at the end; it is kept, not copied."""
        self._blocks = [*self._blocks, block] if self.frames else [block]
        self.frames += len(block)

    def take(self, frames: int) -> Block:
        """Return the oldest ``frames`` frames, which must be there; copied only to be joined."""
        if len(self._blocks[0]) < frames:
            self._blocks = [np.concatenate(self._blocks)]
        oldest = self._blocks[0]
        self._blocks[0] = oldest[frames:]
        self.frames -= frames
        return oldest[:frames]


def blocks_of(frames: int, size: int = BLOCK_FRAMES) -> Iterator[tuple[int, int]]:
    """Yield ``(start, length)`` of the blocks that cover ``frames`` frames."""
    for start in range(0, frames, size):
        yield start, min(size, frames - start)
