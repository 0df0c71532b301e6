"""Slow, plain ways to know what a filter should have done."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import sosfilt

from dsp.processors.processor import Processor


def measured_db(processor: Processor, hz: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """Return the gain of a new mono processor, from the spectrum of its impulse response."""
    frames = 1 << 17
    impulse = np.zeros((frames, 1), np.float32)
    impulse[0] = 1.0
    heard = processor.process(impulse)[:, 0].astype(np.float64)
    bins = np.rint(hz * frames / rate_hz).astype(int)
    return 20.0 * np.log10(np.abs(np.fft.rfft(heard))[bins])


def on_bins(hz: NDArray[np.float64], rate_hz: int) -> NDArray[np.float64]:
    """Return the nearest frequencies that ``measured_db`` can tell exactly."""
    return np.rint(hz * (1 << 17) / rate_hz) * rate_hz / (1 << 17)


def null_db(heard: NDArray[np.float32], wanted: NDArray[np.float64]) -> float:
    """Return the RMS of the difference against that of what was wanted."""
    difference = np.sqrt(np.mean((heard.astype(np.float64) - wanted) ** 2))
    return float(20.0 * np.log10(difference / np.sqrt(np.mean(wanted**2))))


def in_float64(sos: NDArray[np.float64], sound: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a cascade over ``(frames, channels)``, all in float64."""
    return np.asarray(sosfilt(sos, sound.astype(np.float64), axis=0))
