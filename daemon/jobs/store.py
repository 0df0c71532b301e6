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
Rule 1: one method, one transaction; within ``together`` several methods are one, and when one
of them raises nothing of any has happened.

Rule 2: a query that must be fast with a long history repeats the WHERE of its partial index
word for word; SQLite does not match ``state IN ('queued')`` to ``state = 'queued'``.

Failures
--------
``Unavailable``: disk full and its kin, see ``database``; the caller waits and calls again.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon.clock import Clock, rfc3339
from daemon.config.models import Budgets, Retention
from daemon.errors import Fault
from daemon.jobs.claims import ANYWHERE, Claim, Places
from daemon.jobs.database import MIGRATIONS, Database, QueueDamaged, move_aside, refuse_old_sqlite
from daemon.jobs.forwards import Forward, Forwards
from daemon.jobs.job import Ending, Job, NewJob, Next, Outcome, State
from daemon.jobs.row_mapping import columns_of

_PRUNED_AT_ONCE = 500
"""Rows that one call of ``prune`` deletes at most: the loop must not stand still."""

_INTERRUPTED = Fault("INTERRUPTED", "The daemon stopped during the attempt.").document()
_DAEMON_DIED = Fault(
    "DAEMON_DIED", "The daemon's process died while it was handling this job."
).document()


class Store(Forwards):
    """All that is known about jobs, and all that happens to them."""

    def __init__(self, database: Database, *, clock: Clock, budgets: Budgets) -> None:
        super().__init__(database.connection, clock=clock, budgets=budgets)
        self._database = database
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

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let all that changes meanwhile be one commit."""
        with self._database.transaction():
            yield

    # -- a job begins

    def adopt(
        self, new: NewJob, *, refusal: Mapping[str, Any] | None = None, cancelled: bool = False
    ) -> bool:
        """Record a drop that lies in ``work/`` unless it has a row; return whether it had none.

        One that is refused or cancelled ends in the same instant: no crash makes it a job.
        """
        columns = columns_of(new)
        names, marks = ", ".join(columns), ", ".join(f":{name}" for name in columns)
        with self._database.transaction() as db:
            insert = db.execute(
                f"INSERT INTO job ({names}) VALUES ({marks}) ON CONFLICT (id) DO NOTHING",  # noqa: S608 - our own names
                columns,
            )
            if insert.rowcount != 1:
                return False
            if cancelled:
                self._end_queued(db, new.id, State.CANCELLED, Ending(Outcome.CANCELLED))
            elif refusal is not None:
                self._end_queued(db, new.id, State.FAILED, Ending(Outcome.BAD_INPUT, refusal))
            return True

    def note_scan(self, inbox: str, wall_ms: int) -> None:
        """Remember when the daemon itself dropped a scan into an inbox."""
        with self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO timer VALUES (?, ?)", (inbox, wall_ms))

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

    def claim(
        self,
        inboxes: Collection[str] | None = None,
        alone: Collection[str] = (),
        places: Places = ANYWHERE,
    ) -> Claim | None:
        """Begin an attempt at the first due job of these inboxes that can have what it needs.

        Of those that are named in `alone` no two jobs are at work at a time, but their parts.
        It gets what it needs of named resources in the same instant, and has it until its attempt
        ends; one that cannot get it keeps nobody of another inbox waiting. Members of resources
        are those of one of the machines that `places` names for its inbox.
        """
        with self._database.transaction() as db:
            return self._claim(db, inboxes, alone, places)

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

    def interrupt_running(self, culprit: str = "") -> list[Job]:
        """End every running attempt, for at start-up no worker has one; return the jobs as now.

        `culprit` is the job that the last daemon died of. It pays, running or not; the others
        are interrupted at no cost.
        """
        with self._database.transaction() as db:
            running = self.jobs(State.RUNNING)
            for job in running:
                died_of_it = job.id == culprit
                outcome = Outcome.DAEMON_DIED if died_of_it else Outcome.INTERRUPTED
                error = _DAEMON_DIED if died_of_it else _INTERRUPTED
                self._finish(db, job, Ending(outcome, error))
            suspect = self.get(culprit)
            if suspect is not None and culprit not in {job.id for job in running}:
                db.execute(
                    "UPDATE job SET interruptions = interruptions + 1 WHERE id = ?", (culprit,)
                )
                spent = suspect.tally.interruptions + 1 >= self.budgets.interruptions
                if spent and suspect.state is State.QUEUED:
                    ending = Ending(Outcome.DAEMON_DIED, _DAEMON_DIED)
                    self._end_queued(db, culprit, State.FAILED, ending)
            return [now for job in running if (now := self.get(job.id))]

    def fail(self, job_id: str, error: Mapping[str, Any]) -> bool:
        """Fail a job in whichever state it is, unless it is published; return whether it was.

        For what cannot be handled: its outcome, if it had one, counts no more.
        """
        with self._database.transaction() as db:
            now = self.get(job_id)
            if now is None or now.published_ms is not None:
                return False
            db.execute("DELETE FROM output WHERE job = ?", (job_id,))
            if now.finished_ms is not None:
                db.execute(
                    "UPDATE total SET jobs = jobs - 1 WHERE inbox = ? AND state = ?",
                    (now.inbox, now.state),
                )
            ending = Ending(Outcome.FAILED, error)
            if now.state is State.RUNNING:
                self._close_attempt(db, now, ending)
            self._move(db, now, Next(State.FAILED, now.tally, now.not_before_ms), ending)
            return True

    def restore(self, job_id: str, state: State, ending: Ending) -> None:
        """Give a job the end that its status tells of: the row is older than what it led to."""
        with self._database.transaction() as db:
            if now := self.get(job_id):
                if now.state is State.RUNNING:
                    self._close_attempt(db, now, ending)
                self._move(db, now, Next(state, now.tally, now.not_before_ms), ending)

    def forget_parts(self, part: Job, most: int) -> list[str]:
        """Forget a few parts of rounds before that of a part of the same job; return their ids.

        What they made has been gathered. A job of a thousand rounds so keeps the rows of two at
        the most, and no call takes long: 5,000 at once would be a quarter of a second.
        """
        with self._database.transaction() as db:
            rows = db.execute(
                """
                DELETE FROM job WHERE number IN (
                    SELECT number FROM job WHERE parent = ? AND parent IS NOT NULL AND round < ?
                    LIMIT ?)
                RETURNING id
                """,
                (part.parent, part.round, most),
            )
            return [job_id for (job_id,) in rows]

    def cancel(self, job_id: str) -> bool:
        """Cancel a queued job; return ``False`` when it is not queued.

        A running one is killed first, and finished with ``Outcome.CANCELLED``; so are the parts of
        a split one that run, and with the last of them it ends.
        """
        with self._database.transaction() as db:
            now = self.get(job_id)
            if now is not None and now.split:
                self._stop(db, now, State.CANCELLED, Ending(Outcome.CANCELLED))
                return True
            return self._end_queued(db, job_id, State.CANCELLED, Ending(Outcome.CANCELLED))

    def finish_as_duplicate(self, job_id: str, original: str) -> bool:
        """Let a queued job share the result of `original`; return ``False`` if it is not queued."""
        with self._database.transaction() as db:
            return self._end_queued(db, job_id, State.DONE, Ending(Outcome.DONE), original)

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

    def plan_forward(self, plan: Forward) -> None:
        """Write down where a result goes, unless that is known."""
        with self._database.transaction() as db:
            self._plan_forward(db, plan)

    def end_forward(self, job_id: str) -> None:
        """Record that a result has gone on, or never will."""
        with self._database.transaction() as db:
            db.execute("UPDATE forward SET done = 1 WHERE job = ?", (job_id,))

    def prune(self, retention: Retention) -> int:
        """Forget published jobs that are too old or too many; return how many.

        A call forgets a few hundred at most; totals stay, and parts go with their job. One whose
        result is still to go on into another inbox stays.
        """
        before_ms = self._clock.wall_ms() - retention.history_days * 86_400_000
        with self._database.transaction() as db:
            (kept,) = db.execute(
                "SELECT count(*) FROM job WHERE published_ms IS NOT NULL AND parent IS NULL"
            ).fetchone()
            deleted = db.execute(
                """
                DELETE FROM job WHERE number IN (
                    SELECT number FROM (
                        SELECT number, published_ms,
                               row_number() OVER (ORDER BY published_ms) AS place
                        FROM job WHERE published_ms IS NOT NULL AND parent IS NULL
                        AND id NOT IN (SELECT job FROM forward WHERE done = 0)
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
    except QueueDamaged:
        moved_aside = move_aside(path, rfc3339(clock.wall_ms()).replace(":", ""))
        database = Database(path, migrations)
    store = Store(database, clock=clock, budgets=budgets or Budgets())
    store.moved_aside = moved_aside
    return store
