"""The tempo of a song: a few candidates, each with the probability that it is the one.

Theory of operation
-------------------
1. A grid of tempi, 60 per octave, is scored by a linear model of what repeats at multiples and
   fractions of the beat (``periodicity``), how dense the onsets are, and the tempo itself.
2. The best peaks of that score, and the metrical relatives of the first, get a beat track each
   on the middle two minutes. A second linear model chooses by how the beats would sit: what
   falls on beats, halves, thirds and quarters of them, whether every second or third beat is
   different, and whether chords change every second, third … eighth beat: bars last a few
   beats, and without that slow songs are taken for fast ones.
3. That model knows only these candidates. So what it says of one counts as much as the grid is
   sure that the tempo is among them: of speech and noise, where all tempi are alike, little.

What remains wrong is mostly an octave, which listeners disagree on too. So a result is not one
number: the right tempo is far more often among the first two candidates than the first.

Rules
-----
Rule 1: the tempo range is asked for by the operator: candidates outside of it are halved or
doubled into it, and what cannot be is left out.

References
----------
Peeters, "Template-based estimation of time-varying tempo", EURASIP 2007 (both views);
Gkiokas et al., ICASSP 2012 (choosing by the beats that follow).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.beats import track
from dsp.analysis.features import FRAMES_PER_S
from dsp.analysis.harmony import Harmony, standard
from dsp.analysis.onsets import Envelopes, beat_strength, clear_onsets
from dsp.analysis.periodicity import periodicity
from dsp.analysis.weights import probabilities, weights
from dsp.sums import smoothed

SLOWEST_BPM, FASTEST_BPM = 45.0, 245.0
GRID_BPM = SLOWEST_BPM * 2 ** (np.arange(int(60 * 2.45) + 1) / 60)

_LAG_BEATS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4, 6, 8)
_HARMONICS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 3, 4)
_LAG_DRIFT = (0.985, 0.9925, 1.0, 1.0075, 1.015)  # a beat is rarely exact
_HERTZ_DRIFT = (0.99, 1.0, 1.01)
_MIDDLE_BPM = 110.0
_RELATIVES = (2.0, 0.5, 1.5, 2 / 3)
SAME_OCTAVES = 0.07
"""Closer than 5 % is the same candidate."""
_SEARCHED_S = 120.0
_NEAR_OCTAVES = 0.045  # what was taken for right in fitting
_NARROW = 0.09  # octaves that a trial track may stray: neighbours must not find the same beats
_HARMONIC_BEATS = (2, 3, 4, 6, 8)
_FEWEST_BEATS = 20
_NO_CHORDS = np.zeros(2 * len(_HARMONIC_BEATS) + 2)


@dataclass(frozen=True)
class Candidate:
    """One tempo that a song may have."""

    bpm: float
    p: float
    """Probability, 0 to 1."""
    relation: str | None = None
    """``half``, ``double`` or ``triplet`` (3:2, 2:3) of the first; ``None`` for others."""


def candidates(
    envelope: Envelopes,
    harmony: Harmony,
    bpm_range: tuple[float, float] = (SLOWEST_BPM, FASTEST_BPM),
) -> list[Candidate]:
    """Return the tempi that the song may have, the likeliest first.

    Parameters
    ----------
    envelope : (4, frames) float32
        From ``onsets.envelopes``.
    harmony : Harmony
    bpm_range : (low, high)
        What the first is sought in. A candidate outside is halved or doubled into it.
    """
    scores = (grid_evidence(envelope) * weights("tempo1")).sum(axis=1)
    places = peaks(scores)
    chosen = (trial_evidence(envelope, harmony, scores, places) * weights("tempo2")).sum(axis=1)
    found: list[list[float]] = []
    for place, p in _by_probability(places, probabilities(chosen) * _covered(scores, places)):
        bpm = _into(float(GRID_BPM[place]), bpm_range)
        near = [other for other in found if bpm and _octaves(bpm, other[0]) < SAME_OCTAVES]
        if near:
            # Those that are one by nature are not added up, which was tried and was worse;
            # those that the range makes one are.
            near[0][1] += p if bpm != GRID_BPM[place] else 0.0
        elif bpm:
            found.append([bpm, p])
    if not found:
        low, high = bpm_range
        inside = (low <= GRID_BPM) & (high >= GRID_BPM)
        best = np.where(inside, scores, -np.inf).argmax()
        found = [[float(GRID_BPM[best]) if inside.any() else sum(bpm_range) / 2, 0.0]]
    return [Candidate(bpm, p) for bpm, p in sorted(found, key=lambda one: -one[1])]


def grid_evidence(envelope: Envelopes) -> NDArray[np.float64]:
    """Return what speaks for each tempo of the grid, ``(tempi, 93)``."""
    seen = periodicity(envelope)
    lag, hertz = 60 * FRAMES_PER_S / GRID_BPM, GRID_BPM / 60
    columns = [
        np.max([seen.at_lags(lag * beats * drift) for drift in _LAG_DRIFT], axis=0)
        for beats in _LAG_BEATS
    ] + [
        np.max([seen.at_hertz(hertz * ratio * drift) for drift in _HERTZ_DRIFT], axis=0)
        for ratio in _HARMONICS
    ]
    octaves = np.log2(GRID_BPM / _MIDDLE_BPM)
    density = _onset_density(envelope[0])
    prior = [octaves, octaves**2, octaves**3, density * octaves, density * octaves**2]
    return np.concatenate([*columns, prior]).T


def peaks(scores: NDArray[np.float64]) -> list[int]:
    """Return the places of the four best peaks, and of the metrical relatives of the first."""
    tops = np.flatnonzero((scores[1:-1] >= scores[:-2]) & (scores[1:-1] > scores[2:])) + 1
    best = [int(place) for place in tops[np.argsort(-scores[tops], kind="stable")][:4]]
    best = best or [int(scores.argmax())]
    for ratio in _RELATIVES:
        bpm = GRID_BPM[best[0]] * ratio
        near = any(_octaves(GRID_BPM[place], bpm) <= 0.06 for place in best)  # noqa: PLR2004
        if GRID_BPM[0] <= bpm <= GRID_BPM[-1] and not near:
            best.append(min(round(60 * np.log2(bpm / GRID_BPM[0])), len(GRID_BPM) - 1))
    return best


def _covered(scores: NDArray[np.float64], places: list[int]) -> float:
    """Return the probability of the grid that lies at places."""
    near = np.abs(np.log2(GRID_BPM[:, np.newaxis] / GRID_BPM[places])) < _NEAR_OCTAVES
    return float(probabilities(scores)[near.any(axis=1)].sum())


def trial_evidence(
    envelope: Envelopes, harmony: Harmony, scores: NDArray[np.float64], places: list[int]
) -> NDArray[np.float64]:
    """Return how the beats of each candidate would sit, ``(candidates, 44)``.

    At half the frame rate, on the middle two minutes: enough to choose by.
    """
    pairs = envelope.shape[1] // 2
    halved = envelope[:, : 2 * pairs].reshape(4, pairs, 2).max(axis=2)
    searched = int(_SEARCHED_S * FRAMES_PER_S / 2)
    skipped = max(0, pairs - searched) // 2
    middle = slice(skipped, skipped + searched)
    deviations = np.stack([_deviations(row)[middle].copy() for row in halved])
    halved = halved[:, middle]
    strength = beat_strength(halved)
    tempi = [float(GRID_BPM[place]) for place in places]
    tracks = [track(strength, bpm, frames_per_s=FRAMES_PER_S / 2, spread=_NARROW) for bpm in tempi]
    # Of short pieces only the fast candidates have enough beats, and chords would speak for them.
    enough = min(len(beats) for beats in tracks) >= _FEWEST_BEATS
    rows = []
    for place, bpm, beats in zip(places, tempi, tracks, strict=True):
        sitting = _sitting(deviations, beats, bpm, scores[place] - scores.max())
        seconds = (beats + skipped) * 2 / FRAMES_PER_S
        chords = _harmonic_rhythm(harmony, seconds, bpm) if enough else _NO_CHORDS
        rows.append(np.concatenate([sitting, chords]))
    return np.stack(rows)


def _deviations(row: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return an envelope, a little smoothed, in standard deviations from its mean."""
    soft = smoothed(row, (0.25, 0.5, 0.25))
    soft /= soft.std() + 1e-9
    soft -= soft.mean()
    return soft


def _sitting(
    deviations: NDArray[np.float64], beats: NDArray[np.intp], bpm: float, score: float
) -> NDArray[np.float64]:
    """Return the 32 numbers by which a track is judged; zeros for one of too few beats."""
    beats = beats[:-1]  # the last one often stands in the fading end
    lengths = np.diff(beats).astype(np.float64)
    if len(lengths) < 4:  # noqa: PLR2004 - nothing to take a mean of
        return np.zeros(32)

    def at(fraction: float) -> NDArray[np.float64]:
        places = np.round(beats[:-1] + fraction * lengths).astype(np.intp)
        return np.asarray(deviations[:, np.clip(places, 0, deviations.shape[1] - 1)])

    def mean(*fractions: float) -> NDArray[np.float64]:
        return np.asarray(sum(at(fraction).mean(axis=1) for fraction in fractions) / len(fractions))

    on, half = at(0), at(0.5)
    by_two = np.abs(on[:, ::2].mean(axis=1) - on[:, 1::2].mean(axis=1))
    by_three = np.ptp(np.stack([on[:, k::3].mean(axis=1) for k in range(3)]), axis=0)
    octaves = np.log2(bpm / _MIDDLE_BPM)
    return np.concatenate(
        [
            mean(0), mean(0.5), mean(1 / 3, 2 / 3), mean(0.25, 0.75), by_two, by_three,
            [
                score, np.std(np.diff(np.log(lengths))), (on[0] > 0.5).mean(),  # noqa: PLR2004
                (half[0] > 0.5).mean(), octaves, octaves**2,  # noqa: PLR2004
                max(octaves - 0.5, 0), max(-octaves - 0.5, 0),
            ],
        ]
    )  # fmt: skip


def _harmonic_rhythm(
    harmony: Harmony, seconds: NDArray[np.float64], bpm: float
) -> NDArray[np.float64]:
    """Return how much chords and bass change at every second, third … eighth beat, ``(12,)``.

    In standard deviations of the changes at all beats, where they are most; and the mean change.
    """
    columns: list[float] = []
    for register in (harmony.chords, harmony.bass):
        changes = register.changes(seconds, 2 * 60 / bpm)
        accents = standard(changes)
        columns += [
            max(float(accents[phase::beats].mean()) for phase in range(beats))
            for beats in _HARMONIC_BEATS
        ]
        columns.append(float(changes.mean()))
    return np.array(columns)


def _onset_density(level: NDArray[np.float32]) -> float:
    """Return octaves above three clear onsets per second."""
    rate_hz = len(clear_onsets(level)) / len(level) * FRAMES_PER_S
    return float(np.log2(max(rate_hz, 0.3) / 3))


def _by_probability(places: list[int], p: NDArray[np.float64]) -> list[tuple[int, float]]:
    return [(places[k], float(p[k])) for k in np.argsort(-p, kind="stable")]


def _into(bpm: float, bpm_range: tuple[float, float]) -> float | None:
    """Return a tempo halved or doubled into a range; ``None`` where none of them lies in it."""
    low, high = bpm_range
    octaves = np.arange(-4, 5)
    inside = [bpm * 2.0**k for k in octaves[np.argsort(np.abs(octaves), kind="stable")]]
    return next((float(other) for other in inside if low <= other <= high), None)


def _octaves(bpm: float, other: float) -> float:
    return float(abs(np.log2(bpm / other)))
