"""The lists of parts that a plan and the daemon give each other: files, for they may be long.

A plan's parts go up as ``parts.jsonl`` in its work directory, one part a line, written by the
worker. What became of them goes down to the next round as ``parts.json`` in the job's folder,
written by the daemon.

Rules
-----
1. The file that a worker wrote is opened through no link, is regular and bounded; each line is
   held against a type and its paths stay inside, before any of it reaches the queue.
2. What the plan left is synced before its parts have rows: they, and later rounds, count on it.
"""

import json
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from daemon import trees
from daemon.handlers.contract import EndedPart, Part
from daemon.jobs.job import Job, NewPart
from daemon.pool.bounds import InsidePath, Values, Word, complaint
from daemon.pool.protocol import plain

LIST = "parts.jsonl"
_LIST_BYTES = 8 << 20
_MOST_READS = 1_000
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class WrongParts(Exception):
    """A list of parts is not what it must be."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    name: Annotated[Word, Field(min_length=1)]
    options: Values = {}
    reads: Annotated[list[InsidePath], Field(max_length=_MOST_READS)] = []
    audio_s: Annotated[float, Field(ge=0.0, le=1e9)] = 0.0
    weight: Annotated[float, Field(gt=0.0, le=1e9)] = 1.0


_LINE = TypeAdapter(_Line)


def write_list(workdir: Path, parts: Sequence[Part]) -> int:
    """Write a plan's parts where ``read_list`` finds them; return how many there are.

    Raises
    ------
    TypeError, ValueError
        Something of one has no form in JSON.
    """
    with (workdir / LIST).open("w", encoding="utf-8") as file:
        for place, part in enumerate(parts):
            file.write(json.dumps(plain(vars(part), f"parts[{place}]")) + "\n")
    return len(parts)


def read_list(workdir: Path, count: int) -> list[NewPart]:
    """Return the parts of a plan, when all that it left is on the disk.

    Raises
    ------
    WrongParts
        The list is not what the worker said, or out of range.
    OSError
        The disk refuses.
    """
    lines = _lines(workdir / LIST)
    if len(lines) != count:
        raise WrongParts(f"{LIST} has {len(lines)} lines, and {count} parts were named")
    try:
        parts = [NewPart(**vars(_LINE.validate_json(line))) for line in lines]
    except ValidationError as error:
        raise WrongParts(f"{LIST}: {complaint(error)}") from error
    for _, _, names, folder in os.fwalk(workdir, follow_symlinks=False):
        for name in names:
            if stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                file = os.open(name, _FLAGS, dir_fd=folder)
                try:
                    trees.sync(file)
                finally:
                    os.close(file)
        trees.sync(folder)
    return parts


def _lines(path: Path) -> list[bytes]:
    try:
        opened = os.open(path, _FLAGS)
    except OSError as error:
        raise WrongParts(f"{LIST} cannot be opened: {error.strerror}") from error
    with open(opened, "rb") as file:  # noqa: PTH123 - a descriptor
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LIST_BYTES:
            raise WrongParts(f"{LIST} is not a regular file of at most {_LIST_BYTES >> 20} MiB")
        return file.read(_LIST_BYTES).splitlines()


def endings(parts: Iterable[tuple[Job, Path]]) -> bytes:
    """Return what ``parts.json`` says of parts that have ended, each with its attempt's folder."""
    return json.dumps(
        [
            {
                "name": part.label,
                "outcome": part.state.value,
                "folder": str(folder),
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
    return tuple(EndedPart(**one | {"folder": Path(one["folder"])}) for one in told)
