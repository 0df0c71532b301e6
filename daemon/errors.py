"""Errors sorted by whose fault they are, because that decides what happens next.

=================  =====================  ======================================
Raised             Whose fault            What follows
=================  =====================  ======================================
``BadInput``       the drop's             failed at once
``NothingToDo``    nobody's               skipped
``Unavailable``    the surroundings'      retry with backoff
``BadConfig``      the operator's         refuse to start, exit 78
anything else      ours                   retry once; traceback in ``error.json``
=================  =====================  ======================================

What each stable code means stands in ``codes``.
"""

import errno
from dataclasses import dataclass, field


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
