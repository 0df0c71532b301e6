"""Remove and copy trees of any depth, width and mode.

Theory of operation
-------------------
A tree that others made may be deeper than Python's stack, its paths longer than ``PATH_MAX``,
and its folders closed even to their owner. So nothing here recurses, and no path is joined: a
``_Place`` is one descriptor that stands in the tree. It goes down by name and up by ``..``,
where it checks that it comes out in the folder it went in from.

Rules
-----
1. No symbolic link below the given path's parent is followed; no other file system is entered.
2. However deep a tree, it takes one descriptor, and one more for the file at hand.
3. A removal removes all it can, and only then raises what is left.
"""

import ctypes
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Self

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20
_NAMES_AT_ONCE = 4096
STAYS = frozenset({errno.EPERM, errno.EACCES, errno.EBUSY, errno.EXDEV, errno.ENOTEMPTY})
"""Why an entry cannot be removed now or later: it is another user's, immutable, or a mount."""
_SYNCED_ALONE = 256
"""Files and folders of a tree: more are synced with all of their file system, in one go."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_NAMED_BYTES = 4096
"""A longer path says no more to a reader."""


class _Syncs:
    """Makes a copy durable: few files each for itself, many all at once."""

    def __init__(self) -> None:
        self._alone = _SYNCED_ALONE

    def add(self, fd: int) -> None:
        """Make one file or folder durable, now or in the end."""
        self._alone -= 1
        if self._alone >= 0:
            sync(fd)

    def finish(self, folder: int) -> None:
        """Make durable what is not yet, by the file system of `folder`."""
        if self._alone < 0 and _LIBC.syncfs(folder) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


class _Place:
    """A folder in a tree, by one descriptor; made at the folder that holds the tree."""

    def __init__(self, folder: Path) -> None:
        self.fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._trail: list[tuple[str, int, int]] = []
        """For each folder on the way: the name by which it was left, device, inode."""
        self._folder = folder
        self.syncs = _Syncs()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def path(self, name: str) -> str:
        """Return where `name` lies, for people."""
        path = "/".join([str(self._folder), *(step[0] for step in self._trail), name])
        return path if len(path) <= _NAMED_BYTES else f"{path[:_NAMED_BYTES]}…"

    def enter(self, name: str) -> None:
        """Go down; a folder of ours that is closed to us is opened up first."""
        here = os.fstat(self.fd)
        with _unlocked(self.fd, name, 0o700):
            below = os.open(name, _FOLDER, dir_fd=self.fd)
        if self._trail and os.fstat(below).st_dev != here.st_dev:
            os.close(below)
            raise OSError(errno.EXDEV, "another file system is mounted here", self.path(name))
        self._trail.append((name, here.st_dev, here.st_ino))
        os.close(self.fd)
        self.fd = below

    def leave(self) -> str:
        """Go up; return the name of the folder that was left."""
        name, *identity = self._trail[-1]
        above = os.open("..", _FOLDER, dir_fd=self.fd)
        found = os.fstat(above)
        if [found.st_dev, found.st_ino] != identity:
            os.close(above)
            raise OSError(errno.ESTALE, "was moved meanwhile", self.path(""))
        self._trail.pop()
        os.close(self.fd)
        self.fd = above
        return name


@contextmanager
def _unlocked(folder: int, name: str, mode: int) -> Iterator[None]:
    """Let an entry be opened, if it is ours and only its mode is in the way."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        found = os.fstat(fd)
        if found.st_mode & mode != mode and not stat.S_ISLNK(found.st_mode):
            with suppress(OSError):  # not ours: it may be open to us all the same
                # fchmod(2) takes no descriptor that was opened with O_PATH.
                os.chmod(f"/proc/self/fd/{fd}", found.st_mode & 0o7777 | mode)  # noqa: PTH101
        yield
    finally:
        os.close(fd)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all it holds; what is gone is no error.

    Raises
    ------
    OSError
        Something could not be removed; all else was. It names the first and the number.
    """
    if _was_hollow(path):
        return
    left: list[OSError] = []
    with _Place(path.parent) as place:
        if _removed(place, path.name, left):
            return
        # Level by level, the folders that are still to be emptied.
        levels = [[path.name]]
        while levels:
            if levels[-1]:
                with _noted(left, place, levels[-1][-1]):
                    place.enter(levels[-1].pop())
                    levels.append(_swept(place, left))
                continue
            levels.pop()
            if levels:
                name = place.leave()
                with _noted(left, place, name):
                    os.rmdir(name, dir_fd=place.fd)
    # A folder that is not empty stays because of what it holds, which is named.
    left = [error for error in left if error.errno != errno.ENOTEMPTY] or left
    if left:
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        raise OSError(left[0].errno, f"{left[0].strerror}{more}", left[0].filename)


def _was_hollow(path: Path) -> bool:
    """Remove a folder that holds empty folders at most, as a job's does in the end, in a few calls.

    Return whether it is gone.
    """
    with suppress(OSError):
        fd = os.open(path, _FOLDER)
        try:
            for name in os.listdir(fd):  # noqa: PTH208 - a descriptor
                os.rmdir(name, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(path)  # noqa: PTH106 - as long as the path may be
        return True
    return False


@contextmanager
def _noted(left: list[OSError], place: _Place, name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        left.append(OSError(error.errno, error.strerror, place.path(name)))


def _removed(place: _Place, name: str, left: list[OSError]) -> bool:
    """Remove an entry; return whether it is gone or never will be: a full folder is not."""
    try:
        if stat.S_ISDIR(os.lstat(name, dir_fd=place.fd).st_mode):
            os.rmdir(name, dir_fd=place.fd)
        else:
            os.unlink(name, dir_fd=place.fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        left.append(OSError(error.errno, error.strerror, place.path(name)))
    return True


def _swept(place: _Place, left: list[OSError]) -> list[str]:
    """Empty the folder as far as it holds no full folders; return those."""
    kept: set[str] = set()
    full: list[str] = []
    while True:
        # Some network file systems lose their place when entries go while they are listed.
        with os.scandir(place.fd) as entries:
            new = (entry.name for entry in entries if entry.name not in kept)
            names = list(islice(new, _NAMES_AT_ONCE))
        if not names:
            return full
        for name in names:
            before = len(left)
            if not _removed(place, name, left):
                full.append(name)
                kept.add(name)
            elif len(left) > before:
                kept.add(name)


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder to a free name, on whatever file system, and verify it.

    Links, pipes and sockets of a folder are made anew; nothing is read through them.

    Raises
    ------
    OSError
        ``ESTALE`` when a file changed while it was copied, ``EIO`` when the copy reads back
        different, ``EINVAL`` for a device.
    """
    with _Place(source.parent) as there, _Place(target.parent) as here:
        levels = [[source.name]]
        modes: list[int] = []
        while levels:
            if not levels[-1]:
                levels.pop()
                if levels:
                    os.fchmod(here.fd, modes.pop())
                    here.syncs.add(here.fd)
                    there.leave()
                    here.leave()
                continue
            name = levels[-1].pop()
            called = target.name if len(levels) == 1 else name
            kind = os.lstat(name, dir_fd=there.fd).st_mode
            if not stat.S_ISDIR(kind):
                _copy_entry(there, name, kind, here, called)
                continue
            os.mkdir(called, 0o700, dir_fd=here.fd)
            there.enter(name)
            here.enter(called)
            modes.append(_as_private(kind))
            levels.append(sorted(os.listdir(there.fd), reverse=True))  # noqa: PTH208 - a descriptor
        here.syncs.finish(here.fd)


def sync(fd: int) -> None:
    """Make a file durable, or which names a folder holds."""
    try:
        os.fsync(fd)
    except OSError as error:
        # Some network file systems have no such thing; their server decides.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _copy_entry(there: _Place, name: str, kind: int, here: _Place, called: str) -> None:
    if stat.S_ISREG(kind):
        with _unlocked(there.fd, name, 0o400):
            _copy_file(there, name, kind, here, called)
    elif stat.S_ISLNK(kind):
        os.symlink(os.readlink(name, dir_fd=there.fd), called, dir_fd=here.fd)
    elif stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        os.mknod(called, stat.S_IFMT(kind) | 0o600, dir_fd=here.fd)
    else:
        raise OSError(errno.EINVAL, "a device is not copied", there.path(name))


def _copy_file(there: _Place, name: str, kind: int, here: _Place, called: str) -> None:
    fd = os.open(name, _FILE, dir_fd=there.fd)
    copy_fd = -1
    try:
        before = os.fstat(fd)
        copy_fd = os.open(called, _NEW_FILE, 0o600, dir_fd=here.fd)
        read = _digest(fd, lambda block: _write_all(copy_fd, block))
        here.syncs.add(copy_fd)
        after = os.fstat(fd)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise OSError(errno.ESTALE, "changed while it was copied", there.path(name))
        os.lseek(copy_fd, 0, os.SEEK_SET)
        if _digest(copy_fd, lambda _: None) != read:
            raise OSError(errno.EIO, "the copy reads back different", here.path(called))
        os.fchmod(copy_fd, _as_private(kind))
        os.utime(copy_fd, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(fd)
        if copy_fd >= 0:
            os.close(copy_fd)


def _digest(fd: int, each: Callable[[bytes], None]) -> bytes:
    digest = hashlib.sha256()
    while block := os.read(fd, _COPY_BYTES):
        digest.update(block)
        each(block)
    return digest.digest()


def _write_all(fd: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _as_private(mode: int) -> int:
    """Return who may do what with a copy: as before, but it is ours and open to us."""
    return stat.S_IMODE(mode) & 0o777 | (0o700 if stat.S_ISDIR(mode) else 0o600)
