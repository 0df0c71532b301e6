"""What a limiter must expect of a hop: its true peak, and what lies at the edge of the band.

Theory of operation
-------------------
The interpolator of ``oversample`` has 32 taps, which is enough up to 0.45 of the rate. Music
ends there; what was clipped, or made at the rate itself, does not, and peaks up to 1 dB
higher than 32 taps can tell. Five times the taps everywhere would cost five times as much.

But the *difference* of a long interpolator and the short one is a narrow filter: it passes
what lies at the edge of the band and nothing else, and it is largest half-way between two
frames. So its output there bounds well what the short one misses, and is added to its peaks.
For music it is next to nothing, for a square 0.5 dB, and wherever the ceiling is far it is
not computed at all.

Rules
-----
Rule 1: added, not selected: a hop of mere edge is limited more than it must be. A tone at
0.49 of the rate loses 4 dB, a lone click 0.15 dB.

Rule 2: sums are made by ``dsp.sums``, so that neither blocks nor machines show.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dsp.audio import HOP_FRAMES, Block, Windows
from dsp.processors.oversample import TAPS, TruePeakHops, interpolator
from dsp.sums import filtered

_SIDE_HOPS = 5
"""Hops to each side that the long interpolator looks at."""
_SUPPORT = (2 * _SIDE_HOPS + 1) * HOP_FRAMES
_CLOSE = 0.87
"""Of the limit: more than 1.2 dB below it the edge is not asked for."""


def _edge() -> NDArray[np.float32]:
    """Return the taps of what 32 taps miss half-way between two frames: ``(1, taps)``."""
    taps = 2 * _SIDE_HOPS * HOP_FRAMES
    edge = interpolator(2, taps)[1:]
    edge[:, (taps - TAPS) // 2 : (taps + TAPS) // 2] -= interpolator(2, TAPS)[1]
    return edge.astype(np.float32)


class LimiterPeaks:
    """The peak to expect of every hop, the highest of all channels.

    Parameters
    ----------
    channels : int
    limit : float
        As a ratio to full scale. What matters is whether a peak is above it, and how far.
    """

    latency = (1 + _SIDE_HOPS) * HOP_FRAMES
    """Frames from the start of a hop until its peak is known."""

    def __init__(self, channels: int, *, limit: float) -> None:
        self._channels = channels
        self._threshold = _CLOSE * limit
        self._true_peaks = TruePeakHops(channels, threshold=self._threshold)
        self._edge = _edge()
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._true_peaks.reset()
        self._windows = Windows(HOP_FRAMES, self._channels)
        self._sound = np.zeros((self._channels, _SIDE_HOPS * HOP_FRAMES), np.float32)
        self._waiting = np.zeros(0, np.float32)

    def update(self, block: Block) -> NDArray[np.float32]:
        """Return the peaks of the hops that are known now: ``(hops,)``, none or more."""
        waiting = np.concatenate([self._waiting, self._true_peaks.update(block)])
        sound = np.concatenate([self._sound, self._windows.push(block).T], axis=1)
        ready = max(0, sound.shape[1] // HOP_FRAMES - 2 * _SIDE_HOPS)
        self._sound = sound[:, ready * HOP_FRAMES :].copy()
        peaks, self._waiting = waiting[:ready], waiting[ready:]
        close = np.flatnonzero(peaks > self._threshold)
        if len(close):
            peaks[close] += self._edge_of(sound, close)
        return peaks

    def _edge_of(self, sound: NDArray[np.float32], hops: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return how much higher each of these hops may peak: ``(hops,)``."""
        spans = sliding_window_view(sound, _SUPPORT, axis=1)[:, ::HOP_FRAMES]
        supports = spans[:, hops].reshape(-1, _SUPPORT).T.copy()
        # From before the first frame of the hop to after its last.
        edge = np.abs(filtered(supports, self._edge)).max(axis=(0, 1))
        return np.asarray(edge.reshape(self._channels, -1).max(axis=0))
