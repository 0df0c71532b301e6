"""Which job is next, and what it gets: the store's way from *queued* to *running*.

What waits stands in lines: each inbox has one of whole jobs, one of jobs whose parts have ended,
and one of parts. Of each line that may move, the first due job is looked for, and of these the
first that gets the resources it needs is claimed. So one that waits for something holds up no
other line, and a claim costs the same however many stand behind it.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from daemon.clock import Clock
from daemon.config.models import Budgets
from daemon.jobs.job import Job
from daemon.jobs.parts import Parts
from daemon.jobs.resources import Held, Resources, Rest

_LONGEST_WAIT_S = 3600.0

# Asked once a query, of the few that run. Asked of each part that waits, it would go through all
# the others: four seconds for 5,000.
_MAY_RUN = """(at_once = 0 OR parent NOT IN (SELECT parent FROM job
    WHERE state = 'running' AND at_once > 0 GROUP BY +parent HAVING count(*) >= max(at_once)))"""
"""The condition that not so many parts of a job run already as may run at once."""

_QUEUED = "job INDEXED BY queued_by_inbox WHERE state = 'queued' AND split = 0"
_WAITING = f"""{_QUEUED} AND inbox = json_extract(line.value, '$[0]')
    AND (parent IS NOT NULL) = json_extract(line.value, '$[1]')
    AND (round > 0) = json_extract(line.value, '$[2]')
    AND json_extract(line.value, '$[3]') IN (id, '')"""
"""The rows of a ``Line``."""

Places = Mapping[str, Collection[str]]
"""The machines that could run jobs of an inbox now, by inbox; of one that is not named, all."""
ANYWHERE: Places = {}


class Claim(NamedTuple):
    """A job that is running now, and the number of its attempt."""

    job: Job
    attempt: int
    held: Held
    """What it has of named resources."""


class Line(NamedTuple):
    """What waits of one inbox, and one kind."""

    inbox: str
    parts: int
    later: int
    """Of a later round than the first: all parts are, and jobs whose parts have ended."""
    only: str = ""
    """The one job that may move, of an inbox with one at work at a time; empty: any."""

    def needs(self, resources: Resources) -> Mapping[str, int]:
        """Return what each of its jobs needs: what gathers the work of parts needs nothing."""
        gathers = self.later and not self.parts
        return {} if gathers else resources.needs.get(self.inbox, {})


class Claims(Parts):
    """What the store does and tells of jobs that are due."""

    def __init__(self, connection: sqlite3.Connection, *, clock: Clock, budgets: Budgets) -> None:
        super().__init__(connection, clock=clock, budgets=budgets)
        self.resources = Resources()
        """Replaced when the configuration is read."""

    def _claim(
        self,
        db: sqlite3.Connection,
        inboxes: Collection[str] | None,
        alone: Collection[str],
        places: Places,
    ) -> Claim | None:
        now_ms = self._clock.wall_ms()
        rest = self._rest()
        for job_id, line in self._firsts(self._lines(inboxes, alone)):
            held = rest.take(line.needs(self.resources), places.get(line.inbox))
            if held is None:
                continue
            db.execute(
                """
                UPDATE job SET state = 'running', attempts = attempts + 1,
                               started_ms = coalesce(started_ms, ?)
                WHERE id = ?
                """,
                (now_ms, job_id),
            )
            job = self._select("WHERE id = ?", job_id)[0]
            db.execute(
                "INSERT INTO attempt (job, number, started_ms) VALUES (?, ?, ?)",
                (job.id, job.attempts, now_ms),
            )
            db.executemany(
                "INSERT INTO holding (resource, member, job) VALUES (?, ?, ?)",
                [(name, member, job.id) for name, members in held.items() for member in members],
            )
            return Claim(job, job.attempts, held)
        return None

    def next_due_ms(
        self,
        inboxes: Collection[str] | None = None,
        alone: Collection[str] = (),
        places: Places = ANYWHERE,
    ) -> int | None:
        """Return when the next queued job of these inboxes is due; ``None`` when there is none.

        For `alone` and `places` see ``claim``. Those that wait for a resource are not asked about:
        the end of another job wakes them.
        """
        lines = self._lines(inboxes, alone)
        short = self._short(lines, places)
        lines = [line for line in lines if line not in short]
        due_ms: int | None
        ((due_ms,),) = self._ask(
            f"""
            SELECT min((SELECT min(not_before_ms) FROM {_WAITING} AND {_MAY_RUN}))
            FROM json_each(?) AS line
            """,  # noqa: S608 - our own text
            (json.dumps(lines),),
        )
        return due_ms

    def short(
        self, inboxes: Collection[str] | None = None, alone: Collection[str] = ()
    ) -> dict[str, str]:
        """Return the inboxes whose next job waits for a resource, and what it lacks, in words.

        `inboxes` are those that may run otherwise, and for `alone` see ``claim``.
        """
        lines = self._lines(inboxes, alone) if self.resources.needs else []
        found = self._short(lines, ANYWHERE)
        return {line.inbox: lacking for line, lacking in found.items()}

    def _short(self, lines: Sequence[Line], places: Places) -> dict[Line, str]:
        if not self.resources.needs:
            return {}
        rest, found = self._rest(), dict[Line, str]()
        for _, line in self._firsts(lines):
            needs = line.needs(self.resources)
            if lacking := rest.lacking(needs, places.get(line.inbox)):
                found[line] = "; ".join(lacking)
            rest.take(needs, places.get(line.inbox))
        return found

    def holders(self) -> list[tuple[str, str, Job]]:
        """Return who holds what: resource, member and job."""
        rows = self._ask("SELECT resource, member, job FROM holding ORDER BY resource, member")
        return [(name, member, job) for name, member, key in rows if (job := self.get(key))]

    def _rest(self) -> Rest:
        held: dict[str, set[str]] = {}
        if self.resources.needs:
            for name, member in self._ask("SELECT resource, member FROM holding"):
                held.setdefault(name, set()).add(member)
        return Rest(self.resources, held)

    def _firsts(self, lines: Sequence[Line]) -> Iterator[tuple[str, Line]]:
        """Return the first due job of each line, in the order of the queue.

        What a bulk job has split into never counts as older than now, so that a rush job goes
        before all of it, however long that waits. One that gives way between its rounds does so to
        those that have not begun. A job is due also when it would wait longer than any wait: the
        clock was set back.
        """
        now_ms = self._clock.wall_ms()
        longest_ms = round(1000 * max(_LONGEST_WAIT_S, self.budgets.backoff_max_s))
        rows = self._ask(
            f"""
            SELECT job.id, inbox, job.parent IS NOT NULL, round > 0,
                   json_extract(line.value, '$[3]')
            FROM json_each(?) AS line JOIN job ON number = (
                SELECT number FROM {_WAITING}
                AND not_before_ms - ? NOT BETWEEN 1 AND ? AND {_MAY_RUN}
                ORDER BY order_key_ms, number LIMIT 1)
            ORDER BY max(order_key_ms, iif(round > 0 AND lane = 'bulk', ? + 1, 0)), number
            """,  # noqa: S608 - our own text
            (json.dumps(lines), now_ms, longest_ms, now_ms),
        )
        found = [(job_id, Line(*line)) for job_id, *line in rows]
        asked = {line.inbox for _, line in found if not line.later}
        return ((key, line) for key, line in found if not (line.only and line.inbox in asked))

    def _lines(self, inboxes: Collection[str] | None, alone: Collection[str]) -> list[Line]:
        """Return the lines that may move, of those of these inboxes that have any: few of many.

        Between its rounds a job is at work, too, unless it gives way, so those of an inbox of
        `alone` never mingle.
        """
        rows = self._ask(
            f"""
            WITH RECURSIVE found (inbox) AS (
                SELECT min(inbox) FROM {_QUEUED}
                UNION ALL
                SELECT (SELECT min(inbox) FROM {_QUEUED} AND inbox > found.inbox)
                FROM found WHERE found.inbox IS NOT NULL)
            SELECT inbox FROM found WHERE inbox IS NOT NULL
            """  # noqa: S608 - our own text
        )
        found: list[Line] = []
        for inbox in [inbox for (inbox,) in rows if inboxes is None or inbox in inboxes]:
            found.append(Line(inbox, parts=1, later=1))
            busy = self.at_work(inbox) if inbox in alone else None
            if busy is None:
                found.append(Line(inbox, parts=0, later=0))
            if inbox not in alone:
                found.append(Line(inbox, parts=0, later=1))
            elif job_id := busy.id if busy else self._gave_way(inbox):
                found.append(Line(inbox, parts=0, later=1, only=job_id))
        return found

    def _gave_way(self, inbox: str) -> str:
        """Return the job that began last of those that gave way to others; empty: none."""
        rows = self._ask(
            """SELECT id FROM job WHERE inbox = ? AND parent IS NULL AND round > 0
            AND finished_ms IS NULL ORDER BY started_ms DESC, number DESC LIMIT 1""",
            (inbox,),
        )
        return str(rows[0]["id"]) if rows else ""
