"""Whether the parts of a daemon are in order, in words."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.outbox.node_lines import broker_line
from daemon.outbox.node_lines import health_of as of_node
from daemon.text import count, shown, size, span

Document = Mapping[str, Any]
_NAMED = 3
"""Of holders, and of what an inbox leaves alone, so many are named."""


@dataclass(frozen=True)
class Health:
    """One part of the daemon, in order or not."""

    name: str
    fine: bool
    notes: str


def health_of(state: Document) -> Iterable[Health]:
    """Yield how each part of a daemon is, by its ``daemon.json``."""
    pool, disk = state.get("pool"), state.get("disk")
    if pool:
        notes = f"{pool.get('free', 0)} of {count(pool.get('slots', 0), 'slot')} free"
        workers = count(len(pool.get("workers") or ()), "worker")
        yield Health("Pool", not pool.get("degraded"), f"{notes}, {workers}")
        yield from (Health(*of_node(node)) for node in pool.get("nodes") or ())
        if broker := pool.get("broker"):
            notes = broker_line(broker).removeprefix("broker ")
            yield Health("Broker", not broker.get("problem"), shown(notes))
    for name, notes in resources_of(state.get("resources") or {}):
        yield Health(f"Resource {name}", fine=True, notes=notes)
    for name, inbox in (state.get("inboxes") or {}).items():
        notes = ", ".join(notes_of_inbox(inbox))
        yield Health(shown(f"Inbox {name}"), not inbox.get("problem"), shown(notes))
    if disk:
        free, promised, kept = (
            size(disk.get(key, 0)) for key in ("free_mb", "reserved_mb", "reserve_mb")
        )
        notes = f"{free} free, {promised} promised to jobs, {kept} kept back"
        yield Health("Disk", room_mb(state) > 0, notes)


def room_mb(state: Document) -> float:
    """Return the MiB that new drops may still fill; infinite when the daemon does not say."""
    disk = state.get("disk")
    if not disk:
        return float("inf")
    free, kept = disk.get("free_mb", 0), disk.get("reserve_mb", 0)
    return float(free - disk.get("reserved_mb", 0) - kept)


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
