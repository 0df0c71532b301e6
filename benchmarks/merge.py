"""What a merge costs, beside ``sox`` and ``ffmpeg``: two hours in chunks of ten seconds, ten bad.

    python benchmarks/merge.py [--hours 2]

The peers join the good chunks only: they end at the first that is bad. On a machine that does
other work, only the CPU's time says something.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from measure import Cost, cost_of

RATE_HZ, CHUNK_S, BAD = 48_000, 10, 10


def record(folder: Path, chunks: int) -> list[Path]:
    """Write chunks of noise whose level moves; return the good ones."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    level = 3_000 + 8_000 * np.abs(np.sin(np.arange(CHUNK_S * RATE_HZ) / 5_000))
    good = []
    for number in range(chunks):
        path = folder / f"rec_{number:04}.wav"
        sound = rng.normal(size=CHUNK_S * RATE_HZ) * level
        soundfile.write(path, np.clip(sound, -32_768, 32_767).astype(np.int16), RATE_HZ)
        if number % (chunks // BAD) == 1:
            spoil(path, number // (chunks // BAD))
        else:
            good.append(path)
    return good


def spoil(path: Path, kind: int) -> None:
    """Make a chunk empty, no sound at all, or cut within its header."""
    data = path.read_bytes()
    path.write_bytes([b"", b"This is no sound.\n" * 100, data[:30]][kind % 3])


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        good = record(folder / "in", round(hours * 3_600 / CHUNK_S))
        own = [sys.executable, "-m", "daemon", "merge", folder / "in", folder / "out"]
        said("soundspool", cost_of(own), hours)
        made = soundfile.info(folder / "out" / "merged.wav").frames
        print(f"frames {made}, of the good chunks {len(good) * CHUNK_S * RATE_HZ}")
        if shutil.which("sox"):
            said("sox", cost_of(["sox", *good, folder / "sox.wav"]), hours)
        if shutil.which("ffmpeg"):
            listed = folder / "list.txt"
            listed.write_text("".join(f"file '{path}'\n" for path in good))
            how = ["-v", "error", "-f", "concat", "-safe", "0", "-i", listed, "-c", "copy"]
            said("ffmpeg", cost_of(["ffmpeg", *how, folder / "ffmpeg.wav"]), hours)


def said(name: str, cost: Cost, hours: float) -> None:
    """Print what one cost."""
    wall, cpu = (f"{one:7.2f} s {hours * 3_600 / one:6.0f} ×" for one in (cost.wall_s, cost.cpu_s))
    print(f"{name:11} {wall} real time, of CPU {cpu}  {cost.peak_mib:5.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
