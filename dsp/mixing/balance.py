"""Levels: what every stem starts at, how its phrases are evened out, where its fader stands.

Theory of operation
-------------------
*Trim* brings every stem to ``WORKING_LUFS`` (gated, after its EQ), so that the dynamics
behind it meet a known level. The *fader* then does the balance: each role has a distance to
the lead; stems that share a role share its loudness. What the strip adds or takes on the
way (see ``prediction``) the fader takes back, so that distances are kept *at the sum*. One
correction for all that accompanies makes a singing lead as loud as the sum of the rest
while it sounds, and puts what lies under speech well below it.

References
----------
Pestana, Reiss, AES 53rd conference, 2014: a lead about as loud as the sum of the rest.
De Man, Reiss, "A knowledge-engineered autonomous mixing system", AES 135th, 2013.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp.measure.loudness import integrated_lufs
from dsp.measure.onsets import WAVE_RATE_HZ
from dsp.mixing.align.align import Placement
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.track import FLOOR_LUFS, Steps, Track
from dsp.stem_roles import LEADS
from dsp.sums import smoothed
from dsp.units import power_db_of

WORKING_LUFS = -20.0
"""Where trim puts the gated loudness of every stem."""
TRIM_MAX_DB = 40.0

FADER_MAX_DB = 12.0
"""How far the sum may move a stem from its role's own level."""

_ALONE = LEADS | {"jingle"}
"""What sounds by itself, and is not moved for a lead's sake."""

_ALIKE = 0.5
"""A lower correlation is bleed, and adds little to the sum of two stems."""

Likeness: TypeAlias = Mapping[tuple[str, str], float]
"""Correlation of two stems of one role, by their names, where it counts."""
_UNLIKE: Likeness = {}

_RIDE_WINDOW_STEPS = 30
"""3 s: a phrase."""


def trim_db(track: Track, eq_change_db: float) -> float:
    """Return the gain that brings the stem, equalised, to the working level."""
    if track.loudness_lufs <= FLOOR_LUFS:
        return 0.0
    wanted = WORKING_LUFS - (track.loudness_lufs + eq_change_db)
    return round(float(np.clip(wanted, -TRIM_MAX_DB, TRIM_MAX_DB)), 2)


def ride_curve_db(energy: ArrayLike, *, amount: float, range_db: float) -> Steps:
    """Return a slow gain per 100 ms step that evens out the loudness of phrases.

    Parameters
    ----------
    energy : (steps,) array
        K-weighted mean square on the stem's own timeline.
    amount : float
        Share of each difference to the median phrase that is taken out, 0..1.
    range_db : float
        Bound of the gain in both directions.

    Returns
    -------
    (steps,) float64
        dB. Where the stem rests the gain glides to 0.
    """
    energy = np.asarray(energy, np.float64)
    if not len(energy) or not energy.any():
        return np.zeros(len(energy))
    window = np.hanning(_RIDE_WINDOW_STEPS + 2)[1:-1]
    window /= window.sum()
    phrase = smoothed(energy, window)
    heard = phrase > 10.0 ** (-2.0) * np.mean(energy[energy > 0])
    middle = np.median(phrase[heard]) if heard.any() else 1.0
    away_db = 10.0 * np.log10(np.where(heard, phrase, middle) / middle)
    gain_db = np.clip(-amount * away_db, -range_db, range_db)
    return smoothed(gain_db, window)


def likeness_of(tracks: Sequence[Track], placements: Mapping[str, Placement]) -> Likeness:
    """Return how alike stems of one role are once they are in their places."""
    found = {}
    for first, second in combinations(tracks, 2):
        if first.role != second.role:
            continue
        polarity = placements[first.name].polarity * placements[second.name].polarity
        alike = polarity * _correlation(_coarse(first), _coarse(second))
        if alike > _ALIKE:
            found[first.name, second.name] = min(alike, 1.0)
    return found


def _coarse(track: Track) -> NDArray[np.float32]:
    """Return the coarse copy of a stem's beginning, on the song's timeline."""
    wave, lag = track.analysis.wave, round(track.lag_s * WAVE_RATE_HZ)
    moved = wave[lag:] if lag >= 0 else np.pad(wave, (-lag, 0))
    return moved.astype(np.float32)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    length = min(len(first), len(second))
    powers = [float(np.square(wave, dtype=np.float64).sum()) for wave in (first, second)]
    together = float(np.multiply(first[:length], second[:length], dtype=np.float64).sum())
    return together / math.sqrt(powers[0] * powers[1]) if min(powers) > 0.0 else 0.0


def role_levels_db(tracks: Sequence[Track], likeness: Likeness = _UNLIKE) -> dict[str, float]:
    """Return each stem's level against the lead: its role's, shared among its equals.

    Equals that hold the same sound add as amplitudes: two copies get 6 dB less, not 3.
    """
    ones = {track.name: np.ones(1) for track in tracks}
    return {
        track.name: track.profile.level_lu
        - power_db_of(_power([t for t in tracks if t.role == track.role], ones, likeness))
        for track in tracks
    }


def _power(tracks: Sequence[Track], energies: Mapping[str, Steps], likeness: Likeness) -> float:
    """Return the power of a sum, from what each of its stems sends."""
    powers = {t.name: float(energies[t.name].sum(dtype=np.float64)) for t in tracks}
    shared = (
        2.0 * alike * math.sqrt(powers[first] * powers[second])
        for (first, second), alike in likeness.items()
        if first in powers and second in powers
    )
    return sum(powers.values()) + sum(shared)


def lead_activity(tracks: Sequence[Track]) -> NDArray[np.bool_]:
    """Return per 100 ms whether a lead sounds; empty without tracks."""
    steps = len(tracks[0].active) if tracks else 0
    active = np.zeros(steps, np.bool_)
    for track in tracks:
        if track.role in LEADS:
            active |= track.active
    return active


def lead_to_rest_lu(
    tracks: Sequence[Track], energies: Mapping[str, Steps], likeness: Likeness = _UNLIKE
) -> float | None:
    """Return the lead's loudness against the rest's while the lead sounds.

    ``None`` when there is no lead or no rest to compare. Stems add as powers, but for those
    that are alike.

    Parameters
    ----------
    energies : mapping of (steps,) float64
        What each stem sends to the sum.
    """
    where = lead_activity(tracks)
    sent = {t.name: energies[t.name][where] for t in tracks}
    lead, rest = (
        _power([t for t in tracks if (t.role in LEADS) == leading], sent, likeness)
        for leading in (True, False)
    )
    return power_db_of(lead / rest) if lead > 0 and rest > 0 else None


def faders_db(
    tracks: Sequence[Track], energies: Mapping[str, Steps], likeness: Likeness = _UNLIKE
) -> dict[str, float]:
    """Return the faders: role levels, and one correction for all that accompanies.

    Parameters
    ----------
    energies : mapping of (steps,) float64
        What each strip will send to the sum with its fader at 0: what the strip did to the
        loudness on its way, the fader takes back.

    Notes
    -----
    With every accompanying stem moved by the same amount x, the squared errors of the
    distances between roles stay 0 and that of lead-to-rest is least where it vanishes:
    x is the least-squares correction in closed form.
    """
    levels = role_levels_db(tracks, likeness)
    for track in tracks:
        strayed = integrated_lufs(energies[track.name], step_s=STEP_S) - WORKING_LUFS
        levels[track.name] -= float(np.clip(strayed, -FADER_MAX_DB, FADER_MAX_DB))
    sent = {t.name: energies[t.name] * 10.0 ** (levels[t.name] / 10.0) for t in tracks}
    distance = lead_to_rest_lu(tracks, sent, likeness)
    # With a singer and a speaker, the smaller distance holds.
    target = min((t.profile.over_rest_lu for t in tracks if t.role in LEADS), default=0.0)
    shift = 0.0 if distance is None else distance - target
    shift = float(np.clip(shift, -FADER_MAX_DB, FADER_MAX_DB))
    return {
        track.name: round(levels[track.name] + (0.0 if track.role in _ALONE else shift), 2)
        for track in tracks
    }
