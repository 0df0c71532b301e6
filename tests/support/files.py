"""Files that remember their steps, files that die at one, and a spool on two devices."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from daemon.files import Files

_FOLDERS = frozenset({"inbox", "work", "outbox", "archive", "failed"})


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


class OtherDevice:
    """Files to which each of a spool's folders lies on a file system of its own."""

    def rename(self, step: str, source: Path, target: Path) -> None:
        if _FOLDERS.intersection(source.parts) != _FOLDERS.intersection(target.parts):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        super().rename(step, source, target)  # type: ignore[misc]
