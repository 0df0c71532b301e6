"""A handler that counts bytes: light, quick, and exact about what it was given.

Loaded by workers, by its dotted name. ``how`` in the drop's settings asks for another end.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from daemon.errors import BadInput, NothingToDo, Unavailable
from daemon.handlers.contract import Output, Result, Task
from tests.support.files import dig


class Options(BaseModel, extra="forbid"):
    """What a drop may ask for."""

    how: Literal["well", "bad_input", "nothing", "unavailable", "badly"] = "well"
    seconds: float = 0.0
    """How long it takes, with a report every few milliseconds."""
    held_by: str = ""
    """A file: it takes as long as this is there, too."""
    deep: bool = False
    """Whether it leaves folders behind that lie deeper than any path is long."""
    fill_bytes: int = 0
    """Size of a second output."""


def handle(task: Task) -> Result:
    """Write ``count.json``: path, size and hash of each file of the drop."""
    options: Options = task.options
    if options.deep:
        dig(task.workdir / "deep")
    _take_time(task, options)
    if options.how == "unavailable":
        raise Unavailable("REMOTE_BUSY", "ask again later")
    if options.how == "nothing":
        raise NothingToDo("NOTHING", "there is nothing to count")
    if options.how == "bad_input":
        raise BadInput("UNCOUNTABLE", "this cannot be counted", hint="Drop something else.")
    if options.how == "badly":
        raise RuntimeError("a bug")
    counted = count(task.source)
    (task.workdir / "count.json").write_text(json.dumps(counted))
    (task.workdir / "sheets" / "by file").mkdir(parents=True)
    (task.workdir / "sheets" / "by file" / "names.txt").write_text(f"{len(counted)}\n")
    outputs = [
        Output("count.json", "data", {"files": len(counted)}),
        Output("sheets/by file/names.txt", "sheet"),
    ]
    if options.fill_bytes:
        (task.workdir / "fill.bin").write_bytes(b"\xa5" * options.fill_bytes)
        outputs.append(Output("fill.bin", "data"))
    return Result(outputs=tuple(outputs), inputs=tuple(counted))


def count(drop: Path) -> list[dict[str, object]]:
    """Return what ``count.json`` must say about a drop."""
    files = (
        sorted(path for path in drop.rglob("*.wav") if path.is_file()) if drop.is_dir() else [drop]
    )
    return [
        {
            "path": str(path.relative_to(drop)) if drop.is_dir() else path.name,
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    ]


def _take_time(task: Task, options: Options) -> None:
    began_s, seconds, held_by = time.monotonic(), options.seconds, options.held_by
    while (gone_s := time.monotonic() - began_s) < seconds or (held_by and os.path.exists(held_by)):  # noqa: PTH110
        task.report("counting", min(1.0, gone_s / (seconds or 60.0)))
        time.sleep(0.01)  # this is the work
