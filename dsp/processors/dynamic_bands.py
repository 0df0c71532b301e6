"""One band that is held down: by its own level, or by another signal's.

Theory of operation
-------------------
A band is moved as y = x + (g − 1) · BP(x), with the band-pass that is 0 dB and in phase at
its centre: the gain there is g, far from it nothing happens, and where g is 1 the sound is
untouched, bit for bit. ``DeEsser`` takes g from the level of BP(x), ``KeyedBand`` from a
key that was made beforehand: when the lead sings.

Rules
-----
Rule 1: only down, and no further than a bound: a wrong setting dulls, and never hurts.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp import kernels
from dsp.audio import HOP_FRAMES, Block
from dsp.errors import ParameterError
from dsp.processors.control_rate import HopPeaks, Ramp, steps_of
from dsp.processors.envelope import Ballistics, panel_of
from dsp.processors.filters import Cascade, biquad
from dsp.processors.gain_reduction import Reduction
from dsp.units import ratios_of


class _CutBand:
    """A band, its sound, and the cut that moves on the grid."""

    def __init__(self, *, hz: float, q: float, rate_hz: float, channels: int) -> None:
        row = biquad("band_pass", hz=hz, q=q, rate_hz=rate_hz)
        self._filter = Cascade(row, channels)
        self.tail_s = self._filter.tail_frames / rate_hz
        self.reset(np.zeros((1, 2)))

    def reset(self, reduction_db: NDArray[np.float64]) -> None:
        """Forget everything; the first two borders have these reductions."""
        self._filter.reset()
        self._cut = Ramp(1.0 - ratios_of(-reduction_db))

    def sound(self, block: Block) -> Block:
        """Return the band's own sound."""
        return self._filter.process(block)

    def completed_by(self, frames: int) -> int:
        """Return how many hops the next ``frames`` frames complete."""
        return self._cut.completed_by(frames)

    def without(self, block: Block, band: Block, reduction_db: NDArray[np.float64]) -> Block:
        """Return the block, its band reduced."""
        return self._cut.without(block, band, reduction_db)


class DeEsser:
    """Hold one band down where it is loud.

    Parameters
    ----------
    hz, q : float
        Of the band.
    threshold_db, ratio : float
        On the peak level of the band alone; a corner, no knee.
    range_db : float
        The most that is taken away.
    attack_ms, release_ms : float
    rate_hz : float
    channels : int
        All follow the loudest.

    Raises
    ------
    ParameterError
    """

    latency = 0

    def __init__(
        self,
        *,
        hz: float,
        q: float,
        threshold_db: float,
        ratio: float,
        range_db: float,
        attack_ms: float,
        release_ms: float,
        rate_hz: float,
        channels: int,
    ) -> None:
        _check_depth("range_db", range_db)
        self._panel = panel_of(threshold_db, ratio, 0.0, range_db)
        self._band = _CutBand(hz=hz, q=q, rate_hz=rate_hz, channels=channels)
        self.tail_s = self._band.tail_s
        self._peaks = HopPeaks(channels, linked=True)
        self._ballistics = Ballistics(
            attack_ms=attack_ms, release_ms=release_ms, hop_s=HOP_FRAMES / rate_hz
        )
        self.reduction = Reduction(rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._band.reset(np.zeros((1, 2)))
        self._peaks.reset()
        self._ballistics.reset()
        self.reduction.reset()

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        band = self._band.sound(block)
        reduction_db, active = self._ballistics.reduce(self._peaks.push(band), self._panel, 1.0)
        self.reduction.update(reduction_db, active)
        return self._band.without(block, band, reduction_db)


class KeyedBand:
    """Hold one band down where a key says so: make room for another signal.

    Parameters
    ----------
    hz, q : float
        Of the band.
    depth_db : float
        Taken away where the key is 1.
    key : (steps,) array
        0…1 per ``key_step_s``, from the first frame of the stream.
    key_step_s : float
    attack_ms, release_ms : float
    rate_hz : float
    channels : int

    Raises
    ------
    ParameterError
    """

    latency = 0

    def __init__(
        self,
        *,
        hz: float,
        q: float,
        depth_db: float,
        key: ArrayLike,
        key_step_s: float,
        attack_ms: float,
        release_ms: float,
        rate_hz: float,
        channels: int,
    ) -> None:
        _check_depth("depth_db", depth_db)
        self._depth_db = depth_db
        self._key = steps_of(key)
        self._hops_per_step = key_step_s * rate_hz / HOP_FRAMES
        self._band = _CutBand(hz=hz, q=q, rate_hz=rate_hz, channels=channels)
        self._ballistics = Ballistics(
            attack_ms=attack_ms, release_ms=release_ms, hop_s=HOP_FRAMES / rate_hz
        )
        self.reduction = Reduction(rate_hz)
        self.tail_s = self._band.tail_s
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._border = 0
        self._ballistics.reset()
        self.reduction.reset()
        self._band.reset(self._next(2))

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        reduction_db = self._next(self._band.completed_by(len(block)))
        return self._band.without(block, self._band.sound(block), reduction_db)

    def _next(self, borders: int) -> NDArray[np.float64]:
        """Return the reductions of the next borders between hops, ``(1, borders)``."""
        key = np.empty((1, borders))
        kernels.steps(self._key, self._border, self._hops_per_step, 0, key[0])
        self._border += borders
        active = key[0] > 0.0
        key *= self._depth_db
        reduction_db = self._ballistics.follow(key)
        self.reduction.update(reduction_db, active)
        return reduction_db


def _check_depth(name: str, depth_db: float) -> None:
    if not depth_db >= 0.0:
        raise ParameterError(f"{name} must be at least 0, got {depth_db:g}")
