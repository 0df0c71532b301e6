"""What the queue can be asked. Nothing here changes a row.

Rule: a query that must be fast with a long history repeats the WHERE of its partial index
word for word; SQLite does not match ``state IN ('queued')`` to ``state = 'queued'``.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from daemon.config.lanes import Lane
from daemon.jobs.database import QueueDamaged, translate
from daemon.jobs.job import Attempt, Job, OutputFile, State
from daemon.jobs.row_mapping import attempt_of, job_of, output_of

_Value = TypeVar("_Value")


class Depth(NamedTuple):
    """How many jobs of one state and one lane are waiting or running."""

    state: State
    lane: Lane
    jobs: int
    oldest_ms: int
    """When the oldest of them was created."""


class Questions:
    """The reading half of the store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def get(self, job_id: str) -> Job | None:
        """Return a job by its id."""
        found = self._select("WHERE id = ?", job_id)
        return found[0] if found else None

    def label(self, job_id: str) -> str | None:
        """Return the name of a job's status; a whole row may name thousands of files."""
        rows = self._ask("SELECT label FROM job WHERE id = ?", (job_id,))
        return str(rows[0]["label"]) if rows else None

    def named(self, inbox: str, name: str) -> list[Job]:
        """Return the jobs of a drop's name, the newest first."""
        return self._select(
            "WHERE inbox = ? AND name = ? AND parent IS NULL ORDER BY number DESC",
            *(inbox, os.fsencode(name)),
        )

    def done_before(self, job: Job) -> Job | None:
        """Return the last result of a drop of the same name that was there before."""
        found = self._select(
            """
            WHERE inbox = ? AND name = ? AND parent IS NULL AND state = 'done'
              AND duplicate_of IS NULL AND published_ms IS NOT NULL
              AND number < (SELECT number FROM job WHERE id = ?)
            ORDER BY number DESC LIMIT 1
            """,
            *(job.inbox, os.fsencode(job.name), job.id),
        )
        return found[0] if found else None

    def latest(self, limit: int) -> list[Job]:
        """Return the jobs that were made last, the oldest of them first."""
        return self._select("WHERE parent IS NULL ORDER BY number DESC LIMIT ?", limit)[::-1]

    def jobs(self, state: State) -> list[Job]:
        """Return the jobs in a state; queued ones in the order in which they will be claimed.

        Of parts only those that run: what waits is their job.
        """
        match state:
            case State.QUEUED:
                return self._select(
                    "WHERE state = 'queued' AND parent IS NULL ORDER BY order_key_ms, number"
                )
            case State.RUNNING:
                return self._select("WHERE state = 'running' ORDER BY number")
            case _:
                return self._select("WHERE state = ? AND parent IS NULL ORDER BY number", state)

    def waiting(self, limit: int, behind: int = 0) -> list[Job]:
        """Return the first jobs that wait behind so many, in the order of their claims."""
        return self._select(
            "WHERE state = 'queued' AND parent IS NULL AND split = 0"
            " ORDER BY order_key_ms, number LIMIT ? OFFSET ?",
            *(limit, behind),
        )

    def split_jobs(self) -> list[Job]:
        """Return the jobs that wait for their parts, in the order in which they came."""
        return self._select(
            "WHERE state = 'queued' AND parent IS NULL AND split = 1 ORDER BY order_key_ms, number"
        )

    def parts(self, job: Job, limit: int = -1) -> list[Job]:
        """Return the parts of a job's last round, in the plan's order, or the first of them."""
        return self._select(
            "WHERE parent = ? AND round = ? ORDER BY part LIMIT ?", job.id, job.round, limit
        )

    def running_parts(self, job_id: str) -> list[Job]:
        """Return the parts of a job that run."""
        # The plus: few run, and an index of parents would lead through all parts.
        return self._select("WHERE state = 'running' AND +parent = ? ORDER BY number", job_id)

    def part_counts(self, job: Job) -> dict[State, tuple[int, float]]:
        """Return how many parts of the last round are in each state, and their weights' sum."""
        rows = self._ask(
            "SELECT state, count(*), sum(weight) FROM job WHERE parent = ? AND round = ?"
            " GROUP BY state",
            (job.id, job.round),
        )
        return {State(state): (count, weight) for state, count, weight in rows}

    def notable_parts(self, job: Job, limit: int) -> list[Job]:
        """Return the first parts of the last round that a person asks about.

        Those that failed, wait for another try, run, or were cancelled, in this order.
        """
        return self._select(
            """
            WHERE parent = ? AND round = ? AND (state IN ('failed', 'running', 'cancelled')
                OR state = 'queued' AND error IS NOT NULL)
            ORDER BY CASE state WHEN 'failed' THEN 0 WHEN 'queued' THEN 1 WHEN 'running' THEN 2
                ELSE 3 END, part LIMIT ?
            """,
            *(job.id, job.round, limit),
        )

    def plan_attempt(self, job_id: str) -> int | None:
        """Return the number of the attempt that split a job last."""
        number: int | None
        query = "SELECT max(number) FROM attempt WHERE job = ? AND outcome = 'split'"
        ((number,),) = self._ask(query, (job_id,))
        return number

    def attempts(self, job_id: str) -> list[Attempt]:
        """Return the attempts at a job, the first first."""
        query = "SELECT * FROM attempt WHERE job = ? ORDER BY number"
        return _understood(attempt_of, self._ask(query, (job_id,)))

    def outputs(self, job_id: str) -> list[OutputFile]:
        """Return the outputs of a job that is done, in the order its handler named them."""
        query = "SELECT * FROM output WHERE job = ? ORDER BY place"
        return _understood(output_of, self._ask(query, (job_id,)))

    def outputs_of_role(self, job_id: str, role: str) -> list[str]:
        """Return the paths of those outputs of a job that have a role."""
        query = "SELECT path FROM output WHERE job = ? AND role = ? ORDER BY place"
        return [path for (path,) in self._ask(query, (job_id, role))]

    def has_outputs_beside(self, job_id: str, role: str) -> bool:
        """Return whether a job has outputs of another role."""
        query = "SELECT 1 FROM output WHERE job = ? AND role <> ? LIMIT 1"
        return bool(self._ask(query, (job_id, role)))

    def twin(self, content_key: str) -> Job | None:
        """Return the newest published job with this content whose outputs are its own.

        Whether they still lie in the outbox is for the caller to see.
        """
        found = self._select(
            """
            WHERE content_key IS NOT NULL AND outputs > 0 AND published_ms IS NOT NULL
            AND content_key = ? ORDER BY number DESC LIMIT 1
            """,
            content_key,
        )
        return found[0] if found else None

    def knows_content(self, prefix: str) -> bool:
        """Return whether a published job's content key begins with ``prefix``, as ``123:``."""
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        found = self._ask(
            """
            SELECT 1 FROM job
            WHERE content_key IS NOT NULL AND outputs > 0 AND published_ms IS NOT NULL
            AND content_key >= ? AND content_key < ? LIMIT 1
            """,
            (prefix, after),
        )
        return bool(found)

    def at_work(self, inbox: str) -> Job | None:
        """Return a job of an inbox that has begun and is not published, its parts included.

        One that gives way to others between its rounds is not at work there.
        """
        found = self._select(f"WHERE +inbox = ? AND id IN ({AT_WORK}) LIMIT 1", inbox)
        return found[0] if found else None

    def last_scan_ms(self, inbox: str) -> int | None:
        """Return when the daemon itself last dropped a scan into an inbox."""
        found = self._ask("SELECT last_ms FROM timer WHERE inbox = ?", (inbox,))
        return found[0]["last_ms"] if found else None

    def has_open(self, inbox: str, suffix: str) -> bool:
        """Return whether a job of an inbox whose drop's name ends so waits or is at work."""
        found = self._ask(
            """
            SELECT 1 FROM job WHERE +inbox = :inbox AND substr(name, -length(:end)) = :end
                AND id IN (SELECT id FROM job WHERE state = 'queued' AND parent IS NULL
                UNION ALL SELECT id FROM job WHERE state = 'running' AND parent IS NULL) LIMIT 1
            """,
            {"inbox": inbox, "end": suffix.encode()},
        )
        return bool(found)

    def depths(self) -> list[Depth]:
        """Return how many jobs wait and run in each lane."""
        rows = self._ask(
            """
            SELECT state, lane, count(*), min(created_ms) FROM job
            WHERE state = 'queued' AND parent IS NULL AND split = 0 GROUP BY lane
            UNION ALL
            SELECT state, lane, count(*), min(created_ms) FROM job
            WHERE state = 'running' GROUP BY lane
            """
        )
        return [Depth(State(state), lane, jobs, oldest) for state, lane, jobs, oldest in rows]

    def totals(self) -> dict[tuple[str, State], int]:
        """Return how many jobs ever ended, by inbox and state."""
        rows = self._ask("SELECT inbox, state, jobs FROM total ORDER BY inbox, state")
        return {(inbox, State(state)): jobs for inbox, state, jobs in rows}

    def _select(self, where: str, *values: object) -> list[Job]:
        rows = self._ask(f"SELECT * FROM job {where}", values)  # noqa: S608 - our own text
        return _understood(job_of, rows)

    def _ask(
        self, query: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> list[sqlite3.Row]:
        """Return all rows; ``Unavailable`` when the disk does not give them."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            translate(error)


def _understood(of: Callable[[sqlite3.Row], _Value], rows: list[sqlite3.Row]) -> list[_Value]:
    """Return what rows tell of; one that tells nothing is damage, for we wrote none such."""
    try:
        return [of(row) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise QueueDamaged(f"a row cannot be understood: {error}") from error


AT_WORK = """SELECT id FROM job WHERE state = 'running' AND parent IS NULL
    UNION ALL SELECT id FROM job WHERE finished_ms IS NOT NULL AND published_ms IS NULL
    UNION ALL SELECT id FROM job WHERE parent IS NULL AND round > 0 AND finished_ms IS NULL
        AND (split OR state = 'running' OR NOT coalesce(json_extract(result, '$.gives_way'), 0))"""
"""Jobs that have begun and are not over: they run, are to be published, or have split."""
