"""Between rows and values: how a job, an attempt and an output look in a table.

A field of ``Job`` and its column have one name; ``_OTHERWISE`` lists the fields that are not the
same in a row. Drop names are bytes in a row and strings outside (``os.fsencode``): Linux has names
that are not text. Documents are JSON; what is not plain JSON is refused, not guessed at.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from daemon.jobs.job import Attempt, Job, NewJob, Outcome, OutputFile, State, Tally, order_key_ms


def columns_of(new: NewJob) -> dict[str, Any]:
    """Return a new job as the columns of its row."""
    own = {one.name: getattr(new, one.name) for one in fields(NewJob)}
    columns = {name: _written(name, value) for name, value in own.items()}
    return {**columns, "order_key_ms": order_key_ms(new.created_ms, new.lane)}


def columns_of_output(job_id: str, place: int, one: OutputFile) -> tuple[object, ...]:
    """Return an output of a job as the columns of its row, in their order."""
    measurements = encoded(one.measurements)
    return job_id, place, one.path, one.role, one.bytes, one.sha256, measurements


def job_of(row: sqlite3.Row) -> Job:
    """Return the job that a row of ``job`` tells of."""
    own: dict[str, Any] = {name: read(row[name]) if read else row[name] for name, read in _READ}
    return Job(**own, tally=Tally(row["failures"], row["crashes"], row["interruptions"]))


def attempt_of(row: sqlite3.Row) -> Attempt:
    """Return the attempt that a row of ``attempt`` tells of."""
    return Attempt(
        number=row["number"],
        started_ms=row["started_ms"],
        ended_ms=row["ended_ms"],
        outcome=None if row["outcome"] is None else Outcome(row["outcome"]),
        error=_decoded(row["error"]),
        exit_code=row["exit_code"],
        signal=row["signal"],
        max_rss_mb=row["max_rss_mb"],
        node=row["node"],
    )


def output_of(row: sqlite3.Row) -> OutputFile:
    """Return the output that a row of ``output`` tells of."""
    measurements = _decode(row["measurements"])
    return OutputFile(row["path"], row["role"], row["bytes"], row["sha256"], measurements)


def encoded(value: object) -> str:
    """Return JSON; tuples become arrays, ``nan`` and what JSON has no word for are refused.

    Raises
    ------
    TypeError, ValueError
        The value is not plain data.
    """
    return _encode(value)


def encoded_or_none(value: object) -> str | None:
    """Return JSON, or ``None`` for ``None``: NULL, where the column allows it."""
    return None if value is None else encoded(value)


def _plain(value: object) -> object:
    """Return a read-only mapping as a dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


_encode = json.JSONEncoder(default=_plain, allow_nan=False).encode
_parse = json.JSONDecoder().decode


def _decode(text: str) -> Any:  # noqa: ANN401 - any JSON
    if text == "{}":  # as most are
        return {}
    return [] if text == "[]" else _parse(text)


def _decoded(text: str | None) -> Any:  # noqa: ANN401 - any JSON
    return None if text is None else _decode(text)


_OTHERWISE: Mapping[str, tuple[Callable[[Any], object], Callable[[Any], object]]] = {
    "name": (os.fsencode, os.fsdecode),
    "state": (str, State),
    **dict.fromkeys(("options", "sha256", "inputs", "warnings", "result"), (encoded, _decode)),
    "error": (encoded_or_none, _decoded),
    "reads": (encoded, _decode),
    "split": (int, bool),
    "stop_at_failure": (int, bool),
    "stopping": (str, lambda state: None if state is None else State(state)),
}
"""How a field is written into its column, and how it is read."""


def _written(name: str, value: object) -> object:
    return _OTHERWISE[name][0](value) if name in _OTHERWISE else value


_READ = [
    (one.name, _OTHERWISE[one.name][1] if one.name in _OTHERWISE else None)
    for one in fields(Job)
    if one.name != "tally"
]
"""Gone through once, not for each of the rows that a drop is read from."""
