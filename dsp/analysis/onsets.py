"""What a beat is looked for in: four envelopes of onsets, all bands, low, middle and high."""

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.features import FRAMES_PER_S
from dsp.sums import smoothed

Frames = NDArray[np.intp]
Envelopes = NDArray[np.float32]
"""``(4, frames)``: all bands, low (kick, bass), middle, high; never negative."""

_GROUPS = (slice(0, 8), slice(0, 2), slice(2, 5), slice(5, 8))
_AROUND = int(FRAMES_PER_S / 2) | 1

# How much each envelope tells of where beats are; the low one counts for more than its band.
_BEAT_WEIGHTS = (0.5, 0.3, 0.1, 0.2)
_SOFTENING = np.hanning(9)[1:-1] / 4.0  # ±3 frames: players are not together to 12 ms


def envelopes(rises: NDArray[np.float16]) -> Envelopes:
    """Return the envelopes: each band group in its own mean, less the mean of half a second."""
    scale = (1.0 / (rises.mean(axis=0, dtype=np.float64) + 1e-6)).astype(np.float32)
    out = np.zeros((4, len(rises)), np.float32)
    for number, groups in enumerate(_GROUPS):
        total = np.zeros(len(rises), np.float32)
        for group in range(*groups.indices(8)):
            total += rises[:, group] * scale[group]
        level = np.sqrt(total / np.float32(groups.stop - groups.start))
        out[number] = np.maximum(level - _local_mean(level), 0)
    return out


def beat_strength(envelope: Envelopes) -> NDArray[np.float32]:
    """Return how much speaks for a beat at each frame, in standard deviations from zero."""
    total = np.zeros(envelope.shape[1])
    for weight, row in zip(_BEAT_WEIGHTS, envelope, strict=True):
        total += weight * row
    total = smoothed(total, _SOFTENING)
    return np.asarray(total / (total.std() + 1e-9), np.float32)


def clear_onsets(level: NDArray[np.float32]) -> Frames:
    """Return the frames of an envelope's peaks that stand clear of the rest."""
    clear = level.mean() + 0.5 * level.std()
    here = level[1:-1]
    return np.flatnonzero((here > level[:-2]) & (here >= level[2:]) & (here > clear)) + 1


def _local_mean(level: NDArray[np.float32]) -> NDArray[np.float32]:
    half = _AROUND // 2
    if not len(level):
        return level
    sums = np.cumsum(np.pad(level, (half + 1, half), "symmetric"), dtype=np.float64)
    return np.asarray((sums[_AROUND:] - sums[:-_AROUND]) / _AROUND, np.float32)
