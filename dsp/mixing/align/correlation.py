"""Whether two stems hold the same sound, how far apart, and with which polarity.

Theory of operation
-------------------
Two recordings of one performance agree in the phase of every frequency, but for a slope that
is their delay. The cross spectrum without its magnitudes (PHAT) gathers that slope into one
sharp peak, whatever the two were equalised with; two performances, even of the same notes,
give none. Between the 0.25 ms of ``WAVE_RATE_HZ`` the delay is read from the slope itself.

References
----------
Knapp, Carter, "The generalized correlation method for estimation of time delay", IEEE TASSP
24(4), 1976.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.measure.onsets import WAVE_RATE_HZ
from dsp.measure.transform import fast_length

_LOWEST_HZ, _HIGHEST_HZ = 60.0, 1_700.0  # the resampler's edge is left out
_FAINT = 1e-3  # of the strongest bin: less is float16's noise
_FEWEST_BINS = 2_000
_PEAK_S = 0.002
_CLEAR = 1.5
_STEPS = 4


@dataclass(frozen=True)
class Shared:
    """What one stem has in common with another."""

    lag_s: float
    """How much later the same sound comes in the second stem."""
    polarity: int
    strength: float
    """0..1: the share of the spectrum that agrees; 0 where no single delay stands out."""
    likeness: float
    """0..1: the correlation of the two at that lag: near 1 for a copy, small for bleed."""


NOTHING = Shared(0.0, 1, 0.0, 0.0)


def spectra_of(
    waves: Sequence[NDArray[np.float16]], window_s: float
) -> list[NDArray[np.complex64]]:
    """Return the spectra that ``shared_of`` compares, all of one size."""
    longest = max(len(wave) for wave in waves)
    size = fast_length(longest + round(window_s * WAVE_RATE_HZ) + 1)
    return [np.asarray(np.fft.rfft(wave.astype(np.float32), size), np.complex64) for wave in waves]


def shared_of(
    first: NDArray[np.complex64], second: NDArray[np.complex64], window_s: float
) -> Shared:
    """Return what the second stem shares with the first, within ``±window_s``.

    Parameters
    ----------
    first, second : (bins,) complex64
        From one call of ``spectra_of``.

    Notes
    -----
    A copy is placed within 5 µs, a quarter of a sample at 48 kHz.
    """
    phases, bins = _phases_of(first, second)
    if bins < _FEWEST_BINS:
        return NOTHING
    size = 2 * (len(first) - 1)
    agreement = np.fft.irfft(phases, size) * (size / (2.0 * bins))
    reach = round(window_s * WAVE_RATE_HZ)
    agreement = np.concatenate([agreement[-reach:], agreement[: reach + 1]])
    top = int(np.argmax(np.abs(agreement)))
    apart = np.abs(np.arange(len(agreement)) - top) > _PEAK_S * WAVE_RATE_HZ
    strength = float(np.abs(agreement[top]))
    if strength < _CLEAR * float(np.abs(agreement[apart]).max(initial=0.0)):
        return NOTHING
    polarity = 1 if agreement[top] > 0 else -1
    lag = _refined(phases * polarity, float(top - reach))
    likeness = max(polarity * _correlation(first, second, lag), 0.0)
    return Shared(lag / WAVE_RATE_HZ, polarity, min(strength, 1.0), likeness)


def _phases_of(
    first: NDArray[np.complex64], second: NDArray[np.complex64]
) -> tuple[NDArray[np.complex64], int]:
    """Return the cross spectrum with magnitude 1 where both sound, 0 elsewhere, and how many."""
    levels = np.abs(first), np.abs(second)
    bins_hz = np.linspace(0.0, WAVE_RATE_HZ / 2, len(first))
    heard = (bins_hz > _LOWEST_HZ) & (bins_hz < _HIGHEST_HZ)
    for level in levels:
        heard &= level > _FAINT * max(float(level.max()), 1e-6)
    scale = np.where(heard, levels[0] * levels[1], np.float32(np.inf))
    return np.asarray(second * np.conj(first) / scale), int(heard.sum())


def _refined(phases: NDArray[np.complex64], lag: float) -> float:
    """Return the lag in fractions of a frame at which the phases agree best (Newton)."""
    turns = np.linspace(0.0, np.pi, len(phases))
    for _ in range(_STEPS):
        rest = phases * np.exp(1j * turns * lag)
        slope = float((turns * rest.imag).sum())
        curve = float((turns**2 * rest.real).sum())
        lag -= slope / curve if curve > 0.0 else 0.0
    return lag


def _correlation(first: NDArray[np.complex64], second: NDArray[np.complex64], lag: float) -> float:
    """Return the normalised correlation, −1..1, with ``second`` advanced by ``lag`` frames."""
    advance = np.exp(1j * np.linspace(0.0, np.pi, len(first)) * lag)
    together = float((second * np.conj(first) * advance).real.sum())
    powers = [np.square(each.view(np.float32)).sum(dtype=np.float64) for each in (first, second)]
    return together / math.sqrt(powers[0] * powers[1])
