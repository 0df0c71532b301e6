"""Bars: how many beats they have and where they begin.

Harmony and bass change on downbeats more than elsewhere, the bass drum falls on them and the
snare drum between them. Each beat is measured by nineteen such accents, in standard deviations of
the song; of each change also by how far it stands above those half a beat before and after, which
tells a chord that begins here from one that began nearby. Every meter with every phase is a
hypothesis; what the accents are on its downbeats and within its bars is weighed by a fitted
linear model.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.beats import Frames
from dsp.analysis.features import FRAMES_PER_S
from dsp.analysis.harmony import Harmony, standard
from dsp.analysis.onsets import Envelopes
from dsp.analysis.weights import probabilities, weights

HYPOTHESES = tuple((meter, phase) for meter in (4, 3, 2) for phase in range(meter))
"""Beats per bar, and the number of the first beat that is a downbeat."""

_FEWEST_BEATS = 16
_CHORD_BEATS, _BASS_BEATS = (0.5, 1, 2, 3, 4, 6, 8), (0.5, 1, 2, 3, 4)
"""Beats before and after each beat whose harmony is compared."""


@dataclass(frozen=True)
class Bars:
    """The meter, and which beats are downbeats."""

    meter: int
    """Beats per bar: 2, 3 or 4."""
    p: float
    """Probability of the meter."""
    first: int
    """The number of the first beat that is a downbeat."""


def bars_of(beats: Frames, envelope: Envelopes, harmony: Harmony) -> Bars:
    """Return the bars; of fewer than 16 beats 4/4 from the first, of which nothing is known."""
    if len(beats) < _FEWEST_BEATS:
        return Bars(4, 1 / 3, 0)
    evidence = bar_evidence(beats, envelope, harmony)
    p = probabilities((evidence * weights("bars")).sum(axis=1))
    meter, phase = HYPOTHESES[int(p.argmax())]
    alike = [k for k, (other, _) in enumerate(HYPOTHESES) if other == meter]
    return Bars(meter, float(p[alike].sum()), phase)


def bar_evidence(beats: Frames, envelope: Envelopes, harmony: Harmony) -> NDArray[np.float64]:
    """Return what speaks for each of ``HYPOTHESES``, ``(9, 78)``.

    Of each accent its mean on downbeats; in bars of four that on the third beat, and how much
    more it is on the second than on the fourth; in bars of three, than on the third. Then which
    meter it is.
    """
    accents = _accents(beats, envelope, harmony)
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


def _accents(beats: Frames, envelope: Envelopes, harmony: Harmony) -> NDArray[np.float64]:
    """Return what speaks for a downbeat at each beat, ``(19, beats)``."""
    seconds = beats / FRAMES_PER_S
    beat_s = float(np.median(np.diff(seconds)))
    accents = [harmony.chords.changes(seconds, reach * beat_s) for reach in _CHORD_BEATS]
    accents += [harmony.bass.changes(seconds, reach * beat_s) for reach in _BASS_BEATS]
    near = [np.clip(beats + k, 0, envelope.shape[1] - 1) for k in (-1, 0, 1)]
    accents += list(np.max([envelope[1:, frames] for frames in near], axis=0))
    for register in (harmony.bass, harmony.chords):
        after, before = register.around(seconds, beat_s)
        accents.append(after.sum(axis=1) - before.sum(axis=1))
        here, early, late = (
            register.changes(np.maximum(seconds + shift * beat_s, 0), beat_s)
            for shift in (0, -0.5, 0.5)
        )
        accents.append(here - (early + late) / 2)
    return np.stack([standard(one) for one in accents])
