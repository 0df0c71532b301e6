"""Durable, *named* steps on the file system.

Theory of operation
-------------------
Everything the daemon promises about a power cut rests on a short list of instants at which
something becomes true: *this* rename, *that* replace. Each of them is one call here, and each
call carries a name. A test can therefore record the names once and then die before and after
every one of them, without knowing the code that makes the calls.

Rules
-----
1. A step either has happened wholly or has not happened; when the call returns, it survives a
   power cut. ``write`` can promise less, ``append`` promises nothing after a power cut. A step
   that is given ``later`` leaves the sync of its folders to a ``sync_dirs`` of the caller's.
2. Nothing is ever overwritten by ``rename``; only ``replace`` and ``write`` replace.
3. No step follows a symbolic link in the last part of a path.
4. A removal may be repeated: what is already gone is no error.
5. No state: one ``Files`` may be shared by threads.
6. What is synced together is synced side by side: each sync flushes the disk, even of what is
   clean, and the kernel joins flushes that wait. Ten clean stems take 5 ms so, one after the
   other 20 ms.

References
----------
rename(2), ``RENAME_NOREPLACE``: plain rename succeeds silently over an *empty* directory.
fsync(2): a new name is durable only when its directory has been synced too.
"""

import ctypes
import errno
import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from daemon import trees

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_SYNCS_AT_ONCE = 8
_LIBC = ctypes.CDLL(None, use_errno=True)
_Thing = TypeVar("_Thing")


class Threads:
    """Threads for calls that wait for the disk: made when none is free, and kept.

    Not a pool of the standard library: its threads are waited for when the process ends, and a
    call that hangs would hold up those behind it.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._lock, self._free = threading.Lock(), 0

    def run(self, call: Callable[[], object]) -> None:
        """Call in a thread what raises nothing; ``RuntimeError`` when none can be started."""
        with self._lock:
            if self._free:
                self._free -= 1
            else:
                threading.Thread(target=self._serve, name="files", daemon=True).start()
        self._calls.put(call)

    def _serve(self) -> None:
        while True:
            self._calls.get()()
            with self._lock:
                self._free += 1


THREADS = Threads()


def side_by_side(call: Callable[[_Thing], object], things: Iterable[_Thing]) -> None:
    """Call for each thing, several at once; raise what one of them raised, when all are done."""
    waiting = deque(things)
    left, lock, over = len(waiting), threading.Lock(), threading.Lock()
    raised: list[BaseException] = []

    def work() -> None:
        nonlocal left
        while True:
            try:
                thing = waiting.popleft()
            except IndexError:
                return
            try:
                call(thing)
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                raised.append(error)
            with lock:
                left -= 1
                if not left:
                    over.release()

    over.acquire()  # a bare lock: an event is made of three objects, and waits in six calls
    if left > 1:
        with suppress(RuntimeError):  # no thread can be started: then this one does it all
            for _ in range(min(left, _SYNCS_AT_ONCE) - 1):
                THREADS.run(work)
    if left:
        work()
        over.acquire()
    if raised:
        raise raised[0]


class Files:
    """The daemon's durable file-system steps."""

    def _step(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - the seam tests override
        """Enclose one durable step; tests record or die here."""
        return nullcontext()

    def rename(
        self, step: str, source: Path, target: Path, *, later: set[Path] | None = None
    ) -> None:
        """Give `source` the name `target`, which must be free.

        With `later`, the target's folder is put there, to be synced by the caller.

        Raises
        ------
        FileExistsError
            `target` is taken, even by an empty directory or a dangling link.
        OSError
            ``EXDEV`` when the two lie on different file systems.
        """
        with self._step(step):
            _rename_exclusively(source, target)
            if later is not None:
                later.add(target.parent)
            else:
                side_by_side(self.sync_dir, {target.parent, source.parent})

    def link(self, step: str, source: Path, target: Path) -> None:
        """Give a file a second name, unless that is taken; after a power cut it may be gone."""
        with self._step(step), suppress(FileExistsError):
            os.link(source, target, follow_symlinks=False)

    def replace(self, step: str, source: Path, target: Path) -> None:
        """Give the file `source` the name `target`, whatever had it."""
        with self._step(step):
            source.replace(target)
            self.sync_dir(target.parent)

    def make_dir(self, step: str, path: Path, *, synced: bool = True) -> None:
        """Make one private directory; ``FileExistsError`` when the name is taken.

        One that is not synced may be gone after a power cut, with all that was put into it.
        """
        with self._step(step):
            path.mkdir(mode=0o700)
            if synced:
                self.sync_dir(path.parent)

    def write(
        self, step: str, path: Path, data: bytes, *, durable: bool, synced: bool = True
    ) -> None:
        """Put `data` at `path` so that a reader sees the old file or the new one.

        The temporary file's name depends on `path` alone: a crash leaves at most one, and the
        next write takes it over. Hence one writer per path.

        Parameters
        ----------
        durable : bool
            After a power cut the new file is there; otherwise the old one may be.
        synced : bool
            ``False`` saves the one sync without which a power cut may leave an empty or torn
            file: a disk may keep the rename and lose the content.
        """
        with self._step(step):
            names = _written({path: data}, synced=durable or synced)
            os.replace(names[path], path)  # noqa: PTH105 - strings: this is done five times a drop
            if durable:
                self.sync_dir(path.parent)

    def write_all(self, contents: Mapping[Path, tuple[str, bytes]], *, later: set[Path]) -> None:
        """Write several files as ``write`` does, each a step by the name beside its content.

        Their contents are synced side by side; their folders are put into `later`.
        """
        names = _written({path: data for path, (_, data) in contents.items()}, synced=True)
        for path, (step, _) in contents.items():
            with self._step(step):
                os.replace(names[path], path)  # noqa: PTH105 - as in ``write``
        later.update(path.parent for path in contents)

    def remove(self, step: str, path: Path) -> None:
        """Remove one file or link; one that is gone is no error."""
        with self._step(step):
            path.unlink(missing_ok=True)
            self.sync_dir(path.parent)

    def remove_tree(self, step: str, path: Path, *, later: set[Path] | None = None) -> None:
        """Remove a file, a link or a folder with all it holds; links are not followed.

        With `later`, the folder that held it is put there, to be synced by the caller.

        Raises
        ------
        OSError
            Something cannot be removed, and is named; all else is gone.
        """
        with self._step(step):
            trees.remove(path)
            if later is not None:
                later.add(path.parent)
            else:
                self.sync_dir(path.parent)

    def copy_tree(self, step: str, source: Path, target: Path) -> None:
        """Copy a file or a folder to a free name, on whatever file system, and verify it.

        Each file is hashed while it is read, synced, and read again at the target. What an
        earlier, interrupted copy left at `target` goes first.

        Raises
        ------
        OSError
            ``ESTALE`` when a file changed while it was copied, ``EIO`` when the copy reads
            back different, ``EINVAL`` for a device.
        """
        with self._step(step):
            trees.remove(target)
            trees.copy(source, target)
            self.sync_dir(target.parent)

    def append(self, step: str, path: Path, line: bytes) -> None:
        """Add `line` at the end of `path` with one write, so that lines never interleave.

        What a power cut or a full disk left of an earlier line becomes a line of its own.
        """
        with self._step(step):
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(path, flags, 0o644)
            try:
                size = os.fstat(fd).st_size
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    line = b"\n" + line
                written = os.write(fd, line)
            finally:
                os.close(fd)
            if written != len(line):
                raise OSError(errno.ENOSPC, "only a part of the line was written", str(path))

    def sync(self, step: str, paths: Iterable[Path]) -> None:
        """Make durable what others wrote into files, and the names in folders.

        What has gone or may not be read is left out; whoever reads it will say so.
        """
        with self._step(step):
            side_by_side(self._sync_if_there, paths)

    def sync_dirs(self, step: str, folders: Iterable[Path]) -> None:
        """Make the names in several directories durable."""
        with self._step(step):
            side_by_side(self.sync_dir, folders)

    def sync_dir(self, path: Path) -> None:
        """Make the names in the directory `path` durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            trees.sync(fd)
        finally:
            os.close(fd)

    def _sync_if_there(self, path: Path) -> None:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            self.sync_dir(path) if path.is_dir() else _sync_data(path)


def ask_for_descriptors(count: int) -> None:
    """Raise ``OSError`` unless so many files could be opened now.

    A library that opens several may leave the first ones open when it fails at the last.
    """
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open("/", os.O_PATH | os.O_CLOEXEC))  # noqa: PERF401 - may stop midway
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _rename_exclusively(source: Path, target: Path) -> None:
    renameat2 = getattr(_LIBC, "renameat2", None)
    if renameat2 is not None:
        names = os.fsencode(source), os.fsencode(target)
        if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), str(source), None, str(target))
    # NFS, CIFS and old C libraries know no such flag. Looking first leaves a window in which
    # another process could take the name; the daemon's folders have one writer, so it is taken
    # only by a person who is fast and unlucky.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _sync_data(path: Path | str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)  # with the size; not the times, which a mere rename makes dirty
    finally:
        os.close(fd)


def _written(contents: Mapping[Path, bytes], *, synced: bool) -> dict[Path, str]:
    """Write new files, each beside its path; return their names."""
    names = {path: _temporary_beside(path) for path in contents}
    opened: list[int] = []
    try:
        for path, data in contents.items():
            opened.append(_opened_new(names[path]))
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(opened[-1], rest) :]
        if synced:
            side_by_side(os.fdatasync, opened)
    finally:
        for fd in opened:
            os.close(fd)
    return names


def _temporary_beside(path: Path) -> str:
    folder, name = os.path.split(path)
    # A hash, because `path` may already have the longest name there is.
    return f"{folder}/.{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.tmp"


def _opened_new(path: str) -> int:
    """Open a new file, in place of what a crash may have left there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileExistsError:
        os.unlink(path)  # noqa: PTH108 - a string
        return os.open(path, flags, 0o644)
