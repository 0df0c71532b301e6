"""What follows when a job has ended: result out, drop away, row published, status final.

Each step may be repeated, and start-up repeats the ones that are missing; the order is that
of ``outbox.publish``. A step that the surroundings refuse (disk full, mount gone) leaves the
row unpublished, and the loop comes back to it.
"""

from daemon.clock import Clock
from daemon.errors import Fault
from daemon.files import Files
from daemon.jobs.job import Job, State
from daemon.jobs.store import Store
from daemon.layout import Spool
from daemon.outbox.events import Events
from daemon.outbox.publisher import Publisher
from daemon.outbox.status_document import told
from daemon.outbox.status_writer import Statuses
from daemon.text import display


class Completion:
    """From a final row to a published one."""

    def __init__(
        self,
        spool: Spool,
        store: Store,
        *,
        files: Files,
        statuses: Statuses,
        events: Events,
        clock: Clock,
    ) -> None:
        self._spool, self._store, self._publisher = spool, store, Publisher(spool, files)
        self._statuses, self._events, self._clock = statuses, events, clock

    def close(self, job: Job) -> None:
        """Bring a final job to its rest.

        Raises
        ------
        OSError, Unavailable
            The surroundings refused a step; call again later.
        """
        job = self._with_result(job)
        drop_at = self._move_drop(job)
        self._publisher.clear(job.inbox, job.id)
        self.tell(job)
        self._statuses.forget(job.inbox, job.label)
        self._tell_history(job)
        # Last: what start-up does not find published it repeats, the final status included.
        self._store.mark_published(job.id, drop_at=display(drop_at))

    def _tell_history(self, job: Job) -> None:
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

    def tell(self, job: Job, position: int | None = None) -> None:
        """Write the status of a job that does not run."""
        attempts = self._store.attempts(job.id)
        owner = self._store.get(job.duplicate_of) if job.duplicate_of else job
        outputs = self._store.outputs(owner.id) if owner else []
        folder = owner.label if owner and job.state is State.DONE else None
        self._statuses.write(
            job.label, told(job, attempts, outputs, folder=folder, position=position)
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
