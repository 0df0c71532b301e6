"""What the pool and its workers say to each other: JSON, one line per message.

Theory of operation
-------------------
::

    pool ── Hello ──▶ worker          once: where handlers are, what it may use
    pool ◀─ Ready ─── worker          imports are done
    pool ── Order ──▶ worker          one attempt at one job
    pool ◀─ Begun, Beat*, Report*, Verdict ── worker

Downwards we trust what we wrote ourselves. Upwards we trust nothing: a worker decodes bytes
from unknown sources, so whatever it says is held against a type, a length and a range
(``bounds``) before any code looks at it. Nothing is ever unpickled. Results go to files; a
message only names them, or the list that does (``lists``).

Rules
-----
1. A line is at most ``LINE_BYTES`` long. A longer one, or one that is no message, is a
   ``BadMessage``, and the worker that sent it dies.
2. Nothing that a worker says can name a path outside its work directory.
3. Numbers that JSON does not know (infinities, not-a-number) become null on the way up.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from daemon.errors import Fault
from daemon.handlers.contract import MOST_PARTS, Declaration
from daemon.pool.bounds import (
    Count,
    InputFile,
    InsidePath,
    Megabytes,
    Sentence,
    Sha256,
    Text,
    Values,
    Word,
    complaint,
)
from daemon.pool.interface import Order, Outcome

LINE_BYTES = 1 << 20

OUTPUTS = "outputs.jsonl"
"""One ``MadeFile`` a line, in the work directory."""
MOST_LISTED = 50_000

# An idle worker has read everything, so an order of this size goes into the buffer of its
# socket (208 KiB by default) at once and the pool never waits for a worker to read.
ORDER_BYTES = 128 << 10

SEEN = frozenset(
    {
        Outcome.DONE,
        Outcome.NOTHING_TO_DO,
        Outcome.BAD_INPUT,
        Outcome.UNAVAILABLE,
        Outcome.POSTPONED,
        Outcome.BAD_CONFIG,
        Outcome.FAILED,
        Outcome.OUT_OF_MEMORY,
        Outcome.SPLIT,
    }
)
"""The outcomes that a worker can see. Only the pool knows the others."""


class BadMessage(Exception):
    """A line that is too long, or that is no message of ours."""


@dataclass(frozen=True)
class Hello:
    """What a worker is told first."""

    handlers: tuple[str, ...]
    """Modules to import before the first order."""
    handler_paths: tuple[str, ...]
    memory_mb: int
    confine: bool


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Remark(_Said):
    """A warning or a note: a stable code and a sentence."""

    code: Word
    message: Sentence


class Ready(_Said):
    """The worker has started; ``unusable`` says which handlers cannot be used, and why.

    ``handlers`` are the others, and what each says of itself.
    """

    kind: Literal["ready"] = "ready"
    unusable: dict[Word, Sentence] = {}
    handlers: dict[Word, Declaration] = {}


class Begun(_Said):
    """The order has been read: from here on, a death is the attempt's."""

    kind: Literal["begun"] = "begun"


class Beat(_Said):
    """The interpreter runs."""

    kind: Literal["beat"] = "beat"


class Report(_Said):
    """What the handler said through ``task.report``."""

    kind: Literal["report"] = "report"
    stage: Word
    fraction: Fraction


class MadeFile(_Said):
    """An output, synced to disk, with what it was when the worker hashed it."""

    path: InsidePath
    role: Word
    bytes: Count
    sha256: Sha256
    measurements: Values = {}


class Made(_Said):
    """A handler's result as it goes into the database and the status file."""

    outputs: list[MadeFile]
    listed: Annotated[int, Field(ge=0, le=MOST_LISTED)] = 0
    """How many outputs ``OUTPUTS`` names instead: more than a message holds."""
    measurements: Values = {}
    notes: list[Remark] = []
    inputs: list[InputFile] = []

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        paths = Counter(file.path for file in self.outputs)
        if twice := [path for path, count in paths.items() if count > 1]:
            raise ValueError(f"the output {twice[0]} is named twice")
        if self.outputs and self.listed:
            raise ValueError("outputs are named here and in a list")
        return self


class SplitInto(_Said):
    """A handler's ``Split``, but for its parts: a file of the work directory lists them."""

    count: Annotated[int, Field(ge=1, le=MOST_PARTS)]
    at_once: Annotated[int, Field(ge=0, le=MOST_PARTS)] = 0
    stop_at_failure: bool = False
    stage: Word = ""
    share: tuple[Fraction, Fraction] = (0.0, 1.0)
    views: list[MadeFile] = []
    gives_way: bool = False


class Failure(_Said):
    """Why an attempt did not succeed: a ``Fault`` on its way up."""

    code: Word
    kind: Word
    message: Text
    hint: Sentence = ""
    path: Sentence = ""
    stage: Word = ""
    traceback: Text = ""
    details: Values = {}

    def fault(self) -> Fault:
        """Return it as the rest of the daemon knows it."""
        return Fault(**self.model_dump())


class Verdict(_Said):
    """How the worker saw the attempt end."""

    kind: Literal["verdict"] = "verdict"
    outcome: Outcome
    result: Made | None = None
    error: Failure | None = None
    split: SplitInto | None = None
    warnings: list[Remark] = []
    max_rss_mb: Megabytes
    clean: bool
    """No thread is left behind, nor what was made for one job, and no standard stream is missing:
    the worker may serve again."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.outcome not in SEEN:
            raise ValueError(f"{self.outcome} is for the pool to say")
        said = sum(one is not None for one in (self.result, self.error, self.split))
        wanted = {Outcome.DONE: self.result, Outcome.SPLIT: self.split}
        if said != 1 or wanted.get(self.outcome, self.error) is None:
            raise ValueError("done has a result, split has its parts, everything else an error")
        return self


Said = Ready | Begun | Beat | Report | Verdict
_SAID: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="kind")])


def line_down(message: Hello | Order) -> bytes:
    """Return a message for a worker as one line."""
    # Not ``asdict``, which copies all that a message holds: plain data already.
    return json.dumps(vars(message), separators=(",", ":")).encode() + b"\n"


def order_of(line: bytes) -> Order:
    """Return the order that ``line_down`` wrote."""
    return order_from(json.loads(line))


def order_from(fields: Mapping[str, Any]) -> Order:
    """Return the order of these fields, in which JSON has made lists of tuples."""
    listed = ("reads", "read_paths", "write_paths", "network")
    return Order(**{**fields, **{name: tuple(fields[name]) for name in listed}})


def hello_of(line: bytes) -> Hello:
    """Return the hello that ``line_down`` wrote."""
    fields = json.loads(line)
    for names in ("handlers", "handler_paths"):
        fields[names] = tuple(fields[names])
    return Hello(**fields)


def line_up(message: Said) -> bytes:
    """Return a message for the pool as one line.

    Raises
    ------
    BadMessage
        It is longer than the pool would accept.
    """
    line = message.model_dump_json().encode() + b"\n"
    if len(line) > LINE_BYTES:
        raise BadMessage(f"{len(line)} bytes, {LINE_BYTES} are allowed")
    return line


def said(line: bytes) -> Said:
    """Return what a worker said.

    Raises
    ------
    BadMessage
        The line is not JSON, not one of ours, or out of range.
    """
    try:
        return _SAID.validate_json(line)
    except ValidationError as error:
        raise BadMessage(complaint(error)) from None


class Lines:
    """Bytes in any portions become whole lines of at most so many bytes."""

    def __init__(self, most: int = LINE_BYTES) -> None:
        self._rest, self._most = b"", most

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their ends.

        Raises
        ------
        BadMessage
            A line is longer than that.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if any(len(line) >= self._most for line in (*lines, self._rest)):
            raise BadMessage(f"a line of more than {self._most} bytes")
        return lines


def plain(value: object, where: str = "result") -> Any:  # noqa: ANN401 - JSON has no type
    """Return `value` in the words of JSON.

    Numbers of numpy become numbers; infinities and not-a-number become ``None``; text that
    is no Unicode (an undecodable file name) is escaped.

    Raises
    ------
    TypeError
        Something in it has no JSON form; the message says what and where.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), where)
    raise TypeError(f"{where} is a {type(value).__name__}, which JSON cannot say")
