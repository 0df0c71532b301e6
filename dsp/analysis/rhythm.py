"""The rhythm of a song, whole: tempo and what else it might be, beats, bars, how steady.

Rules
-----
Rule 1: the BPM of a song is what its beats say, (beats − 1) over their time: songs whose tempo
steps or drifts come out right, and no grid shows.

Rule 2: a candidate that the beats reach, at a step or along a ramp, is the tempo of the song and
no other one; so with the halves, doubles and triplets of what they reach. Else the two tempi of a
song with a step were its first two candidates, and neither said whether half of one is right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.bars import bars_of
from dsp.analysis.beats import Frames, track
from dsp.analysis.features import FRAMES_PER_S, Evidence
from dsp.analysis.harmony import harmony_of
from dsp.analysis.onsets import Envelopes, beat_strength
from dsp.analysis.tempo import FASTEST_BPM, SAME_OCTAVES, SLOWEST_BPM, Candidate, candidates

SHORTEST_S = 6.0
FEWEST_BEATS = 8
MOST_CANDIDATES = 4

# Notes that nobody plays: what is found in the fading end, before the first note.
_FAINT = 0.1
_NEAR_FRAMES = 3

_NEIGHBOURS = 2
"""Beats on either side of a bar that its tempo is read from too: players are not exact."""

# What a candidate may be to the first.
_NAMES = {1.0: None, 2.0: "double", 0.5: "half", 1.5: "triplet", 2 / 3: "triplet"}

_REACHED = 5, 95
"""Percentiles of the tempi of bars: what lies outside are slips of the beats."""

_STEADY = 0.01
_STEADY_SHARE = 0.95


@dataclass(frozen=True)
class Rhythm:
    """What is known of the rhythm of a song."""

    candidates: list[Candidate]
    """At most four; the first is the tempo."""
    beats_s: list[float]
    """Seconds from the first frame of the file, to the millisecond, ascending."""
    meter: int
    """Beats per bar: 2, 3 or 4."""
    meter_p: float
    first_downbeat: int
    """Number of the beat that the first whole bar begins with."""
    curve: list[tuple[float, float]]
    """Seconds and BPM of every whole bar."""

    @property
    def bpm(self) -> float:
        """The mean tempo of the song: beats − 1 over their time."""
        return self.candidates[0].bpm

    @property
    def downbeats_s(self) -> list[float]:
        """The beats that begin a bar."""
        return self.beats_s[self.first_downbeat :: self.meter]

    @property
    def range_bpm(self) -> tuple[float, float]:
        """The slowest and the fastest bar; the tempo where no bar is whole."""
        tempi = [bpm for _, bpm in self.curve] or [self.bpm]
        return min(tempi), max(tempi)

    @property
    def stable(self) -> bool:
        """Whether 95 % of the bars are within 1 % of the tempo."""
        tempi = np.array([bpm for _, bpm in self.curve])
        within = np.abs(tempi / self.bpm - 1) <= _STEADY
        return bool(len(tempi) and within.mean() >= _STEADY_SHARE)


def rhythm_of(
    evidence: Evidence,
    envelope: Envelopes,
    cents: float,
    bpm_range: tuple[float, float] = (SLOWEST_BPM, FASTEST_BPM),
) -> Rhythm | None:
    """Return the rhythm; ``None`` under ``SHORTEST_S`` of sound or ``FEWEST_BEATS`` beats.

    Parameters
    ----------
    evidence : Evidence
    envelope : Envelopes
        Of its rises.
    cents : float
        How the song is tuned, for its harmony.
    bpm_range : (low, high)
        What the tempo is sought in, BPM.
    """
    if evidence.sound_s < SHORTEST_S or not envelope.any():
        return None
    harmony = harmony_of(evidence.pitch, cents)
    found = candidates(envelope, harmony, bpm_range)
    strength = beat_strength(envelope)
    beats = _played(track(strength, found[0].bpm), strength)
    if len(beats) < FEWEST_BEATS:
        return None
    bars = bars_of(beats, envelope, harmony)
    seconds = evidence.offset_s + _between_frames(beats, strength) / FRAMES_PER_S
    curve = _curve(seconds, bars.first, bars.meter)
    return Rhythm(
        candidates=_refined(found, seconds, [bpm for _, bpm in curve]),
        beats_s=np.round(seconds, 3).tolist(),
        meter=bars.meter,
        meter_p=bars.p,
        first_downbeat=bars.first,
        curve=curve,
    )


def _refined(
    found: list[Candidate], seconds: NDArray[np.float64], bars_bpm: list[float]
) -> list[Candidate]:
    """Return the candidates as the beats say: the first, and those that are named by it."""
    bpm = 60 * (len(seconds) - 1) / float(seconds[-1] - seconds[0])
    low, high = np.percentile(bars_bpm or [bpm], _REACHED)
    shares: dict[float, float] = {1.0: found[0].p}
    others = []
    for one in found[1:]:
        ratio, octaves = _nearest_ratio(one.bpm, float(low), float(high))
        if octaves < SAME_OCTAVES:
            shares[ratio] = shares.get(ratio, 0.0) + one.p
        else:
            others.append(one)
    first, *named = (Candidate(bpm * ratio, p, _NAMES[ratio]) for ratio, p in shares.items())
    return [first, *sorted([*named, *others], key=lambda one: -one.p)][:MOST_CANDIDATES]


def _nearest_ratio(bpm: float, low: float, high: float) -> tuple[float, float]:
    """Return the named ratio of a tempo to a range that is nearest, and how far off it is."""
    octaves = {r: max(np.log2(low * r / bpm), np.log2(bpm / r / high), 0.0) for r in _NAMES}
    ratio = min(_NAMES, key=octaves.__getitem__)
    return ratio, float(octaves[ratio])


def _played(beats: Frames, strength: NDArray[np.float32]) -> Frames:
    """Return the beats from the first to the last that an onset is near."""
    near = np.clip(beats[:, np.newaxis] + np.arange(-_NEAR_FRAMES, _NEAR_FRAMES + 1), 0, None)
    heard = strength[np.minimum(near, len(strength) - 1)].max(axis=1)
    clear = np.flatnonzero(heard > _FAINT * np.median(heard))
    return beats[clear[0] : clear[-1] + 1] if len(clear) else beats[:0]


def _between_frames(beats: Frames, strength: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the beats at the tops of parabolas through the onsets, half a frame away at most."""
    inner = np.clip(beats, 1, len(strength) - 2)
    before, here, after = (strength[inner + k].astype(np.float64) for k in (-1, 0, 1))
    bend = before - 2 * here + after
    top = np.divide(before - after, 2 * bend, out=np.zeros(len(beats)), where=bend < 0)
    return np.asarray(np.maximum(beats + np.clip(top, -0.5, 0.5), 0))


def _curve(seconds: NDArray[np.float64], first: int, meter: int) -> list[tuple[float, float]]:
    """Return the tempo of every whole bar: the slope of the line through its beats."""
    curve = []
    for start in range(first, len(seconds) - meter, meter):
        near = seconds[max(start - _NEIGHBOURS, 0) : start + meter + 1 + _NEIGHBOURS]
        along = np.arange(len(near)) - (len(near) - 1) / 2
        slope_s = float((along * near).sum() / np.square(along).sum())
        curve.append((round(float(seconds[start]), 3), round(60 / slope_s, 2)))
    return curve
