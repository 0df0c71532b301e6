"""How a row moves from state to state: the statements inside the store's transactions."""

import sqlite3

from daemon.clock import Clock
from daemon.config.models import Budgets
from daemon.jobs.job import FINAL, Ending, Job, Next, State, after
from daemon.jobs.queries import Questions
from daemon.jobs.row_mapping import columns_of_output, encoded, encoded_or_none


class Transitions(Questions):
    """What ``Store`` does to a row within a transaction of its own."""

    def __init__(self, connection: sqlite3.Connection, *, clock: Clock, budgets: Budgets) -> None:
        super().__init__(connection)
        self._clock = clock
        self.budgets = budgets
        """Replaced when the configuration is read again."""

    def _end_queued(
        self,
        db: sqlite3.Connection,
        job_id: str,
        state: State,
        ending: Ending,
        duplicate_of: str | None = None,
    ) -> bool:
        now = self.get(job_id)
        if now is None or now.state is not State.QUEUED:
            return False
        following = Next(state, now.tally, now.not_before_ms)
        self._move(db, now, following, ending, duplicate_of)
        return True

    def _finish(self, db: sqlite3.Connection, job: Job, ending: Ending) -> Next:
        now_ms, chance = self._clock.wall_ms(), self._clock.chance()
        following = after(job.tally, ending.outcome, self.budgets, now_ms=now_ms, chance=chance)
        self._close_attempt(db, job, ending)
        self._move(db, job, following, ending)
        return following

    def _close_attempt(self, db: sqlite3.Connection, job: Job, ending: Ending) -> None:
        db.execute("DELETE FROM holding WHERE job = ?", (job.id,))
        db.execute(
            """
            UPDATE attempt SET ended_ms = ?, outcome = ?, error = ?,
                               exit_code = ?, signal = ?, max_rss_mb = ?, node = ?
            WHERE job = ? AND number = ?
            """,
            (
                *(self._clock.wall_ms(), ending.outcome, encoded_or_none(ending.error)),
                *(ending.exit_code, ending.signal, ending.max_rss_mb, ending.node),
                *(job.id, job.attempts),
            ),
        )

    def _move(
        self,
        db: sqlite3.Connection,
        job: Job,
        following: Next,
        ending: Ending,
        duplicate_of: str | None = None,
    ) -> None:
        """Bring the row into the state that follows, with all that belongs to it."""
        final = following.state in FINAL
        db.execute(
            """
            UPDATE job SET state = :state, not_before_ms = :not_before_ms,
                failures = :failures, crashes = :crashes, interruptions = :interruptions,
                finished_ms = :finished_ms, error = :error, result = :result,
                outputs = :outputs, duplicate_of = :duplicate_of, split = 0
            WHERE id = :id
            """,
            {
                "id": job.id,
                "state": following.state,
                "not_before_ms": following.not_before_ms,
                **following.tally._asdict(),
                "finished_ms": self._clock.wall_ms() if final else None,
                "error": encoded_or_none(ending.error),
                "result": encoded(ending.result),
                "outputs": len(ending.outputs),
                "duplicate_of": duplicate_of,
            },
        )
        db.executemany(
            "INSERT INTO output VALUES (?, ?, ?, ?, ?, ?, ?)",
            [columns_of_output(job.id, *placed) for placed in enumerate(ending.outputs)],
        )
        if final and job.parent is not None:
            db.execute(
                "UPDATE job SET published_ms = finished_ms, drop_at = '' WHERE id = ?", (job.id,)
            )
        elif final:
            db.execute(
                "INSERT INTO total VALUES (?, ?, 1)"
                " ON CONFLICT (inbox, state) DO UPDATE SET jobs = jobs + 1",
                (job.inbox, following.state),
            )
