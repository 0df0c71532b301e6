"""The comparable work with pedalboard and pyloudnorm, whole files in memory as they do.

Run by ``mix.py`` in a process of its own, so that its GPL code never meets ours.
"""

import sys

import numpy as np
import pyloudnorm
import soundfile as sf
from pedalboard import (
    Clipping,
    Compressor,
    Gain,
    HighpassFilter,
    Limiter,
    PeakFilter,
    Pedalboard,
)
from pedalboard.io import AudioFile

RATE_HZ = 48_000


def main(out: str, stems: list[str]) -> None:
    """Mix ``stems`` into ``out``."""
    strip = Pedalboard([
        HighpassFilter(40), PeakFilter(110, 1.5, 0.8), PeakFilter(1100, -1.5, 0.8),
        PeakFilter(3500, 1.5, 0.8), Compressor(-20, 2.5, 10, 120), Clipping(-1), Gain(-6),
    ])  # fmt: skip
    parts = []
    for stem in stems:
        with AudioFile(stem).resampled_to(RATE_HZ) as file:
            sound = file.read(file.frames)
        stereo = sound if len(sound) == 2 else np.repeat(sound, 2, axis=0)  # noqa: PLR2004
        parts.append(strip(stereo, RATE_HZ))
    total = np.zeros((2, max(part.shape[1] for part in parts)), np.float32)
    for part in parts:
        total[:, : part.shape[1]] += part
    bus = Pedalboard([PeakFilter(125, 1, 1.1), PeakFilter(4000, 1, 1.1), Compressor(-14, 1.5)])
    total = bus(total, RATE_HZ)
    loudness = pyloudnorm.Meter(RATE_HZ).integrated_loudness(total.T)
    finish = Pedalboard([Gain(-14.0 - loudness), Limiter(-1.0, 120)])
    sf.write(out, finish(total, RATE_HZ).T, RATE_HZ, subtype="PCM_24")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
