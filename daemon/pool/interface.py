"""What the supervisor asks of a pool of attempts, wherever they run.

Theory of operation
-------------------
The supervisor calls ``start`` while ``free_slots`` says so, sleeps on ``descriptors`` until
``next_deadline_s``, and calls ``collect``, which does one round of all there is to do. No
call waits for an attempt, except ``close``.

Rules
-----
1. Every order that ``start`` accepted ends in exactly one ``Ended``, unless the pool is closed
   before; no ``Progress`` of an attempt follows its ``Ended``.
2. When ``Ended`` is given out, nothing of the attempt runs any more. What it says has been
   checked: texts and numbers are within bounds, and every output is a regular file below the
   work directory, without write permission, of the size and the hash that were said.
3. A pool is called from one thread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from daemon.handlers.contract import Declaration
from daemon.jobs.job import Outcome, Plan

__all__ = ["WELL", "Demand", "Devices", "Ended", "Order", "Outcome", "Pool", "Progress"]

WELL = frozenset({Outcome.DONE, Outcome.NOTHING_TO_DO, Outcome.SPLIT})
"""The outcomes after which the same worker may serve again."""

Devices = Mapping[str, Sequence[str]]
"""Members of named resources that a machine has."""


@dataclass(frozen=True)
class Order:
    """One attempt at one job, as the supervisor asks for it."""

    job: str
    attempt: int
    handler: str
    """Dotted name of the handler's module."""
    name: str
    """The drop's name, for people."""
    source: str
    workdir: str
    options: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    """Of the drop (``files depth bytes``) and of each file: see ``Task``."""
    accept_truncated: bool = False
    sha256: dict[str, str] = field(default_factory=dict)
    """What the drop's manifest lists, by file; compared before the handler is called."""
    deadline_s: float = 900.0
    """The attempt is killed this long after a worker got it."""
    stall_s: float = 30.0
    """The longest silence: a worker beats even while a handler says nothing."""
    no_progress_s: float = 300.0
    """The longest time with the same stage and fraction."""
    round: int = 0
    part: dict[str, Any] | None = None
    """The options of a part; ``None``: this is the whole job."""
    parts: str = ""
    """A file that says what became of the parts of the last round; see ``pool.parts``."""
    carried: str = ""
    """What the plan that split last left; see ``Task``."""
    kept: str = ""
    """The folder that the jobs of the inbox share."""
    reads: tuple[str, ...] = ()
    """What of the drop and of what was carried a part may read; empty: all of it."""
    roots: dict[str, str] = field(default_factory=dict)
    """Folders elsewhere that its inbox lets it read, by name."""
    spool: str = ""
    """What none of them may lie in or hold."""
    read_paths: tuple[str, ...] = ()
    """What the handler may read besides its source and the installed libraries."""
    write_paths: tuple[str, ...] = ()
    """Where it may write besides its work directory."""
    network: tuple[str, ...] = ()
    """Where it may connect to: ``host:port``."""
    programs: dict[str, str] = field(default_factory=dict)
    """What it may start: absolute paths by name."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that say what the job holds of named resources."""
    place: str | None = None
    """The machine that must run it: see ``Demand``."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Keys for servers, by the path of the option; they are written down nowhere."""


@dataclass(frozen=True)
class Demand:
    """What an order asks of the machine that runs it."""

    handler: str
    programs: tuple[str, ...] = ()
    """Names of programs that it may start."""
    devices: Mapping[str, int] = field(default_factory=dict)
    """How many members of named resources, which belong to a machine."""
    place: str | None = None
    """The machine that must run it: a node, by name; empty: the daemon's own; ``None``: any."""

    @classmethod
    def of(cls, order: Order) -> Self:
        """Return what an order asks; its devices are held, and are where its place is."""
        return cls(order.handler, tuple(order.programs), place=order.place)


@dataclass(frozen=True)
class Progress:
    """How far a running attempt is."""

    job: str
    attempt: int
    stage: str
    fraction: float


@dataclass(frozen=True)
class Ended:
    """How an attempt ended. When the pool says so, nothing of the attempt runs any more."""

    job: str
    attempt: int
    outcome: Outcome
    result: dict[str, Any] | None = None
    """``{outputs, measurements, notes, inputs}`` when done."""
    split: dict[str, Any] | None = None
    """``{count, at_once, stop_at_failure}`` when the job is to be split."""
    plan: Plan | None = None
    """How it is split, once the list of its parts has been read."""
    error: dict[str, Any] | None = None
    """The document of a ``Fault`` otherwise."""
    exit_code: int | None = None
    signal: int | None = None
    max_rss_mb: float | None = None
    """Largest resident memory in the worker's life so far."""
    warnings: tuple[dict[str, str], ...] = ()
    """``{code, message}`` each."""
    stderr: str = ""
    """The end of what the worker wrote to its standard error."""


class Pool(Protocol):
    """A bounded number of attempts at a time."""

    @property
    def size(self) -> int:
        """How many attempts run at once at the most."""

    @property
    def degraded(self) -> str | None:
        """Why nothing can run now, when nothing can."""

    @property
    def handlers(self) -> Mapping[str, Declaration]:
        """The handlers that can be used, and what each says of itself."""

    @property
    def unusable(self) -> Mapping[str, str]:
        """Handlers that cannot be used, and the reason: their drops wait."""

    def free_slots(self, demand: Demand | None = None) -> int:
        """Return how many orders that ask for this, or for nothing, may be started now."""

    def places(self, demand: Demand) -> Sequence[str]:
        """Return the machines with a slot for such an order: nodes, and "" for this one."""

    def devices(self) -> Mapping[str, Devices]:
        """Return what nodes that are there have, by node."""

    def start(self, order: Order) -> None:
        """Take an order; ``ValueError`` when no slot is free or the order is too large."""

    def serve(self, handlers: Sequence[str], programs: Sequence[str] = ()) -> None:
        """Get to know these handlers and programs, and no others, from now on."""

    def cancel(self, job: str, attempt: int) -> bool:
        """End an attempt as ``cancelled``; return whether it was there to be cancelled."""

    def interrupt_all(self) -> None:
        """End every attempt as ``interrupted``; the Endeds come from ``collect``."""

    def collect(self) -> Sequence[Progress | Ended]:
        """Do one round; return what happened since the last, in the order it happened."""

    def descriptors(self) -> Sequence[int]:
        """Return what becomes readable when ``collect`` has something to do."""

    def next_deadline_s(self) -> float | None:
        """Return in how many seconds ``collect`` has something to do even so; ``None``: never."""

    def place_of(self, job: str) -> str:
        """Return the node at which a job is worked on; empty: this machine, or none."""

    def describe(self) -> dict[str, Any]:
        """Return what ``daemon.json`` says about the pool."""

    def close(self) -> None:
        """End everything; attempts that still ran get no ``Ended``."""
