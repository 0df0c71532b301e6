"""Levels of a stream: peaks, RMS, crest, DC, clipping, correlation, and true peak.

Theory of operation
-------------------
``TruePeakMeter`` looks between the samples with a long windowed sinc, and checks the limiter
with it. So this interpolator is written anew, by another method than the
limiter's ``oversample``: a mistake in one must not hide in the other.

Interpolating everything would cost more than making the mix. Most of it can be skipped without
loss. Every interpolated value is a straight line between its two neighbours plus a weighted sum
of second differences nearby, so

    |value| ≤ larger neighbour + (L1 norm of those weights) · (largest second difference)

Music is mostly low frequencies, so its second differences are small and the bound is close. Only
hops whose bound exceeds the maximum so far are interpolated, the most promising first.

Rules
-----
Rule 1: the floor of every level is ``SILENCE_DB``; −inf and NaN are never returned.

Rule 2: RMS is re full scale as it stands: a full-scale square wave reads 0 dBFS, a sine −3.01.

Rule 3: sums are made frame by frame; maxima need no order, but the skip rule does, so it works
on windows anchored at frame 0. Asking changes nothing.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dsp import kernels
from dsp.audio import HOP_FRAMES, Block, Curve, Windows
from dsp.errors import ParameterError
from dsp.sums import filtered
from dsp.units import dbs_of, power_db_of, power_dbs_of

_WINDOW_FRAMES = 32_768  # in float64, two channels stay in cache

FULL_SCALE = 32_767 / 32_768
"""The largest positive value of 16 bits: converters and files that clip, clip here or above."""

CLIPPED_RUN_FRAMES = 3
"""Fewer frames in a row at full scale are what normalising to 0 dBFS leaves behind."""


class LevelMeter:
    """Peaks, mean squares, DC, clipping and correlation of a stream.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        self._totals, self._cross = np.zeros((channels, 3)), np.zeros(1)
        self._frames = 0
        self._full = np.zeros(CLIPPED_RUN_FRAMES - 1, np.bool_)
        self._in_run = False
        self._clipped_frames = self._clipped_runs = 0

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        if not len(block):
            return
        self._frames += len(block)
        self._count_clipped(block, kernels.levels(block, self._totals, self._cross))

    def sample_peak_dbfs(self) -> Curve:
        """Return the sample peak of every channel."""
        return dbs_of(self._totals[:, 0])

    def powers(self) -> Curve:
        """Return the mean square of every channel, full scale ±1.0."""
        return np.asarray(self._totals[:, 2] / max(self._frames, 1))

    def rms_dbfs(self) -> Curve:
        """Return the RMS level of every channel."""
        return power_dbs_of(self.powers())

    def pooled_rms_dbfs(self) -> float:
        """Return the RMS level over all channels."""
        return power_db_of(float(self.powers().mean()))

    def crest_factor_db(self) -> float:
        """Return how far the sample peak stands above the RMS level, channels pooled.

        Never negative; 0.0 for a square wave and for silence, 3.01 for a sine.
        """
        return max(0.0, float(self.sample_peak_dbfs().max()) - self.pooled_rms_dbfs())

    def dc(self) -> Curve:
        """Return the mean of every channel, full scale ±1.0."""
        return np.asarray(self._totals[:, 1] / max(self._frames, 1))

    def clipped_frames(self) -> int:
        """Return how many frames lie in runs of three or more with any channel at full scale."""
        return self._clipped_frames

    def clipped_runs(self) -> int:
        """Return how many such runs there are."""
        return self._clipped_runs

    def correlation(self) -> float:
        """Return how alike the first two channels are, −1 to 1.

        1.0 for mono and for silence, 0.0 when only one of the two sounds.
        """
        squares = self._totals[:2, 2]
        if len(squares) == 1 or not squares.any():
            return 1.0
        scale = float(np.prod(np.sqrt(squares)))
        return float(np.clip(self._cross[0] / scale, -1.0, 1.0)) if scale > 0.0 else 0.0

    def _count_clipped(self, block: Block, peak: float) -> None:
        """Count runs across blocks: a run of n has n − 2 middles, and one first middle."""
        if peak < FULL_SCALE:  # no run reaches over such a frame
            self._full[:], self._in_run = False, False
            return
        full = np.concatenate([self._full, (np.abs(block) >= FULL_SCALE).any(axis=1)])
        middle = np.concatenate([[self._in_run], full[:-2] & full[1:-1] & full[2:]])
        firsts = int(np.count_nonzero(middle[1:] & ~middle[:-1]))
        self._clipped_runs += firsts
        self._clipped_frames += int(np.count_nonzero(middle[1:]) + 2 * firsts)
        self._full, self._in_run = full[-2:], bool(middle[-1])


TAPS = 64
"""Neighbours that an interpolated value listens to: flat to 0.46 of the rate."""

_KAISER_BETA = 8.0  # images 80 dB down
_CONTEXT = TAPS  # frames of the last window that the next one needs, in whole hops
_SPAN = HOP_FRAMES + TAPS  # what the values of one hop listen to
_BATCH_HOPS = 512  # interpolated together, before the next are held against what they raised
_OWN_HOP = TAPS // 2 // HOP_FRAMES  # place in a span of the hop whose values are asked
_GROUPS = 3  # of the values between two frames, bounded together
_ROUNDING = 1.0 + 1e-6  # the bound is computed in float32


class TruePeakMeter:
    """The highest level between and on the samples, of a stream.

    Reads a sine of any frequency up to 0.45 of the rate within +0.01/−0.05 dB. What would sound
    before the first and after the last frame is included.

    Parameters
    ----------
    rate_hz : int
    channels : int
    oversample : int, optional
        Values looked at per frame; without it enough for 700 kHz, and 16 at the most.
    """

    def __init__(self, rate_hz: int, channels: int, *, oversample: int | None = None) -> None:
        phases = oversample or _oversample_of(rate_hz)
        if phases < 2:  # noqa: PLR2004 - one value per frame is the sample itself
            raise ParameterError(f"oversample must be at least 2, got {phases}")
        taps = _interpolators(phases)
        self._taps = taps.astype(np.float32)
        self._reach = (_reach_of(taps) * _ROUNDING).astype(np.float32)
        self._neighbours, self._bend = _bounds(taps)
        self._windows = Windows(_WINDOW_FRAMES, channels)
        self._past = np.zeros((channels, _CONTEXT), np.float32)
        self._peaks = np.zeros(channels)

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        whole = self._windows.push(block)
        for start in range(0, len(whole), _WINDOW_FRAMES):
            window = whole[start : start + _WINDOW_FRAMES]
            frames = np.concatenate([self._past, window.T], axis=1)
            self._peaks = self._raised(frames)
            self._past = frames[:, -_CONTEXT:].copy()

    def true_peaks_dbtp(self) -> Curve:
        """Return the true peak of every channel so far."""
        rest = self._windows.rest().T
        padding = _CONTEXT + -rest.shape[1] % HOP_FRAMES
        silence = np.zeros((len(rest), padding), np.float32)
        return dbs_of(self._raised(np.concatenate([self._past, rest, silence], axis=1)))

    def true_peak_dbtp(self) -> float:
        """Return the true peak of the loudest channel so far."""
        return float(self.true_peaks_dbtp().max())

    def _raised(self, frames: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the peaks after ``(channels, _CONTEXT + hops · HOP_FRAMES)`` more."""
        peaks = [self._raise(*pair) for pair in zip(self._peaks, frames, strict=True)]
        return np.array(peaks)

    def _raise(self, peak: float, frames: NDArray[np.float32]) -> float:
        """Return the larger of ``peak`` and the true peak of one channel's frames."""
        bounds, sample_peak = self._hop_bounds(frames)
        peak = max(float(peak), sample_peak)
        spans = sliding_window_view(frames, _SPAN)[::HOP_FRAMES, 1:]
        hops = np.flatnonzero(bounds > peak)
        hops = hops[np.argsort(-bounds[hops], kind="stable")]
        for first in range(0, len(hops), _BATCH_HOPS):
            batch = hops[first : first + _BATCH_HOPS]
            if bounds[batch[0]] <= peak:
                break
            heard = spans[batch].T
            near = filtered(np.abs(heard), self._reach).max(axis=(0, 1))
            values = filtered(heard[:, near > peak], self._taps)
            peak = max(peak, float(np.abs(values).max(initial=0.0)))
        return peak

    def _hop_bounds(self, frames: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """Return what no interpolated value of each hop exceeds, and the sample peak."""
        hops = (len(frames) - _CONTEXT) // HOP_FRAMES
        peaks = _hop_maxima(np.abs(frames))[_OWN_HOP : _OWN_HOP + hops]
        right = np.abs(frames[(_OWN_HOP + 1) * HOP_FRAMES :: HOP_FRAMES][:hops])
        bounds = np.asarray(np.maximum(peaks, right) * self._neighbours * _ROUNDING, np.float32)
        bends = np.zeros_like(frames)
        bends[1:-1] = np.abs(np.diff(frames, 2))
        hop_bends = _hop_maxima(bends)
        for hop, weight in enumerate(self._bend):
            bounds += weight * hop_bends[hop : hop + hops]
        return bounds, float(peaks.max())


def _oversample_of(rate_hz: int) -> int:
    return int(np.clip(2 ** np.ceil(np.log2(700_000 / rate_hz)), 4, 16))


def _interpolators(phases: int) -> NDArray[np.float64]:
    """Return the taps ``(phases - 1, TAPS)`` of the values between two frames.

    A Kaiser-windowed sinc; the two frames are taps ``TAPS // 2 - 1`` and ``TAPS // 2``.
    """
    place = np.arange(TAPS) - (TAPS // 2 - 1) - np.arange(1, phases)[:, None] / phases
    window = np.i0(_KAISER_BETA * np.sqrt(1.0 - np.square(place / (TAPS // 2))))
    taps = np.sinc(place) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True))


def _reach_of(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the most that a frame can add to any value of a group: ``(_GROUPS, TAPS)``.

    Frames taken as they are, and not their bends, are the closer bound on noise, which bends
    everywhere: nearly all of its hops are ruled out at a fifth of the cost.
    """
    return np.asarray([np.abs(group).max(axis=0) for group in np.array_split(taps, _GROUPS)])


def _bounds(taps: NDArray[np.float64]) -> tuple[float, NDArray[np.float32]]:
    """Return the weights that bound the values of a hop.

    Returns
    -------
    neighbours : float
        Of the larger neighbour: about 1.
    bend : (hops,) float32
        Of the largest second difference in every hop of the span: the L1 norm of what the taps
        do besides the straight line, which is their double sum.
    """
    left = TAPS // 2 - 1
    right_share = (taps * (np.arange(TAPS) - left)).sum(axis=1)
    left_share = taps.sum(axis=1) - right_share
    rest = taps.copy()
    rest[:, left] -= left_share
    rest[:, left + 1] -= right_share
    weights = np.abs(np.cumsum(np.cumsum(rest, axis=1), axis=1))
    bend = np.zeros(_SPAN // HOP_FRAMES)
    for frame in range(HOP_FRAMES):
        spread = np.zeros((len(taps), _SPAN))
        spread[:, frame + 2 : frame + TAPS] = weights[:, : TAPS - 2]
        by_hop = spread.reshape(len(taps), -1, HOP_FRAMES).sum(axis=2)
        bend = np.maximum(bend, by_hop.max(axis=0))
    neighbours = np.max(np.abs(left_share) + np.abs(right_share))
    return float(neighbours), (bend * _ROUNDING).astype(np.float32)


def _hop_maxima(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest value of every hop; turned, because short rows are slow to reduce."""
    turned = np.ascontiguousarray(frames.reshape(-1, HOP_FRAMES).T)
    return np.asarray(turned.max(axis=0))
