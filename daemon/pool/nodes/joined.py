"""The slots of this machine and of all nodes, as one pool.

Rule: an order goes to the first machine that can run it now, this one before any other; so the
daemon's own machine is busy before anything travels.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from daemon.clock import Clock, earliest
from daemon.config.models import Config
from daemon.handlers.contract import Declaration
from daemon.pool.interface import Demand, Devices, Ended, Order, Pool, Progress
from daemon.pool.local import LocalPool
from daemon.pool.nodes.group import Group
from daemon.pool.nodes.launcher import Launcher
from daemon.pool.nodes.remote import RemotePool, Terms


class JoinedPool:
    """The pool of this machine, and those of nodes that come and go."""

    def __init__(self, home: Pool, nodes: Sequence[Pool], clock: Clock) -> None:
        self._home, self._nodes = home, Group(clock, nodes)

    @property
    def size(self) -> int:
        return self._home.size + self._nodes.size

    @property
    def degraded(self) -> str | None:
        return None if self._nodes.degraded is None else self._home.degraded

    @property
    def handlers(self) -> dict[str, Declaration]:
        """Those that can be used somewhere; what each says of itself here counts first."""
        return {**self._nodes.handlers, **self._home.handlers}

    @property
    def unusable(self) -> dict[str, str]:
        """Those that can be used on no machine."""
        away = self._nodes.handlers
        return {name: why for name, why in self._home.unusable.items() if name not in away}

    def free_slots(self, demand: Demand | None = None) -> int:
        return sum(pool.free_slots(demand) for pool in self._able(demand))

    def places(self, demand: Demand) -> list[str]:
        return [place for pool in self._able(demand) for place in pool.places(demand)]

    def devices(self) -> Mapping[str, Devices]:
        return self._nodes.devices()

    def start(self, order: Order) -> None:
        demand = Demand.of(order)
        able = (pool for pool in self._able(demand) if pool.free_slots(demand))
        next(able, self._nodes).start(order)

    def serve(self, handlers: Sequence[str], programs: Sequence[str] = ()) -> None:
        self._home.serve(handlers, programs)
        self._nodes.serve(handlers, programs)

    def cancel(self, job: str, attempt: int) -> bool:
        return self._home.cancel(job, attempt) or self._nodes.cancel(job, attempt)

    def interrupt_all(self) -> None:
        self._home.interrupt_all()
        self._nodes.interrupt_all()

    def collect(self) -> list[Progress | Ended]:
        return [*self._home.collect(), *self._nodes.collect()]

    def descriptors(self) -> list[int]:
        return [*self._home.descriptors(), *self._nodes.descriptors()]

    def next_deadline_s(self) -> float | None:
        return earliest((self._home.next_deadline_s(), self._nodes.next_deadline_s()))

    def place_of(self, job: str) -> str:
        return self._nodes.place_of(job)

    def describe(self) -> dict[str, Any]:
        here, others = self._home.describe(), [pool.describe() for pool in self._nodes.pools]
        brokers = [each["broker"] for each in others if "broker" in each]
        nodes = [node for each in others for node in each.get("nodes", [each])]
        sums = {
            name: sum(each[name] for each in (here, *nodes))
            for name in ("slots", "free", "waiting", "checking")
        }
        return {
            **here,
            **sums,
            "own_slots": here["slots"],
            "degraded": self.degraded,
            "unusable_handlers": self.unusable,
            "nodes": nodes,
            **({"broker": brokers[0]} if brokers else {}),
        }

    def close(self) -> None:
        with ExitStack() as both:
            both.callback(self._home.close)  # the last one: it sweeps
            both.callback(self._nodes.close)

    def _able(self, demand: Demand | None) -> Sequence[Pool | Group]:
        """Return the pools that may run what is asked for, as far as is known."""
        away = demand is not None and (demand.handler in self._home.unusable or demand.place)
        return (self._nodes,) if away else (self._home, self._nodes)


def open_pool(config: Config, clock: Clock, programs: Sequence[str]) -> Pool:
    """Return the pool that a configuration asks for: without nodes, this machine's alone.

    `programs` are the names of those that orders may ask for.
    """
    home = LocalPool(
        config.pool, clock, handlers=_handlers(config), handler_paths=config.handler_paths
    )
    nodes: list[Pool] = [*node_pools(config, clock, programs)]
    if config.pool.celery:
        # Not before: what is not asked for is not there either.
        from daemon.pool.nodes.broker.pool import BrokeredPool  # noqa: PLC0415

        handlers = _handlers(config)
        nodes.append(BrokeredPool(config, clock, handlers=handlers, programs=programs))
    return JoinedPool(home, nodes, clock) if nodes else home


def node_pools(config: Config, clock: Clock, programs: Sequence[str]) -> list[RemotePool]:
    """Return the pools of the nodes that a configuration names, none of which has joined yet."""
    return [
        RemotePool(
            name,
            partial(Launcher, node.launch),
            config.pool,
            clock,
            terms=Terms(node.lost_s, node.root, node.slots),
            root=config.root,
            handlers=_handlers(config),
            programs=programs,
            handler_paths=config.handler_paths,
        )
        for name, node in config.pool.nodes.items()
    ]


def _handlers(config: Config) -> list[str]:
    return [inbox.handler for inbox in config.inboxes.values()]
