"""The folders and files below a root, reached by descriptors: never through a symbolic link.

Rules
-----
1. A path is walked name by name from the root's own descriptor, without links: what somebody
   swaps on the way leads nowhere else.
2. Nothing is written, and where it may be, no time of access is set.
"""

import ctypes
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How a file is opened."""
_HELD = 64
"""Folders on the way that stay open."""
_QUICK_BYTES = 64 << 10
_LIBC = ctypes.CDLL(None, use_errno=True)


def opened_quietly(name: str | bytes | Path, flags: int, dir_fd: int | None = None) -> int:
    """Open for reading without a new time of access, which only the owner may ask for."""
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=dir_fd)
    except PermissionError:
        return os.open(name, flags, dir_fd=dir_fd)


@dataclass(frozen=True)
class Identity:
    """What a mounted file system is known by."""

    fs_type: str
    ino: int
    """Of its top folder."""
    fsid: str
    """Of the file system; ``0`` where it tells none. Some make it from a device's number, which
    another start of the machine may change."""

    @classmethod
    def of(cls, fd: int) -> Self:
        """Return that of the file system whose top is open."""
        room = ctypes.create_string_buffer(512)
        kind = "unknown"
        if _LIBC.fstatfs(fd, room) == 0:  # struct statfs begins with f_type, a long
            kind = hex(ctypes.c_long.from_buffer(room).value & 0xFFFFFFFF)
        return cls(kind, int64(os.fstat(fd).st_ino), f"{os.fstatvfs(fd).f_fsid:x}")

    def __str__(self) -> str:
        return f"{self.fs_type}:{self.ino}:{self.fsid}"


def int64(number: int) -> int:
    """Return a number as SQLite's integers hold it: 64 bits with a sign."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


class Loop(OSError):
    """A folder is inside itself, by a mount."""


@dataclass
class _Step:
    name: bytes
    fd: int
    """−1: so deep that it was closed."""
    told: os.stat_result

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.told.st_dev, self.told.st_ino


class Tree:
    """A root, and the way from it to the folder at hand."""

    def __init__(self, path: Path) -> None:
        self.fd = opened_quietly(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._steps = [_Step(b"", self.fd, os.fstat(self.fd))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._steps:
            self._leave()

    def _leave(self) -> None:
        if (step := self._steps.pop()).fd >= 0:
            os.close(step.fd)

    def enter(self, path: bytes) -> tuple[int, os.stat_result, int]:
        """Go to a folder by its path below the root.

        Returns
        -------
        tuple of (int, stat_result, int)
            Its descriptor, which stays the tree's; what it is; the device of the one above.

        Raises
        ------
        Loop
            The folder, or one on the way, is inside itself.
        OSError
            As the system gives it.
        """
        names = path.split(b"/") if path else []
        shared = 0
        while (
            shared < min(len(names), len(self._steps) - 1)
            and self._steps[shared + 1].name == names[shared]
        ):
            shared += 1
        while len(self._steps) - 1 > shared or self._steps[-1].fd < 0:
            self._leave()
        for name in names[len(self._steps) - 1 :]:
            self._descend(name)
        here = self._steps[-1]
        above = self._steps[-2] if path else here
        return here.fd, here.told, above.told.st_dev

    def _descend(self, name: bytes) -> None:
        fd = opened_quietly(name, _FOLDER, self._steps[-1].fd)
        step = _Step(name, fd, os.fstat(fd))
        if any(above.identity == step.identity for above in self._steps):
            os.close(fd)
            raise Loop(errno.ELOOP, "is inside itself, by a mount")
        self._steps.append(step)
        if len(self._steps) > _HELD + 1 and (above := self._steps[-2]).fd >= 0:
            os.close(above.fd)
            above.fd = -1

    @contextmanager
    def opened(self, folder: bytes, name: bytes) -> Iterator[int]:
        """Open a regular file for reading.

        Raises
        ------
        OSError
            ``EINVAL``: it is no regular file.
        """
        here, _, _ = self.enter(folder)
        fd = opened_quietly(name, FILE, here)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "is no regular file")
            yield fd
        finally:
            os.close(fd)


def quick_id(fd: int, size: int) -> bytes:
    """Return what tells a file from others of its size at little cost: 16 bytes.

    Of its first and its last 64 KiB; a change in its middle shows only in its full hash.
    """
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    digest.update(os.pread(fd, _QUICK_BYTES, 0))
    if size > _QUICK_BYTES:
        digest.update(os.pread(fd, _QUICK_BYTES, max(_QUICK_BYTES, size - _QUICK_BYTES)))
    return digest.digest()[:16]


def sha256_of(fd: int) -> bytes:
    """Return the hash of all of a file's bytes."""
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", buffering=0, closefd=False) as file:
        return hashlib.file_digest(file, "sha256").digest()
