"""A job that makes work and waits for it: the rows of its parts.

Theory of operation
-------------------
The plan's end, its parts and the job's wait are one transaction; so are the end of the last part
and the job's waking. Whether a part was the last one is asked of the rows, never counted: a count
that is raised twice after a crash wakes a job too early.

The order key of part k is the moment of the split, the lane's allowance and k minutes: a batch
counts as one drop a minute. With the job's own key, 500 parts of a minute would keep a mix in the
lane *rush* waiting for hours.

How often a job may split has no number: a library of a million files takes hundreds of rounds, and
a job that splits again because its parts were done comes nearer to its end. What goes round for
nothing is refused, from the ``FREE_ROUNDS``-th round on. Each round has the budgets of failures
and crashes anew, as each part has its own: in a job of two days a server may well fail thrice.

Rules
-----
1. A part owns no drop, splits no further, and is published as it ends.
2. A part of a job that is being stopped ends as cancelled, whatever it says: a retry would outlive
   the cancellation.
3. A job that ends while parts are open takes them along.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

from daemon.errors import Fault
from daemon.handlers.contract import FREE_ROUNDS
from daemon.jobs.job import FINAL, Ending, Job, Next, Outcome, Plan, State, order_key_ms
from daemon.jobs.row_mapping import columns_of, encoded, encoded_or_none
from daemon.jobs.transitions import Transitions

_SPACING_MS = 60_000


class Parts(Transitions):
    """What happens to the parts of a job within a transaction of the store's."""

    def _finish(self, db: sqlite3.Connection, job: Job, ending: Ending) -> Next:
        if ending.plan is not None:
            if problem := self._problem(job):
                fault = Fault("SPLIT_REFUSED", problem, kind="handler")
                return super()._finish(db, job, Ending(Outcome.FAILED, fault.document()))
            return self._split(db, job, ending, ending.plan)
        if job.parent is None:
            return super()._finish(db, job, ending)
        parent = self._parent(job)
        following = super()._finish(
            db, job, Ending(Outcome.CANCELLED) if parent.stopping else ending
        )
        if following.state in FINAL:
            self._end_part(db, parent, following.state, ending)
        return following

    def _move(
        self,
        db: sqlite3.Connection,
        job: Job,
        following: Next,
        ending: Ending,
        duplicate_of: str | None = None,
    ) -> None:
        if job.split and following.state in FINAL:
            self._end_open_parts(db, job)
        super()._move(db, job, following, ending, duplicate_of)

    def _stop(self, db: sqlite3.Connection, job: Job, state: State, ending: Ending) -> None:
        """End a split job: now, or when the parts of it that run have ended."""
        db.execute(
            "UPDATE job SET stopping = ?, error = ? WHERE id = ?",
            (state, encoded_or_none(ending.error), job.id),
        )
        self._cancel_waiting(db, job)
        if not self._has_open_parts(job.id):
            self._move(db, job, Next(state, job.tally, job.not_before_ms), ending)

    def _problem(self, job: Job) -> str:
        """Return why a job may not be split so."""
        if job.parent is not None:
            return "a part cannot be split further"
        if job.round >= FREE_ROUNDS and State.DONE not in self.part_counts(job):
            return f"no part of round {job.round} was done, and a job splits again only then"
        return ""

    def _split(self, db: sqlite3.Connection, job: Job, ending: Ending, plan: Plan) -> Next:
        self._close_attempt(db, job, ending)
        views = [view.path for view in ending.outputs]
        said = {
            "stage": plan.stage,
            "share": plan.share,
            "views": views,
            "gives_way": plan.gives_way,
        }
        db.execute(
            """
            UPDATE job SET state = 'queued', split = 1, round = round + 1, not_before_ms = 0,
                           stop_at_failure = ?, result = ?, error = NULL, failures = 0,
                           crashes = 0
            WHERE id = ?
            """,
            (int(plan.stop_at_failure), encoded(said), job.id),
        )
        rows = list(self._rows(job, plan))
        names, marks = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
        db.executemany(f"INSERT INTO job ({names}) VALUES ({marks})", rows)  # noqa: S608 - our own names
        return Next(State.QUEUED, job.tally, 0)

    def _rows(self, job: Job, plan: Plan) -> Iterator[dict[str, Any]]:
        now_ms, number = self._clock.wall_ms(), job.round + 1
        common = columns_of(job) | {
            "created_ms": now_ms,
            "first_seen_ms": None,
            "inputs": "[]",
            "warnings": "[]",
            "sha256": "{}",
            "parent": job.id,
            "round": number,
            "at_once": plan.at_once,
        }
        first_ms = order_key_ms(now_ms, job.lane)
        for place, part in enumerate(plan.parts):
            yield common | {
                "id": f"{job.id}.{number}.{place}",
                "part": place,
                "label": part.name,
                "options": encoded(part.options),
                "reads": encoded(part.reads),
                "audio_s": part.audio_s,
                "weight": part.weight,
                "order_key_ms": first_ms + place * _SPACING_MS,
            }

    def _end_part(self, db: sqlite3.Connection, parent: Job, state: State, ending: Ending) -> None:
        """Do to the job what the end of one of its parts means."""
        if state is State.FAILED and parent.stop_at_failure and parent.stopping is None:
            self._stop(db, parent, State.FAILED, Ending(Outcome.FAILED, ending.error))
        elif self._has_open_parts(parent.id):
            return
        elif parent.stopping is not None:
            outcome = Outcome(parent.stopping)
            fate = Next(parent.stopping, parent.tally, parent.not_before_ms)
            self._move(db, parent, fate, Ending(outcome, parent.error))
        else:
            db.execute("UPDATE job SET split = 0, not_before_ms = 0 WHERE id = ?", (parent.id,))

    def _end_open_parts(self, db: sqlite3.Connection, job: Job) -> None:
        for part in self.running_parts(job.id):
            cancelled = Ending(Outcome.CANCELLED)
            self._close_attempt(db, part, cancelled)
            self._move(db, part, Next(State.CANCELLED, part.tally, 0), cancelled)
        self._cancel_waiting(db, job)

    def _cancel_waiting(self, db: sqlite3.Connection, job: Job) -> None:
        now_ms = self._clock.wall_ms()
        db.execute(
            """
            UPDATE job SET state = 'cancelled', finished_ms = ?, published_ms = ?, drop_at = ''
            WHERE parent = ? AND parent IS NOT NULL AND finished_ms IS NULL AND state = 'queued'
            """,
            (now_ms, now_ms, job.id),
        )

    def _has_open_parts(self, job_id: str) -> bool:
        query = "SELECT 1 FROM job WHERE parent = ? AND parent IS NOT NULL AND finished_ms IS NULL"
        return bool(self._ask(f"{query} LIMIT 1", (job_id,)))

    def _parent(self, part: Job) -> Job:
        found = self.get(part.root)
        assert found is not None, "a part's row goes with its job's"  # noqa: S101 - a foreign key
        return found
