"""Songs to measure with: made, not shipped; the same bytes for the same arguments."""

from pathlib import Path

import numpy as np
import soundfile as sf

# (name, rate, channels, container, subtype): what sessions really hold, mixed as they are.
STEMS = (
    ("kick_snare", 44_100, 2, "wav", "PCM_16"),
    ("hats_perc", 48_000, 2, "wav", "FLOAT"),
    ("bass", 44_100, 1, "flac", "PCM_16"),
    ("piano", 96_000, 2, "wav", "PCM_24"),
    ("guitar", 48_000, 2, "aiff", "PCM_24"),
    ("brass", 32_000, 2, "wav", "PCM_16"),
    ("pad", 44_100, 2, "ogg", "VORBIS"),
    ("vocal_lead", 48_000, 1, "wav", "PCM_24"),
)
BLOCK_S = 10


def make_song(folder: Path, *, seconds: int, stems: int = 8, noise: bool = False) -> Path:
    """Write ``stems`` stems of ``seconds`` into ``folder``; return it.

    Without ``noise`` each stem plays notes in some bars and rests in others, as stems do;
    with it, every frame of every stem is noise, so that nothing can be skipped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(stems):
        name, rate_hz, channels, container, subtype = STEMS[number % len(STEMS)]
        path = folder / f"{name}_{number:02d}.{container}"
        rng = np.random.default_rng(number)
        with sf.SoundFile(
            path, "w", rate_hz, channels, subtype=subtype, format=container.upper()
        ) as file:
            for start in range(0, seconds, BLOCK_S):
                length = min(BLOCK_S, seconds - start)
                block = _block(rng, rate_hz, channels, length, number=number, noise=noise)
                for cut in range(0, len(block), 65_536):
                    file.write(block[cut : cut + 65_536])
    return folder


def _block(
    rng: np.random.Generator, rate_hz: int, channels: int, seconds: int, *, number: int, noise: bool
) -> np.ndarray:
    frames = seconds * rate_hz
    hiss = rng.standard_normal((frames, channels)).astype(np.float32)
    if noise:
        return 0.1 * hiss
    if rng.random() < 0.4:  # noqa: PLR2004 - rests: real stems are 3 to 75 % silence
        return np.zeros((frames, channels), np.float32)
    time_s = np.arange(frames) / rate_hz
    beat = np.exp(-((time_s * 2.0) % 1.0) * (2.0 + number))
    pitch_hz = 55.0 * 2.0 ** (number / 2.0)
    tone = sum(np.sin(2 * np.pi * pitch_hz * n * time_s) / n for n in (1, 2, 3, 5))
    return (0.2 * beat[:, None] * (tone[:, None] + 0.2 * hiss)).astype(np.float32)
