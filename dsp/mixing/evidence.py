"""What the sound of a stem says about its role, where its name says nothing or something else.

Only the share of its power in broad bands is weighed: enough to tell that a bass has no lows, and
to find a bass that is called ``Audio 07``. It never overrules a name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsp.mixing.roles import NAMELESS, Told, roles_of
from dsp.mixing.stem_analysis import Analysis
from dsp.mixing.tone import CENTRES
from dsp.mixing.track import Bands

LOW_HZ, HIGH_HZ = 250.0, 5_000.0
NOTHING, MOST, NEARLY_ALL = 0.02, 0.7, 0.85
"""Shares of the power."""


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
            role, why = role_by_sound(analysis.bands.sum(axis=0, dtype=np.float64))
            told[name] = Told(role, why) if role else NAMELESS
        if role := wanted.get(name, {}).get("role"):
            told[name] = told[name]._replace(role=role)
    return told


def role_by_sound(powers: Bands) -> tuple[str, str]:
    """Return the role of a stem whose name names none, and why; two empty texts where unclear.

    Parameters
    ----------
    powers : (31,) float64
        Per third octave.
    """
    shares = _shares(powers)
    if shares is not None and shares.low > NEARLY_ALL:
        return "bass", f"its name names no role; {shares.low:.0%} of it lies below {LOW_HZ:g} Hz"
    if shares is not None and shares.high > NEARLY_ALL:
        return "hats", f"its name names no role; {shares.high:.0%} of it lies above 5 kHz"
    return "", ""


def doubt_of(role: str, powers: Bands) -> str:
    """Return what in a stem's sound speaks against its role; empty where nothing does."""
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
