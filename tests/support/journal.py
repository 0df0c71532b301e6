"""A handler that writes down each beginning: which folder, so which job and attempt."""

import json
import time
from pathlib import Path

from pydantic import BaseModel

from daemon.handlers.contract import Output, Result, Task


class Options(BaseModel, extra="forbid"):
    journal: Path
    held_by: Path | None = None
    """It takes as long as this is there."""
    seconds: float = 0.0
    """It takes at least as long."""


def handle(task: Task) -> Result:
    with task.options.journal.open("a") as file:
        file.write(json.dumps([task.name, task.workdir.name]) + "\n")
    until_s, held_by = time.monotonic() + task.options.seconds, task.options.held_by
    while time.monotonic() < until_s or (held_by and held_by.exists()):
        task.report("waiting", 0.5)
        time.sleep(0.02)  # this is the work
    (task.workdir / "out.txt").write_text(task.name)
    return Result((Output("out.txt", "data"),))
