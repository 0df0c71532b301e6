"""Small sessions on disk: stems that sound like a song to the engine."""

import numpy as np
import soundfile as sf


def make_session(folder, *, seconds=8.0, rate_hz=48_000, seed=1):
    """Write five stems at unrelated levels and mixed formats; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    beat = np.exp(-((time_s * 2.0) % 1.0) * 8.0)
    kick = np.sin(2 * np.pi * 55 * time_s) * beat
    hiss = rng.standard_normal(len(time_s)) * np.exp(-((time_s * 4.0) % 1.0) * 25.0)
    drums = np.stack([kick + 0.2 * hiss, kick + 0.2 * np.roll(hiss, 7)], axis=1)
    bass = _notes(time_s, 65.0, 3, 1.0)
    keys = np.stack([_notes(time_s, 262.0, 6, 0.7), _notes(time_s, 330.0, 6, 0.7)], axis=1)
    pad = np.stack([_notes(time_s, 196.0, 8, 0.1), _notes(time_s, 247.0, 8, 0.1)], axis=1)
    lead = _notes(time_s, 440.0, 9, 0.5) * ((time_s % 4.0) < 3.0)
    for name, sound, level, container, subtype in (
        ("drums.wav", drums, 0.7, "WAV", "PCM_16"),
        ("bass.flac", bass, 0.1, "FLAC", "PCM_16"),
        ("keys.wav", keys, 0.5, "WAV", "FLOAT"),
        ("pad.aiff", pad, 0.3, "AIFF", "PCM_24"),
        ("vocal lead.wav", lead, 0.05, "WAV", "PCM_24"),
    ):
        peak = np.abs(sound).max()
        sf.write(folder / name, level * sound / peak, rate_hz, subtype=subtype, format=container)
    return folder


def _notes(time_s, hz, partials, decay):
    steps = np.array([1.0, 1.125, 1.25, 1.5])[(time_s * 1.0).astype(int) % 4]
    phase = 2 * np.pi * hz * np.cumsum(steps) * (time_s[1] - time_s[0])
    tone = sum(np.sin(n * phase) / n for n in range(1, partials + 1))
    return tone * np.exp(-(time_s % 1.0) * decay * 3.0)
