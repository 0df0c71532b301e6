"""Results that go on into another inbox: what was planned, and what is still to be done.

Rule: a job goes on once, as one other job, whose id is chosen before anything is copied.
"""

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.jobs.claims import Claims
from daemon.jobs.row_mapping import encoded


@dataclass(frozen=True)
class Forward:
    """A result, and where it goes."""

    job: str
    inbox: str
    as_job: str
    """The id of the job that it becomes."""
    name: str
    """Of the drop that it becomes: a file, or a folder of files."""
    files: Sequence[str]
    """Of the result, by their paths in it."""
    folder: bool
    settings: Mapping[str, Any]


class Forwards(Claims):
    """What the store tells of results that go on."""

    def due_forwards(self, limit: int) -> list[Forward]:
        """Return results that lie in the outbox and have not gone on, the oldest first."""
        rows = self._ask(
            """
            SELECT forward.* FROM forward JOIN job ON job.id = forward.job
            WHERE done = 0 AND job.published_ms IS NOT NULL ORDER BY forward.number LIMIT ?
            """,
            (limit,),
        )
        return [_forward_of(row) for row in rows]

    def forwarded(self, job_id: str) -> dict[str, Mapping[str, str] | None]:
        """Return what a status says of where a job's result goes, and where its drop came from."""
        to = self._ask("SELECT inbox, name, as_job AS job FROM forward WHERE job = ?", (job_id,))
        back = self._ask(
            """
            SELECT job.inbox, job.label, job.id AS job
            FROM forward JOIN job ON job.id = forward.job WHERE as_job = ?
            """,
            (job_id,),
        )
        names = [{**dict(row), "name": os.fsdecode(row["name"])} for row in to]
        return {
            "forwarded_to": names[0] if names else None,
            "forwarded_from": dict(back[0]) if back else None,
        }

    def knows(self, job_id: str) -> bool:
        """Return whether an id is a job's, or kept for one."""
        query = "SELECT 1 FROM job WHERE id = ? UNION ALL SELECT 1 FROM forward WHERE as_job = ?"
        return bool(self._ask(query, (job_id, job_id)))

    def is_kept_for_another(self, job_id: str, inbox: str, name: str) -> bool:
        """Return whether an id is kept for another drop than this one."""
        found = self._ask("SELECT inbox, name FROM forward WHERE as_job = ?", (job_id,))
        return any((row["inbox"], row["name"]) != (inbox, os.fsencode(name)) for row in found)

    def _plan_forward(self, db: sqlite3.Connection, plan: Forward) -> None:
        db.execute(
            """
            INSERT INTO forward (job, inbox, as_job, name, files, settings)
            VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (job) DO NOTHING
            """,
            (
                *(plan.job, plan.inbox, plan.as_job, os.fsencode(plan.name)),
                *(encoded({"paths": plan.files, "folder": plan.folder}), encoded(plan.settings)),
            ),
        )


def _forward_of(row: sqlite3.Row) -> Forward:
    files = json.loads(row["files"])
    return Forward(
        job=row["job"],
        inbox=row["inbox"],
        as_job=row["as_job"],
        name=os.fsdecode(row["name"]),
        files=files["paths"],
        folder=files["folder"],
        settings=json.loads(row["settings"]),
    )
