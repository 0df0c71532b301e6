"""Twelve pitch classes over time, C first, at the tuning of the song."""

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.features import BINS_PER_SEMITONE, PITCH_BINS, SEMITONES

Chroma = NDArray[np.float32]
"""``(frames, 12)``."""

_LOWEST_CLASS = 9  # 55 Hz is an A
_WIDTH_SEMITONES = 0.22


def loudness_scale(pitch: NDArray[np.float16]) -> np.float32:
    """Return what makes a loud frame of a song add up to 20, whatever its level."""
    return np.float32(1.0 / (np.percentile(frame_sums(pitch), 90) / 20 + 1e-9))


def frame_sums(pitch: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return how much tone each frame holds."""
    return np.asarray(pitch.sum(axis=1, dtype=np.float64))


def chroma(
    pitch: NDArray[np.float32], cents: float, lowest: int = 0, highest: int = SEMITONES
) -> Chroma:
    """Return the pitch classes of the semitones from ``lowest`` to before ``highest`` above A1."""
    semitones = (np.arange(PITCH_BINS) - cents / 100 * BINS_PER_SEMITONE) / BINS_PER_SEMITONE
    nearest = np.round(semitones).astype(np.intp)
    weights = np.exp(-0.5 * ((semitones - nearest) / _WIDTH_SEMITONES) ** 2).astype(np.float32)
    out = np.zeros((len(pitch), 12), np.float32)
    # Bin by bin: a product of matrices rounds by the machine.
    for place in np.flatnonzero((nearest >= lowest) & (nearest < highest)):
        out[:, (nearest[place] + _LOWEST_CLASS) % 12] += pitch[:, place] * weights[place]
    return out
