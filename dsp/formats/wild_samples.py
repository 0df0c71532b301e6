"""Lone samples far above their neighbours: found, and replaced by a straight line.

A file of floats can hold what no converter makes: after a fault of a plug-in or of a disk, one
sample of +84 dBFS amid a voice. All that follows would be decided by it. Sound cannot do that:
what is in the audible band and rises this far rises over several samples.

Rules
-----
Rule 1: a sample is wild when it is above +6 dBFS and, of the 32 samples around it, at most three
reach a twentieth of it. A stem that is loud as a whole has no wild samples.

Rule 2: what is returned depends on the samples around a frame, never on how they were read.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Block
from dsp.formats.decoders import Decoder

_LOUD = 2.0
_FAR = 20.0
_AROUND = 16
_MOST_NEAR = 3
_CONTEXT = 2 * _AROUND
"""What a frame depends on: its neighbours, which must be known to be sound, have theirs."""


class WildSamples:
    """A decoder whose wild samples are replaced; a ``Decoder`` itself."""

    def __init__(self, decoder: Decoder) -> None:
        self.rate_hz, self.channels = decoder.rate_hz, decoder.channels
        self.subtype, self.frames = decoder.subtype, decoder.frames
        self.count = 0
        """Samples replaced so far."""
        self.first_frame: int | None = None
        self.highest = 0.0
        """The magnitude of the highest of them, as a ratio to full scale."""
        self._decoder = decoder
        self._raw: Block = np.zeros((_CONTEXT, self.channels), np.float32)
        self._done = 0
        self._ended = False

    def read(self, frames: int) -> Block:
        missing = frames + 2 * _CONTEXT - len(self._raw)
        if missing > 0 and not self._ended:
            block = self._decoder.read(missing)
            self._ended = len(block) < missing
            after = np.zeros((_CONTEXT if self._ended else 0, self.channels), np.float32)
            self._raw = np.concatenate([self._raw, block, after])
        ready = max(0, min(frames, len(self._raw) - 2 * _CONTEXT))
        part = self._raw[: ready + 2 * _CONTEXT]
        self._raw = self._raw[ready:]
        self._done += ready
        return self._mended(part) if ready else part[:0]

    def close(self) -> None:
        self._decoder.close()

    def _mended(self, part: Block) -> Block:
        """Return the part without its context, on both sides, its wild samples replaced."""
        inner = part[_CONTEXT:-_CONTEXT].copy()
        levels = np.abs(part)
        if not (levels > _LOUD).any():
            return inner
        wild = _wild(levels)
        for channel in np.flatnonzero(wild.any(axis=0)):
            places, sound = np.flatnonzero(wild[:, channel]), np.flatnonzero(~wild[:, channel])
            whole = part[:, channel].copy()
            whole[places] = np.interp(places, sound, whole[sound])
            inner[:, channel] = whole[_CONTEXT:-_CONTEXT]
        self._count(wild[_CONTEXT:-_CONTEXT], levels[_CONTEXT:-_CONTEXT])
        return inner

    def _count(self, wild: NDArray[np.bool_], levels: Block) -> None:
        if not wild.any():
            return
        if self.first_frame is None:
            self.first_frame = self._done - len(wild) + int(np.flatnonzero(wild.any(axis=1))[0])
        self.count += int(np.count_nonzero(wild))
        self.highest = max(self.highest, float(levels[wild].max()))


def _wild(levels: Block) -> NDArray[np.bool_]:
    """Return which samples are wild, of those that have all their neighbours."""
    middle = levels[_AROUND:-_AROUND]
    reach = middle / np.float32(_FAR)
    near = np.zeros(middle.shape, np.int8)
    for step in range(2 * _AROUND + 1):
        if step != _AROUND:
            near += levels[step : step + len(middle)] > reach
    wild = np.zeros(levels.shape, np.bool_)
    wild[_AROUND:-_AROUND] = (near <= _MOST_NEAR) & (middle > _LOUD) & np.isfinite(middle)
    return wild
