"""``soundspool explain``: why something has not started.

What a drop waits for is in its status, and is repeated here. What has no status is explained by
its name, by what the daemon ignores, or by its reason in ``failed/``.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daemon.cli.spool_reader import (
    Failed,
    Pulse,
    SpoolReader,
    failed_drops,
    find_status,
    lying_in,
    pulse_of,
    until,
)
from daemon.codes import CODES
from daemon.errors import BadInput, Fault
from daemon.intake.filenames import kind_of
from daemon.layout import PAUSE
from daemon.outbox.node_lines import attempts_at_nodes
from daemon.text import shown
from dsp.containers.junk import composed

EX_OK, EX_DOWN = 0, 3

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
    """The state of one drop, and why."""

    name: str
    inbox: str
    where: str
    """``inbox``, ``failed``, or the state of its job."""
    lines: tuple[str, ...]
    """For people, the main reason first."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For tools."""


def explain_command(config: Path | None, asked: str, inbox: str | None, *, as_json: bool) -> int:
    """Print the state of `asked`, a path or a name, and why; return the exit code."""
    reader = SpoolReader.of(config)
    pulse = pulse_of(reader.root)
    found = explanation(reader, pulse, asked, inbox)
    if as_json:
        sys.stdout.write(json.dumps({**asdict(found), "daemon": pulse.life}) + "\n")
    else:
        down = () if pulse.running else ("The daemon does not run. Start it: soundspool run",)
        sys.stdout.write("\n".join((*down, *found.lines)) + "\n")
    return EX_OK if pulse.running else EX_DOWN


def explanation(
    reader: SpoolReader, pulse: Pulse, asked: str, inbox: str | None = None
) -> Explanation:
    """Return the state of what a path or a name means, and why.

    Raises
    ------
    BadInput
        Nothing in the spool goes by it.
    """
    if place := _in_inbox(reader, asked, inbox):
        return _of_drop(reader, pulse, *place)
    for failed in sorted(failed_drops(reader), key=lambda one: one.path.name != asked):
        if inbox in (None, failed.inbox) and _means(failed.path, asked):
            return _of_failed(failed)
    if entry := find_status(reader, os.path.basename(asked.rstrip("/")), inbox):  # noqa: PTH119 - text
        return _of_status(entry.document)
    hint = "Name a path in an inbox or in failed/, or a drop that soundspool status shows."
    raise BadInput("NOT_FOUND", f"nothing in the spool is called {shown(asked)!r}", hint)


def _in_inbox(reader: SpoolReader, asked: str, inbox: str | None) -> tuple[str, Path, str] | None:
    """Return the inbox, its folder and the top-level name, when `asked` lies in one."""
    path = Path(os.path.abspath(asked))  # noqa: PTH100 - resolve() would follow a dropped link
    for name, folder in reader.inboxes.items():
        for inside in (path, path.parent.resolve() / path.name):
            for base in (folder, folder.resolve()):
                if inside.is_relative_to(base) and inside != base and os.path.lexists(inside):
                    return name, folder, inside.relative_to(base).parts[0]
        if inbox in (None, name) and (found := lying_in(folder, asked)) is not None:
            return name, folder, found
    return None


def _means(path: Path, asked: str) -> bool:
    names = map(composed, (path.name, shown(path.name)))
    return composed(asked) in names or Path(os.path.abspath(asked)) == path  # noqa: PTH100 - as above


def _of_drop(reader: SpoolReader, pulse: Pulse, inbox: str, folder: Path, name: str) -> Explanation:
    entry = (pulse.document.get("inboxes") or {}).get(inbox) or {}
    ignored = _NAMES.get(kind_of(name)) or (entry.get("left_alone") or {}).get(shown(name))
    if ignored:
        return Explanation(name, inbox, "inbox", (f"{shown(name)}: {shown(ignored)}",))
    paused = os.path.lexists(folder / PAUSE)
    pause = (f"The inbox {shown(inbox)} is paused: soundspool resume {shown(inbox)}",)
    status = find_status(reader, name, inbox)
    if status is not None and status.document.get("state") == "receiving":
        found = _of_status(status.document)
    else:
        why = "it has no status yet: the daemon has not looked at it"
        if more := entry.get("left_alone_more"):
            why += f", or it is one of {more} more that this inbox leaves alone"
        found = Explanation(name, inbox, "inbox", (f"{shown(name)}: {why}",), {"wait": {}})
    lines = (*pause, *found.lines) if paused else found.lines
    return Explanation(name, inbox, "inbox", lines, {"paused": paused, **found.facts})


def _of_failed(failed: Failed) -> Explanation:
    error = failed.error()
    fault = Fault.read(error)
    known = CODES.get(fault.code)
    lines = [f"{shown(failed.path.name)} failed: {shown(fault.code)}: {shown(fault.message)}"]
    lines += [f"What it means: {known.meaning}"] if known else []
    lines += [f"What to do: {shown(fault.hint)}"]
    lines += [f"Then: soundspool retry {shown(failed.path.name)!r}"]
    return Explanation(failed.path.name, failed.inbox, "failed", tuple(lines), {"error": error})


def _of_status(document: Mapping[str, Any]) -> Explanation:
    name, state = shown(document.get("name")), shown(document.get("state"))
    wait, files = document.get("wait") or {}, document.get("inputs") or ()
    later = f" ({end})" if (end := until(wait)) else ""
    place = f", number {wait['position']} in the line" if wait.get("position") else ""
    why = f", {shown(wait.get('detail') or wait.get('reason'))}{place}{later}" if wait else ""
    lines = [f"{name}: {state}{why}"]
    lines += [f"  attempt {one['number']} {node}" for one, node in attempts_at_nodes(document)]
    if state == "receiving":
        lines += [_line_of(file) for file in files]
        more = (document.get("inputs_total") or 0) - len(files)
        lines += [f"  and {more} more files"] if more > 0 else []
    facts = {"wait": wait, "files": files}
    return Explanation(name, shown(document.get("inbox")), state, tuple(lines), facts)


def _line_of(file: Mapping[str, Any]) -> str:
    found, expected = file.get("bytes"), file.get("bytes_expected")
    missing = f" of {expected}" if expected and found != expected else ""
    whole = f", whole ({shown(file['ready_by'])})" if file.get("ready_by") else ""
    return f"  {shown(file.get('path'))}: {found}{missing} bytes{whole}"
