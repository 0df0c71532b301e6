"""A song over time, coarse enough to be drawn: 2,000 points at the most.

Where there are more, neighbours become one: the loudest of them, the highest onset, the mean
chroma. Steps are whole multiples of the finest, so no value depends on how long the song is
but by that.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.document import ChromaCurve, Curve, Curves
from dsp.analysis.features import FRAMES_PER_S, PITCHES_PER_S
from dsp.analysis.music import Music
from dsp.measure.loudness import HOP_S, MOMENTARY_S

MOST_POINTS = 2_000

_ONSET_FRAMES = 9
"""About 0.1 s, as the loudness has it."""
_CHROMA_FRAMES = 5
"""About a second."""


def curves_of(momentary_lufs: NDArray[np.float64], lead_s: float, music: Music | None) -> Curves:
    """Return the curves; those of music are empty where there is none.

    Loudness begins ``lead_s`` after the first frame of the file.
    """
    loud, per_loud = _highest(momentary_lufs, 1)
    loudness = Curve(
        start_s=round(lead_s + MOMENTARY_S / 2 + (per_loud - 1) * HOP_S / 2, 3),
        step_s=round(per_loud * HOP_S, 3),
        unit="LUFS",
        values=_rounded(loud, 1),
    )
    offset_s = music.evidence.offset_s if music else 0.0
    envelope = music.envelope[0] if music else np.zeros(0, np.float32)
    onset, per_onset = _highest(envelope, _ONSET_FRAMES)
    classes = music.chroma if music else np.zeros((0, 12), np.float32)
    per_chroma = _together(len(classes), _CHROMA_FRAMES)
    starts = np.arange(0, len(classes), per_chroma)
    means = [chroma_of(classes[start : start + per_chroma]) for start in starts]
    return Curves(
        loudness=loudness,
        onset=Curve(
            start_s=round(offset_s + (per_onset - 1) / 2 / FRAMES_PER_S, 4),
            step_s=round(per_onset / FRAMES_PER_S, 6),
            unit="",
            values=_rounded(onset / (envelope.max(initial=0.0) or 1.0), 3),
        ),
        chroma=ChromaCurve(
            start_s=round(offset_s + (per_chroma - 1) / 2 / PITCHES_PER_S, 4),
            step_s=round(per_chroma / PITCHES_PER_S, 6),
            values=tuple(mean or (0.0,) * 12 for mean in means),
        ),
    )


def chroma_of(classes: NDArray[np.float32]) -> tuple[float, ...] | None:
    """Return the mean of pitch classes, the strongest 1; ``None`` where nothing is tonal."""
    mean = classes.mean(axis=0, dtype=np.float64) if len(classes) else np.zeros(12)
    top = float(mean.max())
    return _rounded(mean / top, 2) if top > 0.0 else None


def _highest(values: NDArray[np.floating], fewest: int) -> tuple[NDArray[np.floating], int]:
    """Return the highest of every so many values, and how many they are."""
    together = _together(len(values), fewest)
    if not len(values):
        return values, together
    return np.maximum.reduceat(values, np.arange(0, len(values), together)), together


def _together(count: int, fewest: int) -> int:
    """Return how many values become one: a multiple of ``fewest``."""
    return fewest * max(1, -(-count // (fewest * MOST_POINTS)))


def _rounded(values: NDArray[np.floating], digits: int) -> tuple[float, ...]:
    return tuple((np.round(values.astype(np.float64), digits) + 0.0).tolist())
