"""What follows when a job's state has changed: its status, and when it has ended, its rest.

Result out, drop away, status final, row published: in the order of ``outbox.publisher``. Each
step may be repeated, and start-up repeats those that are missing.

Rule 1: what is refused leaves the row unpublished, and is repeated for this job alone.

Rule 2: a job on which we have a bug fails with ``INTERNAL`` and goes to ``failed/``; if even
that cannot be done, it stays unpublished until the next start.
"""

from dataclasses import replace

from daemon.errors import Fault, words
from daemon.jobs.job import Job, State
from daemon.logs import log
from daemon.outbox.publisher import Publisher
from daemon.outbox.status_document import status_of_job
from daemon.supervisor.capacity import Capacity
from daemon.supervisor.obstacles import Obstacle, Obstacles
from daemon.supervisor.startup import Opened
from daemon.supervisor.watchers import Watchers
from daemon.text import display

_POSITIONS_SHOWN, _AT_ONCE = 50, 10
"""Places in the queue that statuses show, and how many are written at each beat, because each
costs a sync: all of them within five beats."""


class Completion:
    """From an outcome in the row to what readers see of it."""

    def __init__(
        self, opened: Opened, *, capacity: Capacity, watchers: Watchers, obstacles: Obstacles
    ) -> None:
        self._spool, self._store, self._clock = opened.spool, opened.store, opened.clock
        self._publisher = Publisher(opened.spool, opened.files)
        self._folders = opened.folders
        self._statuses, self._events, self._outage = opened.statuses, opened.events, opened.outage
        self._capacity, self._watchers, self._obstacles = capacity, watchers, obstacles
        self._next_position = 0
        self._told: dict[str, Obstacle | None] = {}
        """What stood before each inbox when its statuses were last gone through."""
        self._stale: dict[str, None] = {}
        """Jobs whose status may say otherwise, in order."""

    def after(self, job_id: str, inbox: str) -> None:
        """Do what follows a change of a job's state, once the row has it."""
        self._outage.guard(
            f"completion of {job_id}",
            lambda: self._follow_or_tell(job_id),
            job=job_id,
            inbox=inbox,
            set_aside=lambda fault: self._fail(job_id, fault),
        )

    def show_waits(self) -> None:
        """Write into the next few statuses of those that wait what for, and behind how many."""
        waiting = list(enumerate(self._store.waiting(_POSITIONS_SHOWN), start=1))
        first = self._next_position if self._next_position < len(waiting) else 0
        self._next_position = first + _AT_ONCE
        for position, job in waiting[first : self._next_position]:
            self._show_wait(job, position)
        if (obstacles := self._obstacles.of_all()) != self._told:
            self._told = obstacles
            self._stale |= dict.fromkeys(job.id for job in self._store.jobs(State.QUEUED))
        shown = {job.id for _, job in waiting}
        for job_id in list(self._stale)[:_AT_ONCE]:
            del self._stale[job_id]
            found = self._store.get(job_id)
            if found is None or found.state is not State.QUEUED or job_id in shown:
                continue
            if not (self._statuses.due(found.inbox, found.label) and self._show_wait(found)):
                self._stale[job_id] = None

    def _show_wait(self, job: Job, position: int | None = None) -> bool:
        thing = f"status of {job.id}"
        done = self._outage.guard(thing, lambda: self._write_status(job, position), inbox=job.inbox)
        self._outage.forget(thing)  # it is written again with another beat
        return done

    def _write_status(self, job: Job, position: int | None = None) -> None:
        """Write the status of a job that does not run."""
        attempts = self._store.attempts(job.id)
        owner = self._store.get(job.duplicate_of) if job.duplicate_of else job
        outputs = self._store.outputs(owner.id) if owner else []
        obstacle = self._obstacles.before(job.inbox) if job.state is State.QUEUED else None
        status = status_of_job(
            job,
            attempts,
            outputs,
            folder=owner.label if owner and job.state is State.DONE else None,
            position=position,
            waits_for=(obstacle.reason, obstacle.detail) if obstacle else None,
        )
        self._statuses.write(job.label, status)

    def _follow_or_tell(self, job_id: str) -> None:
        try:
            self._follow(job_id)
        except (OSError, MemoryError) as error:
            why, delay = words(error), f"delay of {job_id}"
            self._outage.guard(delay, lambda: self._show_delay(job_id, why))
            self._outage.forget(delay)
            raise

    def _show_delay(self, job_id: str, why: str) -> None:
        """Say what keeps the result or the drop of a job that has ended from its place."""
        job = self._store.get(job_id)
        if job is None or job.finished_ms is None or job.published_ms is not None:
            return
        # Not final for readers before all of it lies where the status says.
        running = replace(job, state=State.RUNNING, finished_ms=None)
        status = status_of_job(running, self._store.attempts(job_id), ())
        detail = f"has ended, and cannot be published: {why}"
        wait = {"reason": "disk", "until": None, "detail": detail, "position": None}
        self._statuses.write(job.label, status | {"wait": wait})

    def _follow(self, job_id: str) -> None:
        job = self._store.get(job_id)
        if job is None or job.published_ms is not None:
            return
        if job.finished_ms is not None:
            self._complete(job)
        elif job.state is State.QUEUED:  # while it runs, its dispatcher knows more
            self._write_status(job)

    def _complete(self, job: Job) -> None:
        """Bring a final job to its rest."""
        self._capacity.release(job.id)
        self._folders.require(job.inbox)
        job = self._with_result(job)
        drop_at = self._move_drop(job)
        if left := self._publisher.clear(job.inbox, job.id):
            log.warning("cannot be removed from work/", job=job.id, left=left)
        self._write_status(job)
        self._statuses.forget(job.inbox, job.label)
        self._emit(job)
        # Last: what start-up does not find published it repeats, the final status included.
        self._store.mark_published(job.id, drop_at=display(drop_at))
        self._watchers.finish_cancel(job.id)
        code = (job.error or {}).get("code")
        log.info("ended", job=job.id, state=job.state.value, attempts=job.attempts, code=code)

    def _fail(self, job_id: str, fault: Fault) -> None:
        """Fail a job that cannot be completed; a status alone that cannot be written is no end."""
        job = self._store.get(job_id)
        if job is not None and job.finished_ms is not None:
            self._store.fail(job_id, fault.document())
            self._follow(job_id)

    def _emit(self, job: Job) -> None:
        self._events.emit(
            f"job.{job.state.value}",
            f"{job.inbox}/{job.label}",
            {
                "job": job.id,
                "attempts": job.attempts,
                "error": job.error.get("code") if job.error else None,
                "duplicate_of": job.duplicate_of,
            },
        )

    def _with_result(self, job: Job) -> Job:
        """Publish the result, under another label when the first one is taken."""
        if job.state is not State.DONE or job.duplicate_of is not None:
            return job
        while not self._publisher.publish_result(job.inbox, job.id, job.attempts, job.label):
            taken = job.label
            self._statuses.remove(job.inbox, taken, job.id)
            self._store.relabel(job.id, self._statuses.label_for(job.inbox, taken, job=job.id))
            job = self._store.get(job.id) or job
        return job

    def _move_drop(self, job: Job) -> str:
        """Move the drop out of work; return where it went, empty when it had gone before."""
        finished_ms = job.finished_ms or self._clock.wall_ms()
        if job.state in (State.DONE, State.SKIPPED):
            where = self._publisher.archive(job.inbox, job.id, job.name, finished_ms)
        else:
            error = job.error or Fault("CANCELLED", "cancelled on request").document()
            where = self._publisher.set_aside(job.inbox, job.id, job.name, error, finished_ms)
        return "" if where is None else str(where.relative_to(self._spool.root))
