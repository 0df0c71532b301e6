"""What a handler is given and what it gives back.

A handler is a module with an ``Options`` class and ``handle(task) -> Result``, named by its
dotted path in ``config.yaml``. There is nothing to register and nothing to inherit from:
a user's own module, importable by the daemon's Python, works the same way.

* ``Options`` is a pydantic model or a (pydantic) dataclass; the settings of the inbox and
  of the drop are validated against it before the attempt starts.
* ``handle`` runs in a worker process that may be killed at any instruction. It reads
  ``task.source``, writes only below ``task.workdir`` and raises ``BadInput``,
  ``NothingToDo`` or ``Unavailable`` to say whose fault a failure was.
* ``STAGES``, optional: the names of its stages in their order; the status then says which
  of how many is under way.
* ``ACCEPTS``, optional: a frozenset of lower-case suffixes a single-file drop may have
  (``{".wav"}``); without it, the audio suffixes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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


@dataclass(frozen=True)
class Output:
    """A file the attempt made, by its path relative to the work directory."""

    path: str
    role: str
    """``master``, ``report``, ``data``, ``sheet`` … what it is to a reader."""
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
