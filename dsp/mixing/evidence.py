"""What the sound of a stem says about its role, where its name says nothing or something else.

The share of its power in broad bands is weighed, how its notes begin and end, and whether they have
a pitch: enough to tell that a bass has no lows and a voice no pitch, and to find a bass or drums
that are called ``Audio 07``. It never overrules a name. On 30 stems of six songs that were not
looked at before, the strokes of all drums were found, and none elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import HOP_FRAMES
from dsp.measure.onsets import WAVE_RATE_HZ
from dsp.mixing.roles import NAMELESS, Told, roles_of
from dsp.mixing.stem_analysis import Analysis
from dsp.mixing.tone import CENTRES
from dsp.mixing.track import Bands, Track
from dsp.stem_roles import NO_ROLE
from dsp.units import dbs_of

LOW_HZ, HIGH_HZ = 250.0, 5_000.0
NOTHING, MOST, NEARLY_ALL = 0.02, 0.7, 0.85
"""Shares of the power."""


STROKES_PER_S, STROKE_FALL_DB, STROKE_CREST_DB = 2.0, 12.0, 19.0
"""Drums are struck more often, and each stroke is over sooner, than notes are played: of those
stems drums had 2.1 strokes a second that fell by 14 dB, at a crest factor of 19 dB, at the least;
no other had all three."""

PITCHED = frozenset({"lead", "backing", "speech", "bass", "strings", "brass", "pad"})
STRUCK = frozenset({"drums", "snare", "hats", "perc"})
LEAST_PITCHED, MOST_PITCHED, HELD_CREST_DB = 0.5, 0.95, 16.0
"""Harmonicity: of 40 stems and 5 voices, those of pitched roles had 0.77 at the least (speech 0.79
to 0.83), and drums 0.89 at the most, with a crest factor of 19 dB at the least."""
SPEECH_PITCHED = 0.9
"""Of the least pitched quarter: speech had 0.71 at the most, what plays holds its notes."""
_PARTS_AT_ONCE = 64
_LOWEST_HZ, _HIGHEST_HZ, _PITCH_FRAMES = 50, 1_000, 512
_LOUD = 1e-3

_RISE_DB, _AUDIBLE_DB = 12.0, 24.0
_CELL_S, _RISE_S, _FALL_S, _APART_S = 0.005, 0.01, 0.13, 0.05


@dataclass(frozen=True)
class _Shares:
    """How much of the power lies below 250 Hz and above 5 kHz, 0..1."""

    low: float
    high: float


def _shares(powers: Bands) -> _Shares | None:
    """Return the shares; ``None`` of what is silent."""
    whole = float(powers.sum())
    if whole <= 0.0:
        return None
    low, high = powers[CENTRES < LOW_HZ].sum(), powers[CENTRES > HIGH_HZ].sum()
    return _Shares(float(low) / whole, float(high) / whole)


def told_roles(analyses: Sequence[Analysis], wanted: Mapping[str, Any]) -> dict[str, Told]:
    """Return the role of every stem: what the settings say, else its name, else its sound.

    Parameters
    ----------
    wanted : mapping
        What the settings say of stems, by their names.
    """
    told = roles_of([analysis.probe.name for analysis in analyses])
    for analysis in analyses:
        name = analysis.probe.name
        if told[name] == NAMELESS and len(analyses) > 1:
            powers = analysis.bands.sum(axis=0, dtype=np.float64)
            role, why = role_by_sound(powers, strokes=is_struck(analysis))
            told[name] = Told(role, why) if role else NAMELESS
        if role := wanted.get(name, {}).get("role"):
            told[name] = told[name]._replace(role=role)
    return told


def is_struck(analysis: Analysis) -> bool:
    """Return whether the loudest part of a stem is made of strokes, as drums are."""
    hops = round(_CELL_S * analysis.probe.rate_hz / HOP_FRAMES)
    cells = len(analysis.excerpt) // hops if hops else 0
    rise, fall, apart = (round(span / _CELL_S) for span in (_RISE_S, _FALL_S, _APART_S))
    if cells <= fall + rise or analysis.crest_factor_db < STROKE_CREST_DB:
        return False
    level_db = dbs_of(analysis.excerpt[: cells * hops].reshape(cells, hops).max(axis=1))
    loudest_db = float(np.percentile(level_db, 99))
    risen = level_db[rise:] - level_db[:-rise] > _RISE_DB
    begins = np.flatnonzero(risen & (level_db[rise:] > loudest_db - _AUDIBLE_DB)) + rise
    begins = begins[np.diff(begins, prepend=-apart - 1) > apart]
    begins = begins[begins < cells - fall]
    if len(begins) < STROKES_PER_S * cells * _CELL_S:
        return False
    peaks_db = np.max([level_db[begins + later] for later in range(rise + 1)], axis=0)
    return float(np.median(peaks_db - level_db[begins + fall])) > STROKE_FALL_DB


def role_by_sound(powers: Bands, *, strokes: bool = False) -> tuple[str, str]:
    """Return the role of a stem whose name names none, and why; two empty texts where unclear.

    Parameters
    ----------
    powers : (31,) float64
        Per third octave.
    strokes : bool
        Whether it is struck, as drums are.
    """
    shares = _shares(powers)
    if shares is not None and strokes and shares.high <= NEARLY_ALL:
        return "drums", f"{NO_ROLE}; it is made of strokes that are over at once"
    if shares is not None and shares.low > NEARLY_ALL:
        return "bass", f"{NO_ROLE}; {shares.low:.0%} of it lies below {LOW_HZ:g} Hz"
    if shares is not None and shares.high > NEARLY_ALL:
        return "hats", f"{NO_ROLE}; {shares.high:.0%} of it lies above 5 kHz"
    return "", ""


@dataclass(frozen=True)
class Harmonicity:
    """How alike sound is from one period of its pitch to the next, 0..1; noise has none."""

    usual: float
    """The median over what is loud."""
    least: float
    """Of its least pitched quarter, the most."""


def harmonicity_of(analysis: Analysis) -> Harmonicity | None:
    """Return the harmonicity of a stem's beginning; ``None`` where too little sounds."""
    wave = analysis.wave.astype(np.float32)
    if len(wave) < WAVE_RATE_HZ:
        return None
    parts = np.lib.stride_tricks.sliding_window_view(wave, _PITCH_FRAMES)[:: _PITCH_FRAMES // 2]
    power = np.square(parts).mean(axis=1)
    window = np.hanning(_PITCH_FRAMES).astype(np.float32)
    parts = parts[power > _LOUD * max(float(power.max()), 1e-12)] * window
    if len(parts) < 2:  # noqa: PLR2004 - no quarter of fewer
        return None
    own = _autocorrelation(window[np.newaxis])
    lags = slice(WAVE_RATE_HZ // _HIGHEST_HZ, WAVE_RATE_HZ // _LOWEST_HZ)
    highest = np.empty(len(parts))
    for start in range(0, len(parts), _PARTS_AT_ONCE):
        alike = _autocorrelation(parts[start : start + _PARTS_AT_ONCE])
        ratio = alike[:, lags] / alike[:, :1] * (own[:, :1] / own[:, lags])
        highest[start : start + _PARTS_AT_ONCE] = ratio.max(axis=1)
    least, usual = np.percentile(highest, [25, 50])
    return Harmonicity(float(usual), float(least))


def _autocorrelation(parts: NDArray[np.float32]) -> NDArray[np.float64]:
    power = np.square(np.abs(np.fft.rfft(parts, 2 * _PITCH_FRAMES, axis=1)))
    return np.asarray(np.fft.irfft(power, axis=1)[:, :_PITCH_FRAMES])


def doubt_about(track: Track) -> str:
    """Return what in a stem's sound speaks against its role; empty where nothing does."""
    if track.content != "music":
        return ""
    doubt = doubt_of(track.role, track.spectrum)
    heard = None if doubt or track.role not in PITCHED | STRUCK else harmonicity_of(track.analysis)
    if heard is None:
        return doubt
    if track.role in PITCHED and heard.usual < LEAST_PITCHED:
        return "hardly any of it has a pitch"
    if track.role == "speech" and heard.least > SPEECH_PITCHED:
        return "all of it holds its pitch, as no speech does"
    held = heard.usual > MOST_PITCHED and track.analysis.crest_factor_db < HELD_CREST_DB
    return "its notes have a pitch and are held" if track.role in STRUCK and held else ""


def doubt_of(role: str, powers: Bands) -> str:
    """Return what in the shares of its bands speaks against a role; empty where nothing does."""
    shares = _shares(powers)
    if shares is None:
        return ""
    if role in ("bass", "kick") and shares.low < NOTHING:
        return f"{shares.low:.1%} of it lies below {LOW_HZ:g} Hz"
    if role == "hats" and shares.low > MOST:
        return f"{shares.low:.0%} of it lies below {LOW_HZ:g} Hz"
    if role in ("lead", "backing", "speech") and shares.low > NEARLY_ALL:
        return f"{shares.low:.0%} of it lies below {LOW_HZ:g} Hz"
    return ""
