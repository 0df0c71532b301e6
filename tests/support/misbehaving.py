"""Handlers that misbehave, each in its own way; the drop's options say which."""

import ctypes
import os
from dataclasses import dataclass

from daemon.handlers.handler import Output, Result, Task


@dataclass
class Options:
    how: str = "well"


def handle(task: Task) -> Result:
    return globals()[task.options.how](task)


def well(task: Task) -> Result:
    task.report("work", 0.5)
    (task.workdir / "out.txt").write_text(task.source.read_text())
    return Result(outputs=(Output("out.txt", "data"),))
