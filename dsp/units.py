"""Decibels, ratios and the floor below which sound is silence."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp import kernels

SILENCE_DB = -300.0
"""The floor of every level: what lies below is flushed to exact zero.

Filters that decay into denormals cost thirteen times the CPU, for inaudible sound.
"""

SILENCE = 10.0 ** (SILENCE_DB / 20.0)


def ratio_of(db: float) -> float:
    """Return the amplitude ratio of a gain in dB."""
    return float(ratios_of(db))


def db_of(ratio: float) -> float:
    """Return an amplitude ratio in dB, ``SILENCE_DB`` at the least."""
    return float(dbs_of(ratio))


def power_db_of(power: float) -> float:
    """Return a power ratio in dB, ``SILENCE_DB`` at the least."""
    return float(power_dbs_of(power))


def ratios_of(db: ArrayLike) -> NDArray[np.float64]:
    """Return amplitude ratios of gains in dB, element by element."""
    gains = np.asarray(db, np.float64, order="C")
    out = np.empty_like(gains)
    kernels.ratios(gains, out)
    return out


def dbs_of(ratio: ArrayLike) -> NDArray[np.float64]:
    """Return amplitude ratios in dB, ``SILENCE_DB`` at the least, element by element."""
    return _decibels(ratio, SILENCE)


def power_dbs_of(power: ArrayLike) -> NDArray[np.float64]:
    """Return power ratios in dB, ``SILENCE_DB`` at the least, element by element."""
    return 0.5 * _decibels(np.maximum(power, 0.0), SILENCE**2)


def _decibels(ratio: ArrayLike, floor: float) -> NDArray[np.float64]:
    ratios = np.asarray(ratio, np.float64, order="C")
    out = np.empty_like(ratios)
    kernels.decibels(ratios, floor, out)
    return out
