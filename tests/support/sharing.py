"""A handler that takes what it was handed of a named resource, and tells when it is taken already.

The kernel knows: a lock on a file for each member, which goes with the process that has it.
"""

import fcntl
import json
import os
import time
from pathlib import Path

from pydantic import BaseModel

from daemon.handlers.contract import Output, Part, Result, Split, Task


class Options(BaseModel, extra="forbid"):
    """Where the locks lie, and how long they are held."""

    locks: str
    seconds: float = 0.0
    parts: int = 0
    held_by: str = ""
    """A file: it takes as long as this is there, too."""


def handle(task: Task) -> Result | Split:
    """Hold what there is to be held; a split job holds it in its parts."""
    if task.options.parts and not task.round:
        return Split(tuple(Part(f"part {place}") for place in range(task.options.parts)))
    told = {name: os.environ[name] for name in sorted(os.environ) if name in _TOLD}
    (task.workdir / "told.json").write_text(json.dumps(told))
    if not task.round:
        _hold(task)
    return Result((Output("told.json", "data"),), {"told": len(told)})


def part(task: Task) -> Result:
    """Hold what there is to be held."""
    _hold(task)
    (task.workdir / "part.txt").write_text("done")
    return Result((Output("part.txt", "data"),))


_TOLD = ("CUDA_VISIBLE_DEVICES", "SOUNDSPOOL_RESOURCE_GPU", "SOUNDSPOOL_RESOURCE_TTS")


def _hold(task: Task) -> None:
    options, folder = task.options, Path(task.options.locks)
    members = [member for member in os.environ.get(_TOLD[1], "").split(",") if member]
    files = [(folder / f"gpu-{member}").open("a") for member in members]
    for file in files:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (folder / "held twice").write_text(f"{file.name} by {task.name}")
    began_s = time.monotonic()
    while time.monotonic() - began_s < options.seconds or os.path.exists(options.held_by):  # noqa: PTH110
        task.report("holding", 0.5)
        time.sleep(0.01)  # this is the work
    for file in files:
        file.close()
