"""What a handler is given and what it gives back.

A handler is a module with an ``Options`` class and ``handle(task) -> Result``, named by its
dotted path in ``config.yaml``. There is nothing to register and nothing to inherit from:
a user's own module, importable by the daemon's Python, works the same way.

* ``Options`` is a pydantic model or a (pydantic) dataclass; the settings of the inbox and
  of the drop are validated against it in the worker, before ``handle`` is called.
* ``handle`` runs in a worker process that may be killed at any instruction. It reads
  ``task.source``, writes only below ``task.workdir`` and raises ``BadInput``,
  ``NothingToDo`` or ``Unavailable`` to say whose fault a failure was.

What a module says of itself, by constants that are all optional; a worker reads them and tells
the daemon, which knows nothing else of a handler:

* ``ACCEPTS``: the lower-case suffixes of the files that it works on (``{".md", ".txt"}``).
  A loose file must have one of them to be a drop, and a folder must hold such a file; others in
  the folder come along and are not examined. Without it, the suffixes of audio.
* ``JUDGE``: how many of those files must be whole before the drop is taken. ``"all"``, the
  default; ``"any"``: of a folder, those that are truncated, damaged or not to be read are
  named in a warning, as long as one is whole; ``"none"``: headers are not read, and a drop is
  taken when it has been quiet for ``settle_unknown_s``. Text needs no ``"none"``: a file that is
  not audio by its name has no header to read, and is whole when it is quiet and not empty.
* ``HEADLINE``: the names of the measurements that overviews show of a result, the most
  important first (``("integrated_lufs",)``; the suffix is its unit).
* ``STAGES``: the names of its stages in their order; the status then says which of how many
  is under way.
* ``KEEPS``: ``True`` gives every job of its inbox the same folder, ``task.kept``, to remember
  things in: a cache. Several jobs and parts may write it at once, so by rename.
* ``USES``: what it may use of the network and of programs: a set of names of programs and of
  ``host:port``, or a function that returns one for its options. What the inbox does not grant by
  ``allow`` is refused when the daemon starts; what it grants is in ``task.grants``.

Work that consists of many independent pieces may be *split*: ``handle`` returns a ``Split``, its
parts are run by ``part(task) -> Result`` of the same module, each in a worker, with budgets and a
deadline of its own, and when all have ended ``handle`` is called again with ``task.round`` 1 and
what became of them in ``task.parts``. It may split again as often as it likes, but after
``FREE_ROUNDS`` rounds only while some part of the last one was done. What parts of earlier rounds
made is removed when it does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from daemon.handlers.grants import Grants
from daemon.text import shown
from dsp.containers.identify import AUDIO_SUFFIXES

_Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(shown)]
_Suffix = Annotated[str, Field(pattern=r"^\.[^\s/.A-Z]{1,30}$"), AfterValidator(shown)]


class Declaration(BaseModel):
    """What a handler says of itself: its constants, checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    accepts: frozenset[_Suffix] = Field(default=AUDIO_SUFFIXES, min_length=1, max_length=200)
    judge: Literal["all", "any", "none"] = "all"
    headline: tuple[_Name, ...] = Field(default=(), max_length=20)
    stages: tuple[_Name, ...] = Field(default=(), max_length=200)
    keeps: bool = False

    @classmethod
    def of(cls, module: object) -> "Declaration":
        """Return what the module says.

        Raises
        ------
        ValueError
            A constant is not what it may be; the message names it.
        """
        said = {
            field: getattr(module, field.upper())
            for field in cls.model_fields
            if hasattr(module, field.upper())
        }
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name, value = str(first["loc"][0]).upper(), repr(first["input"])[:100]
            raise ValueError(f"{name} cannot be used: {first['msg']}, got {value}") from None


MOST_PARTS, FREE_ROUNDS = 5_000, 8


@dataclass(frozen=True)
class Part:
    """A piece of a job that can be done without the others."""

    name: str
    """For people: ``03 Song.flac``."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What ``part`` is given as ``task.part``; plain data."""
    reads: tuple[str, ...] = ()
    """What of the drop, and of what the plan left in its work directory, its worker may read; all
    of both when empty. Paths relative to them."""
    audio_s: float = 0.0
    """Sets its deadline."""
    weight: float = 1.0
    """Its share of the progress."""


@dataclass(frozen=True)
class Split:
    """What ``handle`` returns instead of a ``Result`` when parts are to be done first.

    What it left in its work directory stays: parts and later rounds find it in ``task.carried``.
    """

    parts: tuple[Part, ...]
    """1 to ``MOST_PARTS``."""
    at_once: int = 0
    """How many of them may run at a time; 0: as many as there are slots."""
    on_failure: Literal["go on", "stop"] = "go on"
    """``stop``: when a part fails, those that wait are cancelled and the job fails with it."""
    stage: str = ""
    """What is under way while they run, for people; empty: the number of the round."""
    share: tuple[float, float] = (0.0, 1.0)
    """The progress of the job before and after them, 0..1."""
    views: tuple[str, ...] = ()
    """Live views (``Output.role``) of what is known already: they are published meanwhile."""
    gives_way: bool = False
    """Whether other jobs of an inbox with ``keeps`` may be done before the next round; what is kept
    must bear that."""


@dataclass(frozen=True)
class EndedPart:
    """What became of a part of the round before."""

    name: str
    outcome: Literal["done", "skipped", "failed", "cancelled"]
    folder: Path
    """What it made, when it is done. Read-only."""
    measurements: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[Mapping[str, Any]] = ()
    """``{code, message}`` each."""
    error: Mapping[str, Any] | None = None
    """``{code, message, hint, …}`` when it failed."""


@dataclass(frozen=True)
class Task:
    """One attempt's worth of work."""

    name: str
    """The drop's name, for people."""
    source: Path
    """The drop: a file or a folder. Read-only."""
    workdir: Path
    """An empty folder of this attempt's own; outputs are written here."""
    options: Any
    """An instance of the handler's ``Options``."""
    report: Callable[[str, float], None]
    """``report(stage, fraction)``: progress 0..1, and the heartbeat."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """What a file may be: ``rate_hz_min rate_hz_max channels frames``; empty: unsaid."""
    accept_truncated: bool = False
    """Whether a file whose writer never finished its header may be used as far as it goes."""
    round: int = 0
    """How often the job has split before."""
    parts: tuple[EndedPart, ...] = ()
    """Those of the last round, in the order in which the plan named them."""
    part: Mapping[str, Any] = field(default_factory=dict)
    """``Part.options``, for ``part``."""
    carried: Path | None = None
    """The work directory of the plan that split last. Read-only."""
    kept: Path | None = None
    """The folder that the jobs of this inbox share, when the handler says ``KEEPS``."""
    roots: Mapping[str, Path] = field(default_factory=dict)
    """The folders elsewhere that its inbox ``reads``, by name. Read-only, and there when the
    attempt began."""
    grants: Grants | None = None
    """What of network and programs its inbox grants; ``None``: by hand, whatever the user may."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Keys for servers that the inbox's options name: ``api_key``, ``summary.api_key``."""
    report_piece: Callable[[str, float], None] = lambda _name, _fraction: None
    """``report_piece(name, fraction)``: how far one of many pieces is that are done here, by hand;
    a daemon knows it of parts without being told."""


@dataclass(frozen=True)
class Output:
    """A file the attempt made, by its path relative to the work directory."""

    path: str
    role: str
    """``master``, ``report``, ``data``, ``sheet`` … what it is to a reader.

    ``live``: a view that is replaced whole. It lies in ``outbox/<inbox>/`` under its plain name,
    not in the result's folder; only for inboxes with ``keeps: true``.
    """
    measurements: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """Something a person may want to know; becomes a warning in the status."""

    code: str
    message: str


@dataclass(frozen=True)
class Result:
    """What an attempt achieved."""

    outputs: tuple[Output, ...]
    measurements: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    inputs: tuple[Mapping[str, object], ...] = ()
    """What was read: ``{path, bytes, sha256, frames, rate_hz, channels}``."""
