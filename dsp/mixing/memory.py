"""What the allocator keeps of memory that nobody uses.

glibc has an arena for every thread, keeps in each what was freed there, and does not know that the
next stage has other threads and needs other sizes: 15 MiB of a mix. Other C libraries are left as
they are.
"""

import ctypes
from collections.abc import Callable

_M_ARENA_MAX = -8  # malloc.h


def given_back_between(report: Callable[[str, float], None]) -> Callable[[str, float], None]:
    """Return a report of progress that gives back what is free whenever the stage is another.

    Threads that come from now on share one arena: they work on arrays, and seldom ask for one.
    """
    _call("mallopt", _M_ARENA_MAX, 1)
    last = ""

    def telling(stage: str, progress: float) -> None:
        nonlocal last
        if stage != last:
            _call("malloc_trim", 0)
        last = stage
        report(stage, progress)

    return telling


def _call(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        getattr(library, name)(*arguments)
