"""The watchers of all inboxes: opened, closed, and asked which inbox may be served.

Rule 1: only its watcher touches what lies in an inbox, so that a file system that hangs stops
nothing else. Start-up's question whether it answers is asked in a thread, too.
"""

import queue
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from daemon.handlers.contract import Declaration
from daemon.intake.hints import Hints
from daemon.intake.observations import Looked, Report
from daemon.intake.watcher import Watcher
from daemon.jobs.job import Job, State
from daemon.logs import log
from daemon.pool.interface import Pool
from daemon.supervisor.capacity import Capacity
from daemon.supervisor.startup import PATIENCE_S, Opened
from daemon.supervisor.timers import Timers

_RECALLED = 200
"""Of the drops that earlier runs took, so many; none that is older than minutes is of use."""
_STOPPING_S = 5.0
"""For all of them together."""


class Watchers:
    """One watcher per inbox, the one queue of their reports, and the open cancel requests."""

    def __init__(
        self, opened: Opened, capacity: Capacity, pool: Pool, *, wake: Callable[[], None]
    ) -> None:
        self._opened, self._capacity, self._pool, self._wake = opened, capacity, pool, wake
        self._clock = opened.clock
        self.watchers: dict[str, Watcher] = {}
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._unseen_until_s = 0.0
        self._handlers: Mapping[str, Declaration | str] = {}
        """What each says of itself, or why it is not there; replaced as a whole."""
        self._recent: Sequence[Job] = ()
        self._hints: dict[str, Hints] = {}
        self.timers = Timers(opened, pool, self.watchers, self._hints, self.reports.empty)
        self._cancel_requests: dict[str, tuple[str, str]] = {}
        """By job: inbox and file. The file goes when the job has ended, not before."""

    def open(self) -> None:
        """Begin to watch every inbox of the configuration."""
        opened = self._opened
        self._recent = opened.store.latest(_RECALLED)
        self.learn()
        self._unseen_until_s = self._clock.monotonic_s() + PATIENCE_S
        for name, folder in opened.inboxes.items():
            self.watchers[name] = Watcher(
                name,
                folder,
                opened.config.inboxes[name],
                work=opened.spool.root / "work",
                files=opened.files,
                clock=opened.clock,
                gate=partial(self._capacity.gate, name),
                handler=partial(self._handler_of, opened.config.inboxes[name].handler),
                report=self._heard,
                cut_short=opened.cut_short.get(name),
                others=[other for each, other in opened.inboxes.items() if each != name],
            )
            self._recall(name)
            self.watchers[name].start()
            settings = opened.config.inboxes[name]
            if settings.every_s and settings.reads:
                self._hints[name] = Hints(settings.reads, self._clock)
                self._hints[name].start()

    def _recall(self, inbox: str) -> None:
        """Tell a watcher of the drops that were taken last, as far as latecomers may join them."""
        now_s, now_ms = self._clock.monotonic_s(), self._clock.wall_ms()
        for job in self._recent:
            if job.inbox == inbox:
                at_s = now_s - max(0, now_ms - job.created_ms) / 1000
                self.watchers[inbox].recall(job.name, job.inputs, job.id, at_s)
                if job.published_ms is not None:
                    self.note_end(job, job.drop_at)

    def close(self) -> None:
        """Take no further drop; leave behind what does not answer."""
        for hints in self._hints.values():
            hints.ask_to_stop()
        self._hints.clear()
        for watcher in self.watchers.values():
            watcher.ask_to_stop()
        until_s = self._clock.monotonic_s() + _STOPPING_S
        for name, watcher in self.watchers.items():
            if not watcher.stop(max(0.0, until_s - self._clock.monotonic_s())):
                log.warning("inbox does not answer, and is left behind", inbox=name)
        self.watchers.clear()

    def wake(self) -> None:
        """Have every inbox scanned now: there is room where there was none."""
        for watcher in self.watchers.values():
            watcher.wake()

    def tend(self) -> None:
        """Pass on what is new, and have dropped what is due."""
        self.learn()
        self.timers.tick()

    def learn(self) -> None:
        """Pass on what handlers say of themselves; what is new wakes every inbox."""
        pool = self._pool
        handlers: dict[str, Declaration | str] = {
            name: f"its handler {name} cannot be used: {why}" for name, why in pool.unusable.items()
        }
        for inbox in self._opened.config.inboxes.values():
            handlers.setdefault(inbox.handler, pool.degraded or "")
        handlers |= pool.handlers
        if handlers != self._handlers:
            self._handlers = handlers
            self.wake()

    def _handler_of(self, name: str) -> Declaration | str:
        """Answer a watcher: called in its thread."""
        return self._handlers.get(name, "")

    def next_report(self) -> Report | None:
        """Return the oldest report that has not been acted on; ``None`` when there is none."""
        try:
            report = self.reports.get_nowait()
        except queue.Empty:
            return None
        if isinstance(report, Looked):
            self._opened.cut_short.pop(report.inbox, None)
        return report

    def closed(self, inbox: str) -> str:
        """Return why the jobs of an inbox wait: paused, or not seen since the start.

        The latter may yet turn out to be paused, or to want a job cancelled; one that does not
        answer keeps its jobs waiting no longer than our patience.
        """
        watcher = self.watchers.get(inbox)
        if watcher is not None and watcher.health.paused:
            return "the inbox is paused"
        if inbox in self._opened.cut_short and self._clock.monotonic_s() < self._unseen_until_s:
            return "the inbox has not been scanned since the start"
        return ""

    def request_cancel(self, job: str, inbox: str, file: str) -> None:
        """Remember by which file a job is to be cancelled."""
        self._cancel_requests[job] = inbox, file

    def finish_cancel(self, job: str) -> None:
        """Have the file removed that asked for a job to be cancelled: the job has ended."""
        if request := self._cancel_requests.pop(job, None):
            self.remove_request(*request)

    def note_end(self, job: Job, drop_at: str) -> None:
        """Tell the watcher that a job has ended, and where its drop lies, below the spool."""
        joins = drop_at and job.state is not State.CANCELLED
        if job.inbox in self.watchers:
            root = self._opened.spool.root
            self.watchers[job.inbox].note_end(job.id, root / drop_at if joins else None)

    def remove_request(self, inbox: str, file: str) -> None:
        """Have a request's file removed by the watcher; an inbox that is closed keeps it."""
        if inbox in self.watchers:
            self.watchers[inbox].remove_request(file)

    def _heard(self, report: Report) -> None:
        """Take a watcher's report: called in its thread."""
        self.reports.put(report)
        self._wake()
