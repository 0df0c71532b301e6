"""Follow one drop by its status file until it ends."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from daemon.cli.exit_codes import DAEMON_DOWN
from daemon.cli.spool_reader import SpoolReader, Told, pulse_of, statuses
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
) -> Iterator[Told]:
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
    told: Told | None = None
    while True:
        told = _again(told, known) or _found(reader, inbox, drop, known)
        if told is not None:
            yield told
            if told.terminal:
                return
        _refuse_hopeless(reader, inbox, drop, seen=told is not None)
        between()


def jobs_called(reader: SpoolReader, inbox: str, drop: str) -> frozenset[object]:
    """Return the jobs that drops of this name became so far."""
    alike = [
        told for told in statuses(reader, most=None) if (told.inbox, told.drop) == (inbox, drop)
    ]
    return frozenset(told.document.get("job") for told in alike) - {None}


def _again(told: Told | None, known: Collection[object]) -> Told | None:
    """Read the same file again, unless it has gone or tells of another drop by now."""
    found = None if told is None else read_status(told.path)
    if told is None or found is None or found.get("name") != told.document.get("name"):
        return None
    return None if found.get("job") in known else Told(told.path, found)


def _found(reader: SpoolReader, inbox: str, drop: str, known: Collection[object]) -> Told | None:
    alike = [
        told
        for told in statuses(reader)
        if (told.inbox, told.drop) == (inbox, drop) and told.document.get("job") not in known
    ]
    return min(alike, key=lambda told: told.terminal, default=None)


def _refuse_hopeless(reader: SpoolReader, inbox: str, drop: str, *, seen: bool) -> None:
    pulse = pulse_of(reader.root)
    if not pulse.running:
        raise Unavailable(
            DAEMON_DOWN,
            f"the daemon does not run on {shown(str(reader.root))}; the drop waits",
            "Start it: soundspool run.",
        )
    told = (pulse.document.get("inboxes") or {}).get(inbox) or {}
    if not seen and (why := _why_left_alone(reader, inbox, drop, told)):
        message = f"the inbox leaves {shown(drop)!r} alone: {shown(why)}"
        raise BadInput("LEFT_ALONE", message, "Take it out of the inbox again.")


def _why_left_alone(reader: SpoolReader, inbox: str, drop: str, told: Mapping[str, Any]) -> str:
    """Return the reason as the daemon tells it; of many, it tells the first ones only."""
    left_alone: Mapping[str, str] = told.get("left_alone") or {}
    if drop in left_alone or not told.get("left_alone_more"):
        return left_alone.get(drop, "")
    fd = os.open(reader.inbox(inbox)[1], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        accepts = told.get("accepts")
        kinds = None if accepts is None else frozenset(accepts)
        return list_inbox(fd, kinds, named=None).left_alone.get(drop, "")
    finally:
        os.close(fd)
