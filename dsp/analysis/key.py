"""The key of a song: which of 24 fits what sounds in its bass, middle, top, beginning and end.

Theory of operation
-------------------
Five views of the pitch classes are each correlated with a published profile of how often each
degree occurs. Ten more numbers say what a profile cannot: where the bass rests, whether the
major or the minor third sounds, and whether the first and the last chord are the tonic's; chords
such as Am F C G are those of two keys, and only their order tells which. How much each degree
sounds, in the middle and above, corrects the profile, which counts written notes and no
overtones. Fitted weights add all of them up, 64. They were fitted on whole songs and on pieces
out of their middles alike: a song that fades, or a section of one, has no last chord.

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
from dsp.analysis.harmony import standard
from dsp.analysis.weights import probabilities, weights

Classes = NDArray[np.float64]
"""``(12,)``, C first, or one value for each of ``KEYS``."""

TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS = tuple(f"{tonic} {mode}" for mode in ("major", "minor") for tonic in TONICS)

LEAST_TONAL_S = 2.0

# Albrecht and Shanahan 2013, table of the proposed key profiles, C first.
_MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
_MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)

_ABOVE = (np.arange(12)[:, np.newaxis] + np.arange(12)) % 12
"""The pitch classes that lie so many semitones above each of the twelve."""
_PROFILES = np.concatenate(
    [
        ((profile - profile.mean()) / profile.std() / 12)[_ABOVE[-np.arange(12)]]
        for profile in (np.array(_MAJOR), np.array(_MINOR))
    ]
)
"""What is expected of the pitch classes of each of ``KEYS``, ``(24, 12)``."""

_REGISTERS = ((0, 19), (12, 36), (24, 60), (0, 36))
"""Semitones above A1: bass, middle, upper; bass and middle, where chords lie."""
_ENDS = 12  # the first and the last twelfth tell of the tonic
_CHORD = int(2.5 * PITCHES_PER_S)  # and of these the first and the last chord most
_QUIET = 0.05  # of a loud frame
_FRAMES = 256


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
    tonal = tonal_frames(pitch)
    if len(tonal) < LEAST_TONAL_S * PITCHES_PER_S:
        return None
    evidence = key_evidence(pitch, tonal, cents, loudness_scale(pitch))
    scores = (evidence * weights("key")).sum(axis=1)
    p = probabilities(scores)
    order = np.argsort(-p, kind="stable")
    return Key(KEYS[order[0]], float(p[order[0]]), KEYS[order[1]], tuple(p.tolist()))


def tonal_frames(pitch: NDArray[np.float16]) -> NDArray[np.intp]:
    """Return the numbers of the frames with a twentieth as much tone as a loud one, or more."""
    sums = frame_sums(pitch)
    return np.flatnonzero(sums > _QUIET * np.percentile(sums, 95)) if len(pitch) else np.arange(0)


def key_evidence(
    pitch: NDArray[np.float16], tonal: NDArray[np.intp], cents: float, scale: np.float32
) -> NDArray[np.float64]:
    """Return what speaks for each of ``KEYS`` in the tonal frames: ``(24, 64)``."""
    bass, middle, upper, whole = _classes(pitch, tonal, cents, scale)
    views = [_evened(classes) for classes in (bass, middle, upper)]
    end = max(3, len(whole) // _ENDS)
    views += [_mean(whole[:end]), _mean(whole[-end:])]
    columns = [_profile_fits(standard(view)) for view in views]
    minor = np.repeat((0.0, 1.0), 12)
    columns.append(minor)
    columns += [_degree(standard(_mean(part)), 0) for part in (bass[-_CHORD:], bass[:_CHORD])]
    columns += [_degree(standard(_mean(bass)), degree) for degree in (0, 7)]
    sound = standard(_mean(whole))
    columns += [_degree(sound, 4, 3), _degree(sound, 3, 4)]
    for part in (whole[-_CHORD:], whole[:_CHORD]):
        chord = standard(_mean(part))
        columns.append(_degree(chord, 0) + _degree(chord, 7) + _degree(chord, 4, 3))
    columns += [minor * _degree(sound, degree) for degree in (11, 10)]
    for classes in (sound, standard(_mean(upper))):
        for degree in range(12):
            sounds = _degree(classes, degree)
            columns += [sounds * (1 - minor), sounds * minor]
    return np.stack(columns, axis=1)


def _degree(classes: NDArray[np.float64], major: int, minor: int | None = None) -> Classes:
    """Return the pitch class that lies so many semitones above the tonic of each key."""
    return np.concatenate(
        [classes[_ABOVE[major]], classes[_ABOVE[major if minor is None else minor]]]
    )


def _profile_fits(view: Classes) -> Classes:
    return np.asarray((view * _PROFILES).sum(axis=1))


def _classes(
    pitch: NDArray[np.float16], tonal: NDArray[np.intp], cents: float, scale: np.float32
) -> list[NDArray[np.float64]]:
    """Return the pitch classes over time of bass, middle, upper, and of bass and middle."""
    parts: list[list[NDArray[np.float32]]] = [[] for _ in _REGISTERS]
    for start in range(0, len(tonal), _FRAMES):
        loud = np.log1p(pitch[tonal[start : start + _FRAMES]].astype(np.float64) * scale)
        for part, (lowest, highest) in zip(parts, _REGISTERS, strict=True):
            part.append(chroma(loud.astype(np.float32), cents, lowest, highest))
    return [np.concatenate(part).astype(np.float64) for part in parts]


def _evened(classes: NDArray[np.float64]) -> Classes:
    """Return the mean of frames, loud ones counting for little more than others."""
    lengths = np.sqrt(np.square(classes).sum(axis=1))[:, np.newaxis]
    return np.asarray((classes / (lengths + 1e-3 + lengths.mean())).mean(axis=0))


def _mean(classes: NDArray[np.float64]) -> Classes:
    return np.asarray(classes.mean(axis=0))
