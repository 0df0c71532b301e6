"""Errors sorted by whose fault they are, because that decides what happens next.

=================  =====================  ======================================
Raised             Whose fault            What follows
=================  =====================  ======================================
``BadInput``       the drop's             failed at once
``NothingToDo``    nobody's               skipped
``Unavailable``    the surroundings'      retry with backoff
``Postponed``      a remote server's      retry with backoff, at no cost
``BadConfig``      the operator's         refuse to start, exit 78
anything else      ours                   retry once; traceback in ``error.json``
=================  =====================  ======================================

What each stable code means stands in ``codes``. What readers are told of an error, in a row, a
status, ``error.json`` and the log, is a ``Fault``.
"""

import errno
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from daemon.codes import hint_of


@dataclass
class SpoolError(Exception):
    """Something with a stable code, a message for people and a hint."""

    code: str
    message: str
    hint: str = ""
    path: str = ""
    details: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class BadInput(SpoolError):
    """The drop cannot be used; trying again would change nothing."""


class NothingToDo(SpoolError):
    """The drop is fine and asks for nothing: an outcome of its own, not a failure."""


class Unavailable(SpoolError):
    """The surroundings failed (disk full, mount gone, remote busy); later may be better."""


class Postponed(Unavailable):
    """Something outside this machine, or the operator, is waited for: no budget pays for it."""


@dataclass
class BadConfig(Exception):
    """The configuration cannot be used.

    ``where`` is ``file:line:col`` when it is known.
    """

    key: str
    problem: str
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.key}: {self.problem}"


_OF_THE_PROCESS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def is_ours(error: OSError) -> bool:
    """Tell whether we, not the file, are in trouble: out of descriptors, or of memory.

    Nothing may be concluded then about what could not be opened.
    """
    return error.errno in _OF_THE_PROCESS


_CODE_CHARS = 200
_TEXT_CHARS = 4_000
_TRACEBACK_CHARS = 16_000


@dataclass(frozen=True)
class Fault:
    """Why a job or an attempt did not succeed.

    An empty hint is filled from the table of ``codes``, so that no failure is without one.
    """

    code: str
    message: str
    hint: str = ""
    kind: str = ""
    """The name of the exception's class: ``class`` in documents."""
    path: str = ""
    stage: str = ""
    traceback: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.hint:
            object.__setattr__(self, "hint", hint_of(self.code))

    @classmethod
    def of(cls, error: BaseException, code: str = "INTERNAL", *, stage: str = "") -> Self:
        """Return what there is to say about an exception; a ``SpoolError`` has its own code."""
        known = error if isinstance(error, SpoolError) else None
        # A drop's own fault is nothing to look for in our code.
        trace = "" if isinstance(error, BadInput | NothingToDo) else _trace(error)
        return cls(
            code=_text(known.code if known else code, _CODE_CHARS),
            message=_text(known.message if known else words(error), _TEXT_CHARS),
            hint=_text(known.hint or "", _TEXT_CHARS) if known else "",
            kind=_text(type(error).__name__, _CODE_CHARS),
            path=_text(known.path or "", _TEXT_CHARS) if known else "",
            stage=stage,
            traceback=_text(trace, len(trace))[-_TRACEBACK_CHARS:],
            details=known.details if known else {},
        )

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Return the fault of a document, which an earlier version may have written."""
        texts = ("code", "message", "hint", "path", "stage", "traceback")
        found: dict[str, Any] = {name: str(document[name]) for name in texts if document.get(name)}
        return cls(
            **{"code": "UNKNOWN", "message": "no reason was recorded", **found},
            kind=str(document.get("class") or ""),
        )

    def document(self) -> dict[str, Any]:
        """Return the fault as rows and ``error.json`` hold it."""
        return {
            **self.public(),
            "traceback": self.traceback,
            "details": dict(self.details),
        }

    def public(self) -> dict[str, Any]:
        """Return the fault as a status shows it: the traceback is for whoever mends the code."""
        return {
            "code": self.code,
            "class": self.kind or None,
            "message": self.message,
            "hint": self.hint,
            "path": self.path,
            "stage": self.stage or None,
        }


def words(error: BaseException) -> str:
    """Return what an exception says about itself, even when it can say nothing."""
    if isinstance(error, MemoryError) and not error.args:
        return "not enough memory"
    try:
        if isinstance(error, OSError) and error.strerror:
            paths = (str(path) for path in (error.filename, error.filename2) if path is not None)
            where = " to ".join(paths)
            return f"{error.strerror}: {where}" if where else error.strerror
        if isinstance(error, KeyError):  # says nothing but the key
            return f"KeyError: {error}"
        return str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001 - a handler's own exception may do anything here
        return type(error).__name__


def classed_words(error: BaseException) -> str:
    """Return the class of an exception, and what it says about itself."""
    name, text = type(error).__name__, words(error)
    return text if text.startswith(name) else f"{name}: {text}"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) if error.__traceback__ else ""


def _text(value: object, most: int) -> str:
    """Return text that every file and database takes: no lone surrogate, and not too long."""
    return str(value).encode("utf-8", "backslashreplace").decode()[:most]
