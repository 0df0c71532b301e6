"""``soundspool explain``: why something has not started.

The same rules that the daemon settles drops by (``intake.settle``) are asked here, fed with
two looks a moment apart. What only patience can show, the quiet since the last change, is the
daemon's to know: its answer is read from the status file and goes first.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daemon.cli.spool_reader import Failed, SpoolReader, failed_drops, find_status, pulse_of
from daemon.codes import CODES
from daemon.config.models import Config, Inbox, load
from daemon.errors import BadInput, Fault
from daemon.intake.completeness import Rules
from daemon.intake.drop import Drop, list_inbox, look
from daemon.intake.evidence import DiskEvidence
from daemon.intake.filenames import kind_of
from daemon.intake.mounts import is_network, read_mountinfo
from daemon.intake.settle import DropStatus, Settler, explain
from daemon.intake.writer_probe import ignore_lease_signals
from daemon.text import shown
from dsp.containers.identify import AUDIO_SUFFIXES

EX_OK, EX_DOWN = 0, 3
BETWEEN_LOOKS_S = 0.4

_NAMES = {
    "hidden": "names that begin with a dot are not drops",
    "arriving": "by its name it is still being copied or downloaded; it counts once it is renamed",
    "junk": "its name is one of those that systems leave behind; no inbox takes them",
    "settings": "settings belong to a drop: they are read when it is taken",
    "marker": "a marker belongs to a drop: it says that the drop is complete",
    "cancel": "it asks for a drop to be cancelled",
}


@dataclass(frozen=True)
class Explanation:
    """How one thing stands, and why."""

    name: str
    inbox: str
    where: str
    """``inbox``, ``failed``, or the state of its job."""
    lines: tuple[str, ...]
    """For people, the main reason first."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For tools."""


def explain_command(config: Path | None, asked: str, inbox: str | None, *, as_json: bool) -> int:
    """Print why `asked`, a path or a name, stands as it does; return the exit code."""
    board = SpoolReader.of(config)
    pulse = pulse_of(board.root)
    found = explanation(board, load(config), asked, inbox)
    if as_json:
        sys.stdout.write(json.dumps({**asdict(found), "daemon": pulse.life}) + "\n")
    else:
        down = () if pulse.running else ("The daemon does not run. Start it: soundspool run",)
        sys.stdout.write("\n".join((*down, *found.lines)) + "\n")
    return EX_OK if pulse.running else EX_DOWN


def explanation(
    board: SpoolReader,
    config: Config,
    asked: str,
    inbox: str | None = None,
    *,
    between: Callable[[], None] = lambda: time.sleep(BETWEEN_LOOKS_S),
) -> Explanation:
    """Return why a path or a name stands as it does.

    Raises
    ------
    BadInput
        Nothing in the spool goes by it.
    """
    if place := _in_inbox(board, asked, inbox):
        return _of_drop(board, config.inboxes[place[0]], *place, between=between)
    for failed in failed_drops(board):
        if inbox in (None, failed.inbox) and _means(failed.path, asked):
            return _of_failed(failed)
    if told := find_status(board, os.path.basename(asked.rstrip("/")), inbox):  # noqa: PTH119 - text
        return _of_job(told.document)
    hint = "Name a path in an inbox or in failed/, or a drop that soundspool status shows."
    raise BadInput("NOT_FOUND", f"nothing in the spool is called {shown(asked)!r}", hint)


def _in_inbox(board: SpoolReader, asked: str, inbox: str | None) -> tuple[str, Path, str] | None:
    """Return the inbox, its folder and the top-level name, when `asked` lies in one."""
    path = Path(os.path.abspath(asked))  # noqa: PTH100 - resolve() would follow a dropped link
    for name, folder in board.inboxes.items():
        for inside in (path, path.parent.resolve() / path.name):
            for base in (folder, folder.resolve()):
                if inside.is_relative_to(base) and inside != base and os.path.lexists(inside):
                    return name, folder, inside.relative_to(base).parts[0]
        plain = "/" not in asked and asked not in ("", ".", "..")
        if inbox in (None, name) and plain and os.path.lexists(folder / asked):
            return name, folder, asked
    return None


def _means(path: Path, asked: str) -> bool:
    return asked in (path.name, shown(path.name)) or Path(os.path.abspath(asked)) == path  # noqa: PTH100 - as above


def _of_drop(
    board: SpoolReader,
    settings: Inbox,
    inbox: str,
    folder: Path,
    name: str,
    *,
    between: Callable[[], None],
) -> Explanation:
    said: Mapping[str, Any] = {}
    told = find_status(board, name, inbox)
    if told is not None and told.document.get("state") == "receiving":
        said = told.document.get("wait") or {}
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ignored = _ignored(fd, name)
        if ignored:
            return Explanation(name, inbox, "inbox", (f"{shown(name)}: {ignored}",))
        answer, paused = _judged(fd, folder, settings, name, between)
    finally:
        os.close(fd)
    lines = [f"The inbox {inbox} is paused: soundspool resume {inbox}"] if paused else []
    lines += [explain(name, answer)]
    if said:
        until = f" (until {said['until']})" if said.get("until") else ""
        lines += [f"The daemon says: {shown(said.get('detail') or said.get('reason'))}{until}"]
    facts = {"paused": paused, "wait": dict(said), **_facts(answer)}
    return Explanation(name, inbox, "inbox", tuple(lines), facts)


def _ignored(fd: int, name: str) -> str:
    """Return why the top-level `name` is no drop; empty when it is one."""
    if (kind := kind_of(name)) != "plain":
        return _NAMES[kind]
    listing = list_inbox(fd, AUDIO_SUFFIXES, named=None)
    return "" if name in listing.drops else listing.left_alone.get(shown(name), "it has just gone")


def _judged(
    fd: int, folder: Path, settings: Inbox, name: str, between: Callable[[], None]
) -> tuple[DropStatus, bool]:
    """Return how the drop stands after two looks, and whether the inbox is paused."""
    ignore_lease_signals()
    network = is_network(folder, read_mountinfo())
    settler = Settler(Rules.of(settings.settling, settings.limits, network=network))
    _observe(settler, fd, settings, name)
    between()
    return _observe(settler, fd, settings, name), list_inbox(fd, AUDIO_SUFFIXES).paused


def _observe(settler: Settler, fd: int, settings: Inbox, name: str) -> DropStatus:
    drop: Drop | None = look(fd, name, settings.limits, AUDIO_SUFFIXES)
    if drop is None:
        raise BadInput("NOT_FOUND", f"{shown(name)!r} has just left the inbox: it was taken")
    evidence = DiskEvidence(fd, drop, settings.limits.settings_bytes)
    return settler.observe(drop, evidence, time.monotonic())


def _facts(answer: DropStatus) -> dict[str, Any]:
    return {
        "settled": answer.settled,
        "reason": answer.reason,
        "left_s": answer.left_s,
        "detail": answer.detail,
        "refusal": answer.refusal.code if answer.refusal else None,
        "files": [asdict(file) for file in answer.files],
    }


def _of_failed(failed: Failed) -> Explanation:
    error = failed.error()
    fault = Fault.read(error)
    known = CODES.get(fault.code)
    lines = [f"{shown(failed.path.name)} failed: {shown(fault.code)}: {shown(fault.message)}"]
    lines += [f"What it means: {known.meaning}"] if known else []
    lines += [f"What to do: {shown(fault.hint)}"]
    lines += [f"Then: soundspool retry {shown(failed.path.name)!r}"]
    return Explanation(failed.path.name, failed.inbox, "failed", tuple(lines), {"error": error})


def _of_job(document: Mapping[str, Any]) -> Explanation:
    name, state = shown(document.get("name")), shown(document.get("state"))
    wait = document.get("wait") or {}
    lines = [f"{name}: {state}"]
    if wait:
        until = f" (until {wait['until']})" if wait.get("until") else ""
        place = f", number {wait['position']} in the line" if wait.get("position") else ""
        lines = [
            f"{name}: {state}, {shown(wait.get('detail') or wait.get('reason'))}{place}{until}"
        ]
    return Explanation(name, shown(document.get("inbox")), state, tuple(lines), {"wait": wait})
