"""A program that drops folders of recorded chunks into an inbox, as people and recorders do.

    python -m tests.support.chunk_dropper SPOOL NUMBER SECONDS

Of each whole drop it writes a line into ``SPOOL/dropped/NUMBER.jsonl``: its name, and the SHA-256
of the samples that must come out; empty when nothing can.
"""

import hashlib
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.truth import wav_bytes

FRAMES = 4_000
WAYS = ("staged", "listed", "marked")


def chunks_of(rng: random.Random) -> tuple[dict[str, bytes], str]:
    """Return files by name, and the hash of the samples of those that can be used."""
    hopeless, good, files = rng.random() < 0.15, [], {}
    for number in range(rng.randint(2, 8)):
        kind = rng.choice(("empty", "note", "silent")) if hopeless else "good"
        if kind == "good" and number and rng.random() < 0.1:
            kind = "note"
        samples = rng.randbytes(2 * FRAMES) if kind == "good" else bytes(2 * FRAMES)
        data = {"empty": b"", "note": b"this is no sound, but a note"}.get(kind, wav_bytes(samples))
        files[f"rec_{number}.wav"] = data
        if kind == "good":
            good.append(samples)
    return files, hashlib.sha256(b"".join(good)).hexdigest() if good else ""


def drop(root: Path, name: str, files: dict[str, bytes], way: str, rng: random.Random) -> None:
    """Drop a folder: in one rename, or file by file where the daemon looks at it."""

    def pause() -> None:
        time.sleep(rng.uniform(0.0, 0.8))

    folder = root / "inbox" / "mix" / name
    if way == "staged":
        staged = root / "staged" / name
        _write(staged, files, rng, lambda: None)
        (staged / ".done").touch()
        staged.rename(folder)
        return
    if way == "listed":
        listed = [{"name": file, "bytes": len(data)} for file, data in files.items()]
        folder.mkdir()
        (folder / ".job.yaml").write_text(json.dumps({"files": listed}))
        (folder / ".job.yaml").rename(folder / "job.yaml")
    _write(folder, files, rng, pause)
    if way == "marked":
        (folder / ".done").touch()


def _write(
    folder: Path, files: dict[str, bytes], rng: random.Random, pause: Callable[[], None]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in rng.sample(sorted(files), len(files)):
        data = files[name]
        with (folder / name).open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            pause()
            file.write(data[len(data) // 2 :])
        pause()


def main() -> None:
    """Drop until the time is over."""
    root, who, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    rng, end_s, number = random.Random(who), time.monotonic() + seconds, 0
    with (root / "dropped" / f"{who}.jsonl").open("w") as journal:
        while time.monotonic() < end_s:
            name = f"Talk {who:02} {number:03}"
            files, sha256 = chunks_of(rng)
            drop(root, name, files, rng.choice(WAYS), rng)
            journal.write(json.dumps({"name": name, "sha256": sha256}) + "\n")
            journal.flush()
            number += 1
            time.sleep(rng.uniform(10.0, 40.0))


if __name__ == "__main__":
    main()
