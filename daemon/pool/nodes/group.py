"""Many pools as one, of which only those are asked that have something to do.

Theory of operation
-------------------
The supervisor goes round for every word that any node says, so what a round costs must not grow
with the number of nodes. One ``epoll`` listens to all pools; when each of them is due, and what
it says of itself, is noted after every call that may change it, and not asked again until then.

Rules
-----
1. A pool is called by its group alone; who acts on one otherwise says so (``stir``).
2. ``collect`` asks a pool when one of its descriptors is readable, or its deadline has come: by
   ``interface.Pool`` nothing else gives it anything to do.
3. One that may have closed a descriptor is noted before any other pool is called: the number
   may be another pool's next.
"""

import math
import select
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from typing import TypeVar

from daemon.clock import Clock
from daemon.handlers.contract import Declaration
from daemon.pool.interface import Demand, Devices, Ended, Order, Pool, Progress

_DEMANDS = 10_000
"""Counted at a time: an inbox makes one, and another when its settings change."""
_Word = TypeVar("_Word")
_Said = tuple[Mapping[str, Declaration], Mapping[str, str], Mapping[str, Devices]]


class _Room:
    """How many slots there are for one demand: counted anew only where they may have changed."""

    def __init__(self, demand: Demand, pools: Iterable[Pool]) -> None:
        self._demand, self._slots, self.changed = demand, Counter[Pool](), {*pools}

    def slots(self) -> int:
        for pool in self.changed:
            self._slots[pool] = pool.free_slots(self._demand)
        self.changed.clear()
        return self._slots.total()


class Group:
    """Pools whose slots are alike, but for what each can do; an order goes to the first."""

    def __init__(self, clock: Clock, pools: Sequence[Pool] = ()) -> None:
        self._clock, self._epoll = clock, select.epoll()
        self._listening: dict[int, Pool] = {}
        self._heard: dict[Pool, list[int]] = {}
        """The descriptors of each, as of when it was noted."""
        self._due_s: dict[Pool, float] = {}
        self._sizes: dict[Pool, int] = {}
        self._free: dict[Pool, int] = {}
        self._rooms: dict[tuple[object, ...], _Room] = {}
        self._degraded: dict[Pool, str | None] = {}
        self._said: dict[Pool, _Said] = {}
        self._sums: _Said | None = None
        self._at: dict[str, Pool] = {}
        """Where each job is worked on."""
        for pool in pools:
            self.note(pool)

    @property
    def pools(self) -> list[Pool]:
        """All of them, in their order."""
        return list(self._said)

    def note(self, pool: Pool) -> None:
        """Take down what a pool, perhaps a new one, waits for and says: it may have changed."""
        before, heard = self._heard.get(pool, ()), list(pool.descriptors())
        for descriptor in before:
            if descriptor not in heard:
                self._forget(descriptor)
        for descriptor in heard:
            self._listening[descriptor] = pool
            with suppress(FileExistsError):
                self._epoll.register(descriptor, select.EPOLLIN)
        self._heard[pool] = heard
        wait_s = pool.next_deadline_s()
        self._due_s[pool] = math.inf if wait_s is None else self._clock.monotonic_s() + wait_s
        self._sizes[pool], self._free[pool] = pool.size, pool.free_slots()
        for room in self._rooms.values():
            room.changed.add(pool)
        self._degraded[pool] = pool.degraded
        said = pool.handlers, pool.unusable, pool.devices()
        if said != self._said.get(pool):
            self._said[pool], self._sums = said, None

    def stir(self, pool: Pool) -> None:
        """Have a pool asked in the next round, whatever it waits for."""
        self._due_s[pool] = -math.inf

    def leave(self, pool: Pool) -> None:
        """Let go of a pool that is closed."""
        for descriptor in self._heard.pop(pool):
            self._forget(descriptor)
        for noted in (self._due_s, self._sizes, self._free, self._degraded, self._said):
            noted.pop(pool, None)
        self._rooms.clear()
        self._sums = None

    # What the supervisor asks for: see ``interface.Pool``

    @property
    def size(self) -> int:
        return sum(self._sizes.values())

    @property
    def degraded(self) -> str | None:
        reasons = self._degraded.values()
        return None if None in reasons else next(iter(reasons), "there is no node")

    @property
    def handlers(self) -> Mapping[str, Declaration]:
        return self._all()[0]

    @property
    def unusable(self) -> Mapping[str, str]:
        return self._all()[1]

    def free_slots(self, demand: Demand | None = None) -> int:
        if demand is None:
            return sum(self._free.values())
        key = demand.handler, demand.programs, demand.place, *demand.devices.items()
        if (room := self._rooms.get(key)) is None:
            if len(self._rooms) >= _DEMANDS:
                self._rooms.clear()
            room = self._rooms[key] = _Room(demand, self._with_room())
        return room.slots()

    def places(self, demand: Demand) -> list[str]:
        return [place for pool in self._with_room() for place in pool.places(demand)]

    def devices(self) -> Mapping[str, Devices]:
        return self._all()[2]

    def start(self, order: Order) -> None:
        demand = Demand.of(order)
        able = (pool for pool in self._with_room() if pool.free_slots(demand))
        if (pool := next(able, None)) is None:
            raise ValueError("no slot is free")
        pool.start(order)
        self._at[order.job] = pool
        self.note(pool)

    def serve(self, handlers: Sequence[str], programs: Sequence[str] = ()) -> None:
        for pool in self.pools:
            pool.serve(handlers, programs)
            self.note(pool)

    def cancel(self, job: str, attempt: int) -> bool:
        pool = self._at.get(job)
        cancelled = pool is not None and pool.cancel(job, attempt)
        if pool is not None:
            self.note(pool)
        return cancelled

    def interrupt_all(self) -> None:
        for pool in self.pools:
            pool.interrupt_all()
            self.note(pool)

    def collect(self) -> list[Progress | Ended]:
        readable = {self._listening[descriptor] for descriptor, _ in self._epoll.poll(0)}
        now_s = self._clock.monotonic_s()
        due = [pool for pool, due_s in self._due_s.items() if due_s <= now_s or pool in readable]
        events: list[Progress | Ended] = []
        for pool in due:
            events += pool.collect()
            self.note(pool)
        for event in events:
            if isinstance(event, Ended):
                self._at.pop(event.job, None)
        return events

    def descriptors(self) -> list[int]:
        return [self._epoll.fileno()]

    def next_deadline_s(self) -> float | None:
        due_s = min(self._due_s.values(), default=math.inf)
        return None if due_s == math.inf else max(0.0, due_s - self._clock.monotonic_s())

    def place_of(self, job: str) -> str:
        pool = self._at.get(job)
        return pool.place_of(job) if pool else ""

    def close(self) -> None:
        with ExitStack() as all_of_them:
            all_of_them.callback(self._epoll.close)
            for pool in self._said:
                all_of_them.callback(pool.close)
        for noted in (self._free, self._sizes, self._rooms):
            noted.clear()

    # What is noted of them

    def _forget(self, descriptor: int) -> None:
        del self._listening[descriptor]
        with suppress(OSError):  # what is closed, the kernel has forgotten
            self._epoll.unregister(descriptor)

    def _with_room(self) -> Iterable[Pool]:
        return [pool for pool, free in self._free.items() if free]

    def _all(self) -> _Said:
        """Return what all of them say together; of two who say it, the first counts."""
        if self._sums is None:
            said = list(self._said.values())
            usable = _joined([each[0] for each in said])
            cannot = _joined([each[1] for each in said])
            cannot = {name: why for name, why in cannot.items() if name not in usable}
            self._sums = usable, cannot, _joined([each[2] for each in said])
        return self._sums


def _joined(said: Sequence[Mapping[str, _Word]]) -> dict[str, _Word]:
    return dict(chain.from_iterable(each.items() for each in reversed(said)))
