"""A handler that does nothing, so that what is left is the daemon's own time."""

import time

from pydantic import BaseModel

from daemon.handlers.contract import Output, Result, Task


class Options(BaseModel):
    """How long the nothing takes."""

    seconds: float = 0.0


def handle(task: Task) -> Result:
    """Say when it began, wait as long as was asked for, leave an empty file."""
    began_ms = time.time() * 1000
    time.sleep(task.options.seconds)
    (task.workdir / "nothing.txt").touch()
    return Result((Output("nothing.txt", "data"),), {"began_ms": began_ms})
