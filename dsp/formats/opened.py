"""A descriptor of a file that somebody else put there."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsp.formats import refusals

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened(path: Path, name: str) -> Iterator[int]:
    """Yield a descriptor of the regular file at ``path``, and close it."""
    try:
        fd = _opened(path)
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


def _opened(path: Path) -> int:
    try:
        return os.open(path, _FLAGS | os.O_NOATIME)  # somebody else's file: leave no trace
    except PermissionError:  # only its owner may ask for that
        return os.open(path, _FLAGS)
