"""The daemon's own timer: inboxes with ``every_s`` get a ``.scan`` dropped into them by itself.

Theory of operation
-------------------
Such a drop goes the way of every other. Its inbox may lie where nothing answers, so the inbox's
watcher drops it, in its own thread; when it says so, the time is written down, and the next one
is due ``every_s`` later. A daemon that was away makes up for one, whatever it has missed.

Rules
-----
1. None is dropped while one lies in the inbox, waits or is at work: what was due then is skipped.
   One that was taken from the inbox and has no row yet shows in the watcher's count.
2. Dropped first, written down afterwards: whoever dies between finds the one that was dropped.
3. A time that lies ahead of the clock, which was set back, counts as now.
4. A hint (``intake/hints``) brings forward a scan of the folders that moved. It puts the next one
   of the timer off by nothing, and a hint that is lost with the daemon is made up for by it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue

from daemon.intake.hints import Hints
from daemon.intake.watcher import Watcher
from daemon.layout import SCAN, scan_name
from daemon.logs import log
from daemon.pool.interface import Pool
from daemon.supervisor.startup import Opened

CONTENT = b"# dropped by the daemon: every_s\n"
"""A file that is empty is no drop."""


class Timers:
    """When each inbox is due.

    Parameters
    ----------
    watchers : mapping of Watcher
        Those that are at work, by inbox; looked at anew each time.
    hints : mapping of Hints
        The same, of inboxes that read folders.
    all_heard : function
        Whether everything that watchers reported has been acted on.
    """

    def __init__(
        self,
        opened: Opened,
        pool: Pool,
        watchers: Mapping[str, Watcher],
        hints: Mapping[str, Hints] | None = None,
        all_heard: Callable[[], bool] = lambda: True,
    ) -> None:
        self._opened, self._store, self._clock = opened, opened.store, opened.clock
        self._pool, self._watchers = pool, watchers
        self._hints = {} if hints is None else hints  # one that is empty yet is filled later
        self._all_heard = all_heard
        self._last_ms: dict[str, int] = {}
        self._asked: dict[str, Watcher] = {}
        """Who was asked to drop one, and has not said yet that it lies there."""
        self._dropped: SimpleQueue[str] = SimpleQueue()
        self._taken: dict[str, int] = {}
        self._hinting: set[Watcher] = set()
        """Who was asked to drop one for a hint, and has not."""
        self._lying: set[str] = set()
        """Where one was dropped, and its time is not written down."""

    def tick(self) -> None:
        """Have a scan dropped wherever one is due."""
        while not self._dropped.empty():
            self._lying.add(self._dropped.get())
        for inbox in list(self._lying):
            self._note(inbox)  # a disk that refuses is asked again
            self._lying.discard(inbox)
            self._asked.pop(inbox, None)
        # What is admitted after this is told by the watcher's count having grown.
        self._taken = {name: watcher.scans_taken for name, watcher in self._watchers.items()}
        for inbox in self._served() if self._all_heard() else ():
            now_ms, due_ms = self._clock.wall_ms(), self.due_ms(inbox) or 0
            if self._last_ms.get(inbox, 0) > now_ms:
                self._note(inbox)
            elif due_ms <= now_ms and self._asked.get(inbox) is not self._watchers[inbox]:
                self._drop(inbox, now_ms)
            elif (hints := self._hints.get(inbox)) and hints.ripe():
                self._hint(inbox, hints, now_ms)

    def _hint(self, inbox: str, hints: Hints, now_ms: int) -> None:
        watcher = self._watchers[inbox]
        if watcher in self._hinting or self._store.has_open(inbox, SCAN):
            hints.postpone()
            return
        self._hinting.add(watcher)
        under = json.dumps({"under": hints.take()}).encode() + b"\n"
        watcher.drop(
            scan_name(now_ms), under, lambda: self._hinting.discard(watcher), self._taken[inbox]
        )

    def due_ms(self, inbox: str) -> int | None:
        """Return when the next one is due, wall clock; ``None``: never. 0: it has had none yet."""
        settings = self._opened.config.inboxes.get(inbox)
        if settings is None or not settings.every_s:
            return None
        if inbox not in self._last_ms and (found_ms := self._store.last_scan_ms(inbox)) is not None:
            self._last_ms[inbox] = found_ms
        last_ms = self._last_ms.get(inbox)
        return 0 if last_ms is None else last_ms + round(1000 * settings.every_s)

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield code and message of each inbox whose handler takes no such drop."""
        for inbox in self._watchers:
            if self.due_ms(inbox) is not None and self._takes(inbox) is False:
                handler = self._opened.config.inboxes[inbox].handler
                text = f"inbox {inbox} has every_s, but {handler} takes no files that end in {SCAN}"
                yield "SCAN_NOT_TAKEN", text

    def _served(self) -> list[str]:
        return [one for one in self._watchers if self.due_ms(one) is not None and self._takes(one)]

    def _takes(self, inbox: str) -> bool | None:
        """Tell whether the handler of an inbox takes such drops; ``None``: not known yet."""
        declared = self._pool.handlers.get(self._opened.config.inboxes[inbox].handler)
        return None if declared is None else SCAN in declared.accepts

    def _drop(self, inbox: str, now_ms: int) -> None:
        if self._store.has_open(inbox, SCAN):
            log.info("scan skipped: one waits or is at work", inbox=inbox)
            self._note(inbox)
            return
        watcher = self._asked[inbox] = self._watchers[inbox]
        watcher.drop(
            scan_name(now_ms), CONTENT, lambda: self._dropped.put(inbox), self._taken[inbox]
        )

    def _note(self, inbox: str) -> None:
        now_ms = self._clock.wall_ms()
        self._store.note_scan(inbox, now_ms)
        self._last_ms[inbox] = now_ms
