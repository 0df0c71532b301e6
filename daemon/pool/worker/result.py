"""What a worker says at the end of an attempt: what was made, or whose fault it is.

Rules
-----
1. An output is named with what it was then; the pool compares, and syncs (``outputs``).
2. Every exception has a verdict; the exception itself never leaves the worker, only words.
"""

import hashlib
import json
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter, ValidationError

from daemon.errors import BadInput, Fault, NothingToDo, Postponed, Unavailable, words
from daemon.handlers.contract import MOST_PARTS, Output, Part, Result, Split
from daemon.pool.bounds import InsidePath, Values, complaint
from daemon.pool.interface import Outcome
from daemon.pool.lists import write_lines
from daemon.pool.outputs import NO_ROOM, WRONG
from daemon.pool.parts import write_list
from daemon.pool.protocol import (
    LINE_BYTES,
    OUTPUTS,
    BadMessage,
    Made,
    MadeFile,
    Remark,
    SplitInto,
    plain,
)

_SENTENCE_CHARS = 4_000
_DETAILS_CHARS = 16_000
_INSIDE, _VALUES = TypeAdapter(InsidePath), TypeAdapter(Values)


class HandlerError(Exception):
    """The handler's module cannot be used."""


class ResultError(Exception):
    """What the handler returned is no result."""


# The first that fits. The code of a SpoolError is its own.
_VERDICTS: tuple[tuple[type[BaseException], Outcome, str], ...] = (
    (BadInput, Outcome.BAD_INPUT, ""),
    (NothingToDo, Outcome.NOTHING_TO_DO, ""),
    (Postponed, Outcome.POSTPONED, ""),
    (Unavailable, Outcome.UNAVAILABLE, ""),
    (MemoryError, Outcome.OUT_OF_MEMORY, "OUT_OF_MEMORY"),
    (HandlerError, Outcome.BAD_CONFIG, "HANDLER_UNUSABLE"),
    (ResultError, Outcome.FAILED, "RESULT_INVALID"),
    (BadMessage, Outcome.FAILED, "RESULT_INVALID"),
    (BaseException, Outcome.FAILED, "INTERNAL"),
)


def judge(error: BaseException, stage: str) -> tuple[Outcome, Fault]:
    """Return whose fault an exception is, and what there is to say about it."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
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
        details: dict[str, object] = _VALUES.validate_python(plain(fault.details))
    except Exception:  # noqa: BLE001 - an error must not fail over its own footnotes
        return {}
    return details if len(json.dumps(details)) <= _DETAILS_CHARS else {}


def made_of(result: Result, workdir: Path) -> Made:
    """Hash the outputs; return the result in the words of JSON.

    Raises
    ------
    ResultError
        An output is missing, or something has no form in JSON, or is out of range.
    """
    with _words_for_errors():
        made = Made(
            outputs=[_made_file(output, workdir) for output in result.outputs],
            measurements=plain(result.measurements, "measurements"),
            notes=[
                Remark(code=_text(note.code, 200), message=_text(note.message, _SENTENCE_CHARS))
                for note in result.notes
            ],
            inputs=plain(result.inputs, "inputs"),
        )
        files = [file.model_dump() for file in made.outputs]
        if len(json.dumps(files)) <= LINE_BYTES // 2:  # the rest needs room, too
            return made
        listed = write_lines(workdir / OUTPUTS, files)
        return made.model_copy(update={"outputs": [], "listed": listed})


@contextmanager
def _words_for_errors() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise ResultError(complaint(error)) from error
    except OSError as error:
        if error.errno not in WRONG:
            raise
        raise ResultError(f"an output cannot be read: {words(error)}") from error
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ResultError(words(error)) from error


def listed(split: Split, workdir: Path) -> SplitInto:
    """Write a plan's parts where the daemon reads them; return the rest of what it says.

    Raises
    ------
    ResultError
        There are none or too many, a view is missing, or something has no form in JSON.
    """
    parts = split.parts
    if not isinstance(parts, Sequence) or not all(isinstance(part, Part) for part in parts):
        raise ResultError("the parts of a Split are a tuple of Part: Split((Part(…), Part(…)))")
    if not 1 <= len(parts) <= MOST_PARTS:
        raise ResultError(f"a Split has 1 to {MOST_PARTS:,} parts, got {len(parts):,}")
    with _words_for_errors():
        return SplitInto(
            count=write_list(workdir, parts),
            at_once=split.at_once,
            stop_at_failure=split.on_failure == "stop",
            stage=_text(split.stage, 200),
            share=split.share,
            views=[_made_file(Output(view, "live"), workdir) for view in split.views],
            gives_way=split.gives_way,
        )


def _made_file(output: Output, workdir: Path) -> MadeFile:
    path = workdir / _INSIDE.validate_python(str(PurePosixPath(output.path)))
    if not stat.S_ISREG(path.lstat().st_mode):
        raise TypeError(f"the output {output.path} is no regular file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return MadeFile(
        path=str(path.relative_to(workdir)),
        role=output.role,
        bytes=size,
        sha256=digest,
        measurements=plain(output.measurements, f"measurements of {output.path}"),
    )
