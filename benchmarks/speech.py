"""How wrong the installed engines of ``transcribe`` are, and how fast.

    python benchmarks/speech.py [FOLDER] [--engines whisper pocketsphinx]

``speech.txt``, 544 words of our own, is spoken here by the program ``espeak-ng`` in two voices,
clean and synthetic, and made an episode of by ``podcast``. The figures compare engines; they
promise nothing of people. With a FOLDER the recordings in it are taken instead, with their words
beside them: ``NAME.wav`` and ``NAME.txt``.
"""

import argparse
import re
import subprocess
import tempfile
import time
from pathlib import Path

from daemon.handlers import podcast, transcribe
from daemon.handlers.contract import Task

VOICES = ("en-us", "en-gb+f3")
TEXT = Path(__file__).with_name("speech.txt")


def words_of(text: str) -> list[str]:
    """Return the words alone, as they are compared."""
    return re.findall(r"[a-z0-9']+", text.lower())


def errors(truth: list[str], found: list[str]) -> int:
    """Return how many words must be put in, left out or changed (Levenshtein)."""
    row = list(range(len(found) + 1))
    for at, word in enumerate(truth, 1):
        before, row[0] = row[0], at
        for place, other in enumerate(found, 1):
            before, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, before + (word != other)),
            )
    return row[-1]


def spoken(folder: Path) -> None:
    """Write recordings and their words."""
    folder.mkdir()
    for voice in VOICES:
        path = folder / f"{voice}.wav"
        command = ["espeak-ng", "-v", voice, "-s", "150", "-w", path, "-f", TEXT]
        subprocess.run(command, check=True)
    task = Task("speech", TEXT, folder, podcast.Options(voice="en-us"), lambda *_: None)
    podcast.handle(task)
    for path in [*folder.glob("*.wav"), *folder.glob("*.mp3")]:
        path.with_suffix(".txt").write_text(TEXT.read_text())


def measured(engine: transcribe.Kind, source: Path, out: Path) -> tuple[int, int, float, float]:
    """Return wrong words, words, seconds of sound and seconds it took."""
    out.mkdir(parents=True)
    options = transcribe.Options(engine=engine, language="en", formats=("txt",))
    began_s = time.perf_counter()
    made = transcribe.handle(Task(source.name, source, out, options, lambda *_: None))
    took_s = time.perf_counter() - began_s
    truth = words_of(source.with_suffix(".txt").read_text())
    wrong = errors(truth, words_of((out / "transcript.txt").read_text()))
    return wrong, len(truth), float(str(made.measurements["duration_s"])), took_s


def main() -> None:
    """Print word error rate and real-time factor of each engine and recording, and of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--engines", nargs="+", default=["whisper", "pocketsphinx"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch, "spoken")
        if given.folder is None:
            spoken(folder)
        sources = [one for one in sorted(folder.iterdir()) if one.suffix in (".wav", ".mp3")]
        for engine in given.engines:
            rows = [measured(engine, one, Path(scratch, engine, one.stem)) for one in sources]
            for name, row in [
                *zip((one.name for one in sources), rows, strict=True),
                ("all", [sum(column) for column in zip(*rows, strict=True)]),
            ]:
                wrong, words, seconds, took_s = row
                rate = f"word error rate {wrong / words:.3f} of {words} words"
                print(f"{engine}, {name}: {rate}, real-time factor {took_s / seconds:.2f}")


if __name__ == "__main__":
    main()
