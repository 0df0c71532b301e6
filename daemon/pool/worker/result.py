"""What a worker says at the end of an attempt: what was made, or whose fault it is.

Rules
-----
1. An output is synced to disk before it is named, and named with what it was then.
2. Every exception has a verdict; the exception itself never leaves the worker, only words.
"""

import errno
import hashlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from daemon.errors import BadInput, Fault, NothingToDo, Unavailable, words
from daemon.handlers.contract import Output, Result
from daemon.pool.interface import Outcome
from daemon.pool.protocol import BadMessage, Made, MadeFile, Remark, plain

_SENTENCE_CHARS = 4_000
_DETAILS_CHARS = 16_000
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class HandlerError(Exception):
    """The handler's module cannot be used."""


class ResultError(Exception):
    """What the handler returned is no result."""


# The first that fits. The code of a SpoolError is its own.
_VERDICTS: tuple[tuple[type[BaseException], Outcome, str], ...] = (
    (BadInput, Outcome.BAD_INPUT, ""),
    (NothingToDo, Outcome.NOTHING_TO_DO, ""),
    (Unavailable, Outcome.UNAVAILABLE, ""),
    (MemoryError, Outcome.OUT_OF_MEMORY, "OUT_OF_MEMORY"),
    (HandlerError, Outcome.BAD_CONFIG, "HANDLER_UNUSABLE"),
    (ResultError, Outcome.FAILED, "RESULT_INVALID"),
    (BadMessage, Outcome.FAILED, "RESULT_INVALID"),
    (BaseException, Outcome.FAILED, "INTERNAL"),
)


def judge(error: BaseException, stage: str) -> tuple[Outcome, Fault]:
    """Return whose fault an exception is, and what there is to say about it."""
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Outcome.UNAVAILABLE, _fault(error, "DISK_FULL", stage)
    outcome, code = next(
        (outcome, code) for kind, outcome, code in _VERDICTS if isinstance(error, kind)
    )
    return outcome, _fault(error, code, stage)


def _fault(error: BaseException, code: str, stage: str) -> Fault:
    fault = Fault.of(error, code, stage=stage)
    return replace(fault, details=_details(fault))


def _text(value: object, most: int) -> str:
    return str(plain(str(value)))[:most]


def _details(fault: Fault) -> dict[str, object]:
    try:
        details: dict[str, object] = plain(fault.details)
    except (TypeError, RecursionError):
        return {}  # an error must not fail over its own footnotes
    return details if len(json.dumps(details)) <= _DETAILS_CHARS else {}


def made_of(result: Result, workdir: Path) -> Made:
    """Sync and hash the outputs; return the result in the words of JSON.

    Raises
    ------
    ResultError
        An output is missing, or something has no form in JSON, or is out of range.
    """
    try:
        made = _made(result, workdir)
    except (ValidationError, TypeError, FileNotFoundError, RecursionError) as error:
        raise ResultError(words(error)) from error
    above = (folder for output in result.outputs for folder in (workdir / output.path).parents)
    for folder in {folder for folder in above if folder.is_relative_to(workdir)} | {workdir}:
        _sync(folder)
    return made


def _made(result: Result, workdir: Path) -> Made:
    return Made(
        outputs=[_made_file(output, workdir) for output in result.outputs],
        measurements=plain(result.measurements, "measurements"),
        notes=[
            Remark(code=_text(note.code, 200), message=_text(note.message, _SENTENCE_CHARS))
            for note in result.notes
        ],
        inputs=plain(result.inputs, "inputs"),
    )


def _made_file(output: Output, workdir: Path) -> MadeFile:
    path = workdir / output.path
    if not stat.S_ISREG(path.lstat().st_mode):
        raise TypeError(f"the output {output.path} is no file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        size = file.tell()
    return MadeFile(
        path=output.path,
        role=output.role,
        bytes=size,
        sha256=digest,
        measurements=plain(output.measurements, f"measurements of {output.path}"),
    )


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
