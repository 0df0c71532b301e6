"""Files that remember their steps, files that die at one, and a spool on two devices."""

import errno
import hashlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from daemon.files import Files

_FOLDERS = frozenset({"inbox", "work", "outbox", "archive", "failed"})

DEEP = 1500
"""More folders than Python's stack has frames, under more bytes than a path may have."""


class Died(BaseException):
    """The daemon's process ended here; nothing below it may catch this."""


class RecordingFiles(Files):
    """Do every step, and remember its name in ``steps``, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.steps.append(name)
        yield


class DyingFiles(Files):
    """Do every step up to one of them, and die ``before`` or ``after`` that one.

    `at` is a step's number, counted from 0, or its name; then `occurrence` says which of that
    name, counted from 1. Whatever thread comes to a step later has died too.
    """

    def __init__(
        self, at: int | str, when: Literal["before", "after"], occurrence: int = 1
    ) -> None:
        self.at, self.when, self.occurrence = at, when, occurrence
        self.steps: list[str] = []
        self.dead = threading.Event()

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        if self.dead.is_set():
            raise Died(name)
        number = len(self.steps)
        self.steps.append(name)
        here = self.at == number
        here |= self.at == name and self.steps.count(name) == self.occurrence
        if here and self.when == "before":
            self._die(name)
        yield
        if here:
            self._die(name)

    def _die(self, name: str) -> None:
        self.dead.set()
        raise Died(name)


class SnapshotFiles(Files):
    """Do every step, and keep a copy of a folder as a crash before or after it would leave it.

    ``snapshots`` names each copy after the first step that it stands for; states that do not
    differ are kept once. Steps of several threads take turns, so that no copy is torn. Of the
    steps called `by_time`, whose number depends on the machine, only the first is kept.
    """

    def __init__(self, folder: Path, kept: Path, by_time: frozenset[str] = frozenset()) -> None:
        self.folder, self.kept, self.by_time = folder, kept, by_time
        self.snapshots: dict[str, Path] = {}
        self._turn = threading.RLock()
        self._seen: Counter[str] = Counter()
        self._digests: set[bytes] = set()

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        with self._turn:
            self._seen[name] += 1
            wanted = name not in self.by_time or self._seen[name] == 1
            label = f"{name} ({self._seen[name]})"
            if wanted:
                self._keep(f"before {label}")
            yield
            if wanted:
                self._keep(f"after {label}")

    def _keep(self, label: str) -> None:
        digest = _digest_of(self.folder)
        if digest not in self._digests:
            self._digests.add(digest)
            copy = self.kept / str(len(self._digests))
            shutil.copytree(self.folder, copy, symlinks=True, copy_function=_copy_if_there)
            self.snapshots[label] = copy


def _digest_of(folder: Path) -> bytes:
    """Return a hash of all names, modes and contents below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # a worker writes while we look
            content = path.read_bytes() if path.is_file() else b""
            found.update(b"%a %o %d %b" % (path, path.lstat().st_mode, len(content), content))
    return found.digest()


def _copy_if_there(source: str, target: str) -> None:
    with suppress(FileNotFoundError):
        shutil.copy2(source, target, follow_symlinks=False)


class OtherDevice:
    """Files to which each of a spool's folders lies on a file system of its own."""

    def rename(self, step: str, source: Path, target: Path, **more) -> None:
        if _FOLDERS.intersection(source.parts) != _FOLDERS.intersection(target.parts):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename(step, source, target, **more)  # type: ignore[misc]

    def replace(self, step: str, source: Path, target: Path) -> None:
        if _FOLDERS.intersection(source.parts) != _FOLDERS.intersection(target.parts):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().replace(step, source, target)  # type: ignore[misc]


def dig(folder: Path, depth: int = DEEP, name: str = "a folder of a long path") -> None:
    """Make folders within folders, with a file in the last one."""
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("bottom.wav", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def bottom_of(folder: Path) -> tuple[int, str]:
    """Return how deep a tree of single folders is, and what lies in the last."""
    fd, depth = os.open(folder, os.O_RDONLY), 0
    while True:
        (name,) = os.listdir(fd)  # noqa: PTH208 - a descriptor
        try:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        except NotADirectoryError:
            os.close(fd)
            return depth, name
        os.close(fd)
        fd, depth = below, depth + 1
