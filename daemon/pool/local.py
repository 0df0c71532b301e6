"""A fixed number of attempts at once, each in a process of its own.

Theory of operation
-------------------
The supervisor calls ``start`` when ``free_slots`` says so, sleeps on ``descriptors`` until
``next_deadline_s``, and calls ``collect``, which does one round of everything: hear what
workers say, kill what is too late, bury what has died, hand out waiting orders, open slots.
No call waits for a worker.

At most ``slots`` attempts run. Beside them one *spare* worker is kept warm, because a worker
needs most of a second to import its libraries. With confinement a worker serves one job and
goes, so the spare is what the next job gets.

Why no library, and no fork
---------------------------
A worker that hangs in C, dies while it sends, or takes a shared lock along, hangs or breaks
every pool of the standard library and of its successors for good. Here a worker shares
nothing with another: a private socket, no lock, no pickle, and a parent that can always kill.

Rules
-----
1. Everything that was started ends in exactly one ``Ended``.
2. Between a worker's death and its ``Ended`` its whole group, and whatever left the group,
   has been killed.
3. A worker that cannot start is not tried again and again in silence: after
   ``start_failures`` in a row the pool is ``degraded``, offers no slot, ends what waits as
   ``start_failed``, and tries again every ``_SLOW_S`` seconds.
4. Only one thread, the one that made the pool, may call it (``process``, rule 2), and a
   process has one pool: another's workers would look like strays.
"""

import os
import sys
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from daemon.clock import Clock
from daemon.config.models import Pool as Settings
from daemon.handlers.contract import Declaration
from daemon.pool import orphans
from daemon.pool.interface import Ended, Order, Outcome, Progress
from daemon.pool.oom import oom_kills
from daemon.pool.process import Process
from daemon.pool.protocol import (
    ORDER_BYTES,
    Hello,
    line_down,
)
from daemon.pool.slot import Slot, ending

_FIRST_WAIT_S = 0.2
_SLOW_S = 30.0
MOST_PER_CORE = 4
"""Slots per core at the most: more would only take memory and each other's time."""
_CLOSE_S = 5.0  # a process that hangs in the kernel dies when the kernel lets it


class LocalPool:
    """Slots, the workers in them, and the attempts that wait for one.

    Parameters
    ----------
    settings : config.Pool
        How many slots, and when a worker has served enough.
    clock : Clock
        Its monotonic time is what every deadline is held against.
    handlers : sequence of str
        Dotted names of modules that workers import before their first order.
    handler_paths : sequence of Path
        Where those may lie besides the installed libraries.
    python : str
        The interpreter of the workers.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        handlers: Sequence[str] = (),
        handler_paths: Sequence[Path] = (),
        python: str = sys.executable,
    ) -> None:
        cores = len(os.sched_getaffinity(0))
        self.size = min(settings.slots or cores, cores * MOST_PER_CORE)
        self.degraded: str | None = None
        """Why no worker starts, when none does."""
        self.handlers: dict[str, Declaration] = {}
        """Those that can be used, and what each says of itself, by the last worker's word."""
        self.unusable: dict[str, str] = {}
        """Handlers that could not be imported, and the reason: keep their drops waiting."""
        self._settings, self._clock, self._python = settings, clock, python
        self._hello = Hello(
            handlers=tuple(dict.fromkeys(handlers)),
            handler_paths=tuple(str(path.absolute()) for path in handler_paths),
            memory_mb=settings.memory_mb,
            confine=settings.confine,
        )
        self._slots: list[Slot] = []
        self._waiting: deque[Order] = deque()
        self._handed_back: Counter[tuple[str, int]] = Counter()
        self._ended: list[Ended] = []
        self._failures = 0
        self._next_start_s = 0.0
        self._closing = False
        orphans.adopt_orphans()

    # What the supervisor asks for

    def free_slots(self) -> int:
        """Return how many orders may be started now."""
        if self.degraded or self._closing:
            return 0
        return max(0, self.size - self._busy() - len(self._waiting))

    def start(self, order: Order) -> None:
        """Give an order to a worker, or to the next that is there.

        Raises
        ------
        ValueError
            No slot is free, or the order has more than ``ORDER_BYTES``.
        """
        if not self.free_slots():
            raise ValueError("no slot is free")
        if len(line_down(order)) > ORDER_BYTES:
            raise ValueError(f"an order has at most {ORDER_BYTES} bytes")
        self._waiting.append(order)
        now_s = self._clock.monotonic_s()
        self._hand_out(now_s)
        self._open_slots(now_s)

    def serve(self, handlers: Sequence[str]) -> None:
        """Have workers import these from now on; idle ones go, and new ones tell of them."""
        self._hello = replace(self._hello, handlers=tuple(dict.fromkeys(handlers)))
        for slot in self._slots:
            if slot.phase == "idle":
                slot.retire("the handlers may have changed")

    def cancel(self, job: str, attempt: int) -> bool:
        """End an attempt as ``cancelled``; return whether it was there to be cancelled."""
        key = job, attempt
        return self._end_those(Outcome.CANCELLED, "CANCELLED", "cancelled", {key}) > 0

    def interrupt_all(self) -> None:
        """End every attempt as ``interrupted``; the Endeds come from ``collect``."""
        self._end_those(Outcome.INTERRUPTED, "INTERRUPTED", "the daemon stopped", None)

    def collect(self) -> list[Progress | Ended]:
        """Do one round; return what happened since the last, in the order it happened."""
        now_s = self._clock.monotonic_s()
        events: list[Progress | Ended] = []
        for slot in list(self._slots):
            events += self._tend(slot, now_s)
        self._hand_out(now_s)
        self._open_slots(now_s)
        events += self._ended
        for ended in self._ended:
            self._handed_back.pop((ended.job, ended.attempt), None)
        self._ended = []
        return events

    def descriptors(self) -> list[int]:
        """Return what becomes readable when ``collect`` has something to do."""
        return [fd for slot in self._slots for fd in slot.process.descriptors()]

    def next_deadline_s(self) -> float | None:
        """Return in how many seconds ``collect`` has something to do even so; ``None``: never."""
        moments = [slot.deadline_s for slot in self._slots if slot.deadline_s is not None]
        if self._wanted() > 0:
            moments.append(self._next_start_s)
        if self._ended:
            moments.append(0.0)
        return max(0.0, min(moments) - self._clock.monotonic_s()) if moments else None

    def describe(self) -> dict[str, Any]:
        """Return what ``daemon.json`` says about the pool."""
        return {
            "slots": self.size,
            "free": self.free_slots(),
            "waiting": len(self._waiting),
            "degraded": self.degraded,
            "unusable_handlers": self.unusable,
            "workers": [
                {"pid": slot.process.pid, "phase": slot.phase, "served": slot.served}
                | ({"job": slot.order.job, "attempt": slot.order.attempt} if slot.order else {})
                for slot in self._slots
            ],
        }

    def close(self) -> None:
        """Kill and bury every worker; attempts that still ran get no ``Ended``."""
        self._closing = True
        self._waiting.clear()
        for slot in self._slots:
            slot.retire("the pool closes")
        for slot in self._slots:
            if slot.process.wait(_CLOSE_S):
                slot.bury()
        self._slots.clear()
        orphans.sweep(())

    # One round

    def _tend(self, slot: Slot, now_s: float) -> list[Progress | Ended]:
        starting = not slot.ready
        events: list[Progress | Ended] = [*slot.read(now_s)]
        slot.expire(now_s)
        if slot.process.dead:
            events += slot.read(now_s)  # its last words
            self._bury(slot, now_s)
        elif ended := slot.finished:
            if why := self._why_no_more(slot, ended):
                slot.retire(why)  # and its Ended waits until nothing is left of it
            else:
                slot.relieve()
                self._ended.append(ended)
        if starting and slot.ready:
            self._failures, self.degraded = 0, None
            self.unusable, self.handlers = slot.unusable, slot.handlers
            if self._is_outdated(slot):
                slot.retire("was asked about other handlers")
        return events

    def _bury(self, slot: Slot, now_s: float) -> None:
        ended = slot.bury()
        self._slots.remove(slot)
        self._sweep()
        if ended:
            self._ended.append(ended)
        elif not slot.ready:
            self._failed_to_start(slot.why(), now_s)
        elif slot.served == 0:
            self._next_start_s = now_s + _FIRST_WAIT_S  # killed while idle: mend, without a spin
        if slot.order and not ended:
            self._hand_back(slot.order)

    def _failed_to_start(self, why: str, now_s: float) -> None:
        self._failures += 1
        wait_s = min(_SLOW_S, _FIRST_WAIT_S * 2**self._failures)
        if self._failures >= self._settings.start_failures:
            self.degraded, wait_s = f"no worker starts: {why}", _SLOW_S
            while self._waiting:
                self._start_failed(self._waiting.popleft())
        self._next_start_s = now_s + wait_s

    def _hand_back(self, order: Order) -> None:
        """Let an order that its worker has not touched wait for another, a few times."""
        key = order.job, order.attempt
        self._handed_back[key] += 1
        if self.degraded or self._handed_back[key] >= self._settings.start_failures:
            self._start_failed(order)
        else:
            self._waiting.appendleft(order)

    def _start_failed(self, order: Order) -> None:
        message = self.degraded or "workers died before they read it"
        self._ended.append(ending(order, Outcome.START_FAILED, "START_FAILED", message))

    def _end_those(
        self, outcome: Outcome, code: str, message: str, keys: set[tuple[str, int]] | None
    ) -> int:
        """End the attempts named by `keys`, or all; return how many there were."""

        def meant(order: Order) -> bool:
            return keys is None or (order.job, order.attempt) in keys

        waiting = [order for order in self._waiting if meant(order)]
        running = [slot for slot in self._slots if slot.order and meant(slot.order)]
        for order in waiting:
            self._waiting.remove(order)
            self._ended.append(ending(order, outcome, code, message))
        for slot in running:
            slot.end(outcome, code, message)
        return len(waiting) + len(running)

    def _why_no_more(self, slot: Slot, ended: Ended) -> str:
        """Return why a worker that has done well must not serve again; empty when it may."""
        if self._is_outdated(slot):
            return "was asked about other handlers"
        if slot.served >= self._settings.recycle_jobs:
            return "served enough jobs"
        if (ended.max_rss_mb or 0.0) > self._settings.recycle_mb:
            return "grew too large"
        self._sweep()
        try:
            return "left a process behind" if orphans.children(slot.process.pid) else ""
        except OSError:
            return "may have left a process behind"

    def _is_outdated(self, slot: Slot) -> bool:
        return {*slot.handlers, *slot.unusable} != {*self._hello.handlers}

    def _sweep(self) -> None:
        orphans.sweep([slot.process.pid for slot in self._slots])

    def _hand_out(self, now_s: float) -> None:
        idle = deque(slot for slot in self._slots if slot.phase == "idle")
        while self._waiting and idle:
            idle.popleft().take(self._waiting.popleft(), now_s)

    def _busy(self) -> int:
        return sum(slot.order is not None for slot in self._slots)

    def _wanted(self) -> int:
        """Return how many more workers there should be."""
        if self._closing:
            return 0
        needed = self._busy() + len(self._waiting) + self._settings.spare
        untold = {*self.handlers, *self.unusable} != {*self._hello.handlers}
        # One at least, to hear of the handlers, and to see whether it has become better.
        needed = max(needed, untold or self.degraded is not None)
        alive = sum(slot.phase != "ending" or slot.order is not None for slot in self._slots)
        return min(needed, self.size + self._settings.spare) - alive

    def _open_slots(self, now_s: float) -> None:
        while self._wanted() > 0 and now_s >= self._next_start_s:
            try:
                process = Process(self._python)
            except OSError as error:
                self._failed_to_start(str(error), now_s)
                return
            process.send(line_down(self._hello))
            self._slots.append(
                Slot(
                    process,
                    start_by_s=now_s + self._settings.start_s,
                    confined=self._settings.confine,
                    oom_kills=oom_kills,
                )
            )
