"""Long lists that a worker gives the pool: JSON lines in a file of its work directory.

Rule: what a worker wrote is opened through no link, is regular and bounded, and each line is
held against a type before any other code looks at it.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from daemon.pool.bounds import complaint
from daemon.pool.protocol import OUTPUTS, Made, MadeFile

LIST_BYTES = 8 << 20
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


_Line = TypeVar("_Line", bound=BaseModel)


class WrongList(Exception):
    """A list is not what it must be."""


def write_lines(path: Path, items: Iterable[object]) -> int:
    """Write a list into a file that must be new; return how many items it has.

    Raises
    ------
    ValueError
        Something else has the name, or the list is longer than the pool would accept.
    """
    lines = [json.dumps(item) + "\n" for item in items]
    if (size := sum(map(len, lines))) > LIST_BYTES:  # ASCII
        raise ValueError(f"{path.name} would have {size} bytes, {LIST_BYTES} are allowed")
    try:
        with path.open("x", encoding="ascii") as file:
            file.writelines(lines)
    except FileExistsError:
        raise ValueError(f"{path.name} is a name of the daemon's, and was taken") from None
    return len(lines)


def read_lines(path: Path, line_type: type[_Line], count: int) -> list[_Line]:
    """Return what a list says, when it is as long as the worker said.

    Raises
    ------
    WrongList
        It is not.
    OSError
        The disk refuses.
    """
    name = path.name
    try:
        opened = os.open(path, FLAGS)
    except OSError as error:
        raise WrongList(f"{name} cannot be opened: {error.strerror}") from error
    with open(opened, "rb") as file:  # noqa: PTH123 - a descriptor
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LIST_BYTES:
            raise WrongList(f"{name} is not a regular file of at most {LIST_BYTES >> 20} MiB")
        data = file.read(LIST_BYTES)
    if (lines := data.count(b"\n")) != count:
        raise WrongList(f"{name} has {lines} lines, and {count} were named")
    try:
        return [line_type.model_validate_json(line) for line in data.split(b"\n")[:count]]
    except ValidationError as error:
        raise WrongList(f"{name}: {complaint(error)}") from error


def with_all_outputs(workdir: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result with the outputs that a list names, when one does.

    Raises
    ------
    WrongList
        It is not what the worker said, or names an output twice.
    OSError
        The disk refuses.
    """
    if not (count := result.get("listed")):
        return dict(result)
    files = read_lines(workdir / OUTPUTS, MadeFile, count)
    try:
        return {**result, **Made(outputs=files).model_dump(include={"outputs"})}
    except ValidationError as error:
        raise WrongList(f"{OUTPUTS}: {complaint(error)}") from error
