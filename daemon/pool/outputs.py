"""Check the outputs that a worker named, before the attempt counts as done.

Theory of operation
-------------------
A worker says which files it made, of what size and hash. A handler may be wrong about that,
and a worker that a damaged file took over may lie. So, when an attempt has ended and nothing
of it runs any more, each file is opened beneath the attempt's folder, one component after the
other and through no link; it must be a regular file with one name, loses its write permission,
and must then have the size and the hash that were said.

The files then move into a new folder, which takes the attempt's place. So only what was named
can be published, in folders that we made; all else (links, odd modes, scratch files) stays in
``<folder>.rest`` beside it and goes with the job's own folder.

Reading a gigabyte takes seconds, and a disk may hang: each check runs in a thread, which the
loop never waits for, and which wakes it through a descriptor. A process would gain nothing:
hashing interprets nothing, so there is nothing to confine, and it lets go of the interpreter.

Rules
-----
1. Nothing is opened, moved or changed by a path that a handler could have bent.
2. What is wrong with the files is ``RESULT_INVALID``; what the disk refuses is ``unavailable``.
3. Every check ends: one that hangs is given up after as long as the attempt was given.

References
----------
open(2), ``O_PATH`` and ``O_NOFOLLOW``; proc(5), ``/proc/self/fd``; eventfd(2).
"""

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from daemon import trees
from daemon.errors import Fault
from daemon.files import THREADS, side_by_side
from daemon.jobs.job import Plan
from daemon.layout import folders_of
from daemon.pool.interface import Ended, Order, Outcome
from daemon.pool.lists import WrongList, with_all_outputs
from daemon.pool.parts import read_list

WRONG = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.ENXIO,
        errno.EILSEQ,
        errno.EINVAL,
    }
)
"""Errors that tell of the file, not of the disk."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_BLOCK_BYTES = 1 << 20
_END_S = 5.0
"""How long a check that is not wanted any more may take to notice."""
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)

_OF_A_PLAN = ("at_once", "stop_at_failure", "stage", "share", "gives_way")
_Identity = tuple[int, int, int, int]


class WrongOutput(Exception):
    """An output is not what the worker said."""


class _Stopped(Exception):
    """Nobody wants the answer any more."""


def take(workdir: Path, files: Sequence[Mapping[str, Any]], stopped: Callable[[], bool]) -> None:
    """Hold each output against what was said of it, and leave nothing else in `workdir`.

    Raises
    ------
    WrongOutput
        One is not as it was said to be.
    OSError
        The disk refuses.
    """
    with _folder(workdir.parent, readable=True) as room:
        try:
            with _folder(workdir.name, room) as made:
                seen = {file["path"]: _checked(made, file, stopped) for file in files}
                fresh = _moved(room, made, workdir.name, seen)
        except OSError as error:
            raise _wrong("the folder of the attempt", error) from error
        _rename(room, workdir.name, _new_folder(room, f"{workdir.name}.rest"))
        _rename(room, fresh, workdir.name)
    made_here = [workdir / path for path in (*seen, *folders_of(seen))]
    side_by_side(_sync, [*made_here, workdir.parent])


def check(workdir: Path, files: Sequence[Mapping[str, Any]], stopped: Callable[[], bool]) -> None:
    """Hold files of a folder that stays against what was said of them; raises as ``take`` does."""
    with _folder(workdir) as made:
        for file in files:
            _checked(made, file, stopped)


def _checked(made: int, file: Mapping[str, Any], stopped: Callable[[], bool]) -> _Identity:
    path = file["path"]
    try:
        with _parent(made, path) as (folder, name):
            found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            return _compared(found, file, stopped)
        finally:
            os.close(found)
    except OSError as error:
        raise _wrong(f"the output {path}", error) from error


def _compared(found: int, file: Mapping[str, Any], stopped: Callable[[], bool]) -> _Identity:
    """Return the identity of the file behind an ``O_PATH`` descriptor, when it is as was said."""
    path, status = file["path"], os.fstat(found)
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "a device")
        raise WrongOutput(f"the output {path} is {kind}, not a file")
    if status.st_nlink != 1:
        raise WrongOutput(f"the output {path} has {status.st_nlink} names; copy it, do not link it")
    if status.st_size != file["bytes"]:
        raise WrongOutput(
            f"the output {path} has {status.st_size} bytes; the handler's process said "
            f"{file['bytes']}"
        )
    own = f"/proc/self/fd/{found}"
    os.chmod(own, stat.S_IMODE(status.st_mode) & 0o444 | 0o400)  # noqa: PTH101 - the descriptor's
    digest, block = hashlib.sha256(), bytearray(min(_BLOCK_BYTES, status.st_size + 1))
    with open(own, "rb", buffering=0) as opened:  # noqa: PTH123 - the descriptor's
        while size := opened.readinto(block):
            digest.update(memoryview(block)[:size])
            if stopped():
                raise _Stopped
        if _identity(os.fstat(opened.fileno())) != _identity(status):
            raise WrongOutput(f"the output {path} changed while it was read")
    if digest.hexdigest() != file["sha256"]:
        raise WrongOutput(f"the output {path} has another content than when it was named")
    return _identity(status)


def _moved(room: int, made: int, base: str, seen: Mapping[str, _Identity]) -> str:
    """Move the files into a new folder beside their own; return its name."""
    fresh = _new_folder(room, f"{base}.checked")
    with _folder(fresh, room, readable=True) as new:
        for path, identity in seen.items():
            with _parent(made, path) as (old, name), _parent(new, path, make=True) as (target, _):
                os.rename(name, name, src_dir_fd=old, dst_dir_fd=target)
                if _identity(os.stat(name, dir_fd=target, follow_symlinks=False)) != identity:
                    raise WrongOutput(f"the output {path} was exchanged for another file")
        os.fchmod(new, 0o755)  # what lies in work/ is private all the same
    return fresh


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        trees.sync(fd)
    finally:
        os.close(fd)


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _folder(
    name: str | Path, beneath: int | None = None, *, readable: bool = False
) -> Iterator[int]:
    access = os.O_RDONLY if readable else os.O_PATH
    flags = access | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(name, flags, dir_fd=beneath)
    try:
        yield opened
    finally:
        os.close(opened)


@contextmanager
def _parent(root: int, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder of a path; yield it with the last name, each component through no link."""
    *folders, name = path.split("/")
    at = os.dup(root)
    try:
        for folder in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o755, dir_fd=at)
            with _folder(folder, at) as below:
                os.dup2(below, at, inheritable=False)
        yield at, name
    finally:
        os.close(at)


def _new_folder(room: int, name: str) -> str:
    """Make a folder of that name, or of the next that is free; return its name."""
    for number in count(1):
        candidate = name if number == 1 else f"{name}.{number}"
        with suppress(FileExistsError):
            os.mkdir(candidate, 0o700, dir_fd=room)
            break
    return candidate


def _rename(room: int, old: str, new: str) -> None:
    os.rename(old, new, src_dir_fd=room, dst_dir_fd=room)


def _wrong(what: str, error: OSError) -> Exception:
    """Return the error as what it tells of: the file, or the disk."""
    if error.errno not in WRONG:
        return error
    return WrongOutput(f"{what} cannot be opened as a file of its own: {error.strerror}")


@dataclass(eq=False)
class _Check:
    order: Order
    ended: Ended
    give_up_s: float
    instead: Ended | None = None
    """How the attempt ends after all."""
    answer: tuple[Outcome, Fault] | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    def run(self, wake: Callable[[], None]) -> None:
        """Check, in a thread."""
        workdir, split = Path(self.order.workdir), self.ended.split
        try:
            if split is None:
                result = with_all_outputs(workdir, self.ended.result or {})
                take(workdir, result["outputs"], self.stop.is_set)
                self.ended = replace(self.ended, result=result)
            else:
                check(workdir, split["views"], self.stop.is_set)
                told = {name: split[name] for name in _OF_A_PLAN}
                plan = Plan(read_list(workdir, split["count"]), **told)
                self.ended = replace(self.ended, plan=plan)
        except (WrongOutput, WrongList) as error:
            self.answer = Outcome.FAILED, Fault.of(error, "RESULT_INVALID")
        except OSError as error:
            code = "DISK_FULL" if error.errno in NO_ROOM else "DISK_TROUBLE"
            self.answer = Outcome.UNAVAILABLE, Fault.of(error, code)
        except Exception as error:  # noqa: BLE001 - a bug here is this job's failure
            self.answer = Outcome.FAILED, Fault.of(error)
        finally:
            self.finished.set()
            wake()

    def end(self) -> Ended:
        """Return how the attempt ended; what still checks it is to stop."""
        self.stop.set()
        if self.instead:
            return self.instead
        if not self.finished.is_set():
            text = f"the outputs could not be read within {self.order.deadline_s:g} s"
            self.answer = Outcome.UNAVAILABLE, Fault("DISK_TROUBLE", text, kind="pool")
        if self.answer is None:
            return self.ended
        outcome, fault = self.answer
        return replace(
            self.ended, outcome=outcome, result=None, split=None, plan=None, error=fault.document()
        )


class Checks:
    """The checks that are under way."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Readable when one has finished."""
        self._running: list[_Check] = []
        self._lock, self._closed, self._woken = threading.Lock(), False, False

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, order: Order, ended: Ended, now_s: float) -> None:
        """Check the outputs of an attempt that says it is done."""
        check = _Check(order, ended, give_up_s=now_s + order.deadline_s)
        self._running.append(check)
        try:
            THREADS.run(partial(check.run, self._wake))
        except RuntimeError as error:
            check.answer = Outcome.UNAVAILABLE, Fault.of(error, "DISK_TROUBLE")
            check.finished.set()
            self._wake()

    def replace(self, wanted: Callable[[Order], bool], ending: Callable[[Order], Ended]) -> int:
        """End those checks in another way, soon; return how many there were."""
        found = [check for check in self._running if wanted(check.order)]
        for check in found:
            check.instead = check.instead or ending(check.order)
            check.stop.set()
        return len(found)

    def collect(self, now_s: float) -> list[Ended]:
        """Return how attempts ended whose outputs have been checked, or cannot be."""
        if self._woken:  # else most rounds of hundreds of nodes would ask the kernel in vain
            with self._lock:
                os.eventfd_read(self.descriptor)
                self._woken = False
        for check in (check for check in self._running if check.instead):
            check.give_up_s = min(check.give_up_s, now_s + _END_S)
        over = [c for c in self._running if c.finished.is_set() or now_s >= c.give_up_s]
        self._running = [check for check in self._running if check not in over]
        return [check.end() for check in over]

    def deadline_s(self) -> float | None:
        """Return when the first one is given up, on the monotonic clock."""
        return min((check.give_up_s for check in self._running), default=None)

    def close(self) -> None:
        """Leave those that still run to themselves."""
        for check in self._running:
            check.stop.set()
        self._running.clear()
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self.descriptor)

    def _wake(self) -> None:
        with self._lock:
            if not self._closed:  # else the number may be another file's by now
                os.eventfd_write(self.descriptor, 1)
                self._woken = True
