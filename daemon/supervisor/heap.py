"""How little memory the daemon keeps, which lives for months.

glibc gives each thread a heap of its own, serves large blocks from a heap too after the first
one, and keeps what was used while modules were compiled. Other C libraries have no such
parameters, and nothing is done.

References
----------
mallopt(3), malloc_trim(3).
"""

import ctypes
from contextlib import suppress

_LIBC = ctypes.CDLL(None)
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE_BYTES = 128 << 10
"""glibc's own threshold, which moves unless it is set."""


def share_one_heap() -> None:
    """Have all threads share one heap, and large blocks go back at once."""
    with suppress(AttributeError):
        _LIBC.mallopt(_M_ARENA_MAX, 1)
        _LIBC.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def trim() -> None:
    """Give back what is free."""
    with suppress(AttributeError):
        _LIBC.malloc_trim(ctypes.c_size_t(0))
