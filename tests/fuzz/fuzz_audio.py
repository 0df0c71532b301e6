"""Decode damaged sound files by the hundred thousand, in confined workers of the real pool.

Each job decodes 1,000 mutants of one seed. A worker that crashes or hangs ends its job, and
the file that it had last is kept; so is every file that raises what nobody promised.

Run: ``python -m tests.fuzz.fuzz_audio FOLDER --files 200000 [--originals FOLDER] [--seed N]``.
What is telling lies below FOLDER afterwards; the exit code is 1 when anything does.
"""

import argparse
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from daemon.config.models import Pool as Settings
from tests.support.crew import Crew

HANDLER = "tests.support.decoding"
PER_JOB = 1_000
STALL_S = 20.0


def main() -> int:
    """Fuzz, print how many files ended in which way, return the exit code."""
    asked = _arguments()
    asked.folder.mkdir(parents=True, exist_ok=True)
    began_s, ends, bad = time.monotonic(), Counter[str](), 0
    for number in range(asked.seed, asked.seed + -(-asked.files // PER_JOB)):
        bad += _job(asked, number, ends)
        if number % 10 == 0:
            print(number, dict(ends), flush=True)
    took_s = time.monotonic() - began_s
    print(f"{sum(ends.values())} files in {took_s:.0f} s")
    for end, count in ends.most_common():
        print(f"{count:8}  {end}")
    return bool(bad)


def _job(asked: argparse.Namespace, number: int, ends: Counter[str]) -> int:
    """Run one job; return how many telling files it left."""
    crew = asked.crew
    originals = (str(asked.originals.absolute()),) if asked.originals else ()
    limits = {"stall_s": STALL_S, "no_progress_s": STALL_S, "deadline_s": 3600.0}
    order = crew.order(f"job-{number}", handler=HANDLER, read_paths=originals, **limits)
    order.options.clear()
    order.options.update(seed=number, count=PER_JOB, folder="".join(originals))
    (ended,) = crew.run([order], patience_s=3600.0).values()
    crew.ended.clear()
    crew.progress.clear()
    workdir = Path(order.workdir)
    telling = sorted(workdir.glob("kept-*"))
    assert not ended.warnings, ended.warnings  # NOT_CONFINED: this would prove too little
    if ended.outcome == "done":
        ends.update(ended.result["measurements"])
    else:
        code = ended.error["code"] if ended.error else ""
        ends[f"WORKER {ended.outcome} {code}"] += 1
        telling.append(workdir / "current")
        print(number, ended.outcome, ended.error, ended.stderr[-2_000:], flush=True)
    for path in telling:
        shutil.copy(path, asked.folder / f"{number}-{path.name}")
    shutil.rmtree(workdir.parent)
    return len(telling)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--originals", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.crew = Crew(asked.folder / "work", Settings(slots=1, memory_mb=1024), (HANDLER,))
    return asked


if __name__ == "__main__":
    sys.exit(main())
