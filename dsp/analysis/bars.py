"""Bars: how many beats they have and where they begin.

Harmony and bass change on downbeats more than elsewhere, the bass drum falls on them and the
snare drum between them. Each beat is measured by twelve such accents, in standard deviations of
the song. Every meter with every phase is a hypothesis; what the accents are on its downbeats and
within its bars is weighed by a fitted linear model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.beats import Frames
from dsp.analysis.chroma import chroma, loudness_scale
from dsp.analysis.features import FRAMES_PER_S, PITCHES_PER_S
from dsp.analysis.onsets import Envelopes
from dsp.analysis.weights import probabilities, weights

HYPOTHESES = tuple((meter, phase) for meter in (4, 3, 2) for phase in range(meter))
"""Beats per bar, and the number of the first beat that is a downbeat."""

_FEWEST_BEATS = 16
_HARMONY_SEMITONES, _BASS_SEMITONES = 48, 19
_HARMONY_BEATS, _BASS_BEATS = (1, 2, 3, 4), (1, 2, 4)
"""Beats before and after each beat whose harmony is compared."""
_FRAMES = 256


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
        return Bars(4, 1 / 3, 0)
    evidence = bar_evidence(beats, envelope, pitch, cents)
    p = probabilities((evidence * weights("bars")).sum(axis=1))
    meter, phase = HYPOTHESES[int(p.argmax())]
    alike = [k for k, (other, _) in enumerate(HYPOTHESES) if other == meter]
    return Bars(meter, float(p[alike].sum()), phase)


def bar_evidence(
    beats: Frames, envelope: Envelopes, pitch: NDArray[np.float16], cents: float
) -> NDArray[np.float64]:
    """Return what speaks for each of ``HYPOTHESES``, ``(9, 50)``.

    Of each accent its mean on downbeats; in bars of four that on the third beat, and how much
    more it is on the second than on the fourth; in bars of three, than on the third. Then which
    meter it is.
    """
    accents = _accents(beats, envelope, pitch, cents)
    rows = []
    for meter, phase in HYPOTHESES:
        first, second, third, fourth = (
            accents[:, (phase + k) % meter :: meter].mean(axis=1) for k in range(4)
        )
        none = np.zeros(len(accents))
        within = {
            4: (third, (second - fourth) / 2, none),
            3: (none, none, (second - third) / 2),
            2: (none, none, none),
        }
        rows.append(np.concatenate([first, *within[meter], [meter == 3, meter == 2]]))  # noqa: PLR2004
    return np.stack(rows)


def _accents(
    beats: Frames, envelope: Envelopes, pitch: NDArray[np.float16], cents: float
) -> NDArray[np.float64]:
    """Return what speaks for a downbeat at each beat, ``(12, beats)``."""
    harmony, bass = _running_sums(pitch, cents)
    seconds = beats / FRAMES_PER_S
    beat_s = float(np.median(np.diff(seconds)))

    def around(sums: NDArray[np.float64], reach: int) -> tuple[NDArray[np.float64], ...]:
        before_s = np.maximum(seconds - reach * beat_s, 0)
        return _means(sums, seconds, seconds + reach * beat_s), _means(sums, before_s, seconds)

    accents = [_distance(*around(harmony, reach)) for reach in _HARMONY_BEATS]
    accents += [_distance(*around(bass, reach)) for reach in _BASS_BEATS]
    near = [np.clip(beats + k, 0, envelope.shape[1] - 1) for k in (-1, 0, 1)]
    accents += list(np.max([envelope[1:, frames] for frames in near], axis=0))
    for sums in (bass, harmony):
        after, before = around(sums, 1)
        accents.append(after.sum(axis=1) - before.sum(axis=1))
    return np.stack([(one - one.mean()) / (one.std() + 1e-9) for one in accents])


def _running_sums(
    pitch: NDArray[np.float16], cents: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of the pitch classes up to each frame: of all below A5, and of the bass."""
    scale = np.float64(loudness_scale(pitch))
    harmony, bass = [np.zeros((1, 12), np.float32)], [np.zeros((1, 12), np.float32)]
    for start in range(0, len(pitch), _FRAMES):
        part = (pitch[start : start + _FRAMES] * scale).astype(np.float32)
        loud = np.log1p(3.0 * part.astype(np.float64)).astype(np.float32)
        harmony.append(chroma(loud, cents, 0, _HARMONY_SEMITONES))
        bass.append(chroma(part, cents, 0, _BASS_SEMITONES))
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
