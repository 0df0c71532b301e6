"""Bars: how many beats they have and where they begin.

Harmony and bass change on downbeats more than elsewhere, and the bass drum falls on them. Each
beat is scored by that, in standard deviations of the song; the meter and the phase whose
downbeats score highest win.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.beats import Frames
from dsp.analysis.chroma import chroma, loudness_scale
from dsp.analysis.features import FRAMES_PER_S, PITCHES_PER_S
from dsp.analysis.onsets import Envelopes
from dsp.analysis.weights import probabilities

METERS = (4, 3, 2)
_FEWEST_BEATS = 16
_BASS = 19
_TOP = 48
_BEATS_COMPARED = 1.5  # before and after: less is a note, more is a phrase
_FRAMES = 2_048


@dataclass(frozen=True)
class Bars:
    """The meter, and which beats are downbeats."""

    meter: int
    """Beats per bar: 2, 3 or 4."""
    p: float
    """Probability of the meter."""
    first: int
    """The number of the first beat that is a downbeat."""


def bars_of(beats: Frames, envelope: Envelopes, pitch: NDArray[np.float16], cents: float) -> Bars:
    """Return the bars; of fewer than 16 beats 4/4 from the first, of which nothing is known."""
    if len(beats) < _FEWEST_BEATS:
        return Bars(4, 1 / len(METERS), 0)
    accents = _accents(beats, envelope, pitch, cents)
    found = []
    for meter in METERS:
        means = [float(accents[phase::meter].mean()) for phase in range(meter)]
        phase = int(np.argmax(means))
        found.append((means[phase] * np.sqrt(len(beats) / meter), meter, phase))
    scores = np.array([score for score, _, _ in found]) - np.array((0.0, 0.4, 1.2))
    best = int(scores.argmax())
    return Bars(found[best][1], float(probabilities(scores)[best]), found[best][2])


def _accents(
    beats: Frames, envelope: Envelopes, pitch: NDArray[np.float16], cents: float
) -> NDArray[np.float64]:
    """Return how much speaks for a downbeat at each beat."""
    harmony, bass = _running_sums(pitch, cents)
    seconds = beats / FRAMES_PER_S
    reach = float(np.median(np.diff(seconds))) * _BEATS_COMPARED
    spans = [(seconds, seconds + reach), (np.maximum(seconds - reach, 0), seconds)]
    accents = np.zeros(len(beats))
    for weight, sums in ((1.0, harmony), (0.7, bass)):
        after, before = (_means(sums, *span) for span in spans)
        accents += weight * _standard(_distance(after, before))
    near = [np.clip(beats + k, 0, envelope.shape[1] - 1) for k in (-1, 0, 1)]
    low = np.max([envelope[1][frames] for frames in near], axis=0)
    return np.asarray(accents + 0.25 * _standard(low))


def _running_sums(
    pitch: NDArray[np.float16], cents: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of the pitch classes up to each frame: of all below C6, and of the bass."""
    scale = np.float64(3 * loudness_scale(pitch))
    harmony, bass = [np.zeros((1, 12), np.float32)], [np.zeros((1, 12), np.float32)]
    for start in range(0, len(pitch), _FRAMES):
        part = pitch[start : start + _FRAMES].astype(np.float32)
        loud = np.log1p(part * scale).astype(np.float32)
        harmony.append(chroma(loud, cents, 0, _TOP))
        bass.append(chroma(part, cents, 0, _BASS))
    sums = [np.cumsum(np.concatenate(parts), axis=0, dtype=np.float64) for parts in (harmony, bass)]
    return sums[0], sums[1]


def _means(
    sums: NDArray[np.float64], start_s: NDArray[np.float64], stop_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    first = np.clip(np.round(start_s * PITCHES_PER_S).astype(np.intp), 0, len(sums) - 2)
    last = np.clip(np.round(stop_s * PITCHES_PER_S).astype(np.intp), 0, len(sums) - 1)
    last = np.maximum(last, first + 1)
    return np.asarray((sums[last] - sums[first]) / (last - first)[:, np.newaxis])


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 − cosine of the angle between rows."""
    lengths = np.sqrt(np.square(one).sum(axis=1) * np.square(other).sum(axis=1))
    return np.asarray(1 - (one * other).sum(axis=1) / (lengths + 1e-9))


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))
