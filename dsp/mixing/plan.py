"""Every decision of a mix: analyses in, a sheet of numbers out.

Rule 1: this module, with ``balance``, ``compression``, ``masking``, ``mastering``, ``panning``,
``rough_mix``, ``strip_plan`` and ``tone`` below it, decides; ``render`` obeys. No audio is touched
here, no clock read, nothing drawn by chance: the same analyses and settings give the same sheet.

Rule 2: what the settings name is not decided again; it overrules at the end, number by
number. Only roles, mutes and alignment are heeded on the way, because other decisions
follow from them.

Rule 3: a stage that is off decides nothing: its numbers are neutral.

Rule 4: what is a mix already is not mixed again: its strips are neutral, its master is gentle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.errors import ParameterError
from dsp.formats.writer import FORMAT_RATES_HZ
from dsp.mixing.align.align import Placement
from dsp.mixing.balance import (
    Likeness,
    faders_db,
    lead_activity,
    lead_to_rest_lu,
    likeness_of,
    role_levels_db,
)
from dsp.mixing.conversation import as_podcast
from dsp.mixing.evidence import doubt_about, told_roles
from dsp.mixing.masking import BETTER_DB, Masked, make_room, uncovered
from dsp.mixing.mastering import master_of
from dsp.mixing.panning import pannings
from dsp.mixing.prediction import energy_at_sum, loudness_at_sum, strip_power
from dsp.mixing.presets import stages_of
from dsp.mixing.recall_sheet import Master, Settings, Sheet, Stages, Stem, merge
from dsp.mixing.reference import Reference
from dsp.mixing.roles import PROFILES
from dsp.mixing.rough_mix import as_it_came, kept_because
from dsp.mixing.stem_analysis import Analysis
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.strip_plan import strips_of
from dsp.mixing.track import Steps, Track, track_of

VERSION = "0.1.0"
"""Of the engine's decisions: part of the promise that the same drop gives the same bytes."""

ROUNDS = 4
"""Of making room and setting faders again."""

RATES_HZ = (44_100, 48_000, 88_200, 96_000)


@dataclass(frozen=True)
class Plan:
    """The sheet, and what the decisions were made from."""

    sheet: Sheet
    tracks: tuple[Track, ...]
    """Of their analyses, the facts only: rendering shall not carry the rest along."""
    song_s: float
    masked: tuple[Masked, ...]
    lead_active: Any
    """``(steps,)`` bool: per 100 ms of the song, whether a lead sounds."""
    lead_to_rest_lu: float | None
    """As predicted."""
    loudness_lufs: Mapping[str, float]
    """As predicted for every stem that is heard, at the sum."""
    reference: Reference | None


def song_rate_hz(analyses: Sequence[Analysis]) -> int:
    """Return the standard rate that most frames of the stems have, 44.1 kHz at the least."""
    seconds: dict[int, float] = {}
    for analysis in analyses:
        seconds[analysis.probe.rate_hz] = (
            seconds.get(analysis.probe.rate_hz, 0.0) + analysis.duration_s
        )
    common = max(seconds, key=lambda rate_hz: (seconds[rate_hz], rate_hz))
    return min(RATES_HZ, key=lambda rate_hz: (abs(rate_hz - common), rate_hz))


def plan(
    analyses: Sequence[Analysis],
    placements: Mapping[str, Placement],
    settings: Settings,
    reference: Reference | None = None,
) -> Plan:
    """Return everything decided about the mix of these stems.

    Parameters
    ----------
    placements : mapping of Placement
        Alignment, by stem name.
    reference : Reference
        What the master is to resemble.

    Raises
    ------
    ParameterError
        The settings name a stem that is not there.
    """
    wanted = settings.overrides()
    _check_names(wanted.get("stems", {}), analyses)
    rate_hz = _rate_for(settings, analyses)
    tracks = as_podcast(_tracks(analyses, placements, wanted.get("stems", {})), settings)
    heard = [t for t in tracks if t.energy.any() and not _muted(t.name, wanted)]
    heard = [t for t in heard if t.content == "music"] or heard
    likeness = likeness_of(heard, placements)
    stages = stages_of(settings)
    lead_active = lead_activity(heard)
    strips = strips_of(tracks, heard, placements, settings, rate_hz)
    placed = _placed(heard, strips, likeness, stages)
    stems, masked = _balanced(heard, placed, likeness, stages, rate_hz)
    energies = _energies(heard, stems, lead_active, rate_hz)
    if kept := kept_because(heard, _loudness_lufs(energies), settings):
        stems, masked = {t.name: as_it_came(t, strips[t.name]) for t in tracks}, []
        energies = _energies(heard, stems, lead_active, rate_hz)
    master = master_of(
        *(heard, stems, energies, settings, rate_hz),
        lead_active=lead_active,
        kept=bool(kept),
        reference=reference,
    )
    sheet = _sheet(settings, rate_hz, kept, stems, master)
    final = Sheet.model_validate(merge(sheet.model_dump(), wanted))
    energies = _energies(heard, final.stems, lead_active, rate_hz)
    return Plan(
        sheet=final,
        tracks=tuple(replace(t, analysis=t.analysis.facts()) for t in tracks),
        song_s=_song_s(analyses, {name: stem.lag_ms for name, stem in final.stems.items()}),
        masked=tuple(masked),
        lead_active=lead_active,
        lead_to_rest_lu=lead_to_rest_lu(heard, energies, likeness),
        loudness_lufs=_loudness_lufs(energies),
        reference=reference,
    )


def _sheet(
    settings: Settings, rate_hz: int, kept: str, stems: dict[str, Stem], master: Master
) -> Sheet:
    return Sheet(
        soundspool=VERSION,
        preset=settings.preset,
        rate_hz=rate_hz,
        format=settings.format,
        bits=min(settings.bits, 24) if settings.format == "flac" else settings.bits,
        align=settings.align,
        balance="keep" if kept else "plan",
        balance_why=kept,
        stages=stages_of(settings),
        also=settings.also,
        stems=stems,
        master=master,
    )


def _loudness_lufs(energies: Mapping[str, Steps]) -> dict[str, float]:
    return {name: loudness_at_sum(energy) for name, energy in energies.items()}


def _song_s(analyses: Sequence[Analysis], lags_ms: Mapping[str, float]) -> float:
    """Return when the last stem ends, in its place."""
    return max(a.duration_s - lags_ms[a.probe.name] / 1000.0 for a in analyses)


def _rate_for(settings: Settings, analyses: Sequence[Analysis]) -> int:
    """Return the rate of the song: what was asked for, else the stems', if the format has it.

    Raises
    ------
    ParameterError
        The format does not have the rate that was asked for.
    """
    possible = FORMAT_RATES_HZ.get(settings.format)
    if settings.rate_hz is None:
        own = song_rate_hz(analyses)
        return own if possible is None or own in possible else 48_000
    if possible is not None and settings.rate_hz not in possible:
        known = ", ".join(str(rate) for rate in possible)
        raise ParameterError(f"rate_hz: {settings.format} has {known}; got {settings.rate_hz}")
    return settings.rate_hz


def _check_names(wanted: Mapping[str, Any], analyses: Sequence[Analysis]) -> None:
    names = [analysis.probe.name for analysis in analyses]
    for name in wanted:
        if name not in names:
            raise ParameterError(f"stems: no stem is called {name!r}; there are {', '.join(names)}")


def _muted(name: str, wanted: Mapping[str, Any]) -> bool:
    return bool(wanted.get("stems", {}).get(name, {}).get("mute", False))


def _tracks(
    analyses: Sequence[Analysis], placements: Mapping[str, Placement], wanted: Mapping[str, Any]
) -> list[Track]:
    lags_ms = {name: wanted.get(name, {}).get("lag_ms", p.lag_ms) for name, p in placements.items()}
    song_s = _song_s(analyses, lags_ms)
    told = told_roles(analyses, wanted)
    tracks = []
    for analysis in analyses:
        name, sides = analysis.probe.name, analysis.probe.sides
        pair = f"; left and right: {sides[0].name} and {sides[1].name}" if sides else ""
        role = told[name].role if told[name].role in PROFILES else "other"
        track = track_of(
            analysis,
            name=name,
            role=role,
            role_why=told[name].why + pair,
            profile=PROFILES[role],
            lag_s=lags_ms[name] / 1000.0,
            song_steps=int(np.ceil(song_s / STEP_S)),
        )
        tracks.append(replace(track, doubt=doubt_about(track)))
    return tracks


def _energies(
    tracks: Sequence[Track],
    stems: Mapping[str, Stem],
    lead_active: NDArray[np.bool_],
    rate_hz: int,
) -> dict[str, Steps]:
    return {t.name: energy_at_sum(t, stems[t.name], lead_active, rate_hz) for t in tracks}


def _placed(
    tracks: Sequence[Track], stems: Mapping[str, Stem], likeness: Likeness, stages: Stages
) -> dict[str, Stem]:
    """Return the strips with their places in the picture."""
    done = dict(stems)
    if not stages.spatial:
        return done
    for name, panning in pannings(tracks, role_levels_db(tracks, likeness)).items():
        done[name] = done[name].changed(
            pan=panning.pan,
            width=panning.width,
            lows_mono_hz=0.0 if stages.widen else panning.lows_mono_hz,  # the master does it
            pan_why=panning.why,
        )
    return done


def _balanced(
    tracks: Sequence[Track],
    stems: Mapping[str, Stem],
    likeness: Likeness,
    stages: Stages,
    rate_hz: int,
) -> tuple[dict[str, Stem], list[Masked]]:
    """Return the strips with faders and room for the lead.

    Faders come first, because what covers the lead depends on them; once room is made they
    are set again, because the rest got softer. That gives back a part of what the cuts won,
    so they are made deeper until what is left is enough, within their bounds.
    """
    done = _faded(tracks, stems, likeness, rate_hz) if stages.balance else dict(stems)
    covered = {t.name: strip_power(t, done[t.name], rate_hz) for t in tracks}
    masked: list[Masked] = []
    wanted_db = BETTER_DB
    for _ in range(ROUNDS if stages.masking else 0):
        rooms, masked_hz = make_room(tracks, covered, wanted_db)
        done = {n: stem.changed(room=rooms.get(n, ())) for n, stem in done.items()}
        done = _faded(tracks, done, likeness, rate_hz) if stages.balance else done
        powers = {t.name: strip_power(t, done[t.name], rate_hz, held=True) for t in tracks}
        masked = uncovered(tracks, masked_hz, covered, powers)
        short_db = BETTER_DB - min((m.better_db for m in masked), default=BETTER_DB)
        if short_db <= 0.0:
            break
        wanted_db += short_db
    return done, masked


def _faded(
    tracks: Sequence[Track], stems: Mapping[str, Stem], likeness: Likeness, rate_hz: int
) -> dict[str, Stem]:
    """Return the strips with faders that bring every role to its distance from the lead."""
    done = {name: stem.changed(fader_db=0.0) for name, stem in stems.items()}
    energies = _energies(tracks, done, lead_activity(tracks), rate_hz)
    for name, fader in faders_db(tracks, energies, likeness).items():
        why = f"level of {done[name].role} against the lead"
        done[name] = done[name].changed(fader_db=fader, fader_why=why)
    return done
