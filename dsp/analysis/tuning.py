"""How far a song is tuned from A = 440 Hz, and how sharply its tones agree on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.features import BINS_PER_SEMITONE

LEAST_SHARPNESS = 0.1
"""Below it tones agree on nothing: noise and drums read 0.00 to 0.05."""

_BINS = 60 * BINS_PER_SEMITONE  # five octaves: above them overtones speak, which are stretched


@dataclass(frozen=True)
class Tuning:
    """The mean distance of tones from the twelve semitones."""

    cents: float
    """−50 to 50; positive is sharp."""
    sharpness: float
    """0 (spread evenly) to 1 (all alike)."""


def tuning_of(pitch: NDArray[np.float16]) -> Tuning:
    """Return the tuning, by the circular mean of the thirds of a semitone.

    Parameters
    ----------
    pitch : (frames, PITCH_BINS)
        From ``Features``.
    """
    bins = pitch[:, :_BINS].sum(axis=0, dtype=np.float64)
    flat, third, two_thirds = bins.reshape(-1, BINS_PER_SEMITONE).sum(axis=0)
    along = flat - (third + two_thirds) / 2
    across = (third - two_thirds) * np.sqrt(0.75)
    cents = float(np.arctan2(across, along)) * 50 / np.pi
    sharpness = float(np.hypot(along, across) / (bins.sum() + 1e-9))
    return Tuning(cents, sharpness)
