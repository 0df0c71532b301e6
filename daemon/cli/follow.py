"""Follow one drop by its status file until it ends."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from daemon.cli.exit_codes import DAEMON_DOWN
from daemon.cli.spool_reader import SpoolReader, StatusFile, pulse_of, statuses
from daemon.errors import BadInput, Unavailable
from daemon.intake.drop import list_inbox
from daemon.outbox.status_reader import read_status
from daemon.text import shown

_LOOK_S = 0.1


def follow(
    reader: SpoolReader,
    inbox: str,
    drop: str,
    known: Collection[object] = (),
    *,
    between: Callable[[], None] = lambda: time.sleep(_LOOK_S),
) -> Iterator[StatusFile]:
    """Yield the drop's status again and again; the last one is final.

    Parameters
    ----------
    drop
        Its name on disk.
    known
        Jobs that are not meant: earlier drops of the same name.
    between
        Called between two looks.

    Raises
    ------
    Unavailable
        ``DAEMON_DOWN``: the daemon does not run, so nothing will come.
    BadInput
        The inbox takes no such files.
    """
    entry: StatusFile | None = None
    while True:
        entry = _again(entry, known) or _found(reader, inbox, drop, known)
        if entry is not None:
            yield entry
            if entry.terminal:
                return
        _refuse_hopeless(reader, inbox, drop, seen=entry is not None)
        between()


def jobs_called(reader: SpoolReader, inbox: str, drop: str) -> frozenset[object]:
    """Return the jobs of earlier drops of this name."""
    alike = [
        entry for entry in statuses(reader, most=None) if (entry.inbox, entry.drop) == (inbox, drop)
    ]
    return frozenset(entry.document.get("job") for entry in alike) - {None}


def _again(entry: StatusFile | None, known: Collection[object]) -> StatusFile | None:
    """Read the same file again, unless it has gone or tells of another drop by now."""
    found = None if entry is None else read_status(entry.path)
    if entry is None or found is None or found.get("name") != entry.document.get("name"):
        return None
    return None if found.get("job") in known else StatusFile(entry.path, found)


def _found(
    reader: SpoolReader, inbox: str, drop: str, known: Collection[object]
) -> StatusFile | None:
    alike = [
        entry
        for entry in statuses(reader)
        if (entry.inbox, entry.drop) == (inbox, drop) and entry.document.get("job") not in known
    ]
    return min(alike, key=lambda entry: entry.terminal, default=None)


def _refuse_hopeless(reader: SpoolReader, inbox: str, drop: str, *, seen: bool) -> None:
    pulse = pulse_of(reader.root)
    if not pulse.running:
        raise Unavailable(
            DAEMON_DOWN,
            f"the daemon does not run on {shown(str(reader.root))}; the drop waits",
            "Start it: soundspool run.",
        )
    entry = (pulse.document.get("inboxes") or {}).get(inbox) or {}
    if not seen and (why := _why_left_alone(reader, inbox, drop, entry)):
        message = f"the inbox leaves {shown(drop)!r} alone: {shown(why)}"
        raise BadInput("LEFT_ALONE", message, "Take it out of the inbox again.")


def _why_left_alone(reader: SpoolReader, inbox: str, drop: str, entry: Mapping[str, Any]) -> str:
    """Return the reason that the daemon gives; of many drops, it names the first ones only."""
    left_alone: Mapping[str, str] = entry.get("left_alone") or {}
    if drop in left_alone or not entry.get("left_alone_more"):
        return left_alone.get(drop, "")
    fd = os.open(reader.inbox(inbox)[1], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        accepts = entry.get("accepts")
        kinds = None if accepts is None else frozenset(accepts)
        return list_inbox(fd, kinds, named=None).left_alone.get(drop, "")
    finally:
        os.close(fd)
