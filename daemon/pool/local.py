"""A fixed number of attempts at once, each in a process of its own.

Theory of operation
-------------------
``collect`` does one round of everything: read what workers say, kill what is too late, reap
what has died, take over outputs that have been checked, assign waiting orders, start workers.

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
   has been killed; and only then are its outputs looked at (``outputs``).
3. A worker that cannot start is not tried again and again in silence: after
   ``start_failures`` in a row the pool is ``degraded``, offers no slot, ends what waits as
   ``start_failed``, and tries again every ``_SLOW_S`` seconds.
4. Only one thread, the one that made the pool, may call it (``process``, rule 2), and a
   process has one pool: another's workers would look like orphans.
"""

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
from daemon.pool.interface import WELL, Demand, Devices, Ended, Order, Outcome, Progress
from daemon.pool.oom import oom_kills
from daemon.pool.outputs import Checks
from daemon.pool.process import Process
from daemon.pool.protocol import ORDER_BYTES, Hello, line_down
from daemon.pool.slot import Slot, ending, most_slots

_FIRST_WAIT_S = 0.2
_SLOW_S = 30.0
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
        self.size = most_slots(settings.slots)
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
        self._requeued: Counter[tuple[str, int]] = Counter()
        self._ended: list[Ended] = []
        self._checks = Checks()
        self._held: dict[tuple[str, int], Slot] = {}
        """Workers that could serve again, when the outputs of their last attempt are right."""
        self._failures = 0
        self._next_start_s = 0.0
        self._closing = False
        orphans.adopt_orphans()

    # What the supervisor asks for: see ``interface.Pool``

    def free_slots(self, demand: Demand | None = None) -> int:  # noqa: ARG002 - all are alike here
        if self.degraded or self._closing:
            return 0
        return max(0, self.size - self._busy() - len(self._waiting))

    def places(self, demand: Demand) -> list[str]:
        return [""] if self.free_slots(demand) else []

    def devices(self) -> dict[str, Devices]:
        return {}

    def start(self, order: Order) -> None:
        if not self.free_slots():
            raise ValueError("no slot is free")
        if len(line_down(order)) > ORDER_BYTES:
            raise ValueError(f"an order has at most {ORDER_BYTES} bytes")
        self._waiting.append(order)
        now_s = self._clock.monotonic_s()
        self._assign(now_s)
        self._start_workers(now_s)

    def serve(self, handlers: Sequence[str], programs: Sequence[str] = ()) -> None:  # noqa: ARG002 - an order names their paths
        """Have workers import these from now on; idle ones go, and new ones tell of them."""
        self._hello = replace(self._hello, handlers=tuple(dict.fromkeys(handlers)))
        for slot in self._slots:
            if slot.phase == "idle":
                slot.retire("the handlers may have changed")

    def cancel(self, job: str, attempt: int) -> bool:
        return self._end_those(Outcome.CANCELLED, "CANCELLED", "cancelled", {(job, attempt)}) > 0

    def interrupt_all(self) -> None:
        self._end_those(Outcome.INTERRUPTED, "INTERRUPTED", "the daemon stopped", None)

    def collect(self) -> list[Progress | Ended]:
        now_s = self._clock.monotonic_s()
        events: list[Progress | Ended] = []
        for slot in list(self._slots):
            events += self._tend(slot, now_s)
        ends, self._ended = [*self._ended, *self._checks.collect(now_s)], []
        for ended in ends:
            self._requeued.pop((ended.job, ended.attempt), None)
            self._release(ended)
        self._assign(now_s)
        self._start_workers(now_s)
        return [*events, *ends]

    def descriptors(self) -> list[int]:
        talk = [fd for slot in self._slots for fd in slot.process.descriptors()]
        return [self._checks.descriptor, *talk]

    def next_deadline_s(self) -> float | None:
        limits = [self._checks.deadline_s(), *(slot.deadline_s for slot in self._slots)]
        moments = [limit_s for limit_s in limits if limit_s is not None]
        if self._wanted() > 0:
            moments.append(self._next_start_s)
        if self._ended:
            moments.append(0.0)
        return max(0.0, min(moments) - self._clock.monotonic_s()) if moments else None

    def describe(self) -> dict[str, Any]:
        return {
            "slots": self.size,
            "free": self.free_slots(),
            "waiting": len(self._waiting),
            "checking": len(self._checks),
            "degraded": self.degraded,
            "unusable_handlers": self.unusable,
            "workers": [
                {"pid": slot.process.pid, "phase": slot.phase, "served": slot.served}
                | ({"job": slot.order.job, "attempt": slot.order.attempt} if slot.order else {})
                for slot in self._slots
            ],
        }

    def place_of(self, job: str) -> str:  # noqa: ARG002 - all are here
        return ""

    def close(self) -> None:
        self._closing = True
        self._waiting.clear()
        for slot in self._slots:
            slot.retire("the pool closes")
        for slot in self._slots:
            if slot.process.wait(_CLOSE_S):
                slot.reap()
        self._slots.clear()
        self._checks.close()
        orphans.sweep(())

    # One round

    def _tend(self, slot: Slot, now_s: float) -> list[Progress | Ended]:
        starting = not slot.ready
        events: list[Progress | Ended] = [*slot.read(now_s)]
        slot.expire(now_s)
        if slot.process.dead:
            events += slot.read(now_s)  # its last words
            self._reap(slot, now_s)
        elif ended := slot.finished:
            if why := self._why_no_more(slot, ended):
                slot.retire(why)  # and its Ended waits until nothing is left of it
            else:
                self._held[ended.job, ended.attempt] = slot
                self._finish(slot.order, ended, now_s)
                slot.hold()
        if starting and slot.ready:
            self._failures, self.degraded = 0, None
            self.unusable, self.handlers = slot.unusable, slot.handlers
            if self._is_outdated(slot):
                slot.retire("was asked about other handlers")
        return events

    def _finish(self, order: Order | None, ended: Ended, now_s: float) -> None:
        """Give out the end of an attempt, of which nothing runs any more."""
        made = ended.result or {}
        if order and (ended.split or made.get("outputs") or made.get("listed")):
            self._checks.begin(order, ended, now_s)
        else:
            self._ended.append(ended)

    def _release(self, ended: Ended) -> None:
        """Let the worker that made an attempt serve again, if all that it said was true."""
        slot = self._held.pop((ended.job, ended.attempt), None)
        if slot is None or slot not in self._slots:
            return
        well = ended.outcome in WELL
        if well and not self._is_outdated(slot):
            slot.release()
        else:
            slot.retire("was asked about other handlers" if well else "named wrong outputs")

    def _reap(self, slot: Slot, now_s: float) -> None:
        ended = slot.reap()
        self._slots.remove(slot)
        self._sweep()
        if ended:
            self._finish(slot.order, ended, now_s)
        elif not slot.ready:
            self._failed_to_start(slot.why(), now_s)
        elif slot.served == 0:
            self._next_start_s = now_s + _FIRST_WAIT_S  # killed while idle: mend, without a spin
        if slot.order and not ended:
            self._requeue(slot.order)

    def _failed_to_start(self, why: str, now_s: float) -> None:
        self._failures += 1
        wait_s = min(_SLOW_S, _FIRST_WAIT_S * 2**self._failures)
        if self._failures >= self._settings.start_failures:
            self.degraded, wait_s = f"no worker starts: {why}", _SLOW_S
            while self._waiting:
                self._start_failed(self._waiting.popleft())
        self._next_start_s = now_s + wait_s

    def _requeue(self, order: Order) -> None:
        """Let an order that its worker has not touched wait for another, a few times."""
        key = order.job, order.attempt
        self._requeued[key] += 1
        if self.degraded or self._requeued[key] >= self._settings.start_failures:
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

        def ended(order: Order) -> Ended:
            return ending(order, outcome, code, message)

        waiting = [order for order in self._waiting if meant(order)]
        running = [slot for slot in self._slots if slot.order and meant(slot.order)]
        for order in waiting:
            self._waiting.remove(order)
            self._ended.append(ended(order))
        for slot in running:
            slot.end(outcome, code, message)
        return len(waiting) + len(running) + self._checks.replace(meant, ended)

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

    def _assign(self, now_s: float) -> None:
        idle = deque(slot for slot in self._slots if slot.phase == "idle")
        while self._waiting and idle:
            idle.popleft().take(self._waiting.popleft(), now_s)

    def _busy(self) -> int:
        return sum(slot.order is not None for slot in self._slots) + len(self._checks)

    def _wanted(self) -> int:
        """Return how many more workers there should be."""
        if self._closing:
            return 0
        serving = sum(slot.order is not None for slot in self._slots)
        needed = serving + len(self._waiting) + self._settings.spare
        untold = {*self.handlers, *self.unusable} != {*self._hello.handlers}
        # One at least, to hear of the handlers, and to see whether it has become better.
        needed = max(needed, untold or self.degraded is not None)
        alive = sum(slot.phase != "ending" or slot.order is not None for slot in self._slots)
        return min(needed, self.size + self._settings.spare) - alive

    def _start_workers(self, now_s: float) -> None:
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
                    now_s=now_s,
                    start_s=self._settings.start_s,
                    confined=self._settings.confine,
                    oom_kills=oom_kills,
                )
            )
