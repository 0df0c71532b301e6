"""A short song in five stems, made from nothing: what ``soundspool demo`` drops.

Eight bars at 108 beats a minute, Am F C G. Each stem is as a home recording would be: the bass
too loud, the lead too soft, the pad wide, everything dry. The mix has something to do.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Sound = NDArray[np.float64]

RATE_HZ = 48_000
BEAT_S = 60 / 108
BARS, TAIL_S = 8, 1.6
LENGTH_S = BARS * 4 * BEAT_S + TAIL_S
SEED = 108

# Semitones from A4 (440 Hz): root in the bass, then the chord above it.
_CHORDS = (
    (-24, (-12, -9, -5)),  # A minor
    (-28, (-16, -12, -9)),  # F major
    (-21, (-14, -9, -5)),  # C major, its fifth below
    (-26, (-14, -10, -7)),  # G major
)
_MELODY = (  # bar, beat, beats, semitones
    (0, 0.0, 1.5, 7), (0, 1.5, 0.5, 3), (0, 2.0, 2.0, 0),
    (1, 0.5, 1.0, 0), (1, 1.5, 0.5, 3), (1, 2.0, 2.0, -4),
    (2, 0.0, 1.0, -2), (2, 1.0, 1.0, 3), (2, 2.0, 2.0, 7),
    (3, 0.0, 1.5, 5), (3, 1.5, 0.5, 2), (3, 2.0, 1.5, -2),
    (4, 0.0, 1.5, 7), (4, 1.5, 0.5, 10), (4, 2.0, 2.0, 12),
    (5, 0.5, 1.0, 8), (5, 1.5, 0.5, 7), (5, 2.0, 2.0, 3),
    (6, 0.0, 1.0, 7), (6, 1.0, 1.0, 5), (6, 2.0, 2.0, 3),
    (7, 0.0, 1.0, 2), (7, 1.0, 1.0, -2), (7, 2.0, 2.5, 0),
)  # fmt: skip


def write_stems(folder: Path) -> list[Path]:
    """Write the five stems into the new `folder`: 48 kHz, 24 bits; the same bytes each time."""
    folder.mkdir(parents=True)
    made = {"Drums": drums, "Bass": bass, "Electric Piano": piano, "Pad": pad, "Lead Synth": lead}
    paths = []
    for name, play in made.items():
        path = folder / f"{name}.wav"
        soundfile.write(path, play(), RATE_HZ, subtype="PCM_24")
        paths.append(path)
    return paths


ARTICLE = """\
---
title: A Room for Sound
author: Soundspool
language: en
---
# A room for sound

What you hear was a text a moment ago. It was dropped into a folder on 2026-11-28, cut into pieces
that end with a sentence, and spoken by the voice that this machine has.

# What happens to it

The pieces are joined with pauses: 0.7 s between paragraphs, more before a heading. A sharp *s* is
held down. The music makes way for the voice by 14 dB, e.g. while you hear this, and comes back
when nobody speaks. In the end the whole is brought to −16 LUFS.

A server with better voices takes one line in the configuration; see `docs/podcast.md`.
"""


def write_article(folder: Path) -> None:
    """Write an article and a bed into the new `folder`."""
    folder.mkdir(parents=True)
    (folder / "article.md").write_text(ARTICLE, "utf-8")
    soundfile.write(folder / "bed.wav", pad() + piano(), RATE_HZ, subtype="PCM_24")


def drums() -> Sound:
    """Return kick, snare and hi-hat: (frames, 2)."""
    rng = np.random.default_rng(SEED)
    track = _silence()
    for beat in np.arange(0, BARS * 4, 0.5):
        _put(track, beat, _hat(rng), pan=0.3, gain=0.10 if beat % 1 else 0.06)
        if beat % 4 in (0.0, 2.5):
            _put(track, beat, _kick(), gain=0.55)
        if beat % 4 in (1.0, 3.0):
            _put(track, beat, _snare(rng), pan=-0.1, gain=0.3)
    return 0.5 * np.tanh(2.2 * track)


def bass() -> Sound:
    """Return eighth notes on the roots: (frames, 1)."""
    track = _silence()
    for beat in np.arange(0, BARS * 4, 0.5):
        root = _CHORDS[int(beat // 4) % 4][0]
        octave = 12 if beat % 4 in (1.5, 3.5) else 0
        sound = _harmonics(_hz(root + octave), 0.45 * BEAT_S, [1, 0.6, 0.35, 0.2, 0.1])
        _put(track, beat, sound * _envelope(len(sound), 0.004, 0.25), gain=0.5)
    return track[:, :1]


def piano() -> Sound:
    """Return broken chords with a bell in their attack: (frames, 2)."""
    track = _silence()
    for bar in range(BARS):
        for beat, beats in ((0.0, 1.4), (1.5, 0.9), (2.5, 1.4)):
            for place, tone in enumerate(_CHORDS[bar % 4][1]):
                t = _times(beats * BEAT_S)
                angle = 2 * np.pi * _hz(tone) * t
                sound = np.sin(angle + 1.6 * np.exp(-t / 0.25) * np.sin(2 * angle))
                sound *= _envelope(len(t), 0.003, 0.7)
                _put(track, bar * 4 + beat + 0.02 * place, sound, pan=0.4 * (place - 1), gain=0.14)
    return track


def pad() -> Sound:
    """Return long chords, slightly out of tune with themselves, so wide: (frames, 2)."""
    track = _silence()
    for bar in range(BARS):
        for tone in _CHORDS[bar % 4][1]:
            for detune, pan in ((-0.07, -0.9), (0.0, 0.0), (0.07, 0.9)):
                sound = _harmonics(_hz(tone + detune), 4.6 * BEAT_S, [1, 0.5, 0.3, 0.15, 0.1, 0.05])
                swell = np.sin(np.pi * np.arange(len(sound)) / len(sound)) ** 0.7
                _put(track, bar * 4, sound * swell, pan=pan, gain=0.05)
    return track


def lead() -> Sound:
    """Return the melody, with vibrato and an echo: (frames, 2)."""
    track = _silence()
    for bar, beat, beats, tone in _MELODY:
        t = _times(beats * BEAT_S * 0.95)
        vibrato = 0.25 * np.clip(t / 0.4, 0, 1) * np.sin(2 * np.pi * 5.2 * t)
        angle = 2 * np.pi * _hz(tone) * t + vibrato
        sound = np.sin(angle) + 0.35 * np.sin(2 * angle) + 0.2 * np.sin(3 * angle)
        sound *= _envelope(len(t), 0.02, 1.2)
        for echo, (late, pan) in enumerate(((0.0, 0.0), (0.75, -0.6), (1.5, 0.6))):
            _put(track, bar * 4 + beat + late, sound, pan=pan, gain=0.09 * 0.35**echo)
    return track


def _hz(semitones: float) -> float:
    return float(440.0 * 2.0 ** (semitones / 12))


def _silence() -> Sound:
    return np.zeros((2 * round(LENGTH_S * RATE_HZ / 2), 2))


def _times(length_s: float) -> Sound:
    return np.arange(round(length_s * RATE_HZ)) / RATE_HZ


def _put(track: Sound, beat: float, sound: Sound, *, pan: float = 0.0, gain: float) -> None:
    """Add a sound at a beat; `pan` -1 left … 1 right at constant power."""
    first = round(beat * BEAT_S * RATE_HZ)
    part = sound[: max(len(track) - first, 0), None]
    angle = (pan + 1) * np.pi / 4
    track[first : first + len(part)] += gain * part * [np.cos(angle), np.sin(angle)]


def _envelope(frames: int, attack_s: float, decay_s: float) -> Sound:
    """Return a rise, an exponential fall, and an end without a click."""
    t = np.arange(frames) / RATE_HZ
    end = np.clip((frames / RATE_HZ - t) / 0.02, 0, 1)
    return np.asarray(np.clip(t / attack_s, 0, 1) * np.exp(-t / decay_s) * end)


def _harmonics(hz: float, length_s: float, weights: Sequence[float]) -> Sound:
    angle = 2 * np.pi * hz * _times(length_s)
    return np.asarray(sum(w * np.sin(k * angle) for k, w in enumerate(weights, start=1)))


def _kick() -> Sound:
    t = _times(0.35)
    angle = 2 * np.pi * (48 * t + 110 * 0.035 * (1 - np.exp(-t / 0.035)))
    return np.sin(angle) * _envelope(len(t), 0.001, 0.12)


def _snare(rng: np.random.Generator) -> Sound:
    t = _times(0.22)
    body = 0.7 * np.sin(2 * np.pi * 187 * t) * _envelope(len(t), 0.001, 0.06)
    return body + rng.standard_normal(len(t)) * 0.5 * _envelope(len(t), 0.001, 0.07)


def _hat(rng: np.random.Generator) -> Sound:
    noise = rng.standard_normal(round(0.06 * RATE_HZ) + 2)
    return np.diff(noise, 2) * _envelope(len(noise) - 2, 0.0005, 0.018)
