"""How far the tuning that is read lies from the truth where every tone is exactly in tune.

usage: exact_tones.py [--half held|fitted|both] [--songs-per-style 1]

The instruments of a soundfont are cents off, each by its own, and what ``analyze.py`` prints of
the tuning is their error and ours together. Here the songs of ``truth_set.py`` keep their notes,
times and drums, and harmonic tones of exact frequencies take the place of the instruments: what
is printed is our error alone.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf
from analyze import cents_apart
from midi import Note, drums_of, notes_of
from numpy.typing import NDArray
from peer_analysis import evidence_of, own_of
from truth_set import every_style, held, play, score

RATE_HZ = 44_100
HARMONICS, STEEPNESS = 8, 1.2
ATTACK_S, RELEASE_S, DECAY_PER_S, LONGEST_S = 0.008, 0.03, 1.5, 6.0
TONES_PEAK = 0.4
CENTS = (0.0, -31.0, 17.0, 8.0)


def tones(notes: list[Note], cents: float) -> NDArray[np.float32]:
    """Return harmonic tones that die away, ``(frames,)``."""
    out = np.zeros(int((max(note.stop_s for note in notes) + 1) * RATE_HZ), np.float32)
    for note in notes:
        length_s = min(note.stop_s - note.start_s + RELEASE_S, LONGEST_S)
        times = np.arange(int(length_s * RATE_HZ)) / RATE_HZ
        hertz = 440 * 2 ** ((note.number - 69 + cents / 100) / 12)
        first = np.exp(2j * np.pi * hertz * times)
        harmonic, sound = np.ones_like(first), np.zeros(len(times))
        for number in range(1, min(HARMONICS, int(RATE_HZ / 2 / hertz)) + 1):
            harmonic *= first
            sound += harmonic.imag / number**STEEPNESS
        sound *= note.velocity * np.exp(-DECAY_PER_S * times)
        sound *= np.minimum(1, np.minimum(times / ATTACK_S, (length_s - times) / RELEASE_S))
        start = int(note.start_s * RATE_HZ)
        out[start:][: len(sound)] += sound[: len(out) - start]
    return out * np.float32(TONES_PEAK / np.abs(out).max())


def error_of(style: str, number: int) -> float:
    """Return how many cents the reading of a song errs."""
    cents = CENTS[(len(style) + number) % len(CENTS)]
    with tempfile.TemporaryDirectory() as work:
        _, soundfont, midi = score(style, number, work)
        path = Path(work) / "song.flac"
        play(drums_of(midi), soundfont, work)
        drums = sf.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
        sound = tones(notes_of(midi), cents)
        common = min(len(drums), len(sound))
        sound[:common] += drums[:common]
        sf.write(path, np.clip(sound, -1, 1), RATE_HZ)
        return cents_apart(cents, own_of(evidence_of(path))["cents"])


def main() -> None:
    """Print the error of each song, and of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("held", "fitted", "both"), default="held")
    parser.add_argument("--songs-per-style", type=int, default=1)
    args = parser.parse_args()
    errors = []
    for style in every_style():
        if args.half != "both" and held(style) != (args.half == "held"):
            continue
        for number in range(args.songs_per_style):
            errors.append(error_of(style, number))
            print(f"  {style}_{number}: {errors[-1]:.2f} cents", flush=True)
    middle, most, worst = np.percentile(errors, (50, 90, 100))
    print(f"{len(errors)} songs ({args.half}): median {middle:.2f} cents, "
          f"90 % within {most:.2f}, all within {worst:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
