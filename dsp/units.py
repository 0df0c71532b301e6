"""Decibels, ratios and the floor below which sound is silence."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

SILENCE_DB = -300.0
"""The floor of every level: what lies below is flushed to exact zero.

Filters that decay into denormals cost thirteen times the CPU, for inaudible sound.
"""

SILENCE = 10.0 ** (SILENCE_DB / 20.0)


def ratio_of(db: float) -> float:
    """Return the amplitude ratio of a gain in dB."""
    return float(10.0 ** (db / 20.0))


def db_of(ratio: float) -> float:
    """Return an amplitude ratio in dB, ``SILENCE_DB`` at the least."""
    return float(20.0 * np.log10(max(abs(ratio), SILENCE)))


def power_db_of(power: float) -> float:
    """Return a power ratio in dB, ``SILENCE_DB`` at the least."""
    return float(10.0 * np.log10(max(power, SILENCE**2)))


def ratios_of(db: ArrayLike) -> NDArray[np.float64]:
    """Return amplitude ratios of gains in dB, element by element."""
    return np.power(10.0, np.asarray(db, np.float64) / 20.0)


def dbs_of(ratio: ArrayLike) -> NDArray[np.float64]:
    """Return amplitude ratios in dB, ``SILENCE_DB`` at the least, element by element."""
    ratios = np.abs(np.asarray(ratio, np.float64))
    return np.asarray(20.0 * np.log10(np.maximum(ratios, SILENCE)))


def power_dbs_of(power: ArrayLike) -> NDArray[np.float64]:
    """Return power ratios in dB, ``SILENCE_DB`` at the least, element by element."""
    powers = np.asarray(power, np.float64)
    return np.asarray(10.0 * np.log10(np.maximum(powers, SILENCE**2)))
