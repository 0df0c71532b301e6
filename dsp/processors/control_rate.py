"""The control grid: a level per hop out of the sound, a gain per hop into it.

Theory of operation
-------------------
A *hop* is ``HOP_FRAMES`` frames, counted from the first frame of the stream. ``HopPeaks``
turns blocks into one level per hop that is complete. ``Ramp`` turns gains at the borders
between hops into one gain per frame, straight lines between. A processor decides nothing
but the numbers between the two.

A gain follows from what was heard, so the gain at the end of a hop is that which the hop
before asked for: a compressor answers half a millisecond late and costs no latency. What
must not be late (a limiter) delays the sound instead.

Rules
-----
Rule 1: between the same two gains a hop is always the same sixteen numbers, whoever asks
and however the stream was cut. Where nothing moves, the ramp is that one gain, exactly.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp import kernels
from dsp.audio import HOP_FRAMES, Block

Samples = NDArray[np.float32]

_WAY = (np.arange(HOP_FRAMES) / HOP_FRAMES).astype(np.float32)
"""How far the frames of a hop are from its first border to its second."""


class HopPeaks:
    """The sample peak of every hop, per channel or the highest of all.

    Parameters
    ----------
    channels : int
    linked : bool
        One peak for all channels.
    """

    def __init__(self, channels: int, *, linked: bool) -> None:
        self._rows = 1 if linked else channels
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._begun = 0
        """Frames of the hop that is not complete."""
        self._peaks = np.zeros(self._rows, np.float32)
        """Peaks of those frames."""

    def push(self, block: Block) -> Samples:
        """Return ``(rows, hops)``, the peaks of the hops that these frames complete."""
        hops = (self._begun + len(block)) // HOP_FRAMES
        out = np.empty((self._rows, hops), np.float32)
        self._begun = kernels.hop_peaks(block, self._begun, self._peaks, out)
        return out

    def rest(self) -> Samples:
        """Return ``(rows, 1)``, the peaks of the hop that is not complete, or ``(rows, 0)``."""
        return self._peaks[:, np.newaxis][:, : min(self._begun, 1)]


class Ramp:
    """Gains per frame from gains per border.

    Parameters
    ----------
    gains : (rows, ahead) array
        Those of the first borders: at least the two around the first hop.
    """

    def __init__(self, gains: NDArray[np.floating]) -> None:
        self._ahead = gains.astype(np.float32)
        self._begun = 0

    def completed_by(self, frames: int) -> int:
        """Return how many hops the next ``frames`` frames complete."""
        return (self._begun + frames) // HOP_FRAMES

    def frames(self, frames: int, gains: NDArray[np.floating]) -> Samples:
        """Return the gains of the next frames: ``(rows, frames)``, or ``(rows, 1)`` when constant.

        Parameters
        ----------
        frames : int
        gains : (rows, completed) array
            One more per hop that these frames complete.
        """
        borders = np.concatenate([self._ahead, gains.astype(np.float32)], axis=1)
        first, stop = self._begun, self._begun + frames
        hops = -(-stop // HOP_FRAMES)
        self._ahead = borders[:, stop // HOP_FRAMES :]
        self._begun = stop % HOP_FRAMES
        borders = borders[:, : hops + 1]
        if (borders == borders[:, :1]).all():
            return borders[:, :1]
        start = borders[:, :-1, np.newaxis]
        lines = (borders[:, 1:, np.newaxis] - start) * _WAY
        lines += start
        return np.asarray(lines.reshape(len(borders), -1)[:, first:stop])


def steps_of(values: ArrayLike) -> NDArray[np.float64]:
    """Return values per step; none is a single 0."""
    steps = np.asarray(values, np.float64)
    return steps if len(steps) else np.zeros(1)
