"""The stereo picture: who stands where, how wide, and what stays in the middle.

Rules
-----
Rule 1: leads and what carries the low end stay in the middle, and lows below
``LOWS_MONO_HZ`` are mono in every stem, where the master does not make them so.

Rule 2: mono stems that may leave the middle go to the side that is lighter so far, the
loudest first. A stem with a picture of its own leans less, the less the more its channels
differ; one that already stands to a side stays there, and counts.

Rule 3: a picture that vanishes in mono is narrowed: the wider, the less correlated a stem
already is, the less is added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsp.mixing.content import silent_side
from dsp.mixing.track import Track

LOWS_MONO_HZ = 120.0
STEREO_LEAN = 0.3
"""Share of the role's pan that a stem with a wide picture of its own gets."""
WIDE_CORRELATION, MONO_CORRELATION = 0.5, 0.98
"""A picture is wide below the one, and none above the other."""
OPPOSED_CORRELATION = -0.1
"""Below it the sum in mono loses half a decibel more than that of unrelated sides."""
ASIDE = 0.15
"""More power than this on one side than on the other, as a share of both: it stands there."""


@dataclass(frozen=True)
class Panning:
    """Where one stem stands."""

    pan: float
    width: float
    lows_mono_hz: float
    why: str


def pannings(tracks: Sequence[Track], levels_db: Mapping[str, float]) -> dict[str, Panning]:
    """Return a place for every stem.

    Parameters
    ----------
    levels_db : mapping of float
        Each stem's level in the mix, to balance the sides by.
    """
    placed: dict[str, Panning] = {}
    leaning = 0.0
    for track in sorted(tracks, key=lambda t: (-levels_db[t.name], t.name)):
        aside = 0.0 if _half_of_a_centre(track) else 1.0 - 2.0 * track.analysis.left_share
        side = -1.0 if leaning > 0 else 1.0
        pan = 0.0 if abs(aside) > ASIDE else round(side * _reach(track), 2)
        leaning += (pan + aside) * 10.0 ** (levels_db[track.name] / 10.0)
        placed[track.name] = _panning(track, pan)
    return placed


def _reach(track: Track) -> float:
    """Return how far from the middle a stem may go."""
    if not _is_stereo(track):
        return track.profile.pan
    correlation = track.analysis.correlation
    alike = (correlation - WIDE_CORRELATION) / (MONO_CORRELATION - WIDE_CORRELATION)
    return track.profile.pan * (STEREO_LEAN + (1.0 - STEREO_LEAN) * min(max(alike, 0.0), 1.0))


def _half_of_a_centre(track: Track) -> bool:
    """Return whether a stem that belongs in the middle has only one of its channels."""
    return track.profile.pan == 0.0 and bool(silent_side(track.analysis))


def _is_stereo(track: Track) -> bool:
    probe = track.analysis.probe
    return probe.channels > 1 and track.analysis.correlation < MONO_CORRELATION


def _panning(track: Track, pan: float) -> Panning:
    if _half_of_a_centre(track):
        why = f"its {silent_side(track.analysis)} channel is silent: to the centre"
        return Panning(0.0, 0.0, 0.0, why)
    if not _is_stereo(track):
        where = "in the centre" if pan == 0 else "to the lighter side"
        return Panning(pan, 1.0, 0.0, f"{track.role}: {where}")
    correlation = track.analysis.correlation
    if correlation < OPPOSED_CORRELATION:
        return Panning(pan, 0.6, LOWS_MONO_HZ, "narrowed: it would vanish in mono")
    width = track.profile.width
    if width > 1.0 and correlation < 0.5:  # noqa: PLR2004 - wide enough as it is
        return Panning(pan, 1.0, LOWS_MONO_HZ, "wide already")
    why = "widened" if width > 1.0 else "its own picture"
    return Panning(pan, width, LOWS_MONO_HZ, why)
