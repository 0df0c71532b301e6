"""Between rows and values: how a job, an attempt and an output look in a table.

Drop names are bytes in a row and strings outside (``os.fsencode``): Linux has names that are
not text. Documents are JSON; what is not plain JSON is refused, not guessed at.
"""

import json
import os
import sqlite3
from collections.abc import Mapping
from typing import Any

from daemon.jobs.job import Attempt, Job, NewJob, Outcome, OutputFile, State, Tally, order_key_ms


def columns_of(new: NewJob) -> dict[str, Any]:
    """Return a new job as the columns of its row."""
    return {
        "id": new.id,
        "inbox": new.inbox,
        "name": os.fsencode(new.name),
        "label": new.label,
        "handler": new.handler,
        "lane": new.lane,
        "first_seen_ms": new.first_seen_ms,
        "created_ms": new.created_ms,
        "order_key_ms": order_key_ms(new.created_ms, new.lane),
        "options": encoded(new.options),
        "inputs": encoded(new.inputs),
        "warnings": encoded(new.warnings),
        "audio_s": new.audio_s,
    }


def columns_of_output(job_id: str, place: int, one: OutputFile) -> tuple[object, ...]:
    """Return an output of a job as the columns of its row, in their order."""
    measurements = encoded(one.measurements)
    return job_id, place, one.path, one.role, one.bytes, one.sha256, measurements


def job_of(row: sqlite3.Row) -> Job:
    """Return the job that a row of ``job`` tells of."""
    return Job(
        id=row["id"],
        inbox=row["inbox"],
        name=os.fsdecode(row["name"]),
        label=row["label"],
        handler=row["handler"],
        lane=row["lane"],
        first_seen_ms=row["first_seen_ms"],
        created_ms=row["created_ms"],
        options=json.loads(row["options"]),
        inputs=json.loads(row["inputs"]),
        warnings=json.loads(row["warnings"]),
        audio_s=row["audio_s"],
        state=State(row["state"]),
        not_before_ms=row["not_before_ms"],
        attempts=row["attempts"],
        tally=Tally(row["failures"], row["crashes"], row["interruptions"]),
        started_ms=row["started_ms"],
        finished_ms=row["finished_ms"],
        published_ms=row["published_ms"],
        drop_at=row["drop_at"],
        error=_decoded(row["error"]),
        result=json.loads(row["result"]),
        content_key=row["content_key"],
        duplicate_of=row["duplicate_of"],
    )


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
    )


def output_of(row: sqlite3.Row) -> OutputFile:
    """Return the output that a row of ``output`` tells of."""
    measurements = json.loads(row["measurements"])
    return OutputFile(row["path"], row["role"], row["bytes"], row["sha256"], measurements)


def encoded(value: object) -> str:
    """Return JSON; tuples become arrays, ``nan`` and what JSON has no word for are refused.

    Raises
    ------
    TypeError, ValueError
        The value is not plain data.
    """
    return json.dumps(value, default=_plain, allow_nan=False)


def encoded_or_none(value: object) -> str | None:
    """Return JSON, or ``None`` for ``None``: NULL, where the column allows it."""
    return None if value is None else encoded(value)


def _plain(value: object) -> object:
    """Return a read-only mapping as a dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


def _decoded(text: str | None) -> Any:  # noqa: ANN401 - any JSON
    return None if text is None else json.loads(text)
