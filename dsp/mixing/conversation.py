"""Who speaks: the tracks of a conversation, each microphone hearing everybody.

Theory of operation
-------------------
What a microphone hears of somebody else is softer than the same in the other's own, by nearly the
same amount all the time: that amount is estimated per pair of tracks, from the steps in which the
other one is loud. A track is the one that speaks where it stands well above what all others would
leave in it.

References
----------
Clifford, Reiss, "Microphone interference reduction in live sound", DAFx-11, 2011: the level ratio
of direct sound and crosstalk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import HOP_FRAMES
from dsp.measure.loudness import integrated_lufs
from dsp.mixing.noise import denoise_of
from dsp.mixing.presets import PRESETS
from dsp.mixing.recall_sheet import Duck, Gate, Settings, Stages, Stem
from dsp.mixing.stem_analysis import Analysis
from dsp.mixing.stem_meters import CELL_S, STEP_S
from dsp.mixing.track import FLOOR_LUFS, Track
from dsp.sums import smoothed

CLEAR_DB = 4.0
"""Above what crosstalk explains."""
LEAST_CROSSTALK_DB = -40.0
MOST_CROSSTALK_DB = -6.0
"""A microphone that hears another one louder than this is no microphone of its own."""
PAUSE_STEPS = 3
"""A shorter pause is one within a word or between two."""
WORD_STEPS = 2
"""What is shorter is a click."""
BEGINNING_STEPS = 2
"""An h or an f is no louder than the pause before it. With one more, the end of what another one
says was heard in a microphone that opened over it."""
_LOW_SHARE = 20
_SMOOTH = np.full(3, 1.0 / 3.0)

CROSSTALK_RANGE_DB = 60.0
"""A closed microphone is this much softer: nothing is left of what it hears of others."""
DUCK_DB = 10.0
_PROFILES: Mapping[str, Mapping[str, Any]] = {
    "speech": {"ride": 0.9, "ride_range_db": 12.0, "over_rest_lu": 18.0},
    "jingle": {"level_lu": -1.0},
}
"""What a podcast wants of a role, over its profile: levelled phrases, 18 LU over the music."""
_STAY = frozenset({"speech", "lead", "jingle"})


def talks(tracks: Sequence[Track], settings: Settings) -> bool:
    """Return whether the stems are a conversation to be made a podcast of."""
    return PRESETS[settings.preset].conversation and any(t.role == "speech" for t in tracks)


def as_podcast(tracks: Sequence[Track], settings: Settings) -> list[Track]:
    """Return the tracks of a conversation as they are to be weighed; others as they are."""
    if not talks(tracks, settings):
        return list(tracks)
    told = [
        replace(track, profile=replace(track.profile, **_PROFILES.get(track.role, {})))
        for track in tracks
    ]
    return separated(told) if settings.stages.gate else told


def with_automation(
    tracks: Sequence[Track], stems: Mapping[str, Stem], stages: Stages
) -> dict[str, Stem]:
    """Return the strips with less noise, gates where several speak, and ducks under speech."""
    done = dict(stems)
    several = sum(track.role == "speech" for track in tracks) > 1
    for track in tracks:
        stem = stems[track.name]
        if track.role == "speech":
            why = "closed while somebody else speaks"
            gate = Gate(range_db=CROSSTALK_RANGE_DB, why=why) if several and stages.gate else None
            denoise = denoise_of(track) if stages.denoise else None
            done[track.name] = stem.changed(gate=gate, denoise=denoise)
        if track.role not in _STAY and stages.duck:
            duck = Duck(depth_db=DUCK_DB, why="steps back under speech")
            done[track.name] = stem.changed(duck=duck)
    return done


def separated(tracks: Sequence[Track]) -> list[Track]:
    """Return the tracks, those of speakers active only where they are the ones who speak."""
    speakers = [t for t in tracks if t.role == "speech" and t.loudness_lufs > FLOOR_LUFS]
    levels = [smoothed(track.energy, _SMOOTH) for track in speakers]
    heard = {
        track.name: _speaks(track, level, [other for other in levels if other is not level])
        for track, level in zip(speakers, levels, strict=True)
    }
    begun = {name: _from_beginnings(speaks, name, heard) for name, speaks in heard.items()}
    return [_active_where(t, begun[t.name]) if t.name in begun else t for t in tracks]


def _from_beginnings(
    speaks: NDArray[np.bool_], name: str, heard: Mapping[str, NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Return where somebody speaks with the soft beginnings, as far as nobody else does."""
    free, begun = np.ones(len(speaks), np.bool_), speaks.copy()
    for one, other in heard.items():
        free &= ~other | (one == name)
    for _ in range(BEGINNING_STEPS):
        begun[:-1] |= begun[1:] & free[:-1]
    return begun


def _speaks(
    track: Track, level: NDArray[np.float64], others: Sequence[NDArray[np.float64]]
) -> NDArray[np.bool_]:
    speaks = track.active.copy()
    clear = 10.0 ** (CLEAR_DB / 10.0)
    for other in others:
        speaks &= level > clear * _leak(level, other) * other
    return _without_short(_without_short(speaks, PAUSE_STEPS, of=False), WORD_STEPS, of=True)


def _leak(level: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the share of another track's power that this one hears."""
    loud = other > max(float(np.percentile(other, 60)), 0.1 * float(other.mean()))
    if not loud.any():
        return 0.0
    ratio = level[loud] / other[loud]
    low, high = 10.0 ** (LEAST_CROSSTALK_DB / 10.0), 10.0 ** (MOST_CROSSTALK_DB / 10.0)
    return float(np.clip(np.percentile(ratio, _LOW_SHARE), low, high))


def _without_short(marked: NDArray[np.bool_], steps: int, *, of: bool) -> NDArray[np.bool_]:
    """Return the marks with inner runs of ``of`` that are shorter turned over."""
    done = marked.copy()
    edges = np.flatnonzero(np.diff(marked)) + 1
    for start, stop in pairwise(edges):
        if stop - start < steps and bool(marked[start]) is of:
            done[start:stop] = not of
    return done


def _active_where(track: Track, speaks: NDArray[np.bool_]) -> Track:
    """Return the track with its loudness and its spectrum taken from where it speaks."""
    if not speaks.any():
        return track
    own = track.energy[speaks].astype(np.float64)
    return replace(
        track,
        analysis=_excerpt_where(track, speaks),
        active=speaks,
        loudness_lufs=integrated_lufs(own, step_s=STEP_S),
        spectrum=track.spectrum_where(speaks),
    )


def _excerpt_where(track: Track, speaks: NDArray[np.bool_]) -> Analysis:
    """Return the analysis with nothing in its loudest part but what the track itself says.

    A compressor shall be set by what goes through it.
    """
    analysis = track.analysis
    hop_s = HOP_FRAMES / analysis.probe.rate_hz

    def own(values: NDArray[np.float32], step_s: float) -> NDArray[np.float32]:
        at_s = analysis.excerpt_start_s + np.arange(len(values)) * step_s - track.lag_s
        step = np.clip((at_s / STEP_S).astype(np.int64), 0, len(speaks) - 1)
        return np.where(speaks[step], values, np.float32(0.0))

    return replace(
        analysis,
        excerpt=own(analysis.excerpt, hop_s),
        excerpt_highs=own(analysis.excerpt_highs, hop_s),
        excerpt_energy=own(analysis.excerpt_energy, CELL_S),
    )
