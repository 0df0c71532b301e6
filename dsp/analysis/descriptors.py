"""Energy and danceability: named formulas of what was measured, not of what listeners said.

Nobody's trained model stands behind them, and no other program's scale. Whoever has judgements
of listeners calibrates them. A formula that changes gets a new name.

Theory of operation
-------------------
A *ramp* goes from 0 to 1 between two values and stays there.

``energy-1``: half a ramp of the integrated loudness from −30 to −6 LUFS, a quarter of a ramp of
the clear onsets per second from 0 to 8, a quarter of a ramp of the flux from 0.1 to 0.3.

``danceability-1``: a ramp of the beat strength from 1 to 4, times the steadiness.

* *Flux* is the mean rise of the logarithm of all bands, nepers per 12 ms: how much happens.
* *Beat strength* is how far onsets on beats stand above the mean, in standard deviations.
* *Steadiness* is the share of beats whose distance to the next is within 4 % of the median.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.document import Descriptor
from dsp.analysis.figure import Figure, Why

_LOUDNESS_LUFS = -30.0, -6.0
_ONSETS_HZ = 0.0, 8.0
_FLUX = 0.1, 0.3
_BEAT_STRENGTH = 1.0, 4.0
_STEADY = 0.04


def energy_of(integrated_lufs: float, onset_rate_hz: float, flux: float) -> Descriptor:
    """Return the energy of a song or a section."""
    score = (
        0.5 * _ramp(integrated_lufs, *_LOUDNESS_LUFS)
        + 0.25 * _ramp(onset_rate_hz, *_ONSETS_HZ)
        + 0.25 * _ramp(flux, *_FLUX)
    )
    inputs = {"integrated_lufs": integrated_lufs, "onset_rate_hz": onset_rate_hz, "flux": flux}
    return _descriptor("energy-1", score, inputs)


def danceability_of(strength: NDArray[np.float32], beats: NDArray[np.intp]) -> Descriptor:
    """Return the danceability of a song.

    Parameters
    ----------
    strength : (frames,) float32
        How much speaks for a beat at each frame, in standard deviations.
    beats : (beats,) int
        Their frames; two at least.
    """
    near = np.clip(beats[:, np.newaxis] + np.arange(-2, 3), 0, len(strength) - 1)
    beat_strength = float(strength[near].max(axis=1).mean() - strength.mean())
    intervals = np.diff(beats)
    steady = np.abs(intervals / np.median(intervals) - 1) <= _STEADY
    inputs = {"beat_strength": beat_strength, "steadiness": float(steady.mean())}
    score = _ramp(beat_strength, *_BEAT_STRENGTH) * inputs["steadiness"]
    return _descriptor("danceability-1", score, inputs)


def no_descriptor(formula: str, why: Why) -> Descriptor:
    """Return what is said where there is nothing to put into a formula."""
    score = Figure[float](value=None, unit="", source="estimated", why=why)
    return Descriptor(score=score, formula=formula, inputs={})


def _descriptor(formula: str, score: float, inputs: dict[str, float]) -> Descriptor:
    return Descriptor(
        score=Figure(value=round(score, 3), unit="", source="estimated"),
        formula=formula,
        inputs={name: round(value, 3) for name, value in inputs.items()},
    )


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
