"""How far a song is tuned from A = 440 Hz, and how sharply its tones agree on it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_SHARPNESS = 0.1
"""Below it tones agree on nothing: noise and drums read 0.00 to 0.05."""

# Tones further from the mean than a quarter tone's half are bent, or belong to another tuning.
_NEAR_CENTS = 20
_ROUNDS = 4


@dataclass(frozen=True)
class Tuning:
    """The mean distance of tones from the twelve semitones."""

    cents: float
    """−50 to 50; positive is sharp."""
    sharpness: float
    """0 (spread evenly) to 1 (all alike)."""


def tuning_of(cents: NDArray[np.int64]) -> Tuning:
    """Return the tuning: the circular mean of the tones, then the mean of those near it.

    Parameters
    ----------
    cents : (100,) int64
        From ``Features``.
    """
    above = np.arange(100) + 0.5
    angles = 2 * np.pi * above / 100
    total = float(cents.sum())
    across, along = float((cents * np.sin(angles)).sum()), float((cents * np.cos(angles)).sum())
    sharpness = float(np.hypot(across, along)) / (total or 1.0)
    mean = float(np.arctan2(across, along)) * 50 / np.pi
    for _ in range(_ROUNDS):
        away = (above - mean + 50) % 100 - 50
        near = cents * (np.abs(away) < _NEAR_CENTS)
        mean += float((near * away).sum()) / (float(near.sum()) or 1.0)
    return Tuning((mean + 50) % 100 - 50, sharpness)
