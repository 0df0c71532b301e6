"""Processes that outlive the worker that started them.

Theory of operation
-------------------
Killing a worker's process group takes most of what a handler started along. A grandchild
that called ``setsid`` has left the group; but because the daemon is a *child subreaper*,
such an orphan becomes the daemon's own child, and here it is found and killed.

Workers each lead a session of their own, and a session can be left but not joined. Hence a
child of ours is an orphan exactly when it is in neither our session nor a living worker's.

Rule: the daemon starts nothing in a session of its own, except workers.

References
----------
prctl(2), ``PR_SET_CHILD_SUBREAPER``; setsid(2);
proc(5), ``/proc/pid/task/tid/children`` and ``/proc/pid/stat``.
"""

import ctypes
import os
import select
import signal
from collections.abc import Collection, Iterator
from contextlib import suppress

_PR_SET_CHILD_SUBREAPER = 36
_PASSES = 20
_PASS_MS = 50
_STAT_BYTES, _LIST_BYTES = 512, 4096
_LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    if _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a child subreaper")


def sweep(workers: Collection[int]) -> int:
    """Kill and reap orphans, and those that their deaths uncover; return how many.

    `workers` are the process ids of the living workers. One that will not die within a
    second (it hangs in the kernel) is left to the next sweep, and so are all while no
    descriptor is left to look with.
    """
    swept = 0
    with suppress(OSError):
        for _ in range(_PASSES):
            found = [pid for pid in children(os.getpid()) if _is_orphan(pid, workers)]
            if not found:
                break
            swept += sum(_end(pid) for pid in found)
    return swept


def children(parent: int) -> list[int]:
    """Return the process ids of a process's children; ``OSError`` when nothing can be opened."""
    try:
        before, found = None, _listed(parent)
        # The kernel may skip one when another is reaped while it lists them.
        while found != before:
            before, found = found, _listed(parent)
    except (OSError, ValueError):
        # Not every kernel has these lists. A tenth of the speed, on a machine at rest.
        return [pid for pid, its_parent in _parents() if its_parent == parent]
    return found


def _listed(parent: int) -> list[int]:
    """Return the children as the kernel lists them, for each thread that started some."""
    found: list[int] = []
    # Ours are all in the list of our first thread: it starts the workers, and the kernel gives a
    # subreaper's orphans to the first thread that lives (find_alive_thread in kernel/exit.c).
    ours = parent == os.getpid()
    for thread in [str(parent)] if ours else os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - see _parents
        fd = os.open(f"/proc/{parent}/task/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
        try:
            listed = b""
            while part := os.read(fd, _LIST_BYTES):
                listed += part
        finally:
            os.close(fd)
        found += map(int, listed.split())
    return found


def _parents() -> Iterator[tuple[int, int]]:
    """Yield every process with its parent."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - bare calls: four times as fast as paths
        if name.isdigit():
            with suppress(OSError):  # it went while we looked
                fd = os.open(f"/proc/{name}/stat", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    stat = os.read(fd, _STAT_BYTES)
                finally:
                    os.close(fd)
                # The name in parentheses may itself hold parentheses and spaces.
                after = stat.rpartition(b")")[2].split(maxsplit=2)
                if len(after) > 1 and after[1].isdigit():
                    yield int(name), int(after[1])


def _is_orphan(pid: int, workers: Collection[int]) -> bool:
    if pid in workers:
        return False
    try:
        session = os.getsid(pid)
    except ProcessLookupError:
        return False
    return session != os.getsid(0) and session not in workers


def _end(pid: int) -> bool:
    """Kill a child of ours and reap it; return whether it went in time."""
    # Its process id cannot be another's: it is our child and we have not reaped it.
    fd = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(_PASS_MS):
            return False
        os.waitpid(pid, 0)
        return True
    finally:
        os.close(fd)
