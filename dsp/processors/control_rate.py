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

    def scaled(self, block: Block, gains: NDArray[np.floating]) -> Block:
        """Return the next ``(frames, channels)``, scaled; itself where every gain is 1.

        Parameters
        ----------
        block : (frames, channels) float32
        gains : (rows, completed) array
            One more per hop that these frames complete; one row, or one per channel.
        """
        begun, borders = self._next(len(block), gains)
        return block if (borders == 1.0).all() else _ramped(block, None, borders, begun)

    def ducked(self, block: Block, band: Block, cuts: NDArray[np.floating]) -> Block:
        """Return the block less a part of it that is scaled; no sample of it is −0.0."""
        begun, borders = self._next(len(block), cuts)
        return _ramped(block, band, borders, begun)

    def reduced(self, block: Block, reduction_db: NDArray[np.float64], make_up_db: float) -> Block:
        """Return the same as ``scaled`` by what a make-up less reductions is, all in dB."""
        begun, borders = self._after(len(block), reduction_db, make_up_db, cuts=False)
        return block if (borders == 1.0).all() else _ramped(block, None, borders, begun)

    def without(self, block: Block, band: Block, reduction_db: NDArray[np.float64]) -> Block:
        """Return the same as ``ducked``, the band being reduced by so many dB."""
        begun, borders = self._after(len(block), reduction_db, 0.0, cuts=True)
        return _ramped(block, band, borders, begun)

    def _next(self, frames: int, gains: NDArray[np.floating]) -> tuple[int, Samples]:
        """Return how much of the first hop is over, and the gains at the borders."""
        borders = np.concatenate([self._ahead, gains.astype(np.float32)], axis=1)
        self._ahead = borders[:, self.completed_by(frames) :].copy()
        return self._around(frames, borders)

    def _after(
        self, frames: int, reduction_db: NDArray[np.float64], make_up_db: float, *, cuts: bool
    ) -> tuple[int, Samples]:
        """Return the same of the gains that reductions come to."""
        rows, hops = reduction_db.shape
        borders = np.empty((rows, self._ahead.shape[1] + hops), np.float32)
        kernels.borders(reduction_db, rows, make_up_db, cuts, self._ahead, borders)
        return self._around(frames, borders)

    def _around(self, frames: int, borders: Samples) -> tuple[int, Samples]:
        begun, stop = self._begun, self._begun + frames
        self._begun = stop % HOP_FRAMES
        return begun, np.ascontiguousarray(borders[:, : -(-stop // HOP_FRAMES) + 1])


def _ramped(block: Block, band: Block | None, borders: Samples, begun: int) -> Block:
    out = np.empty((block.shape[1], len(block)), np.float32).T
    kernels.ramp(block, band, borders, len(borders), begun, out)
    return out


def steps_of(values: ArrayLike) -> NDArray[np.float64]:
    """Return values per step; none is a single 0."""
    steps = np.asarray(values, np.float64)
    return steps if len(steps) else np.zeros(1)
