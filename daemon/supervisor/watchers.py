"""The watchers of all inboxes: opened, closed, and asked who may be served.

Rule 1: what lies in an inbox is touched by its watcher only, so that a file system that hangs
hangs nobody else. Start-up's question whether it answers is asked in a thread, too.
"""

import queue
from collections.abc import Callable
from functools import partial

from daemon.intake.observations import Looked, Report
from daemon.intake.watcher import Watcher
from daemon.logs import log
from daemon.supervisor.context import Context
from daemon.supervisor.startup import PATIENCE_S

_STOPPING_S = 5.0
"""For all of them together."""


class Watchers:
    """One watcher per inbox, and the one queue of what they report."""

    def __init__(self, house: Context, wake: Callable[[], None]) -> None:
        self._house, self._wake = house, wake
        self.watchers: dict[str, Watcher] = {}
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._unseen_until_s = 0.0

    def open(self) -> None:
        """Begin to watch every inbox of the configuration."""
        house = self._house
        self._unseen_until_s = house.clock.monotonic_s() + PATIENCE_S
        for name, folder in house.opened.inboxes.items():
            self.watchers[name] = Watcher(
                name,
                folder,
                house.config.inboxes[name],
                work=house.spool.root / "work",
                files=house.files,
                clock=house.clock,
                gate=partial(house.room.gate, name),
                report=self._heard,
                cut_short=house.opened.cut_short.get(name),
            )
            self.watchers[name].start()

    def close(self) -> None:
        """Take no further drop; leave behind what does not answer."""
        for watcher in self.watchers.values():
            watcher.ask_to_stop()
        until_s = self._house.clock.monotonic_s() + _STOPPING_S
        for name, watcher in self.watchers.items():
            if not watcher.stop(max(0.0, until_s - self._house.clock.monotonic_s())):
                log.warning("inbox does not answer, and is left behind", inbox=name)
        self.watchers.clear()

    def wake(self) -> None:
        """Have every inbox scanned now: there is room where there was none."""
        for watcher in self.watchers.values():
            watcher.wake()

    def next_report(self) -> Report | None:
        """Return what was reported first and has not been heard; ``None``: nothing."""
        try:
            report = self.reports.get_nowait()
        except queue.Empty:
            return None
        if isinstance(report, Looked):
            self._house.opened.cut_short.pop(report.inbox, None)
        return report

    def closed(self) -> set[str]:
        """Return the inboxes whose jobs wait: paused, or not seen since the start.

        The latter may yet turn out to be paused, or to want a job cancelled; one that does not
        answer keeps its jobs waiting no longer than our patience.
        """
        paused = {name for name, watcher in self.watchers.items() if watcher.health.paused}
        hopeful = self._house.clock.monotonic_s() < self._unseen_until_s
        return paused | (set(self._house.opened.cut_short) if hopeful else set())

    def pass_on_wishes(self) -> None:
        """Have the files of wishes removed that are fulfilled; a closed inbox keeps them."""
        for inbox, wish in self._house.fulfilled:
            if inbox in self.watchers:
                self.watchers[inbox].fulfil(wish)
        self._house.fulfilled.clear()

    def _heard(self, report: Report) -> None:
        """Take a watcher's report: called in its thread."""
        self.reports.put(report)
        self._wake()
