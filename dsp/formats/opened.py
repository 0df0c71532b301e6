"""A descriptor of a file that somebody else put there."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsp.formats import refusals


@contextmanager
def opened(path: Path, name: str) -> Iterator[int]:
    """Yield a descriptor of the regular file at ``path``, and close it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise refusals.unopened(name, error) from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise refusals.odd_kind(name)
        if found.st_size == 0:
            raise refusals.empty(name, "0 bytes")
        yield fd
    finally:
        os.close(fd)
