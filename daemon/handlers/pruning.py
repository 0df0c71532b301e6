"""What handlers keep, held to a size: what was not read for longest goes first.

A confined worker may set no times of files; the kernel notes a day on reading, and once a day at
the most (``relatime``). What runs now may use what was read up to a day ago, so that stays.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

IN_USE_S = 2 * 86_400.0


def prune(folder: Path, most_mb: float, *, now_s: float, in_use_s: float = IN_USE_S) -> None:
    """Remove files below a folder until the rest fits, save those read a moment ago.

    Parameters
    ----------
    now_s : float
        The wall clock.
    in_use_s : float
        Files that were made or read within so many seconds stay, whatever they take.
    """
    room = most_mb * (1 << 20)
    for path, told in sorted(_files(folder), key=lambda one: one[1].st_atime_ns, reverse=True):
        room -= told.st_size
        if room < 0 and now_s - max(told.st_atime, told.st_mtime) > in_use_s:
            with suppress(OSError):  # another worker was faster
                path.unlink()


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            with suppress(OSError):
                yield path, path.lstat()
