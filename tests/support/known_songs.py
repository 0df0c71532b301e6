"""Songs of which everything is known: drums, a bass and chords, synthesised in milliseconds."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dsp.analysis.features import Features
from dsp.analysis.onsets import envelopes
from dsp.analysis.rhythm import rhythm_of
from dsp.analysis.tuning import tuning_of

RATE_HZ = 22_050
SCALES = {"major": (0, 4, 7), "minor": (0, 3, 7)}
CADENCES = {
    "major": ((0, "major"), (5, "major"), (7, "major"), (0, "major")),
    "minor": ((0, "minor"), (5, "minor"), (7, "major"), (0, "minor")),
}


@dataclass(frozen=True)
class Song:
    """Sound, and when its beats are."""

    mono: np.ndarray
    beats_s: np.ndarray
    meter: int

    @property
    def bpm(self):
        """Beats − 1 over their time."""
        return 60 * (len(self.beats_s) - 1) / (self.beats_s[-1] - self.beats_s[0])


def evidence_of(mono, rate_hz=RATE_HZ, block=65_536):
    """Return what is gathered of a song that is fed in blocks."""
    features = Features(rate_hz)
    for start in range(0, len(mono), block):
        features.feed(mono[start : start + block])
    return features.close()


def rhythm(mono, rate_hz=RATE_HZ, **options):
    """Return the rhythm of a song."""
    evidence = evidence_of(mono, rate_hz)
    return rhythm_of(
        evidence, envelopes(evidence.rises), tuning_of(evidence.cents).cents, **options
    )


def beats_at(bpm, seconds):
    """Return beats from 0.5 s: ``bpm`` is a number, or a function of the second."""
    tempo = bpm if callable(bpm) else lambda _: bpm
    beats = [0.5]
    while beats[-1] < seconds - 1.5:
        beats.append(beats[-1] + 60 / tempo(beats[-1]))
    return np.array(beats)


def song(bpm=120.0, *, seconds=40.0, meter=4, key="C major", cents=0.0, rate_hz=RATE_HZ):
    """Return a song: a kick on downbeats, a snare between, hats on eighths, a chord per bar."""
    rng = np.random.default_rng(7)
    beats_s = beats_at(bpm, seconds)
    mono = np.zeros(round(seconds * rate_hz), np.float64)
    tonic, _, mode = key.partition(" ")
    root = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B").index(tonic)
    for number, (at, after) in enumerate(pairwise(beats_s)):
        place = number % meter
        degree, chord = CADENCES[mode][number // meter % 4]
        notes = [root + degree + step for step in SCALES[chord]]
        _add(mono, at, _drum(rng, rate_hz, low=place == 0), rate_hz)
        for part in (0.0, 0.5):
            _add(mono, at + part * (after - at), 0.15 * _hat(rng, rate_hz), rate_hz)
        bass_hz = 55 * 2 ** ((notes[0] % 12 + 3) / 12 + cents / 1200)
        _add(mono, at, 0.3 * _tone(bass_hz, after - at, rate_hz), rate_hz)
        if place == 0:
            for note in notes:
                hertz = 220 * 2 ** ((note % 12 + 3) / 12 + cents / 1200)
                _add(mono, at, 0.12 * _tone(hertz, meter * (after - at), rate_hz), rate_hz)
    return Song((0.5 * mono).astype(np.float32), beats_s[:-1], meter)


def _add(mono, at_s, sound, rate_hz):
    start = round(at_s * rate_hz)
    room = mono[start : start + len(sound)]
    room += sound[: len(room)]


def _tone(hertz, seconds, rate_hz):
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    swell = np.minimum(time_s / 0.01, 1) * np.exp(-1.5 * time_s / seconds)
    return swell * sum(np.sin(2 * np.pi * hertz * n * time_s) / n**2 for n in (1, 2, 3, 4))


def _drum(rng, rate_hz, *, low):
    time_s = np.arange(round(0.12 * rate_hz)) / rate_hz
    if low:
        return np.sin(2 * np.pi * 60 * time_s) * np.exp(-time_s * 30)
    return 0.5 * rng.standard_normal(len(time_s)) * np.exp(-time_s * 40)


def _hat(rng, rate_hz):
    return rng.standard_normal(round(0.03 * rate_hz)) * np.exp(
        -np.arange(round(0.03 * rate_hz)) / rate_hz * 150
    )
