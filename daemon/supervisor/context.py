"""Everything one daemon has, and the one way in which it puts up with its surroundings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from daemon.clock import Clock
from daemon.config.models import Config
from daemon.errors import Unavailable
from daemon.files import Files
from daemon.jobs.job import Job
from daemon.jobs.store import Store
from daemon.layout import Spool
from daemon.logs import log
from daemon.outbox.events import Events
from daemon.outbox.status_writer import Statuses
from daemon.supervisor.capacity import Capacity
from daemon.supervisor.completion import Completion
from daemon.supervisor.daemon_document import DaemonDocument
from daemon.supervisor.startup import Opened

AGAIN_S = 10.0
"""Between tries of what the surroundings refused."""


@dataclass
class Context:
    """The rooms of one daemon."""

    config: Config
    files: Files
    clock: Clock
    opened: Opened
    spool: Spool
    store: Store
    statuses: Statuses
    events: Events
    closer: Completion
    vitals: DaemonDocument
    room: Capacity
    held_bytes: dict[str, int] = field(default_factory=dict)
    """Inputs of every job that is not finished: their results are still to be written."""
    wishes: dict[str, str] = field(default_factory=dict)
    """Files by which somebody wants a job cancelled: they go when it has ended, not before."""
    fulfilled: list[tuple[str, str]] = field(default_factory=list)
    """Inbox and file of the wishes that its watcher is to remove."""
    inboxes_of_rows: set[str] = field(default_factory=set)
    """Every inbox that has had a job in this run."""
    again_s: float = 0.0
    """When to try again what was refused; 0: nothing was."""

    @classmethod
    def furnish(cls, config: Config, opened: Opened, *, files: Files, clock: Clock) -> "Context":
        """Return the house of an open spool."""
        root, store = opened.spool.root, opened.store
        common: dict[str, Any] = {"files": files, "clock": clock}
        statuses = Statuses(root / "outbox", **common, instance=opened.instance)
        events = Events(root / "events.jsonl", **common, instance=opened.instance)
        closer = Completion(opened.spool, store, **common, statuses=statuses, events=events)
        return cls(
            config=config,
            **common,
            opened=opened,
            spool=opened.spool,
            store=store,
            statuses=statuses,
            events=events,
            closer=closer,
            vitals=DaemonDocument(config, store, clock),
            room=Capacity(config, root),
        )

    def adopt(self, config: Config) -> None:
        """Go by another configuration from now on."""
        self.config = config
        self.vitals.config = config
        self.room.config = config
        self.store.budgets = config.budgets

    def quietly(self, step: Callable[[], object]) -> bool:
        """Do what can be done again later, should the surroundings refuse it now."""
        try:
            step()
        except (OSError, Unavailable) as error:
            self.refused(error)
            return False
        return True

    def refused(self, error: OSError | Unavailable) -> None:
        """Note that the surroundings refused something: all of it is tried again later."""
        self.vitals.warn("SURROUNDINGS", str(error))
        if not self.again_s:  # further refusals, the heartbeat's say, must not put it off for ever
            self.again_s = self.clock.monotonic_s() + AGAIN_S
            log.warning("will try again", error=str(error), again_s=AGAIN_S)

    def show(self, job_id: str) -> None:
        """Show a job's new state to readers, and bring it to its rest when that is final."""
        self.quietly(lambda: self._shown(self.store.get(job_id)))

    def _shown(self, job: Job | None) -> None:
        if job is None:
            return
        if job.finished_ms is None:
            self.closer.tell(job)
            return
        self.held_bytes.pop(job.id, None)
        self.closer.close(job)
        if wish := self.wishes.pop(job.id, None):
            self.fulfilled.append((job.inbox, wish))
        code = (job.error or {}).get("code")
        log.info("ended", job=job.id, state=job.state.value, attempts=job.attempts, code=code)
