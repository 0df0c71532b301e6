"""Hold the lows down where they alone would make a limiter turn everything down.

Theory of operation
-------------------
A kick that is over the ceiling makes a limiter pump: whatever sounds beside it goes down with
it. So the lows pay for what they add: where the sum is over the limit, the lows, y = x + (g − 1) ·
LP(x), are reduced until it is not, or until the limit is as far over as the sum without its lows.
What is left to do, a limiter does. LP is of the first order: the rest of the sound is then
what a shelf leaves, without a bump beside it.

Rules
-----
Rule 1: only down, no further than a bound, and nothing at all where the sum is below the limit.

Rule 2: it sees ahead as the limiter does, with the same gains (``LimiterGains``), but of sample
peaks: it shares the work, and promises nothing.
"""

import numpy as np

from dsp.audio import HOP_FRAMES, Block, Curve
from dsp.errors import ParameterError
from dsp.processors.control_rate import HopPeaks, Ramp
from dsp.processors.filters import Cascade, first_order_low_pass
from dsp.processors.gain_reduction import Reduction
from dsp.processors.limiter import LimiterGains
from dsp.units import dbs_of, ratio_of

_SHARE = 0.2
"""Of a peak, that is gone without the lows: where there is less, they are not to blame."""


class LowLimiter:
    """Reduce the lows by what they stand above a limit.

    Parameters
    ----------
    hz : float
        Corner below which is low.
    limit_db : float
        What the peaks of the sum shall not exceed, in dBFS.
    range_db : float
        The most that the lows are reduced by.
    look_ahead_ms, release_ms : float
        See ``LimiterGains``.
    rate_hz : float
    channels : int
        All follow the loudest.

    Raises
    ------
    ParameterError
    """

    def __init__(
        self,
        *,
        hz: float,
        limit_db: float,
        range_db: float,
        look_ahead_ms: float,
        release_ms: float,
        rate_hz: float,
        channels: int,
    ) -> None:
        if not range_db >= 0.0:
            raise ParameterError(f"range_db must be at least 0, got {range_db:g}")
        self._limit, self._least = ratio_of(limit_db), ratio_of(-range_db)
        self._channels = channels
        self._lows = Cascade(first_order_low_pass(hz, rate_hz), channels)
        self._gains = LimiterGains(
            look_ahead_ms=look_ahead_ms, release_ms=release_ms, rate_hz=rate_hz
        )
        self._peaks = [HopPeaks(channels, linked=True) for _ in range(2)]
        self.latency = HOP_FRAMES * (self._gains.delay + 1)
        self.tail_s = (self._lows.tail_frames + self.latency) / rate_hz
        self.reduction = Reduction(rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._lows.reset()
        self._gains.reset()
        self.reduction.reset()
        for peaks in self._peaks:
            peaks.reset()
        self._held = np.zeros((2, self._channels, self.latency), np.float32)
        self._cut = Ramp(np.zeros((1, 2)))

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``, ``latency`` frames late."""
        lows = self._lows.process(block)
        both = np.concatenate([self._held, np.stack([block.T, lows.T])], axis=2)
        (late, late_lows), self._held = np.split(both, [len(block)], axis=2)
        self._held = self._held.copy()
        gains = self._gains.follow(self._needs(block, lows))[np.newaxis]
        self.reduction.update(-dbs_of(gains), gains[0] < 1.0)
        return self._cut.ducked(late.T, late_lows.T, 1.0 - gains)

    def _needs(self, block: Block, lows: Block) -> Curve:
        """Return the gain of the lows that each complete hop needs, ``(hops,)``.

        A peak of (1 − c) x + c (x − LP(x)) is at most that mix of the peaks of both.
        """
        whole, rest = (
            peaks.push(sound)[0].astype(np.float64)
            for peaks, sound in zip(self._peaks, (block, block - lows), strict=True)
        )
        share = whole - rest
        needed = np.maximum(whole - self._limit, 0.0) / np.maximum(share, 1e-9)
        useful = np.clip(share / (_SHARE * np.maximum(whole, 1e-9)), 0.0, 1.0)
        return np.asarray(1.0 - np.minimum(needed, 1.0 - self._least) * useful)
