"""What a musician says of a song, as figures."""

from dataclasses import dataclass

import numpy as np

from dsp.analysis.chroma import Chroma, chroma, loudness_scale
from dsp.analysis.descriptors import danceability_of, energy_of, no_descriptor
from dsp.analysis.document import Candidate, Descriptor, Key, KeyName, SecondKey, Tempo, Tuning
from dsp.analysis.features import FRAMES_PER_S, Evidence
from dsp.analysis.figure import Figure, T, Why
from dsp.analysis.key import KEYS, key_of
from dsp.analysis.key import Key as FoundKey
from dsp.analysis.onsets import Envelopes, Frames, beat_strength, clear_onsets, envelopes
from dsp.analysis.rhythm import Rhythm, rhythm_of
from dsp.analysis.tuning import LEAST_SHARPNESS, tuning_of
from dsp.analysis.tuning import Tuning as FoundTuning

_CHROMA_FRAMES = 256
"""Transformed together: what is not stored in half precision stays small."""


@dataclass(frozen=True)
class Music:
    """What was found in the evidence of a song that is long enough and not silent."""

    evidence: Evidence
    tuning: FoundTuning
    rhythm: Rhythm | None
    key: FoundKey | None
    envelope: Envelopes
    onsets: Frames
    """Frames of the clear onsets."""
    chroma: Chroma
    """``(frames, 12)``, at ``PITCHES_PER_S``."""

    def onset_rate_hz(self, start: int = 0, stop: int | None = None) -> float:
        """Return clear onsets per second between two frames of the envelope."""
        stop = self.envelope.shape[1] if stop is None else stop
        count = np.count_nonzero((self.onsets >= start) & (self.onsets < stop))
        return float(count / max(stop - start, 1) * FRAMES_PER_S)

    def flux(self, start: int = 0, stop: int | None = None) -> float:
        """Return the mean rise of all bands between two frames of the envelope."""
        rises = self.evidence.rises[start:stop]
        return float(rises.mean(dtype=np.float64)) if len(rises) else 0.0


def music_of(evidence: Evidence, bpm_range: tuple[float, float]) -> Music:
    """Return what there is to be found."""
    tuning = tuning_of(evidence.cents)
    envelope = envelopes(evidence.rises)
    # Noise, speech and drums have spectral peaks too, but those agree on no tuning.
    tonal = tuning.sharpness >= LEAST_SHARPNESS
    return Music(
        evidence=evidence,
        tuning=tuning,
        rhythm=rhythm_of(evidence, envelope, tuning.cents, bpm_range),
        key=key_of(evidence.pitch, tuning.cents) if tonal else None,
        envelope=envelope,
        onsets=clear_onsets(envelope[0]),
        chroma=_chroma_of(evidence, tuning.cents),
    )


def tempo_of(music: Music | None, why: Why) -> Tempo:
    """Return the tempo; ``why`` there is none, if so."""
    rhythm = music.rhythm if music else None
    if rhythm is None:
        return Tempo(bpm=_absent("BPM", why), stable=_absent("", why), range=_absent("BPM", why))
    low, high = rhythm.range_bpm
    return Tempo(
        bpm=estimated(round(rhythm.bpm, 2), "BPM", rhythm.candidates[0].p),
        candidates=tuple(
            Candidate.model_validate(
                {
                    "bpm": round(one.bpm, 2),
                    "p": round(one.p, 3),
                    "relation": (one.relation or "other") if place else "first",
                }
            )
            for place, one in enumerate(rhythm.candidates)
        ),
        stable=estimated(rhythm.stable),
        range=estimated((round(low, 2), round(high, 2)), "BPM"),
        curve=tuple(rhythm.curve),
    )


def meter_of(music: Music | None, why: Why) -> Figure[int]:
    """Return the beats per bar."""
    rhythm = music.rhythm if music else None
    return estimated(rhythm.meter, "", rhythm.meter_p) if rhythm else _absent("", why)


def key_figures(music: Music | None, why: Why) -> Key:
    """Return the key in its three spellings, and the next best one."""
    key = music.key if music else None
    if key is None:
        return Key(name=_absent("", why), camelot=_absent("", why), open_key=_absent("", why))
    said = spelt(key.name)
    second = spelt(key.second)
    return Key(
        name=estimated(said.name, "", key.p),
        camelot=estimated(said.camelot, "", key.p),
        open_key=estimated(said.open_key, "", key.p),
        second=SecondKey(**second.model_dump(), p=round(key.scores[KEYS.index(key.second)], 3)),
        scores=tuple(round(score, 4) for score in key.scores),
    )


def spelt(name: str) -> KeyName:
    """Return a key as a musician, as a DJ and as an open standard call it.

    Both wheels go up by fifths, A and B (m and d) being relatives: C major is 8B and 1d.
    """
    mode, tonic = divmod(KEYS.index(name), 12)
    place = (7 * (tonic + 3 * mode)) % 12  # fifths above C, of the relative major
    return KeyName(
        name=name,
        camelot=f"{(place + 7) % 12 + 1}{'BA'[mode]}",
        open_key=f"{place + 1}{'dm'[mode]}",
    )


def tuning_figures(music: Music | None, why: Why) -> Tuning:
    """Return the tuning, where tones agree on one."""
    if music is None:
        return Tuning(cents=_absent("cents", why), sharpness=_absent("", why))
    sharpness = estimated(round(music.tuning.sharpness, 3))
    if music.tuning.sharpness < LEAST_SHARPNESS:
        return Tuning(cents=_absent("cents", "not tonal"), sharpness=sharpness)
    cents = min(50.0, max(-50.0, music.tuning.cents))
    return Tuning(cents=estimated(round(cents, 1) + 0.0, "cents"), sharpness=sharpness)


def energy_figure(music: Music | None, integrated_lufs: float | None, why: Why) -> Descriptor:
    """Return the energy of the song."""
    if music is None or integrated_lufs is None:
        return no_descriptor("energy-1", why)
    return energy_of(integrated_lufs, music.onset_rate_hz(), music.flux())


def danceability_figure(music: Music | None, why: Why) -> Descriptor:
    """Return the danceability of the song."""
    if music is None or music.rhythm is None:
        return no_descriptor("danceability-1", why)
    seconds = np.array(music.rhythm.beats_s) - music.evidence.offset_s
    return danceability_of(
        beat_strength(music.envelope), np.rint(seconds * FRAMES_PER_S).astype(np.intp)
    )


def estimated(value: T, unit: str = "", p: float | None = None) -> Figure[T]:
    """Return a figure of what a model found."""
    p = None if p is None else round(p, 3)
    return Figure(value=value, unit=unit, p=p, source="estimated")


def _absent(unit: str, why: Why) -> Figure[T]:
    return Figure(value=None, unit=unit, source="estimated", why=why)


def _chroma_of(evidence: Evidence, cents: float) -> Chroma:
    scale = np.float64(3 * loudness_scale(evidence.pitch)) if len(evidence.pitch) else 1.0
    parts = [np.zeros((0, 12), np.float32)]
    for start in range(0, len(evidence.pitch), _CHROMA_FRAMES):
        loud = np.log1p(evidence.pitch[start : start + _CHROMA_FRAMES].astype(np.float64) * scale)
        parts.append(chroma(loud.astype(np.float32), cents))
    return np.concatenate(parts)
