"""Small files in every format that libsndfile writes, as bytes."""

import io
from functools import cache

import numpy as np
import soundfile

FORMATS = {
    "wav": ("WAV", "PCM_24"),
    "wavex": ("WAVEX", "PCM_24"),
    "rf64": ("RF64", "PCM_24"),
    "w64": ("W64", "PCM_24"),
    "aiff": ("AIFF", "PCM_24"),
    "caf": ("CAF", "PCM_24"),
    "flac": ("FLAC", "PCM_24"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


@cache
def noise_bytes(kind: str, seconds: float = 0.5) -> bytes:
    """Return stereo noise at 48 kHz as a file of `kind`, a key of ``FORMATS``."""
    container, subtype = FORMATS[kind]
    frames = np.random.default_rng(1).normal(0, 0.1, (round(48_000 * seconds), 2))
    file = io.BytesIO()
    soundfile.write(file, frames, 48_000, format=container, subtype=subtype)
    return file.getvalue()
