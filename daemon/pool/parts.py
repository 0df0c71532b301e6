"""The lists of parts that a plan and the daemon give each other: files, for they may be long.

A plan's parts go up as ``parts.jsonl`` in its work directory, one part a line, written by the
worker. What became of them goes down to the next round as ``parts.json`` in the job's folder,
written by the daemon.

Rules
-----
1. The list that a worker wrote is read as such a list must be (``lists``).
2. What the plan left is synced before its parts have rows: they, and later rounds, count on it.
"""

import json
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from daemon import trees
from daemon.handlers.contract import EndedPart, Part
from daemon.jobs.job import Job, NewPart
from daemon.pool.bounds import InsidePath, Values, Word
from daemon.pool.lists import FLAGS, read_lines, write_lines
from daemon.pool.protocol import plain

LIST = "parts.jsonl"
_MOST_READS = 1_000


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    name: Annotated[Word, Field(min_length=1)]
    options: Values = {}
    reads: Annotated[list[InsidePath], Field(max_length=_MOST_READS)] = []
    audio_s: Annotated[float, Field(ge=0.0, le=1e9)] = 0.0
    weight: Annotated[float, Field(gt=0.0, le=1e9)] = 1.0


def write_list(workdir: Path, parts: Sequence[Part]) -> int:
    """Write a plan's parts where ``read_list`` finds them; return how many there are.

    Raises
    ------
    TypeError, ValueError
        Something of one has no form in JSON, or there are too many.
    """
    told = (plain(vars(part), f"parts[{place}]") for place, part in enumerate(parts))
    return write_lines(workdir / LIST, told)


def read_list(workdir: Path, count: int) -> list[NewPart]:
    """Return the parts of a plan, when all that it left is on the disk.

    Raises
    ------
    WrongList
        It is not what the worker said, or out of range.
    OSError
        The disk refuses.
    """
    parts = [NewPart(**vars(line)) for line in read_lines(workdir / LIST, _Line, count)]
    for _, _, names, folder in os.fwalk(workdir, follow_symlinks=False):
        for name in names:
            if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                file = os.open(name, FLAGS, dir_fd=folder)
                try:
                    trees.sync(file)
                finally:
                    os.close(file)
        trees.sync(folder)
    above = os.open(workdir.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        trees.sync(above)  # for its own name, which nobody has synced yet
    finally:
        os.close(above)
    return parts


def endings(parts: Iterable[tuple[Job, Path]], beside: Path) -> bytes:
    """Return what ``parts.json`` says of parts that have ended, each with its attempt's folder.

    Folders are named from where it lies: another machine sees the spool elsewhere.
    """
    return json.dumps(
        [
            {
                "name": part.label,
                "outcome": part.state.value,
                "folder": str(folder.relative_to(beside)),
                "measurements": part.result.get("measurements", {}),
                "notes": part.result.get("notes", ()),
                "error": part.error,
            }
            for part, folder in parts
        ]
    ).encode()


def ended_parts(path: str) -> tuple[EndedPart, ...]:
    """Return what became of the parts of the last round, as ``parts.json`` tells it."""
    if not path:
        return ()
    told: list[dict[str, Any]] = json.loads(Path(path).read_bytes())
    beside = Path(path).parent
    return tuple(EndedPart(**one | {"folder": beside / one["folder"]}) for one in told)
