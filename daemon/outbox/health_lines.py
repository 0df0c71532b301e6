"""What is said of inboxes and named resources, on the front page and in terminals."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from daemon.text import count, shown, span

_NAMED = 3
"""Of holders, and of what an inbox leaves alone, so many are named."""


def resources_of(resources: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each resource, and how much of it is held by whom."""
    for name, one in resources.items():
        held = one.get("held") or ()
        notes = [f"{len(held)} of {one.get('size', 0)} held"]
        notes += [f"{each.get('member')} by {each.get('label')}" for each in held[:_NAMED]]
        notes += [f"and {len(held) - _NAMED} more"] if len(held) > _NAMED else []
        yield shown(name), shown(", ".join(notes))


def notes_of_inbox(inbox: Mapping[str, Any]) -> Iterable[str]:
    """Yield what there is to say of an inbox."""
    polling = inbox.get("mode") == "polling"
    yield "paused" if inbox.get("paused") else "polled" if polling else "watched by events"
    if polling and inbox.get("polling_because"):
        yield str(inbox["polling_because"])
    if inbox.get("last_scan_age_s") is not None:
        yield f"looked at {span(inbox['last_scan_age_s'])} ago"
    if inbox.get("missed"):
        yield f"{count(inbox['missed'], 'drop')} missed by events"
    if inbox.get("rebuilds"):
        yield f"set up again {count(inbox['rebuilds'], 'time')}"
    if inbox.get("next_drop"):
        yield f"gets a scan at {inbox['next_drop']}"
    left = inbox.get("left_alone") or {}
    yield from (f"left alone: {name} ({why})" for name, why in list(left.items())[:_NAMED])
    more = max(0, len(left) - _NAMED) + (inbox.get("left_alone_more") or 0)
    if more:
        yield f"and {more} more"
