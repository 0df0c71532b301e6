"""The last gain: nothing leaves above the ceiling, between the samples included.

Theory of operation
-------------------
Per hop j there is a *need*, ceiling / true peak, 1 at the most. The gain at border k (where
hop k begins) is made in three steps, none of which can break what the first promised:

1. *hold*: the minimum of the needs of the hops k − 2 … k + delay;
2. *release*: the hold, left slowly (``Ballistics`` without attack: never above the hold);
3. *smooth*: a weighted mean of the ``delay`` newest of these, weights ≥ 0.

Every hold in that mean covers the hops k − 2 … k + 1, so none is above their needs, and
neither is the mean. A straight line between two borders stays between them. So the gain is
nowhere above the need of the hop it stands in, and there is nothing to overshoot with.

The hold covers one hop more on each side than that asks for. A peak between samples is made
of the samples around it, mostly of the nearest 16 on each side: they, too, must get the gain
that the peak needs, or less, and around a lone peak the gain stands still.

Rules
-----
Rule 1: the limiter is as good as what it measures (see ``peaks``). No test sound, at any
rate, came out above its ceiling by 16 points per frame of a sinc of 256 frames.

Rule 2: what solves for a make-up without the sound (``modelled_gains``) and what works on
the sound run the same ``LimiterGains``.

References
----------
ITU-R BS.1770-5, Annex 2. Moving minimum and box smoothing: G. Luff, Designing a
straightforward limiter, Signalsmith Audio, 2022.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.audio import HOP_FRAMES, Block, Curve
from dsp.errors import ParameterError
from dsp.processors.control_rate import Ramp
from dsp.processors.envelope import Ballistics
from dsp.processors.gain_reduction import ACTIVE_DBFS, Reduction
from dsp.processors.limiter_peaks import LimiterPeaks
from dsp.sums import moving_sum
from dsp.units import dbs_of, ratio_of, ratios_of

LOOK_AHEAD_MS = 3.0
RELEASE_MS = 100.0

_BEHIND, _AHEAD = 2, 1
"""Hops before and after a border whose peaks the samples around it take part in."""


class LimiterGains:
    """From needs to gains: what the limiter does, and what its model does.

    Parameters
    ----------
    look_ahead_ms : float
        Until the gain is down; rounded to whole hops, at least one.
    release_ms : float
        Until 63 % of a reduction, in dB, is given back.
    rate_hz : float

    Raises
    ------
    ParameterError
    """

    def __init__(self, *, look_ahead_ms: float, release_ms: float, rate_hz: float) -> None:
        if not look_ahead_ms > 0.0:
            raise ParameterError(f"look_ahead_ms must be above 0, got {look_ahead_ms:g}")
        self.delay = max(1, round(look_ahead_ms * 0.001 * rate_hz / HOP_FRAMES)) + _AHEAD
        """In hops: the need of hop j is what the gain at border j − delay waits for."""
        short = self.delay // 2
        long = self.delay + 1 - short
        # Two boxes after one another: a triangle, whose slope has no jumps as high as a box's.
        self._weights = moving_sum(
            np.pad(np.full(long, 1.0 / long), short - 1), np.full(short, 1.0 / short)
        )
        self._release = Ballistics(attack_ms=0.0, release_ms=release_ms, hop_s=HOP_FRAMES / rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._release.reset()
        self._needs = np.ones(_BEHIND + self.delay)
        self._held = np.ones(len(self._weights) - 1)

    def follow(self, needs: Curve) -> Curve:
        """Return as many gains as there are needs, both ``(hops,)``, 0…1."""
        needs = np.concatenate([self._needs, needs])
        self._needs = needs[len(needs) - len(self._needs) :]
        holds = _sliding_minimum(needs, _BEHIND + self.delay + 1)
        reduction_db = self._release.follow(-dbs_of(holds)[np.newaxis])[0]
        held = np.concatenate([self._held, ratios_of(-reduction_db)])
        self._held = held[len(held) - len(self._held) :]
        return moving_sum(held, self._weights)


def _sliding_minimum(values: Curve, width: int) -> Curve:
    """Return the minimum of every ``width`` neighbours: ``len(values) - width + 1`` of them."""
    span = 1
    while 2 * span <= width:
        values = np.minimum(values[:-span], values[span:])
        span *= 2
    rest = width - span
    return np.minimum(values[: len(values) - rest], values[rest:])


class Limiter:
    """Raise the sound, then keep its true peaks under the ceiling.

    Parameters
    ----------
    ceiling_dbtp : float
    look_ahead_ms, release_ms : float
        See ``LimiterGains``.
    rate_hz : float
    channels : int
        All follow the loudest.
    gain : float
        Applied first: the make-up.

    Raises
    ------
    ParameterError
    """

    def __init__(
        self,
        *,
        ceiling_dbtp: float,
        look_ahead_ms: float = LOOK_AHEAD_MS,
        release_ms: float = RELEASE_MS,
        rate_hz: float,
        channels: int,
        gain: float = 1.0,
    ) -> None:
        if not gain > 0.0:
            raise ParameterError(f"gain must be above 0, got {gain:g}")
        self._gain = np.float32(gain)
        self._limit = ratio_of(ceiling_dbtp) / float(self._gain)
        """What the input may reach before anything is done."""
        self._channels = channels
        self._peaks = LimiterPeaks(channels, limit=self._limit)
        self._gains = LimiterGains(
            look_ahead_ms=look_ahead_ms, release_ms=release_ms, rate_hz=rate_hz
        )
        self.latency = self._peaks.latency + HOP_FRAMES * (self._gains.delay + 1)
        self.tail_s = self.latency / rate_hz
        self.reduction = Reduction(rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._peaks.reset()
        self._gains.reset()
        self.reduction.reset()
        self._held = np.zeros((self._channels, self.latency), np.float32)
        # A border per hop that the first peak is late, and the two that a hop has.
        self._ramp = Ramp(np.full((1, self._peaks.latency // HOP_FRAMES + 1), self._gain))

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``, ``latency`` frames late."""
        sound = np.concatenate([self._held, block.T], axis=1)
        delayed, self._held = np.split(sound, [len(block)], axis=1)
        self._held = self._held.copy()
        return self._ramp.scaled(delayed.T, self._gains_for(block))

    def _gains_for(self, block: Block) -> NDArray[np.float32]:
        """Return the gains of the next borders, make-up included: ``(1, hops)``."""
        peaks = self._peaks.update(block).astype(np.float64)
        gains = self._gains.follow(needs_of(peaks, self._limit))[np.newaxis]
        self.reduction.update(-dbs_of(gains), peaks * self._gain > ratio_of(ACTIVE_DBFS))
        return gains.astype(np.float32) * self._gain


def needs_of(peaks: ArrayLike, limit: float) -> Curve:
    """Return the gain that each peak needs to stay below the limit, 1 at the most."""
    return limit / np.maximum(np.asarray(peaks, np.float64), limit)


def modelled_gains(
    peaks: Callable[[int, int], NDArray[np.float32]],
    hops: Sequence[int],
    *,
    gain: float,
    ceiling_dbtp: float,
    look_ahead_ms: float = LOOK_AHEAD_MS,
    release_ms: float = RELEASE_MS,
    rate_hz: float,
) -> Iterator[NDArray[np.float32]]:
    """Yield what a limiter would do to a sound of which only the peaks are known, part by part.

    Parameters
    ----------
    peaks : callable
        Given two hops, returns the peaks from the first to before the second, as far as there
        are: highest of all channels per ``HOP_FRAMES``, as a ratio, before ``gain``. With
        sample peaks the model limits a little less than the limiter, which knows the true ones.
    hops : sequence of int
        Where parts begin, from 0 on, and where the last one ends.
    gain : float
        The make-up to try.
    ceiling_dbtp, look_ahead_ms, release_ms, rate_hz : float
        The limiter's.

    Yields
    ------
    (hops,) float32
        The limiter's mean gain in each hop of a part, without the make-up; latency taken out.
    """
    model = LimiterGains(look_ahead_ms=look_ahead_ms, release_ms=release_ms, rate_hz=rate_hz)
    limit = ratio_of(ceiling_dbtp) / gain
    known, borders = 0, np.zeros(0, np.float32)
    drop = model.delay
    for start, stop in pairwise(hops):
        needed = stop + model.delay + 1
        part = np.zeros(needed - known, np.float32)
        there = peaks(known, needed)
        part[: len(there)] = there
        new = model.follow(needs_of(part, limit)).astype(np.float32)
        borders = np.concatenate([borders, new])[drop:]
        known, drop = needed, stop - start
        yield np.float32(0.5) * (borders[:-1] + borders[1:])
