"""The queue on disk: one row per job, one row per attempt, and all that happens to them.

Theory of operation
-------------------
The daemon's loop owns the one ``Store``. Each method that changes something is one
transaction; when it returns, its effect survives a power cut, and when it raises, nothing
has happened. What may follow what is ``job.after``'s business; what must never be, the row's
CHECKs refuse.

* ``claim`` commits the attempt's number *before* a worker is told. The number only rises,
  and ``finish`` accepts a report of the current attempt only: a late report of a dead one
  changes nothing.
* A final row is *unpublished* until its result and its drop lie where they belong;
  ``unpublished`` lists what start-up has to repeat.
* History is pruned; ``totals`` are counted as jobs end, and stay.

Rules
-----
Rule 1: one method, one transaction.

Rule 2: a query that must be fast with a long history repeats the WHERE of its partial index
word for word; SQLite does not match ``state IN ('queued')`` to ``state = 'queued'``.

Failures
--------
``Unavailable``: disk full and its kin, see ``database``; the caller waits and calls again.
"""

import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from daemon.clock import Clock, rfc3339
from daemon.config.models import Budgets, Retention
from daemon.errors import Fault
from daemon.jobs.database import MIGRATIONS, Database, is_damage, move_aside, refuse_old_sqlite
from daemon.jobs.job import FINAL, Ending, Job, NewJob, Next, Outcome, State, after
from daemon.jobs.queries import Questions, marks
from daemon.jobs.row_mapping import columns_of, columns_of_output, encoded, encoded_or_none

_PRUNED_AT_ONCE = 500
"""Rows that one call of ``prune`` deletes at most: the loop must not stand still."""

_LONGEST_WAIT_S = 3600.0

_INSERT = """
    INSERT INTO job (id, inbox, name, label, handler, lane, first_seen_ms, created_ms,
                     order_key_ms, options, inputs, warnings, audio_s)
    VALUES (:id, :inbox, :name, :label, :handler, :lane, :first_seen_ms, :created_ms,
            :order_key_ms, :options, :inputs, :warnings, :audio_s)
    ON CONFLICT (id) DO NOTHING
    """


class Claim(NamedTuple):
    """A job that is running now, and the number of its attempt."""

    job: Job
    attempt: int


class Store(Questions):
    """All that is known about jobs, and all that happens to them."""

    def __init__(self, database: Database, *, clock: Clock, budgets: Budgets) -> None:
        super().__init__(database.connection)
        self._database, self._clock = database, clock
        self.budgets = budgets
        """Replaced when the configuration is read again."""
        self.moved_aside: Path | None = None
        """Where a damaged predecessor lies; its jobs must be adopted from the folders."""

    def close(self, *, clean: bool = True) -> None:
        """Close the queue; a clean stop saves the next start a check."""
        self._database.close(clean=clean)

    def note_start(self) -> int:
        """Count a start of the daemon; return how many came before it."""
        with self._database.transaction() as db:
            db.execute("UPDATE control SET starts = starts + 1")
            (starts,) = db.execute("SELECT starts FROM control").fetchone()
            return int(starts) - 1

    # -- a job begins

    def adopt(
        self, new: NewJob, *, refusal: Mapping[str, Any] | None = None, cancelled: bool = False
    ) -> bool:
        """Record a drop that lies in ``work/`` unless it has a row; return whether it had none.

        One that is refused or cancelled ends in the same instant: no crash makes it a job.
        """
        with self._database.transaction() as db:
            insert = db.execute(_INSERT, columns_of(new))
            if insert.rowcount != 1:
                return False
            if cancelled:
                self._end_queued(db, new.id, State.CANCELLED, Ending(Outcome.CANCELLED))
            elif refusal is not None:
                self._end_queued(db, new.id, State.FAILED, Ending(Outcome.BAD_INPUT, refusal))
            return True

    def note_content(self, job_id: str, key: str) -> None:
        """Remember the hash of a job's content, settings and engine version."""
        with self._database.transaction() as db:
            db.execute("UPDATE job SET content_key = ? WHERE id = ?", (key, job_id))

    def postpone(self, job_id: str, not_before_ms: int) -> None:
        """Make a queued job due at another time; 0: now."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE job SET not_before_ms = ? WHERE id = ? AND state = 'queued'",
                (not_before_ms, job_id),
            )

    # -- attempts

    def claim(self, paused: Collection[str] = ()) -> Claim | None:
        """Begin an attempt at the first due job whose inbox is not `paused`.

        A job is due also when it would wait longer than any wait: the clock was set back.
        """
        now_ms = self._clock.wall_ms()
        longest_ms = round(1000 * max(_LONGEST_WAIT_S, self.budgets.backoff_max_s))
        with self._database.transaction() as db:
            found = db.execute(
                f"""
                SELECT id FROM job
                WHERE state = 'queued' AND not_before_ms - ? NOT BETWEEN 1 AND ?
                  AND inbox NOT IN ({marks(paused)})
                ORDER BY order_key_ms, number LIMIT 1
                """,  # noqa: S608 - question marks
                (now_ms, longest_ms, *paused),
            ).fetchone()
            if found is None:
                return None
            db.execute(
                """
                UPDATE job SET state = 'running', attempts = attempts + 1,
                               started_ms = coalesce(started_ms, ?)
                WHERE id = ?
                """,
                (now_ms, found["id"]),
            )
            job = self._select("WHERE id = ?", found["id"])[0]
            db.execute(
                "INSERT INTO attempt (job, number, started_ms) VALUES (?, ?, ?)",
                (job.id, job.attempts, now_ms),
            )
            return Claim(job, job.attempts)

    def finish(self, job_id: str, attempt: int, ending: Ending) -> Next | None:
        """Record how an attempt ended; return what follows, or ``None`` for a late report.

        With ``Outcome.DONE`` the outputs are recorded in the same instant.

        Raises
        ------
        sqlite3.IntegrityError
            A failure without an error, or one output twice: a bug of the caller.
        """
        with self._database.transaction() as db:
            now = self.get(job_id)
            if now is None or now.state is not State.RUNNING or now.attempts != attempt:
                return None
            return self._finish(db, now, ending)

    def interrupt_running(self) -> list[Job]:
        """End every running attempt as interrupted: at start-up nobody works on them.

        Returns the jobs as they are now: queued, or failed when their patience is spent.
        """
        error = Fault("INTERRUPTED", "The daemon stopped during the attempt.").document()
        with self._database.transaction() as db:
            running = self.jobs(State.RUNNING)
            for job in running:
                self._finish(db, job, Ending(Outcome.INTERRUPTED, error))
            return [now for job in running if (now := self.get(job.id))]

    def cancel(self, job_id: str) -> bool:
        """Cancel a queued job; return ``False`` when it is not queued.

        A running one is killed first, and finished with ``Outcome.CANCELLED``.
        """
        with self._database.transaction() as db:
            return self._end_queued(db, job_id, State.CANCELLED, Ending(Outcome.CANCELLED))

    def finish_as_duplicate(self, job_id: str, original: str) -> bool:
        """Let a queued job share the result of `original`; return ``False`` if it is not queued."""
        with self._database.transaction() as db:
            return self._end_queued(db, job_id, State.DONE, Ending(Outcome.DONE), original)

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
        db.execute(
            """
            UPDATE attempt SET ended_ms = ?, outcome = ?, error = ?,
                               exit_code = ?, signal = ?, max_rss_mb = ?
            WHERE job = ? AND number = ?
            """,
            (
                *(now_ms, ending.outcome, encoded_or_none(ending.error)),
                *(ending.exit_code, ending.signal, ending.max_rss_mb),
                *(job.id, job.attempts),
            ),
        )
        self._move(db, job, following, ending)
        return following

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
                outputs = :outputs, duplicate_of = :duplicate_of
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
        if final:
            db.execute(
                "INSERT INTO total VALUES (?, ?, 1)"
                " ON CONFLICT (inbox, state) DO UPDATE SET jobs = jobs + 1",
                (job.inbox, following.state),
            )

    # -- a job ends

    def unpublished(self) -> list[Job]:
        """Return final jobs whose result or drop is not yet where it belongs, oldest first."""
        return self._select(
            "WHERE finished_ms IS NOT NULL AND published_ms IS NULL ORDER BY number"
        )

    def relabel(self, job_id: str, label: str) -> None:
        """Give a job another label: the one it had is taken in the outbox."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE job SET label = ? WHERE id = ? AND published_ms IS NULL", (label, job_id)
            )

    def mark_published(self, job_id: str, *, drop_at: str) -> None:
        """Record that all is in its place; `drop_at` says where the drop is, empty for gone."""
        with self._database.transaction() as db:
            db.execute(
                """
                UPDATE job SET published_ms = ?, drop_at = ?
                WHERE id = ? AND finished_ms IS NOT NULL AND published_ms IS NULL
                """,
                (self._clock.wall_ms(), drop_at, job_id),
            )

    def prune(self, retention: Retention) -> int:
        """Forget published jobs that are too old or too many; return how many.

        A call forgets a few hundred at most; totals stay.
        """
        before_ms = self._clock.wall_ms() - retention.history_days * 86_400_000
        with self._database.transaction() as db:
            (kept,) = db.execute(
                "SELECT count(*) FROM job WHERE published_ms IS NOT NULL"
            ).fetchone()
            deleted = db.execute(
                """
                DELETE FROM job WHERE number IN (
                    SELECT number FROM (
                        SELECT number, published_ms,
                               row_number() OVER (ORDER BY published_ms) AS place
                        FROM job WHERE published_ms IS NOT NULL
                        ORDER BY published_ms LIMIT :at_once
                    ) WHERE published_ms < :before_ms OR place <= :too_many
                )
                """,
                {
                    "at_once": _PRUNED_AT_ONCE,
                    "before_ms": before_ms,
                    "too_many": kept - retention.history_jobs,
                },
            )
            return deleted.rowcount


def open_store(
    path: Path, clock: Clock, budgets: Budgets | None = None, *, migrations: Path = MIGRATIONS
) -> Store:
    """Open the queue at `path`, made when absent.

    A damaged file is moved aside, see ``moved_aside``, and an empty queue takes its place.

    Raises
    ------
    BadConfig, Unavailable
        See ``database``.
    """
    refuse_old_sqlite()
    moved_aside = None
    try:
        database = Database(path, migrations)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        moved_aside = move_aside(path, rfc3339(clock.wall_ms()).replace(":", ""))
        database = Database(path, migrations)
    store = Store(database, clock=clock, budgets=budgets or Budgets())
    store.moved_aside = moved_aside
    return store
