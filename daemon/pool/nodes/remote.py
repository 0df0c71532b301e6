"""The slots of one node, as a pool.

Theory of operation
-------------------
Orders go over a ``Link``; the node's own pool runs them and holds their deadlines. What it says
an attempt has made is checked here, exactly as what a local worker says is: the files lie on
this machine's disk.

Rules
-----
1. Nothing queues at a node: it is given no more orders than it has slots.
2. What comes back counts once: of an attempt that is not out at this node, nothing is heard.
3. Attempts of a node that is lost end as ``interrupted``, when nothing of them runs any more; so
   the drop pays nothing, and the next attempt has a number and a folder of its own.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.clock import Clock
from daemon.config.models import Pool as Settings
from daemon.handlers.contract import Declaration
from daemon.pool.interface import Demand, Devices, Ended, Order, Outcome, Progress
from daemon.pool.nodes.connection import Connection
from daemon.pool.nodes.link import Link
from daemon.pool.nodes.messages import (
    Cancel,
    Checked,
    Hello,
    Interrupt,
    Moved,
    Offer,
    Over,
    Serve,
    assign,
    line_down,
    relocated,
)
from daemon.pool.outputs import Checks
from daemon.pool.protocol import ORDER_BYTES
from daemon.pool.slot import ending

_HERE_PER_LEASE, _DEAD_SHARE = 6.0, 5.0 / 6.0
"""Signs of life in ``lost_s``, and how much of it a node waits before it ends its workers."""

Key = tuple[str, int]


@dataclass(frozen=True)
class Terms:
    """What the daemon says of a node; what it leaves open, the node says."""

    lost_s: float
    root: Path | None = None
    """Where it sees the spool."""
    slots: int = 0


class RemotePool:
    """One node's slots.

    Parameters
    ----------
    connect : callable
        See ``Link``.
    settings : config.Pool
        What else the node's own pool is told.
    root : Path
        The spool.
    handlers, programs : sequences of str
        What orders may ask for.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection | None],
        settings: Settings,
        clock: Clock,
        *,
        terms: Terms,
        root: Path,
        handlers: Sequence[str] = (),
        programs: Sequence[str] = (),
        handler_paths: Sequence[Path] = (),
    ) -> None:
        self.name, self._terms, self._settings, self._clock = name, terms, settings, clock
        self._serves, self._programs = tuple(handlers), tuple(programs)
        self._handler_paths, self._root = tuple(handler_paths), root.absolute()
        self.handlers: dict[str, Declaration] = {}
        self.unusable: dict[str, str] = {}
        self._offer = Offer()
        self._given: dict[Key, Order] = {}
        """What the node has not told the end of."""
        self._places: dict[str, int] = {}
        """Jobs whose attempt is out, or is being checked, with its number."""
        self._stages: dict[Key, str] = {}
        self._cancelled: set[Key] = set()
        self._ended: list[Ended] = []
        self._checks = Checks()
        self.link = Link(
            name,
            connect,
            clock,
            root=self._root,
            there=terms.root or self._root,
            lost_s=terms.lost_s,
            hello=self._hello,
        )

    def _hello(self) -> Hello:
        there = self.link.there
        told = {"slots": self._terms.slots, "nodes": {}, "celery": None}
        pool = self._settings.model_copy(update=told)
        return Hello(
            name=self.name,
            proof="",
            pool=pool.model_dump(mode="json"),
            handlers=self._serves,
            handler_paths=tuple(
                relocated(str(path.absolute()), self._root, there) for path in self._handler_paths
            ),
            programs=self._programs,
            here_s=self._terms.lost_s / _HERE_PER_LEASE,
            dead_s=self._terms.lost_s * _DEAD_SHARE,
        )

    # What the supervisor asks for: see ``interface.Pool``

    @property
    def size(self) -> int:
        return self.link.slots

    @property
    def degraded(self) -> str | None:
        if self.link.phase == "joined":
            return f"node {self.name}: {why}" if (why := self._offer.degraded) else None
        problem = self.link.problem
        return problem.message if problem else f"node {self.name} has not joined yet"

    @property
    def busy(self) -> bool:
        """Whether anything is out at it."""
        return bool(self._places)

    @property
    def told(self) -> bool:
        """Whether the node has told of every handler that it was asked about."""
        return {*self.handlers, *self.unusable} == {*self._serves}

    def free_slots(self, demand: Demand | None = None) -> int:
        free = self.size - len(self._places)
        if free <= 0 or self.degraded or not self.told:  # the cheapest first: hundreds are asked
            return 0
        return free if demand is None or self._can_meet(demand) else 0

    def places(self, demand: Demand) -> list[str]:
        return [self.name] if self.free_slots(demand) else []

    def devices(self) -> dict[str, Devices]:
        there = self.link.devices if self.link.phase == "joined" else {}
        return {self.name: there} if there else {}

    def start(self, order: Order) -> None:
        if not self.free_slots():
            raise ValueError("no slot is free")
        message = assign(order, self._root, self.link.there)
        if len(line_down(message)) > ORDER_BYTES:
            raise ValueError(f"an order has at most {ORDER_BYTES} bytes")
        self._given[order.job, order.attempt] = order
        self._places[order.job] = order.attempt
        self.link.send(message)

    def serve(self, handlers: Sequence[str], programs: Sequence[str] = ()) -> None:
        self._serves, self._programs = tuple(dict.fromkeys(handlers)), tuple(programs)
        if self.link.phase == "joined":
            self.link.send(Serve(self._serves, self._programs))

    def cancel(self, job: str, attempt: int) -> bool:
        key = job, attempt
        if key in self._given:
            self._cancelled.add(key)
            self.link.send(Cancel(job, attempt))
            return True
        return self._replace(Outcome.CANCELLED, "CANCELLED", "cancelled", {key}) > 0

    def interrupt_all(self) -> None:
        if self.link.phase == "joined":
            self.link.send(Interrupt())
        self._replace(Outcome.INTERRUPTED, "INTERRUPTED", "the daemon stopped", None)

    def collect(self) -> list[Progress | Ended]:
        now_s = self._clock.monotonic_s()
        events: list[Progress | Ended] = []
        for message in self.link.collect(now_s):
            match message:
                case Offer():
                    self._offer = message
                    self.handlers, self.unusable = message.handlers, message.unusable
                case Moved(job=job, attempt=attempt, stage=stage, fraction=fraction):
                    if (job, attempt) in self._given:
                        self._stages[job, attempt] = stage
                        events.append(Progress(job, attempt, stage, fraction))
                case Over():
                    self._take(message.ended(), now_s)
                case _:
                    pass
        if self.link.lost:
            self.link.lost = False
            self._lose(now_s)
        for ended in self._checks.collect(now_s):
            self._finish(ended, checked=True)
        ends, self._ended = self._ended, []
        return [*events, *ends]

    def descriptors(self) -> list[int]:
        return [self._checks.descriptor, *self.link.descriptors()]

    def next_deadline_s(self) -> float | None:
        moments = [self.link.deadline_s()]
        if (check_s := self._checks.deadline_s()) is not None:
            moments.append(check_s)
        if self._ended:
            moments.append(0.0)
        due_s = min(moments)
        return None if due_s == math.inf else max(0.0, due_s - self._clock.monotonic_s())

    def describe(self) -> dict[str, Any]:
        problem = self.link.problem
        return {
            "name": self.name,
            "host": self.link.host,
            "phase": self.link.phase,
            "slots": self.size,
            "free": self.free_slots(),
            "waiting": 0,
            "checking": len(self._checks),
            "degraded": self.degraded,
            "unusable_handlers": self.unusable,
            "resources": self.devices().get(self.name, {}),
            "problem": problem.public() if problem else None,
            "jobs": sorted(self._places),
            "workers": [],
        }

    def place_of(self, job: str) -> str:
        return self.name if job in self._places else ""

    def close(self) -> None:
        self.link.close()
        self._checks.close()
        for held in (self._given, self._places, self._stages, self._cancelled):
            held.clear()

    # What became of orders

    def _can_meet(self, demand: Demand) -> bool:
        return (
            demand.handler in self.handlers
            and {*self._offer.programs} >= {*demand.programs}
            and demand.place in (None, self.name)
            and all(
                len(self.link.devices.get(name, ())) >= count
                for name, count in demand.devices.items()
            )
        )

    def _take(self, ended: Ended, now_s: float) -> None:
        """Take the node's word that an attempt has ended; its outputs are another matter."""
        key = ended.job, ended.attempt
        order = self._given.pop(key, None)
        if order is None:
            return
        made = ended.result or {}
        if ended.split or made.get("outputs") or made.get("listed"):
            self._checks.begin(order, ended, now_s)
        else:
            self._finish(ended, checked=ended.outcome is Outcome.DONE)

    def _finish(self, ended: Ended, *, checked: bool) -> None:
        """Give out an end, and let the node go on with the worker."""
        key = ended.job, ended.attempt
        if checked and self.link.phase == "joined":
            well = ended.outcome in (Outcome.DONE, Outcome.SPLIT)
            self.link.send(Checked(*key, well=well))
        self._places.pop(ended.job, None)
        self._stages.pop(key, None)
        self._cancelled.discard(key)
        self._ended.append(ended)

    def _lose(self, now_s: float) -> None:
        """End all that was out at a node of which nothing runs any more."""
        self.handlers, self.unusable, self._offer = {}, {}, Offer()
        if not self._given:
            return
        why = self.link.problem.message if self.link.problem else "it has left"
        self.link.count_loss(now_s)
        for key, order in list(self._given.items()):
            stage = self._stages.get(key, "")
            if key in self._cancelled:
                ended = ending(order, Outcome.CANCELLED, "CANCELLED", "cancelled", stage)
            else:
                ended = ending(order, Outcome.INTERRUPTED, "NODE_LOST", why, stage)
            self._finish(ended, checked=False)
        self._given.clear()

    def _replace(
        self, outcome: Outcome, code: str, message: str, keys: Collection[Key] | None
    ) -> int:
        """End in another way what is being checked: what `keys` name, or all."""

        def meant(order: Order) -> bool:
            return keys is None or (order.job, order.attempt) in keys

        return self._checks.replace(meant, lambda order: ending(order, outcome, code, message))
