"""How harmony and bass change: what tells bars, and how long a beat is, where drums do not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.analysis.chroma import chroma, loudness_scale
from dsp.analysis.features import PITCHES_PER_S

_CHORD_SEMITONES, _BASS_SEMITONES = 48, 19
_FRAMES = 256


@dataclass(frozen=True)
class Register:
    """Pitch classes of one register, as sums up to each frame."""

    sums: NDArray[np.float64]
    """``(frames + 1, 12)``."""

    def around(
        self, seconds: NDArray[np.float64], reach_s: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean pitch classes after and before each instant, ``(n, 12)`` each."""
        start_s = np.maximum(seconds - reach_s, 0)
        return self._means(seconds, seconds + reach_s), self._means(start_s, seconds)

    def changes(self, seconds: NDArray[np.float64], reach_s: float) -> NDArray[np.float64]:
        """Return how different what follows is from what was: 1 − cosine, 0 to 1."""
        after, before = self.around(seconds, reach_s)
        lengths = np.sqrt(np.square(after).sum(axis=1) * np.square(before).sum(axis=1))
        return np.asarray(1 - (after * before).sum(axis=1) / (lengths + 1e-9))

    def _means(
        self, start_s: NDArray[np.float64], stop_s: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        most = len(self.sums) - 1
        first = np.clip(np.round(start_s * PITCHES_PER_S).astype(np.intp), 0, most - 1)
        last = np.clip(np.round(stop_s * PITCHES_PER_S).astype(np.intp), 0, most)
        last = np.maximum(last, first + 1)
        return np.asarray((self.sums[last] - self.sums[first]) / (last - first)[:, np.newaxis])


@dataclass(frozen=True)
class Harmony:
    """The registers in which changes are looked for."""

    chords: Register
    """All below A5, loud tones counting for little more than soft ones."""
    bass: Register


def harmony_of(pitch: NDArray[np.float16], cents: float) -> Harmony:
    """Return the harmony of a song that is tuned so many cents off."""
    scale = np.float64(loudness_scale(pitch))
    chords, bass = [np.zeros((1, 12), np.float32)], [np.zeros((1, 12), np.float32)]
    for start in range(0, len(pitch), _FRAMES):
        part = (pitch[start : start + _FRAMES] * scale).astype(np.float32)
        soft = np.log1p(3.0 * part.astype(np.float64)).astype(np.float32)
        chords.append(chroma(soft, cents, 0, _CHORD_SEMITONES))
        bass.append(chroma(part, cents, 0, _BASS_SEMITONES))
    sums = [np.cumsum(np.concatenate(parts), axis=0, dtype=np.float64) for parts in (chords, bass)]
    return Harmony(Register(sums[0]), Register(sums[1]))


def standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values as standard deviations from their mean."""
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))
