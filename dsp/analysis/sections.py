"""A song in sections, and what each has of its own.

Rules
-----
Rule 1: sections are cut by the clock, or by eight bars; what is left at the end is a section if
it is half as long as the others, else it belongs to the last one.

Rule 2: every section is read as a song of its own would be, but for the tuning. What is too
short or too quiet to be said of a section is ``None``.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dsp.analysis.curves import chroma_of
from dsp.analysis.descriptors import energy_of
from dsp.analysis.document import Section, SectionSummary
from dsp.analysis.features import FRAMES_PER_S, PITCHES_PER_S
from dsp.analysis.figure import Figure, Why
from dsp.analysis.key import KEYS, key_of
from dsp.analysis.music import Music, estimated
from dsp.measure.loudness import FLOOR_LUFS, HOP_S, Energy, integrated_lufs

BARS_PER_SECTION = 8

_FEWEST_BEATS = 5
"""Fewer intervals than four say more about the players than about the tempo."""


@dataclass(frozen=True)
class Sound:
    """What sections are read from."""

    music: Music
    energy: Energy
    """Channel-weighted mean squares, per ``HOP_S``, from ``lead_s`` on."""
    lead_s: float
    duration_s: float


def sections_of(sound: Sound, how: int | str) -> tuple[Section, ...]:
    """Return the sections: so many seconds each, ``bars``, or ``off``."""
    sections: list[Section] = []
    for start_s, end_s in pairwise(_edges(sound, how)):
        before = sections[-1].chroma if sections else None
        sections.append(_section(sound, start_s, end_s, before))
    return tuple(sections)


def summary_of(sections: tuple[Section, ...], key: str | None, why: Why) -> SectionSummary:
    """Return how alike sections are; ``why`` there are none, if so."""
    tempi = [one.bpm for one in sections if one.bpm is not None]
    keys = [one.key for one in sections if one.key is not None]
    absent: Figure[float] = Figure(value=None, unit="", source="estimated", why=why)
    spread, agreement = absent.model_copy(update={"unit": "BPM"}), absent
    modulation: Figure[int] = Figure(value=None, unit="semitones", source="estimated", why=why)
    if tempi:
        spread = estimated(round(max(tempi) - min(tempi), 2), "BPM")
    if keys and key is not None:
        agreement = estimated(round(sum(one == key for one in keys) / len(keys), 3))
        modulation = estimated(_modulation(keys), "semitones")
    return SectionSummary(bpm_spread=spread, key_agreement=agreement, modulation=modulation)


def _edges(sound: Sound, how: int | str) -> list[float]:
    end_s = sound.duration_s
    if how == "off":
        return []
    if isinstance(how, int):
        longest = float(how)
        inner = [longest * place for place in range(1, int(np.ceil(end_s / longest)))]
    else:
        rhythm = sound.music.rhythm
        inner = rhythm.downbeats_s[::BARS_PER_SECTION] if rhythm else []
        inner = [at for at in inner if at > 0.0]
        longest = float(np.median(np.diff(inner))) if len(inner) > 1 else end_s
    if inner and end_s - inner[-1] < longest / 2:
        inner.pop()
    if how == "bars" and inner and inner[0] < longest / 2:
        inner.pop(0)  # an upbeat belongs to the first section
    return [0.0, *(round(float(at), 3) for at in inner), round(end_s, 3)]


def _section(
    sound: Sound, start_s: float, end_s: float, before: tuple[float, ...] | None
) -> Section:
    music = sound.music

    def places(per_s: float, offset_s: float = music.evidence.offset_s) -> slice:
        return slice(*(max(0, round((at - offset_s) * per_s)) for at in (start_s, end_s)))

    rises, pitches = places(FRAMES_PER_S), places(PITCHES_PER_S)
    steps = places(1 / HOP_S, sound.lead_s)
    lufs = integrated_lufs(sound.energy[steps], step_s=HOP_S)
    audible = lufs > FLOOR_LUFS
    key = key_of(music.evidence.pitch[pitches], music.tuning.cents) if music.key else None
    classes = chroma_of(music.chroma[pitches]) if audible else None
    energy = None
    if audible and rises.start < len(music.evidence.rises):
        rate_hz, flux = (
            what(rises.start, rises.stop) for what in (music.onset_rate_hz, music.flux)
        )
        energy = energy_of(lufs, rate_hz, flux).score.value
    return Section(
        start_s=start_s,
        end_s=end_s,
        bpm=_bpm(music, start_s, end_s),
        key=key.name if key and audible else None,
        integrated_lufs=round(lufs, 2) if audible else None,
        energy=energy,
        chroma=classes,
        boundary=_distance(before, classes),
    )


def _bpm(music: Music, start_s: float, end_s: float) -> float | None:
    beats = music.rhythm.beats_s if music.rhythm else []
    inside = [at for at in beats if start_s <= at < end_s]
    if len(inside) < _FEWEST_BEATS:
        return None
    return round(60 * (len(inside) - 1) / (inside[-1] - inside[0]), 2)


def _distance(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> float:
    """Return 1 − cosine of the angle between two chroma; 0 where one is missing."""
    if one is None or other is None:
        return 0.0
    a, b = np.array(one), np.array(other)
    cosine = (a * b).sum() / np.sqrt(np.square(a).sum() * np.square(b).sum())
    return min(1.0, max(0.0, round(float(1 - cosine), 3)))


def _modulation(keys: list[str]) -> int:
    """Return the way from the commonest key of the first third to that of the last, −5 to 6."""
    third = max(1, len(keys) // 3)
    first, last = (max(KEYS, key=part.count) for part in (keys[:third], keys[-third:]))
    up = (KEYS.index(last) - KEYS.index(first)) % 12
    return up - 12 if up > 6 else up  # noqa: PLR2004 - the shorter way
