"""What must hold of a spool, whatever happened to its daemon."""

import hashlib
import io
import json
import shutil
import sqlite3
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def wav_bytes(samples: bytes) -> bytes:
    """Return a small mono WAV."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(samples)
    return content.getvalue()


def write_wav(path: Path, samples: bytes) -> None:
    """Write a small mono WAV."""
    path.write_bytes(wav_bytes(samples))


def drop_folder(root: Path, name: str, files: dict[str, bytes], settings: str = "") -> None:
    """Drop a folder of WAVs by one rename, marked as whole."""
    staged = root / "staged" / name
    staged.mkdir(parents=True)
    for file, samples in files.items():
        write_wav(staged / file, samples)
    if settings:
        (staged / "job.yaml").write_text(settings)
    (staged / ".done").touch()
    staged.rename(root / "inbox" / "mix" / name)


def drop_song(root: Path, name: str, settings: str = "") -> None:
    """Drop a folder of one small file, like no other."""
    drop_folder(root, name, {"a.wav": name.encode() * 200}, settings)


def states(root: Path) -> dict[str, str]:
    """Return the state of every drop by its label."""
    return {label: status["state"] for label, status in statuses(root).items()}


def rows(root: Path) -> list[dict[str, Any]]:
    """Return the rows of the queue as the next daemon will find them; no file is touched.

    Those of parts are left out: they own nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        look = Path(folder)
        for part in ("queue.sqlite3", "queue.sqlite3-wal"):
            if (root / "state" / part).exists():
                shutil.copy(root / "state" / part, look / part)
        db = sqlite3.connect(look / "queue.sqlite3")
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous = OFF")  # a copy: nothing of it need survive
        try:
            made = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'job'").fetchone()
            found = [dict(row) for row in db.execute("SELECT * FROM job")] if made else []
            return [row for row in found if row.get("parent") is None]
        finally:
            db.close()


def statuses(root: Path) -> dict[str, dict[str, Any]]:
    """Return every status document by its label; each of them can be read."""
    return {
        path.name.removesuffix(".status.json"): json.loads(path.read_text())
        for path in (root / "outbox" / "mix").glob("*.status.json")
    }


def broken_sentences(root: Path) -> Iterator[str]:
    """Yield where the two sentences of the design do not hold."""
    for row in rows(root):
        name = row["name"].decode()
        drop = root / "work" / row["inbox"] / row["id"] / "in" / name
        if row["finished_ms"] is None and not drop.exists():
            yield f"a row that is not final lacks its drop: {name}"
        has_own = row["state"] == "done" and row["duplicate_of"] is None
        outbox = root / "outbox" / row["inbox"]
        made = [outbox / str(row["label"]) / "count.json", *outbox.glob("view *.txt")]
        if row["published_ms"] and has_own and not any(path.exists() for path in made):
            yield f"a published row lacks its outputs: {name}"


def torn_outputs(root: Path) -> Iterator[str]:
    """Yield every output of a done status that is not there as the status says."""
    for label, status in statuses(root).items():
        for output in status["outputs"]:
            path = root / "outbox" / "mix" / status["output_folder"] / output["path"]
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
            if found != output["sha256"]:
                yield f"{label}/{output['path']} is {found}"
