"""What the daemon and a node say to each other: JSON, one line per message.

Theory of operation
-------------------
::

    daemon ◀─ Greeting ─── node       once: protocol, version, host
    daemon ── Hello ─────▶ node       once: the settings of its pool, and where the proof lies
    daemon ◀─ Joined ───── node       once: its slots, and what the proof says
    daemon ── Assign, Cancel, Interrupt, Checked, Serve ──▶ node
    daemon ◀─ Offer, Moved, Over, Gone ──────────────────── node
    daemon ◀─ Here, stamped ─── node    every ``here_s``
    daemon ── Heard, stamped ──▶ node   the answer, with the same stamp

The stamp is a *lease*. It is the node's own clock, and the daemon sends it back unread. A node
whose last stamp to come back is older than ``dead_s`` ends its workers and leaves; the first lease
begins when it says that it has joined. The daemon, which answers only what it has heard, waits for
``lost_s`` after it last heard the node; that is longer, so by then nothing of the node runs any
more, whichever of the two directions is cut, and however late a message arrives.

Rules
-----
1. Durations travel, never times: the clocks of two machines are not compared.
2. What a node says is held against types and bounds, as the word of a worker is.
3. A line is at most ``NODE_LINE_BYTES`` long: the longest verdict of a worker, and an envelope.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from daemon.config.models import MemberName, ResourceName, each_once
from daemon.handlers.contract import Declaration
from daemon.pool.bounds import Count, Megabytes, Sentence, Text, Word, complaint
from daemon.pool.interface import Ended, Order, Outcome
from daemon.pool.protocol import LINE_BYTES, BadMessage, Failure, Made, Remark, SplitInto

PROTOCOL = 4
"""Rises with every change that a node of before would not understand."""
NODE_LINE_BYTES = LINE_BYTES + (64 << 10)

_Members = Annotated[
    list[MemberName], Field(min_length=1, max_length=100), AfterValidator(each_once)
]
Resources = Annotated[dict[ResourceName, _Members], Field(max_length=64)]
"""What a machine has of named resources: its gpus, say, by their numbers."""
Stamp = Annotated[float, Field(ge=0.0, le=1e12)]
_PATHS = ("source", "workdir", "parts", "carried", "kept", "spool")
_LISTS_OF_PATHS = ("reads", "read_paths", "write_paths")


# Down: dataclasses, for paths may hold bytes that are no text, which JSON's ASCII form carries


@dataclass(frozen=True)
class Hello:
    """What a node is told first."""

    name: str
    """What the daemon calls the node: on one machine, one of a name runs workers of a spool."""
    proof: str
    """A file that the node must read, and copy to ``<proof>.answer``."""
    pool: dict[str, Any]
    """The fields of ``config.Pool``."""
    handlers: tuple[str, ...]
    handler_paths: tuple[str, ...]
    programs: tuple[str, ...]
    """Names of those that orders may ask for."""
    here_s: float
    dead_s: float


@dataclass(frozen=True)
class Assign:
    """An order; its paths are the node's."""

    order: dict[str, Any]


@dataclass(frozen=True)
class Cancel:
    """End an attempt as ``cancelled``."""

    job: str
    attempt: int


@dataclass(frozen=True)
class Interrupt:
    """End every attempt as ``interrupted``."""


@dataclass(frozen=True)
class Checked:
    """The daemon has compared what an attempt has made with what its worker said."""

    job: str
    attempt: int
    well: bool


@dataclass(frozen=True)
class Serve:
    """Get to know these handlers and programs, and no others."""

    handlers: tuple[str, ...]
    programs: tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """The daemon has heard the ``Here`` of this stamp."""

    stamp: float


Down = Hello | Assign | Cancel | Interrupt | Checked | Serve | Heard
_DOWN: Mapping[str, type[Down]] = {each.__name__.lower(): each for each in get_args(Down)}


def line_down(message: Down) -> bytes:
    """Return a message for a node as one line."""
    said = {"kind": type(message).__name__.lower(), **asdict(message)}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def down_of(line: bytes) -> Down:
    """Return what the daemon said; ``BadMessage`` when it is none of ours."""
    try:
        said = json.loads(line)
        return _DOWN[said.pop("kind")](**said)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadMessage(f"no message of the daemon: {error!r}") from None


# Up


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Greeting(_Message):
    """A node has started."""

    kind: Literal["greeting"] = "greeting"
    protocol: int
    version: Word
    host: Word
    root: Annotated[str, Field(max_length=4096)] = ""
    """Where it sees the spool, when it was told by whoever started it."""
    resources: Resources = {}
    """Members of named resources that this machine has."""


class Joined(_Message):
    """The node has read the proof and written its answer."""

    kind: Literal["joined"] = "joined"
    slots: Annotated[int, Field(ge=1, le=4096)]
    proof: Sentence
    """What the file holds; or why it cannot be read."""


class Offer(_Message):
    """What the node can do; said again when it changes."""

    kind: Literal["offer"] = "offer"
    handlers: dict[Word, Declaration] = {}
    unusable: dict[Word, Sentence] = {}
    programs: list[Word] = []
    degraded: Sentence | None = None


class Here(_Message):
    """A sign of life."""

    kind: Literal["here"] = "here"
    stamp: Stamp


class Moved(_Message):
    """A ``Progress``."""

    kind: Literal["moved"] = "moved"
    job: Word
    attempt: Count
    stage: Word
    fraction: Annotated[float, Field(ge=0.0, le=1.0)]


class Over(_Message):
    """An ``Ended``, whose outputs are still to be checked."""

    kind: Literal["over"] = "over"
    job: Word
    attempt: Count
    outcome: Outcome
    result: Made | None = None
    split: SplitInto | None = None
    error: Failure | None = None
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    signal: Annotated[int, Field(ge=0, le=255)] | None = None
    max_rss_mb: Megabytes | None = None
    warnings: list[Remark] = []
    stderr: Text = ""

    @classmethod
    def of(cls, ended: Ended) -> "Over":
        """Return what the pool of the node says, as a message."""
        fields = {key: value for key, value in vars(ended).items() if key != "plan"}
        if (error := ended.error) is not None:
            told = {**error, "kind": error.get("class") or "", "stage": error.get("stage") or ""}
            del told["class"]
            fields["error"] = told
        return cls.model_validate(fields | {"warnings": list(ended.warnings)})

    def ended(self) -> Ended:
        """Return it as the pool that joins all machines knows it."""
        return Ended(
            self.job,
            self.attempt,
            self.outcome,
            result=self.result.model_dump() if self.result else None,
            split=self.split.model_dump() if self.split else None,
            error=self.error.fault().document() if self.error else None,
            exit_code=self.exit_code,
            signal=self.signal,
            max_rss_mb=self.max_rss_mb,
            warnings=tuple(remark.model_dump() for remark in self.warnings),
            stderr=self.stderr,
        )


class Gone(_Message):
    """The last word: every worker of the node has died."""

    kind: Literal["gone"] = "gone"
    why: Sentence


Up = Greeting | Joined | Offer | Here | Moved | Over | Gone
_UP: TypeAdapter[Up] = TypeAdapter(Annotated[Up, Field(discriminator="kind")])


def line_up(message: Up) -> bytes:
    """Return a message for the daemon as one line."""
    return message.model_dump_json().encode() + b"\n"


def up_of(line: bytes) -> Up:
    """Return what a node said; ``BadMessage`` when it is none of ours, or out of range."""
    try:
        return _UP.validate_json(line)
    except ValidationError as error:
        raise BadMessage(complaint(error)) from None


def relocated(path: str, root: Path, there: Path) -> str:
    """Return what a path below `root` is called where the spool lies at `there`."""
    if not Path(path).is_relative_to(root):
        return path
    return str(there / Path(path).relative_to(root))


def assign(order: Order, root: Path, there: Path) -> Assign:
    """Return an order for a node, which sees the spool `root` at `there`."""
    moved: dict[str, Any] = {
        name: relocated(getattr(order, name), root, there)
        for name in _PATHS
        if getattr(order, name)
    }
    for name in _LISTS_OF_PATHS:
        moved[name] = tuple(relocated(path, root, there) for path in getattr(order, name))
    return Assign(order=asdict(replace(order, **moved)))
