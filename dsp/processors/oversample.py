"""True peak per hop: how high a sound rises between its frames.

Theory of operation
-------------------
A band-limited sound is a sum of sines over cardinals; ``interpolator`` is that sum, cut to
a few taps by a Kaiser window. Evaluated at eight points per frame it misses a peak by at
most half a step (0.17 dB at half the rate), and a parabola through the three points at a
summit finds most of that again.

Doing this everywhere is dear and useless: a limiter only asks what happens above its
ceiling. Three steps, each for what the one before could not clear:

1. No interpolated point is higher than the L1 norm of the interpolator times the sample
   peak over its support. A hop whose bound stays below the threshold is cleared: exactly.
2. Four points per frame, and the next one on either side of the hop; cleared when even the
   worst miss of those, 0.69 dB, stays below the threshold.
3. Eight points per frame and the parabola.

A cleared hop is answered with what is known of it, which is below the threshold.

Rules
-----
Rule 1: a hop's support is the hop before, itself and the hop after: 16 frames each side,
which is 32 taps. So a hop is known ``latency`` frames after it began.

Rule 2: sums are made by ``dsp.sums``, so that neither blocks nor machines show.

References
----------
ITU-R BS.1770-5, Annex 2. The skip rule is derived from |Σ h·x| ≤ Σ|h| · max|x|.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dsp.audio import HOP_FRAMES, Block, Windows
from dsp.sums import filtered

FACTOR = 8
TAPS = 2 * HOP_FRAMES

# Of 4.0 to 6.5, the one that under-reads sines up to 0.45 of the rate least: by 0.005 dB. It
# over-reads by 0.06 dB, which costs a limiter nothing but that (test_true_peak_of_a_sine_is_found).
_KAISER_BETA = 4.6
_SUPPORT = 3 * HOP_FRAMES

Samples = NDArray[np.float32]


def interpolator(factor: int, taps: int) -> NDArray[np.float64]:
    """Return a polyphase interpolator.

    Parameters
    ----------
    factor : int
        Points per frame.
    taps : int
        Per phase; even.

    Returns
    -------
    (factor, taps) float64
        Row p weighs frames n − taps/2 + 1 … n + taps/2 for the point at n + p/factor. Every
        row sums to 1; row 0 is the frame itself.
    """
    frames = np.arange(taps) - taps // 2 + 1
    distance = frames - np.arange(factor)[:, np.newaxis] / factor
    window = np.i0(_KAISER_BETA * np.sqrt(1.0 - (distance / (taps / 2)) ** 2))
    weights = np.sinc(distance) * window
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def worst_miss(factor: int) -> float:
    """Return how much higher than its highest point a sine at half the rate can be."""
    return 1.0 / math.cos(math.pi / (2 * factor))


class TruePeakHops:
    """The true peak of every hop, the highest of all channels.

    Parameters
    ----------
    channels : int
    threshold : float
        As a ratio to full scale. Peaks above it are true peaks; of those below it, only
        that is certain. 0: true peaks everywhere.
    """

    latency = 2 * HOP_FRAMES
    """Frames from the start of a hop until its peak is known."""

    def __init__(self, channels: int, *, threshold: float = 0.0) -> None:
        self.threshold = threshold
        """May be moved at any time, as by a meter that asks for its maximum only."""
        self._channels = channels
        # Phase 0 is the frame itself: nothing to be computed.
        self._coarse, self._fine = (
            interpolator(factor, TAPS)[1:].astype(np.float32) for factor in (FACTOR // 2, FACTOR)
        )
        norm = np.abs(self._fine).sum(axis=1, dtype=np.float64).max()
        self._bound = float(norm) * worst_miss(FACTOR)
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._windows = Windows(HOP_FRAMES, self._channels)
        self._held = np.zeros((self._channels, HOP_FRAMES), np.float32)

    def update(self, block: Block) -> Samples:
        """Return the peaks of the hops that are known now: ``(hops,)``, none or more.

        The first is that of frames 0 … 15. To learn of the last hops, go on with
        ``latency`` frames of silence.
        """
        sound = np.concatenate([self._held, self._windows.push(block).T], axis=1)
        self._held = sound[:, -2 * HOP_FRAMES :].copy()
        if sound.shape[1] < _SUPPORT:
            return np.zeros(0, np.float32)
        # Hops last: what follows takes maxima along columns, ten times faster than along rows.
        hops = sound.reshape(self._channels, -1, HOP_FRAMES).transpose(2, 0, 1).copy()
        levels = np.abs(hops).max(axis=0)
        peaks = levels[:, 1:-1].copy()
        around = np.maximum(np.maximum(levels[:, :-2], levels[:, 2:]), peaks)
        suspect = (around * self._bound > self.threshold) & (around > 0.0)
        if suspect.any():
            channel, hop = np.nonzero(suspect)
            before = channel * hops.shape[2] + hop
            supports = _supports(hops.reshape(HOP_FRAMES, -1), before)
            peaks[suspect] = self._peaks_of(supports)
        return np.asarray(peaks.max(axis=0))

    def _peaks_of(self, supports: Samples) -> Samples:
        """Return the true peaks of hops, given the ``(_SUPPORT, hops)`` frames around them."""
        peaks = _points(supports, self._coarse).max(axis=0)
        close = peaks * worst_miss(FACTOR // 2) > self.threshold
        if close.any():
            peaks[close] = _summits(_points(supports[:, close], self._fine))
        return np.asarray(peaks)


def _supports(hops: Samples, before: NDArray[np.intp]) -> Samples:
    """Return ``(_SUPPORT, chosen)``: three hops in a row each, from column ``before`` on."""
    out = np.empty((3, HOP_FRAMES, len(before)), np.float32)
    for later, part in enumerate(out):
        np.take(hops, before + later, axis=1, out=part, mode="clip")  # clip: writes unbuffered
    return out.reshape(_SUPPORT, -1)


def _points(supports: Samples, between: Samples) -> Samples:
    """Return the ``(points, hops)`` on and between the frames of each hop, as magnitudes.

    They begin one step before the hop and end one step after it, so that a summit at the edge
    stands between its neighbours.
    """
    steps = len(between)
    points = np.empty((HOP_FRAMES + 2, 1 + steps, supports.shape[1]), np.float32)
    points[:, 0] = supports[HOP_FRAMES - 1 : 2 * HOP_FRAMES + 1]
    points[:-1, 1:] = filtered(supports, between).transpose(1, 0, 2)
    near = points.reshape(-1, supports.shape[1])[steps:-steps]
    return np.asarray(np.abs(near, out=near))


def _summits(points: Samples) -> Samples:
    """Return the highest summit per hop: that of a parabola through the three highest points.

    A point with a higher neighbour is no summit: that one lies in the next hop. No summit
    is taken for higher than the worst miss, which the bound of step 1 allows for.
    """
    hops = np.arange(points.shape[1])
    top = points[1:-1].argmax(axis=0) + 1
    before, peak, after = (points[top + step, hops] for step in (-1, 0, 1))
    bend = 2.0 * peak - before - after
    is_summit = (peak >= before) & (peak >= after) & (bend > 0.0)
    rise = np.divide((before - after) ** 2, 8.0 * bend, out=np.zeros_like(peak), where=is_summit)
    return np.asarray(np.minimum(peak + rise, peak * np.float32(worst_miss(FACTOR))))
