"""Dynamics: compressor, de-esser, keyed band and ride.

Theory of operation
-------------------
All four are a gain that moves on the control grid. They differ in what moves it and in what
it moves:

============  ==============================  =====================
              moved by                        moves
============  ==============================  =====================
Compressor    the sound's own level           the sound
DeEsser       the level of one band           that band, down only
KeyedBand     a key given beforehand          that band, down only
Ride          a curve given beforehand        the sound
============  ==============================  =====================

A band is moved as y = x + (g − 1) · BP(x), with the band-pass that is 0 dB and in phase at
its centre: the gain there is g, and where g is 1 the sound is untouched.

Rules
-----
Rule 1: no latency. A detector answers one hop late instead (see ``hops``), and keys and
curves, which are on the stream's own time, stay where they are.

Rule 2: levels are peaks of the samples per hop; thresholds are dBFS of a sine's peak.

Rule 3: beyond its end a key or a curve keeps its last value.

References
----------
D. Giannoulis, M. Massberg, J. D. Reiss, Digital dynamic range compressor design - a
tutorial and analysis, JAES 60(6), 2012.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.audio import HOP_FRAMES, Block
from dsp.errors import ParameterError
from dsp.process.envelope import Ballistics, reduction_curve_db, static_reduction_db
from dsp.process.filters import Cascade, biquad
from dsp.process.hops import HopPeaks, Ramp, Samples
from dsp.process.reduction import Reduction
from dsp.units import dbs_of, ratios_of

__all__ = [
    "Compressor",
    "DeEsser",
    "KeyedBand",
    "Reduction",
    "Ride",
    "reduction_curve_db",
    "static_reduction_db",
]

_ACTIVE_DBFS = -70.0
"""Reduction is averaged where the level is above this: the absolute gate of BS.1770."""


class Compressor:
    """Make loud passages softer: feed-forward, in the log domain, soft knee.

    Parameters
    ----------
    threshold_db, ratio, knee_db : float
        See ``static_reduction_db``.
    attack_ms, release_ms : float
        See ``Ballistics``; to both comes up to a hop and a half for the detector.
    make_up_db : float
    link : float
        0: channels on their own; 1: all follow the one that is reduced most.
    rate_hz : float
    channels : int

    Raises
    ------
    ParameterError
    """

    latency = 0
    tail_s = 0.0

    def __init__(
        self,
        *,
        threshold_db: float,
        ratio: float,
        knee_db: float,
        attack_ms: float,
        release_ms: float,
        make_up_db: float = 0.0,
        link: float = 1.0,
        rate_hz: float,
        channels: int,
    ) -> None:
        _check_curve(ratio, knee_db)
        if not 0.0 <= link <= 1.0:
            raise ParameterError(f"link must lie in 0...1, got {link:g}")
        self._curve = {"threshold_db": threshold_db, "ratio": ratio, "knee_db": knee_db}
        self._make_up_db = make_up_db
        self._link = link
        self._rows = 1 if link == 1.0 else channels
        self._peaks = HopPeaks(channels, linked=self._rows == 1)
        self._ballistics = Ballistics(
            attack_ms=attack_ms,
            release_ms=release_ms,
            hop_s=HOP_FRAMES / rate_hz,
            rows=self._rows,
        )
        self.reduction = Reduction(rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._peaks.reset()
        self._ballistics.reset()
        self.reduction.reset()
        self._ramp = Ramp(ratios_of(np.full((self._rows, 2), self._make_up_db)))

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        level_db = dbs_of(self._peaks.push(block.T))
        target_db = static_reduction_db(level_db, **self._curve)
        if self._rows > 1:
            target_db += self._link * (target_db.max(axis=0) - target_db)
        reduction_db = self._ballistics.follow(target_db)
        self.reduction.update(reduction_db, level_db.max(axis=0) > _ACTIVE_DBFS)
        gains = self._ramp.frames(len(block), ratios_of(self._make_up_db - reduction_db))
        return block if (gains == 1.0).all() else _scaled(block, gains)


def _check_curve(ratio: float, knee_db: float) -> None:
    if not ratio >= 1.0:
        raise ParameterError(f"ratio must be at least 1, got {ratio:g}")
    if not knee_db >= 0.0:
        raise ParameterError(f"knee_db must be at least 0, got {knee_db:g}")


def _scaled(block: Block, gains: Samples) -> Block:
    """Return the block times ``(rows, frames)`` gains, in planar order."""
    out = np.empty(block.T.shape, np.float32)
    return np.asarray(np.multiply(block.T, gains, out=out).T)


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
        cut = self._cut.frames(len(block), 1.0 - ratios_of(-reduction_db))
        # Plus zero: −0.0 becomes 0.0 here as it does below, so that blocks do not show.
        out = np.add(block.T, np.float32(0.0), out=np.empty(block.T.shape, np.float32))
        if cut.any():
            out -= band.T * cut
        return np.asarray(out.T)


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
        _check_curve(ratio, 0.0)
        _check_depth("range_db", range_db)
        self._curve = {"threshold_db": threshold_db, "ratio": ratio, "knee_db": 0.0}
        self._range_db = range_db
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
        level_db = dbs_of(self._peaks.push(band.T))
        target_db = np.minimum(static_reduction_db(level_db, **self._curve), self._range_db)
        reduction_db = self._ballistics.follow(target_db)
        self.reduction.update(reduction_db, level_db[0] > _ACTIVE_DBFS)
        return self._band.without(block, band, reduction_db)


def _check_depth(name: str, depth_db: float) -> None:
    if not depth_db >= 0.0:
        raise ParameterError(f"{name} must be at least 0, got {depth_db:g}")


class KeyedBand:
    """Hold one band down where a key says so: make room for somebody else.

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
        self._key = _steps_of(key)
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
        places = np.arange(self._border, self._border + borders) / self._hops_per_step
        self._border += borders
        key = self._key[np.minimum(places.astype(np.intp), len(self._key) - 1)]
        reduction_db = self._ballistics.follow(self._depth_db * key[np.newaxis])
        self.reduction.update(reduction_db, key > 0.0)
        return reduction_db


def _steps_of(values: ArrayLike) -> NDArray[np.float64]:
    """Return values per step; none is a single 0."""
    steps = np.asarray(values, np.float64)
    return steps if len(steps) else np.zeros(1)


class Ride:
    """Move the whole sound along a slow, planned curve; 0 dB passes it as it is.

    Parameters
    ----------
    curve_db : (steps,) array
        The gain in the middle of each step, straight lines between, from the first frame.
    step_s : float
    rate_hz : float
    channels : int
    """

    latency = 0
    tail_s = 0.0

    def __init__(
        self, curve_db: ArrayLike, *, step_s: float, rate_hz: float, channels: int
    ) -> None:
        del channels  # all move alike
        self._curve_db = _steps_of(curve_db)
        self._hops_per_step = step_s * rate_hz / HOP_FRAMES
        self.reset()

    def reset(self) -> None:
        """Go back to the first frame."""
        self._border = 0
        self._ramp = Ramp(self._next(2))

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        gains = self._ramp.frames(len(block), self._next(self._ramp.completed_by(len(block))))
        return block if (gains == 1.0).all() else _scaled(block, gains)

    def _next(self, borders: int) -> NDArray[np.float64]:
        """Return the gains of the next borders between hops, ``(1, borders)``."""
        hops = np.arange(self._border, self._border + borders)
        self._border += borders
        last = len(self._curve_db) - 1
        place = np.clip(hops / self._hops_per_step - 0.5, 0.0, last)
        before = np.minimum(place.astype(np.intp), max(last - 1, 0))
        here, there = self._curve_db[before], self._curve_db[np.minimum(before + 1, last)]
        return ratios_of(here + (there - here) * (place - before))[np.newaxis]
