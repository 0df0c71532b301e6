"""The key of a song: which of 24 fits what sounds in its bass, middle, top, beginning and end.

Five views of the pitch classes are each correlated with a published profile of how often each
degree occurs, and six weights add them up. Fitted profiles (120 numbers) were worse on songs
that they had not seen, and taking overtones away was no gain.

References
----------
Albrecht and Shanahan, "The use of large corpora to train a new type of key-finding algorithm",
Music Perception 31(1), 2013; Krumhansl, "Cognitive foundations of musical pitch", 1990.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.chroma import chroma, frame_sums, loudness_scale
from dsp.analysis.features import PITCHES_PER_S
from dsp.analysis.weights import probabilities, weights

TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS = tuple(f"{tonic} {mode}" for mode in ("major", "minor") for tonic in TONICS)

LEAST_TONAL_S = 2.0

# Albrecht and Shanahan 2013, table of the proposed key profiles, C first.
_MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
_MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)

_REGISTERS = ((0, 19), (12, 36), (24, 60))
"""Semitones above A1: bass, middle, upper."""
_ENDS = 12  # the first and the last twelfth tell of the tonic
_QUIET = 0.05  # of a loud frame
_FRAMES = 2_048


@dataclass(frozen=True)
class Key:
    """The likeliest key, and what else it might be."""

    name: str
    p: float
    second: str
    scores: tuple[float, ...]
    """Probability of each of ``KEYS``."""


def key_of(pitch: NDArray[np.float16], cents: float) -> Key | None:
    """Return the key; ``None`` where less than ``LEAST_TONAL_S`` is tonal.

    Parameters
    ----------
    pitch : (frames, PITCH_BINS)
        From ``Features``.
    cents : float
        How the song is tuned.
    """
    sums = frame_sums(pitch)
    tonal = pitch[sums > _QUIET * np.percentile(sums, 95)] if len(pitch) else pitch
    if len(tonal) < LEAST_TONAL_S * PITCHES_PER_S:
        return None
    scores = (key_evidence(tonal, cents, loudness_scale(pitch)) * weights("key")).sum(axis=1)
    p = probabilities(scores)
    order = np.argsort(-p, kind="stable")
    return Key(KEYS[order[0]], float(p[order[0]]), KEYS[order[1]], tuple(p.tolist()))


def key_evidence(
    tonal: NDArray[np.float16], cents: float, scale: np.float32
) -> NDArray[np.float64]:
    """Return how well each view fits each key, and 1 for minor: ``(24, 6)``."""
    seen = _views(tonal, cents, scale)
    deviations = seen - seen.mean(axis=1, keepdims=True)
    deviations /= seen.std(axis=1, keepdims=True) + 1e-9
    out = np.zeros((24, 6))
    for mode, profile in enumerate((np.array(_MAJOR), np.array(_MINOR))):
        standard = (profile - profile.mean()) / profile.std() / 12
        for tonic in range(12):
            fits = (deviations * np.roll(standard, tonic)).sum(axis=1)
            out[12 * mode + tonic, :5] = fits
    out[12:, 5] = 1
    return out


def _views(tonal: NDArray[np.float16], cents: float, scale: np.float32) -> NDArray[np.float64]:
    """Return the pitch classes of bass, middle, upper, first and last twelfth, ``(5, 12)``."""
    spans = (*_REGISTERS, (0, 36))
    parts: list[list[NDArray[np.float32]]] = [[] for _ in spans]
    for start in range(0, len(tonal), _FRAMES):
        loud = np.log1p(tonal[start : start + _FRAMES].astype(np.float64) * scale)
        for part, (lowest, highest) in zip(parts, spans, strict=True):
            part.append(chroma(loud.astype(np.float32), cents, lowest, highest))
    *registers, whole = (np.concatenate(part) for part in parts)
    out = []
    for classes in registers:
        lengths = np.sqrt(np.square(classes).sum(axis=1, dtype=np.float64))[:, np.newaxis]
        out.append((classes / (lengths + 1e-3 + lengths.mean())).mean(axis=0))
    end = max(3, len(whole) // _ENDS)
    for classes in (whole[:end], whole[-end:]):
        mean = classes.mean(axis=0, dtype=np.float64)
        out.append(mean / (np.sqrt(np.square(mean).sum()) + 1e-9))
    return np.stack(out)
