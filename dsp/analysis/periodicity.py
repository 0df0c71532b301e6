"""How much repeats after how long: the evidence for each tempo, in windows of 12 s.

Two views of the same windows, because their ghosts differ: those of an autocorrelation lie at
multiples of the beat's length, those of a spectrum at fractions of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dsp.analysis.features import FRAMES_PER_S
from dsp.analysis.onsets import Envelopes

_WINDOW = int(12.0 * FRAMES_PER_S)
_STEP = int(4.0 * FRAMES_PER_S)
_LAGS = int(10.7 * FRAMES_PER_S)  # eight beats at 45 BPM
_FFT = 2_048  # window and lags together have room in it, so nothing wraps around
_FINE_FFT = 8 * _FFT
_HIGHEST_BIN = int(20.0 * _FINE_FFT / FRAMES_PER_S)  # four times 245 BPM is 16 Hz
_HANN = np.hanning(_WINDOW).astype(np.float32)
_SAME = np.float32(1e-9)


@dataclass(frozen=True)
class Periodicity:
    """Means over the windows, loud ones counting for more, ``(4, …)`` float64 per envelope."""

    autocorrelation: NDArray[np.float64]
    """By lag in frames, 1 at lag 0."""
    spectrum: NDArray[np.float64]
    """By bin, in ``BIN_HZ``."""

    def at_lags(self, lags: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the autocorrelation at lags in frames; 0 beyond the longest."""
        inside = lags < _LAGS - 2
        return _between(self.autocorrelation, np.clip(lags, 0, _LAGS - 2)) * inside

    def at_hertz(self, hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the spectrum at frequencies."""
        return _between(self.spectrum, hertz * (_FINE_FFT / FRAMES_PER_S))


def periodicity(envelope: Envelopes) -> Periodicity:
    """Return what repeats in a song; a song under 12 s is filled with silence."""
    missing = max(0, _WINDOW - envelope.shape[1])
    if missing:
        envelope = np.pad(envelope, ((0, 0), (0, missing)))
    weights = np.float64(1e-9)
    autocorrelation = np.zeros((4, _LAGS))
    spectrum = np.zeros((4, _HIGHEST_BIN))
    for window in sliding_window_view(envelope, _WINDOW, axis=1)[:, ::_STEP].swapaxes(0, 1):
        around = window - window.mean(axis=1, keepdims=True)
        powers = np.square(np.abs(np.fft.rfft(around, _FFT, axis=1)))
        products = np.fft.irfft(powers, _FFT, axis=1)[:, :_LAGS]
        energy = products[:, :1]
        unbiased = products * (_WINDOW / (_WINDOW - np.arange(_LAGS)))
        fine = np.fft.rfft(around * _HANN, _FINE_FFT, axis=1)[:, :_HIGHEST_BIN]
        magnitude = np.sqrt(np.square(fine.real) + np.square(fine.imag))
        weight = np.sqrt(np.float64(max(energy[0, 0], 0)))
        autocorrelation += weight * (unbiased / (energy + _SAME))
        spectrum += weight * (magnitude / (np.sqrt(np.maximum(energy, 0)) + np.float32(1e-6)))
        weights += weight
    return Periodicity(autocorrelation / weights, spectrum / weights)


def _between(rows: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row at places between its values."""
    places = np.minimum(places, rows.shape[1] - 2)
    whole = places.astype(np.intp)
    share = places - whole
    return np.asarray(rows[:, whole] * (1 - share) + rows[:, whole + 1] * share)
