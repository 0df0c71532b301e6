"""Open files and watches: enough at the start, and none left behind when they run out later.

Out of descriptors, nothing can be concluded about a file that did not open (``errors.is_ours``),
and a library that opens several may leave the first ones open when it fails at the last.
"""

import ctypes
import errno
import os
import resource
from pathlib import Path

from daemon.config import Config
from daemon.errors import BadConfig

_LIBC = ctypes.CDLL(None, use_errno=True)
_IN_CREATE = 0x100  # linux/inotify.h
_FIXED, _PER_INBOX, _PER_WORKER = 32, 16, 4
"""Counted in ``/proc/pid/fd``: a daemon at rest has 11 open, and 3 for each worker. An inbox takes
up to 6 to look into its folders and 8 to sync what it takes, and all inboxes may do so at once."""


def ask_for_descriptors(count: int) -> None:
    """Raise ``OSError`` unless so many files could be opened now."""
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open("/", os.O_PATH | os.O_CLOEXEC))  # noqa: PERF401 - may stop midway
    finally:
        for descriptor in opened:
            os.close(descriptor)


def ask_for_watch(folder: Path) -> None:
    """Raise ``OSError`` unless a folder could be watched now; it names the limit in the way."""
    fd = _LIBC.inotify_init1(os.O_CLOEXEC)
    if fd < 0:
        raise _refusal("fs.inotify.max_user_instances", folder)
    try:
        if _LIBC.inotify_add_watch(fd, os.fsencode(folder), _IN_CREATE) < 0:
            raise _refusal("fs.inotify.max_user_watches", folder)
    finally:
        os.close(fd)


def _refusal(limit: str, folder: Path) -> OSError:
    code = ctypes.get_errno()
    reached = f", {limit} is reached" if code in (errno.EMFILE, errno.ENOSPC) else ""
    return OSError(code, f"{os.strerror(code)}{reached}", str(folder))


def require_descriptors(config: Config) -> None:
    """Take as many as the configuration needs.

    Raises
    ------
    BadConfig
        So many are not to be had.
    """
    workers = (config.pool.slots or len(os.sched_getaffinity(0))) + config.pool.spare
    needed = _FIXED + _PER_INBOX * len(config.inboxes) + _PER_WORKER * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        text = f"{needed} open files are needed, {hard} allowed: raise LimitNOFILE, or ulimit -n"
        raise BadConfig("pool.slots", text)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
