"""What a watcher tells the supervisor. Names of drops are those on disk, fit for no reader."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from daemon.layout import Place

WaitReason = Literal["settling", "incomplete", "slot", "disk", "memory", "paused"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a drop has not been taken; becomes ``wait`` in its status."""

    reason: str
    until: str | None
    """RFC 3339; ``None`` when time alone will not end it."""
    detail: str

    @classmethod
    def after(cls, error: OSError) -> Self:
        """Return why a drop cannot be taken in now, with the remedy where there is a usual one."""
        text = f"cannot be taken in: {error.strerror}"
        if error.errno in (errno.EACCES, errno.EPERM):
            text += "; the folder must be writable for the daemon's group (chmod -R g+w)"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return cls("disk" if full else "incomplete", None, text)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A drop that is still in its inbox."""

    inbox: str
    name: str
    first_seen_ms: int
    inputs: tuple[Mapping[str, object], ...]
    """``{path, bytes, bytes_expected, ready_by}``, as in the status."""
    wait: Wait | None
    """``None``: it is being taken in at this moment."""


@dataclass(frozen=True)
class Gone:
    """A drop that was seen and went, by another hand than ours."""

    inbox: str
    name: str


@dataclass(frozen=True)
class Admitted:
    """A drop that lies in the work directory and wants its row."""

    place: Place
    first_seen_ms: int
    bytes: int
    seconds: float
    """Of audio, all files together, as far as their headers tell; for the deadline."""
    inputs: tuple[Mapping[str, object], ...]
    warnings: tuple[tuple[str, str], ...] = ()
    refusal: Exception | None = None
    """Failed at once: ``BadInput``, or a fault of ours."""
    cancelled: bool = False


@dataclass(frozen=True)
class PutBack:
    """A drop for which room was taken, and that is in its inbox after all."""

    inbox: str
    name: str


@dataclass(frozen=True)
class Looked:
    """The first scan of an inbox since the start has ended."""

    inbox: str
    drops: frozenset[str]
    """All that lay there."""


@dataclass(frozen=True)
class CancelAsked:
    """A person wants this job stopped; its drop is no longer in the inbox."""

    inbox: str
    name: str
    file: str
    """The name of the file that says so; it goes when the job has ended."""


Report = Sighting | Gone | Admitted | PutBack | Looked | CancelAsked


@dataclass(frozen=True)
class Health:
    """How a watcher is; goes into ``daemon.json``."""

    inbox: str
    mode: Literal["events", "polling"]
    last_scan_s: float
    """Monotonic; its age tells a hung file system."""
    paused: bool = False
    problem: str = ""
    """Why nothing is being seen; empty when all is well."""
    scans: int = 0
    rebuilds: int = 0
    missed: int = 0
    """Drops that no event announced."""
    receiving: int = 0
    left_alone: Mapping[str, str] = field(default_factory=dict)
    """Name -> why it is no drop; the first ones of many."""
    left_alone_more: int = 0
    """How many further ones there are."""
    polling_because: str = ""
    """Why events are not relied on."""
