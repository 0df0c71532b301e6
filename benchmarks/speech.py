"""How wrong the installed engines of ``transcribe`` are, and how fast.

The recordings are made here by the program ``espeak-ng`` from sentences of our own, in four
voices: clean, synthetic speech. The figures compare engines; they promise nothing of people.
``python benchmarks/speech.py FOLDER`` takes recordings with their words beside them instead:
``NAME.wav`` and ``NAME.txt``.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daemon.handlers import transcribe
from daemon.handlers.contract import Task

VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3")
TEXT = (
    "The engine of the ship was silent when we came on deck. "
    "Nobody had seen the captain since the evening before, and the lamps were out. "
    "In the morning we found a letter on his table, in which he asked us to sail without him. "
    "My brother read it twice, folded it, and looked at the sea for a long time. "
    "There were seven of us, four barrels of water, and bread for two weeks. "
    "We turned the ship to the north and waited for the wind."
)


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
    for voice in VOICES:
        path = folder / f"{voice}.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", path, TEXT], check=True)
        path.with_suffix(".txt").write_text(TEXT)


def main() -> None:
    """Print word error rate and real-time factor of each engine."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch, "spoken")
        if len(sys.argv) == 1:
            folder.mkdir()
            spoken(folder)
        for engine in ("whisper", "pocketsphinx"):
            wrong = total = 0
            seconds = took_s = 0.0
            for source in sorted(folder.glob("*.wav")):
                out = Path(scratch, engine, source.stem)
                out.mkdir(parents=True)
                options = transcribe.Options(engine=engine, language="en", formats=("txt",))
                began_s = time.perf_counter()
                made = transcribe.handle(Task(source.name, source, out, options, lambda *_: None))
                took_s += time.perf_counter() - began_s
                seconds += float(str(made.measurements["duration_s"]))
                truth = words_of(source.with_suffix(".txt").read_text())
                wrong += errors(truth, words_of((out / "transcript.txt").read_text()))
                total += len(truth)
            rate = f"word error rate {wrong / total:.3f} of {total} words"
            print(f"{engine}: {rate}, real-time factor {took_s / seconds:.2f}")


if __name__ == "__main__":
    main()
