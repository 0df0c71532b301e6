"""Files that remember their steps, and files that die at one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from daemon.files import Files


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

    `at` is a step's number, counted from 0, or its name (then its first occurrence).
    """

    def __init__(self, at: int | str, when: Literal["before", "after"]) -> None:
        self.at, self.when = at, when
        self.steps: list[str] = []

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        number = len(self.steps)
        here = self.at in (number, name)
        self.steps.append(name)
        if here and self.when == "before":
            raise Died(name)
        yield
        if here:
            raise Died(name)
