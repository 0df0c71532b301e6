"""Why the jobs of an inbox are not started now: one answer for the dispatcher and for readers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from daemon.jobs.claims import Places
from daemon.jobs.job import Job
from daemon.pool.interface import Pool
from daemon.supervisor.grants import demand_of
from daemon.supervisor.startup import Opened
from daemon.supervisor.watchers import Watchers


@dataclass(frozen=True)
class Obstacle:
    """What a job waits for, besides a free slot; becomes ``wait`` in its status."""

    reason: str
    detail: str


class Room(NamedTuple):
    """What may be started now."""

    inboxes: list[str]
    jobs: int
    """How many, whichever they are."""
    places: Places
    """See ``Store.claim``."""


class Obstacles:
    """Asks each part of the daemon that may be in the way."""

    def __init__(self, opened: Opened, watchers: Watchers, pool: Pool) -> None:
        self._opened, self._watchers, self._pool = opened, watchers, pool
        self._outage = opened.outage

    def before(self, inbox: str, job: str = "") -> Obstacle | None:
        """Return what keeps the jobs of an inbox waiting; ``None``: a free slot is all they need.

        None of it costs them an attempt.
        """
        return next(self._all(inbox, job), None) or self._short().get(inbox)

    def of(self, job: Job) -> Obstacle | None:
        """Return what a queued job waits for besides a slot, or its time to retry."""
        found = self.before(job.inbox, job.id)
        gathers = job.round > 0 and not job.split
        later = job.not_before_ms > self._opened.clock.wall_ms()
        return None if found and found.reason == "resource" and (gathers or later) else found

    def _all(self, inbox: str, job: str) -> Iterator[Obstacle]:
        settings = self._opened.config.inboxes.get(inbox)
        if why := self._outage.everything or self._outage.of_inbox(inbox):
            yield Obstacle("disk", why)
        if settings is None:
            yield Obstacle("paused", f"the configuration has no inbox {inbox} any more")
            return
        if why := self._watchers.closed(inbox):
            yield Obstacle("paused", why)
        if why := self._pool.unusable.get(settings.handler, ""):
            yield Obstacle("paused", f"handler {settings.handler} cannot be used: {why}")
        if self._pool.degraded:
            yield Obstacle("slot", self._pool.degraded)
        if settings.keeps and (busy := self._opened.store.at_work(inbox)) and busy.id != job:
            yield Obstacle("slot", f"{busy.label} is at work, and this inbox has one job at a time")

    def of_all(self) -> dict[str, Obstacle | None]:
        """Return what stands before each inbox."""
        short = self._short()
        return {
            inbox: next(self._all(inbox, ""), None) or short.get(inbox)
            for inbox in self._opened.config.inboxes
        }

    def _short(self) -> dict[str, Obstacle]:
        """Return what the first jobs of inboxes lack of resources."""
        store = self._opened.store
        if not store.resources.needs:
            return {}
        lacking = store.short(self.open(), self.alone())
        return {inbox: Obstacle("resource", f"waits for {what}") for inbox, what in lacking.items()}

    def alone(self) -> list[str]:
        """Return the inboxes of which one job is at work at a time."""
        return [name for name, inbox in self._opened.config.inboxes.items() if inbox.keeps]

    def open(self) -> list[str]:
        """Return the inboxes whose jobs may be started, as far as there are the resources."""
        found = {inbox: next(self._all(inbox, ""), None) for inbox in self._opened.config.inboxes}
        return [inbox for inbox, why in found.items() if why is None or why.reason == "slot"]

    def room(self) -> Room | None:
        """Return the inboxes whose jobs can be started now, and how many, whichever they are.

        Machines differ, so each inbox has slots of its own. As many jobs as the fewest of these
        always find their places: of the slots that suit a job, those before it took fewer. Where
        nodes have devices, the devices choose the machine; so it is one at a time.
        """
        if not self._pool.free_slots() or self._outage.everything:
            return None
        config, free_slots = self._opened.config, self._pool.free_slots
        demands = {name: demand_of(name, config) for name in self.open()}
        free = {name: free_slots(demand) for name, demand in demands.items()}
        able = {name: slots for name, slots in free.items() if slots}
        if not able:
            return None
        if not self._opened.store.resources.elsewhere:
            return Room(list(able), min(able.values()), {})
        choosy = {name: self._pool.places(demands[name]) for name in able if demands[name].devices}
        return Room(list(able), 1 if choosy else min(able.values()), choosy)
