"""A handler that counts bytes: light, quick, and exact about what it was given.

Loaded by workers, by its dotted name. ``how`` in the drop's settings asks for another end.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from daemon.errors import BadInput, NothingToDo, Unavailable
from daemon.handlers.contract import Output, Part, Result, Split, Task
from dsp.containers.identify import AUDIO_SUFFIXES
from tests.support.files import dig

ACCEPTS = AUDIO_SUFFIXES | {".scan"}


class Options(BaseModel, extra="forbid"):
    """What a drop may ask for."""

    how: Literal["well", "bad_input", "nothing", "unavailable", "badly"] = "well"
    seconds: float = 0.0
    """How long it takes, with a report every few milliseconds."""
    held_by: str = ""
    """A file: it takes as long as this is there, too."""
    deep: bool = False
    """Whether it leaves folders behind that lie deeper than any path is long."""
    fill_bytes: int = 0
    """Size of a second output."""
    parts: int = 0
    """Into how many it is split before it counts."""
    rounds: int = 1
    """How often."""
    bad_part: int | None = None
    on_failure: Literal["go on", "stop"] = "go on"
    at_once: int = 0
    live: int = 0
    """How many live views it makes, before its parts too; with ``only_live`` nothing else."""
    only_live: bool = False
    stage: str = ""
    """What is said while its parts run."""
    share: tuple[float, float] = (0.0, 1.0)
    """Their share of the progress."""
    cancel_by: str = ""
    """A file that the first part makes until it is killed: a request to cancel the job."""


def handle(task: Task) -> Result | Split:
    """Write ``count.json``: path, size and hash of each file of the drop."""
    options: Options = task.options
    if options.parts and task.round < options.rounds:
        return _split(task, options)
    if task.round:
        _gather(task, options)
    if options.deep:
        dig(task.workdir / "deep")
    _take_time(task, options)
    if options.how == "unavailable":
        raise Unavailable("REMOTE_BUSY", "ask again later")
    if options.how == "nothing":
        raise NothingToDo("NOTHING", "there is nothing to count")
    if options.how == "bad_input":
        raise BadInput("UNCOUNTABLE", "this cannot be counted", hint="Drop something else.")
    if options.how == "badly":
        raise RuntimeError("a bug")
    counted = count(task.source)
    (task.workdir / "count.json").write_text(json.dumps(counted))
    (task.workdir / "sheets" / "by file").mkdir(parents=True)
    (task.workdir / "sheets" / "by file" / "names.txt").write_text(f"{len(counted)}\n")
    outputs = [
        Output("count.json", "data", {"files": len(counted)}),
        Output("sheets/by file/names.txt", "sheet"),
    ]
    outputs = [*([] if options.only_live else outputs), *_views(task, options.live)]
    if options.fill_bytes:
        (task.workdir / "fill.bin").write_bytes(b"\xa5" * options.fill_bytes)
        outputs.append(Output("fill.bin", "data"))
    return Result(outputs=tuple(outputs), measurements=_left(task), inputs=tuple(counted))


def _left(task: Task) -> dict[str, object]:
    """Return what lies in the folder of a job that has split."""
    if not task.carried:
        return {}
    room = task.carried.parent
    found = [*room.glob("out.*"), *room.glob("parts/*")]
    return {"left": sorted(path.name for path in found)}


def _views(task: Task, count: int) -> list[Output]:
    """Make live views that say whose they are."""
    names = [f"view {number}.txt" for number in range(count)]
    for name in names:
        (task.workdir / name).write_text(f"{task.name}, round {task.round}")
    return [Output(name, "live") for name in names]


def part(task: Task) -> Result:
    """Copy a line of the plan, which is what there is to do."""
    options, place = task.options, task.part["place"]
    while options.cancel_by and place == 0:
        Path(options.cancel_by).touch()
        task.report("waiting for the end", 0.5)
        time.sleep(0.02)  # this is the work
    _take_time(task, options)
    if options.how == "unavailable":
        raise Unavailable("REMOTE_BUSY", "ask again later")
    if place == options.bad_part:
        raise BadInput("UNCOUNTABLE", f"part {place} cannot be counted", hint="Leave it out.")
    line = (task.carried / "plan.txt").read_text().splitlines()[place]
    (task.workdir / "part.txt").write_text(line)
    return Result((Output("part.txt", "data"),), {"place": place})


def _split(task: Task, options: Options) -> Split:
    names = [f"line {place} of round {task.round}" for place in range(options.parts)]
    (task.workdir / "plan.txt").write_text("\n".join(names))
    parts = [Part(name, {"place": place}, weight=place + 1) for place, name in enumerate(names)]
    views = tuple(view.path for view in _views(task, options.live))
    told = {"at_once": options.at_once, "on_failure": options.on_failure, "views": views}
    return Split(tuple(parts), stage=options.stage, share=options.share, **told)


def _gather(task: Task, options: Options) -> None:
    """Hold what the parts made against the plan; a bug when anything is missing."""
    planned = (task.carried / "plan.txt").read_text().splitlines()
    assert planned == [one.name for one in task.parts]
    for place, one in enumerate(task.parts):
        if place == options.bad_part:
            assert ("failed", "UNCOUNTABLE") == (one.outcome, one.error["code"])
        else:
            assert ("done", {"place": place}) == (one.outcome, one.measurements)
            assert planned[place] == (one.folder / "part.txt").read_text()


def count(drop: Path) -> list[dict[str, object]]:
    """Return what ``count.json`` must say about a drop."""
    files = (
        sorted(path for path in drop.rglob("*.wav") if path.is_file()) if drop.is_dir() else [drop]
    )
    return [
        {
            "path": str(path.relative_to(drop)) if drop.is_dir() else path.name,
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    ]


def _take_time(task: Task, options: Options) -> None:
    began_s, seconds, held_by = time.monotonic(), options.seconds, options.held_by
    while (gone_s := time.monotonic() - began_s) < seconds or (held_by and os.path.exists(held_by)):  # noqa: PTH110
        task.report("counting", min(1.0, gone_s / (seconds or 60.0)))
        time.sleep(0.01)  # this is the work
