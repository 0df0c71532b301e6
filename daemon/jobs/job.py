"""The life of a job: its states, its attempts, and what may follow what.

Theory of operation
-------------------
A *job* is one drop to be handled:

    queued ──claim──▶ running ──▶ done | failed | skipped | cancelled
      ▲                 │
      └── retry, ───────┘
          interrupted

A job may *split*: it then stays queued, with ``split`` set, until every one of its *parts* has
ended, and is claimed again. Parts are jobs that own no drop (``jobs.parts``).

There is no state for "waiting to retry": such a job is *queued* with a ``not_before_ms`` in
the future. There is no state for "crashed": that is how an attempt ended, and ``after`` says
what follows.

Three budgets pay for further attempts, so that one kind of trouble never uses up another's
patience: *failures* (the surroundings, the clock, our bugs), *crashes* (the worker died of
this drop) and *interruptions* (no worker would start, the handler could not be used, or the
daemon itself died while it was handling this job).

Being postponed costs nothing either: a server that does not answer, or refuses our key, says
nothing about the drop, and is asked again until it does.

Being interrupted costs nothing, however often: a clean stop, a power cut, and a death of the
daemon that some other job caused say nothing about a job that was running beside. Of a death of
the daemon, only the job that it was handling (``daemon_died``) is suspected and pays, so that a
job that kills the daemon does not kill it for good.

Rules
-----
Rule 1: what follows an attempt is decided here, in ``after``, and nowhere else.

Rule 2: this module does no I/O and reads no clock.

Rule 3: every outcome is in ``FATES``; every way around the loop is paid for by a budget, or
is not the job's doing, so every job ends that is not kept from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from daemon.config.lanes import ALLOWANCE_MS, Lane

if TYPE_CHECKING:  # a worker imports this module at every start, and needs no configuration
    from daemon.config.models import Budgets


class State(StrEnum):
    """Where a job stands. The row says so, and no other place."""

    QUEUED = "queued"
    """Waiting for a slot, or for its time to retry. Moved on by ``claim``."""
    RUNNING = "running"
    """An attempt is under way. Moved on by its outcome, or by start-up."""
    DONE = "done"
    """A result is there; to be published, then history."""
    FAILED = "failed"
    """Set aside for a person, with the reason."""
    SKIPPED = "skipped"
    """The drop was fine and asked for nothing."""
    CANCELLED = "cancelled"
    """A person changed their mind."""


FINAL = frozenset({State.DONE, State.FAILED, State.SKIPPED, State.CANCELLED})


class Outcome(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    NOTHING_TO_DO = "nothing_to_do"
    BAD_INPUT = "bad_input"
    UNAVAILABLE = "unavailable"
    POSTPONED = "postponed"
    """What it needs of others is not there now."""
    FAILED = "failed"
    """Any other exception: a bug of ours or of the handler's author."""
    TIMED_OUT = "timed_out"
    STALLED = "stalled"
    CRASHED = "crashed"
    """The worker died, or sent what is no message."""
    OUT_OF_MEMORY = "out_of_memory"
    INTERRUPTED = "interrupted"
    """The daemon stopped, or died of something else."""
    DAEMON_DIED = "daemon_died"
    """The daemon's own process died while it was handling this job."""
    START_FAILED = "start_failed"
    """No worker came up to take it."""
    BAD_CONFIG = "bad_config"
    """Its handler could not be used: the operator's to mend."""
    CANCELLED = "cancelled"
    SPLIT = "split"
    """Its parts are to be done first."""


class Tally(NamedTuple):
    """What a job has spent of each budget."""

    failures: int = 0
    crashes: int = 0
    interruptions: int = 0


NOTHING_SPENT = Tally()


class Fate(NamedTuple):
    """What an outcome leads to."""

    state: State
    """At once, or when the budget is spent."""
    budget: Literal["failures", "crashes", "interruptions"] | None = None
    """What pays for another attempt; ``None``: nothing has to."""
    at_most: int | None = None
    """A limit below the budget's own."""
    waits: bool = False
    """Another attempt waits, although nothing pays for it."""


FATES: Mapping[Outcome, Fate] = {
    Outcome.DONE: Fate(State.DONE),
    Outcome.NOTHING_TO_DO: Fate(State.SKIPPED),
    Outcome.CANCELLED: Fate(State.CANCELLED),
    Outcome.BAD_INPUT: Fate(State.FAILED),
    Outcome.UNAVAILABLE: Fate(State.FAILED, "failures"),
    Outcome.TIMED_OUT: Fate(State.FAILED, "failures"),
    Outcome.STALLED: Fate(State.FAILED, "failures"),
    # The same code fails the same way; once more, in case it was the moment after all.
    Outcome.FAILED: Fate(State.FAILED, "failures", at_most=2),
    Outcome.CRASHED: Fate(State.FAILED, "crashes"),
    Outcome.OUT_OF_MEMORY: Fate(State.FAILED, "crashes"),
    Outcome.INTERRUPTED: Fate(State.QUEUED),
    Outcome.SPLIT: Fate(State.QUEUED),
    Outcome.POSTPONED: Fate(State.QUEUED, waits=True),
    Outcome.DAEMON_DIED: Fate(State.FAILED, "interruptions"),
    Outcome.START_FAILED: Fate(State.FAILED, "interruptions"),
    Outcome.BAD_CONFIG: Fate(State.FAILED, "interruptions"),
}


_POSTPONED_AS = 3
"""A job that is postponed waits as after its third failure, each time: there is no count of it."""


class Next(NamedTuple):
    """What follows an attempt."""

    state: State
    tally: Tally
    not_before_ms: int
    """When a queued job is due again; wall clock."""


def after(
    tally: Tally, outcome: Outcome, budgets: "Budgets", *, now_ms: int, chance: float
) -> Next:
    """Decide what follows an attempt that ended with `outcome`.

    `tally` is what the job had spent before; `chance` in [0, 1) spreads the retries.
    """
    fate = FATES[outcome]
    if fate.waits:
        wait_s = backoff_s(
            _POSTPONED_AS, first_s=budgets.backoff_s, longest_s=budgets.backoff_max_s, chance=chance
        )
        return Next(fate.state, tally, now_ms + round(wait_s * 1000))
    if fate.budget is None:
        return Next(fate.state, tally, now_ms)
    spent = getattr(tally, fate.budget) + 1
    tally = tally._replace(**{fate.budget: spent})
    allowed = getattr(budgets, fate.budget)
    if spent >= min(allowed, fate.at_most or allowed):
        return Next(fate.state, tally, now_ms)
    wait_s = backoff_s(
        spent, first_s=budgets.backoff_s, longest_s=budgets.backoff_max_s, chance=chance
    )
    return Next(State.QUEUED, tally, now_ms + round(wait_s * 1000))


def backoff_s(count: int, *, first_s: float, longest_s: float, chance: float) -> float:
    """Return the wait after the `count`-th failure, in seconds.

    Doubling keeps a machine in trouble from being asked too often; the random half keeps jobs
    that failed together from coming back together. The wait stands in the row, not in a timer.

    Parameters
    ----------
    count : int
        1 for the first failure.
    first_s, longest_s : float
        The wait doubles from `first_s` and never exceeds `longest_s`.
    chance : float
        In [0, 1): decides the random half.
    """
    doublings = min(count - 1, 64)  # beyond, longest_s rules; 2.0**1024 would overflow
    whole_s = min(longest_s, first_s * 2.0**doublings)
    return whole_s / 2 + chance * whole_s / 2


def order_key_ms(created_ms: int, lane: Lane) -> int:
    """Return by what queued jobs are sorted: the smallest is claimed first."""
    return created_ms + ALLOWANCE_MS[lane]


@dataclass(frozen=True)
class NewJob:
    """A drop that was admitted, as its row begins."""

    id: str
    """Names its folder in ``work/``; never used again."""
    inbox: str
    name: str
    """The drop's name on disk; it may hold undecodable bytes as surrogates."""
    label: str
    """The name of its status and of its result in the outbox."""
    handler: str
    created_ms: int
    lane: Lane = "normal"
    first_seen_ms: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the inbox and of the drop, merged."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of the files that the drop's settings list with one: compared before the handler runs."""
    inputs: Sequence[Mapping[str, Any]] = ()
    """What the status says about each file."""
    warnings: Sequence[Mapping[str, Any]] = ()
    """``{code, message}`` each."""
    audio_s: float = 0.0
    """Audio in the drop, all files together, as far as their headers tell."""


@dataclass(frozen=True)
class Job(NewJob):
    """A row of the queue."""

    state: State = State.QUEUED
    not_before_ms: int = 0
    attempts: int = 0
    """How many were begun; the number of the last one."""
    tally: Tally = NOTHING_SPENT
    started_ms: int | None = None
    """When the first attempt began."""
    finished_ms: int | None = None
    published_ms: int | None = None
    """When everything was in its final place and nothing was left to do."""
    drop_at: str = "work"
    """Where the drop lies: ``work``, a path below the root, or empty when it is gone."""
    error: Mapping[str, Any] | None = None
    """Why the last attempt ended badly: ``{code, class, message, hint, stage}``."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the handler said: measurements, notes, inputs; of a split job stage and views."""
    content_key: str | None = None
    duplicate_of: str | None = None
    parent: str | None = None
    """Of a part: the job that it belongs to."""
    round: int = 0
    """How often the job has split; of a part: in which round it was made."""
    part: int | None = None
    """Its place in its round."""
    split: bool = False
    """Queued, and waiting for its parts."""
    at_once: int = 0
    """Of a part: how many of its round may run at a time; 0: any number."""
    weight: float = 1.0
    """Of a part: its share in the progress."""
    reads: Sequence[str] = ()
    """Of a part: what it may read; empty: all of the drop."""
    stopping: State | None = None
    """Of a split job: how it ends as soon as its running parts have."""
    stop_at_failure: bool = False

    @property
    def root(self) -> str:
        """The id of the job that owns the drop."""
        return self.parent or self.id


@dataclass(frozen=True)
class OutputFile:
    """A file of a result, as it lies in the outbox."""

    path: str
    role: str
    bytes: int
    sha256: str
    measurements: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NewPart:
    """A part as a plan asks for it; see ``handlers.contract.Part``."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    reads: Sequence[str] = ()
    audio_s: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True)
class Plan:
    """How a job is split."""

    parts: Sequence[NewPart]
    at_once: int = 0
    stop_at_failure: bool = False
    stage: str = ""
    share: tuple[float, float] = (0.0, 1.0)
    gives_way: bool = False


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, and what it left."""

    outcome: Outcome
    error: Mapping[str, Any] | None = None
    outputs: Sequence[OutputFile] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    signal: int | None = None
    max_rss_mb: float | None = None
    plan: Plan | None = None
    """With ``Outcome.SPLIT``."""
    node: str = ""
    """The other machine that worked on it; empty: this one."""


@dataclass(frozen=True)
class Attempt:
    """One try at one job, as history tells it."""

    number: int
    started_ms: int
    ended_ms: int | None = None
    outcome: Outcome | None = None
    """``None`` while it is under way."""
    error: Mapping[str, Any] | None = None
    exit_code: int | None = None
    signal: int | None = None
    max_rss_mb: float | None = None
    node: str = ""
    """The other machine that worked on it, once it has ended; empty: this one."""
