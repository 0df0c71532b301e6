"""A spool in words: what the front page, ``soundspool top`` and ``soundspool status`` show.

Pure: ``daemon.json`` and status documents in, rows of plain text out. Both are read as they
are promised to any reader: a field may be missing, a field may be new.

Rule 1: every text in an ``Overview`` has passed ``text.shown``. Paths have not: they are for
links, and whoever makes one quotes it.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Literal

from daemon.errors import Fault
from daemon.outbox.health_lines import notes_of_inbox, resources_of
from daemon.outbox.node_lines import health_of, stage_of
from daemon.outbox.part_lines import parts_of
from daemon.outbox.places import folder_of, is_page, place_of
from daemon.text import age_s, count, figure, shown, size, span

Document = Mapping[str, Any]
Life = Literal["alive", "down", "stopped", "absent"]

WAITING = 100
"""Of what waits, so many are shown."""
ENDED = ("done", "failed", "skipped", "cancelled")
PERIODS = 3
"""A heartbeat older than so many periods: the daemon is down."""

_FIGURES = 3
_WHY = {
    "settling": "arriving",
    "incomplete": "not whole yet",
    "slot": "waits for a slot",
    "disk": "waits for the disk",
    "memory": "waits for memory",
    "paused": "the inbox is paused",
    "retry": "will be tried again",
    "resource": "waits for a resource",
}
_SAID_BY_DETAIL = ("slot", "paused", "resource")
"""Reasons whose detail, where there is one, says all."""
_TOLD = ("POOL_DEGRADED", "HANDLER_UNUSABLE")
"""Warnings that repeat what the pool says of itself."""


@dataclass(frozen=True)
class Running:
    """An attempt under way."""

    name: str
    inbox: str
    stage: str
    progress: float
    """0..1."""
    left: str
    """``3 min left``; empty while it is not known."""
    attempt: int
    parts: tuple[str, ...] = ()
    """Of a job that was split: how many are done, then those that failed and why."""


@dataclass(frozen=True)
class Waiting:
    """A drop that is not being worked on yet."""

    name: str
    inbox: str
    why: str
    until: str | None
    """RFC 3339, when a time ends the wait."""
    since: str | None


@dataclass(frozen=True)
class Ended:
    """A job that is over, well or badly."""

    name: str
    inbox: str
    state: str
    finished: str | None
    notes: str
    """Measurements and warnings of a result; the message of a failure."""
    code: str = ""
    step: str = ""
    """What a person can do about a failure."""
    command: str = ""
    """The shell command that tries again."""
    folder: tuple[str, ...] = ()
    """The parts of a path below the root: of the result, or of where the drop lies."""
    report: tuple[str, ...] = ()
    """Likewise of its report; none: it has none."""


@dataclass(frozen=True)
class Health:
    """One part of the daemon, in order or not."""

    name: str
    fine: bool
    notes: str


@dataclass(frozen=True)
class Overview:
    """Everything there is to show, in the order in which it matters."""

    phase: str
    attention: tuple[str, ...]
    """What a person should know, in sentences."""
    figures: tuple[tuple[str, str], ...]
    """Names and numbers for the top."""
    running: tuple[Running, ...]
    waiting: tuple[Waiting, ...]
    """The first of them; how many there are is in ``waiting_in_all``."""
    waiting_in_all: int
    failed: tuple[Ended, ...]
    """The latest first, as in ``results``."""
    results: tuple[Ended, ...]
    """Done, skipped and cancelled."""
    health: tuple[Health, ...]


def overview_of(state: Document, documents: Iterable[Document]) -> Overview:
    """Return what there is to see of a daemon and its drops.

    Parameters
    ----------
    state : mapping
        ``daemon.json``, or what the supervisor is about to write there.
    documents : iterable of mappings
        Status documents, in any order. What runs is taken from `state`, which is fresher.
    """
    drops, inboxes = list(documents), state.get("inboxes") or {}
    queued = [one for one in drops if one.get("state") == "queued"]
    arriving = [one for one in drops if one.get("state") == "receiving"]
    first = [*nsmallest(WAITING, queued, _turn), *nsmallest(WAITING, arriving, _since)][:WAITING]
    latest = sorted((one for one in drops if one.get("state") in ENDED), key=ended, reverse=True)
    return Overview(
        phase=shown(state.get("phase") or "unknown"),
        attention=tuple(shown(one) for one in _attention(state)),
        figures=tuple(_figures(state)),
        running=tuple(_running(one) for one in state.get("running") or ()),
        waiting=tuple(_waiting(one) for one in first),
        waiting_in_all=len(queued) + len(arriving),
        failed=tuple(_failure(one) for one in latest if one["state"] == "failed"),
        results=tuple(
            _result(one, (inboxes.get(one.get("inbox")) or {}).get("headline") or ())
            for one in latest
            if one["state"] != "failed"
        ),
        health=tuple(_health(state)),
    )


def life(state: Document | None, now_ms: int) -> Life:
    """Judge by a ``daemon.json`` whether its daemon lives."""
    if state is None:
        return "absent"
    if state.get("phase") == "stopped":
        return "stopped"
    age = age_s(state.get("heartbeat"), now_ms)
    fresh = age is not None and age <= PERIODS * float(state.get("period_s") or 0.0)
    return "alive" if fresh else "down"


def _turn(document: Document) -> tuple[bool, int, str]:
    """Sort by place in the queue; those without one come last."""
    position = (document.get("wait") or {}).get("position")
    return position is None, position or 0, str(document.get("created"))


def _since(document: Document) -> str:
    return str(document.get("first_seen"))


def ended(document: Document) -> str:
    """Return by what finished jobs are sorted: when they ended."""
    return str(document.get("finished") or document.get("updated"))


# The top


def _attention(state: Document) -> Iterable[str]:
    pool = state.get("pool") or {}
    if pool.get("degraded"):
        yield f"Nothing can run: {pool['degraded']}"
    for handler, why in (pool.get("unusable_handlers") or {}).items():
        yield f"The handler {handler} cannot be imported: {why}"
    for name, inbox in (state.get("inboxes") or {}).items():
        if inbox.get("problem"):
            yield f"The inbox {name} cannot be watched: {inbox['problem']}"
    if _room_mb(state) <= 0:
        yield "The disk is full: drops stay in their inbox until there is room."
    for warning in state.get("warnings") or ():
        if warning.get("code") not in _TOLD:
            yield f"{warning.get('message')} ({warning.get('code')})"


def _room_mb(state: Document) -> float:
    """Return the MiB that new drops may still fill; infinite when the daemon does not say."""
    disk = state.get("disk")
    if not disk:
        return float("inf")
    free, kept = disk.get("free_mb", 0), disk.get("reserve_mb", 0)
    return float(free - disk.get("reserved_mb", 0) - kept)


def _figures(state: Document) -> Iterable[tuple[str, str]]:
    queue, totals = state.get("queue") or {}, state.get("totals") or {}
    depth = queue.get("depth") or {}
    yield "Running", f"{depth.get('running', 0)}"
    yield "Waiting", f"{sum((depth.get('queued') or {}).values())}"
    yield "Arriving", f"{depth.get('receiving', 0)}"
    yield "Longest wait", span(queue.get("oldest_queued_s"))
    for name in ENDED:
        yield name.capitalize(), f"{totals.get(name, 0)}"


# Rows


def _running(one: Document) -> Running:
    eta_s = one.get("eta_s")
    return Running(
        name=shown(one.get("name")),
        inbox=shown(one.get("inbox")),
        stage=stage_of(one),
        progress=min(1.0, max(0.0, float(one.get("progress") or 0.0))),
        left="" if eta_s is None else f"{span(eta_s)} left",
        attempt=int(one.get("attempt") or 1),
        parts=tuple(parts_of(one.get("parts") or {})),
    )


def _waiting(document: Document) -> Waiting:
    wait = document.get("wait") or {}
    return Waiting(
        name=shown(document.get("name")),
        inbox=shown(document.get("inbox")),
        why=shown(_why(document, wait)),
        until=wait.get("until"),
        since=document.get("first_seen") or document.get("created"),
    )


def _why(document: Document, wait: Document) -> str:
    reason = wait.get("reason")
    if reason is None:
        return "being taken in" if document.get("state") == "receiving" else "its turn comes"
    why, detail = _WHY.get(reason, str(reason)), wait.get("detail")
    if detail:
        why = detail if reason in _SAID_BY_DETAIL else f"{why}: {detail}"
    return f"{why}, number {wait['position']}" if wait.get("position") else why


def _failure(document: Document) -> Ended:
    fault = Fault.read(document.get("error") or {})
    name, inbox = str(document.get("name")), str(document.get("inbox"))
    return Ended(
        name=shown(name),
        inbox=shown(inbox),
        state="failed",
        finished=document.get("finished"),
        notes=shown(fault.message),
        code=shown(fault.code),
        step=shown(fault.hint),
        command=_retry_command(name, lossy=document.get("name_base64") is not None),
        folder=("failed", inbox),
    )


def _retry_command(name: str, *, lossy: bool) -> str:
    """Return the command; nothing for a name that cannot be typed as it is shown."""
    if lossy or shown(name) != name:
        return ""
    dashes = "-- " if name.startswith("-") else ""
    return f"soundspool retry {dashes}{shlex.quote(name)}"


def _result(document: Document, headline: Iterable[str]) -> Ended:
    pages = [one for one in document.get("outputs") or () if is_page(one)]
    return Ended(
        name=shown(document.get("name")),
        inbox=shown(document.get("inbox")),
        state=shown(document.get("state")),
        finished=document.get("finished"),
        notes=shown(_notes(document, headline)),
        folder=folder_of(document),
        report=place_of(document, pages[0]) if pages else (),
    )


def _notes(document: Document, headline: Iterable[str]) -> str:
    measured, warnings = document.get("measurements") or {}, document.get("warnings") or ()
    # A handler that names none, or that the daemon has not heard of yet, puts the best first.
    names = list(headline) or list(measured)[:_FIGURES]
    notes = [figure(name, measured[name]) for name in names if measured.get(name) is not None]
    if document.get("duplicate_of"):
        same = document.get("output_folder") or f"job {document['duplicate_of']}"
        notes.append(f"the same as {same}")
    if warnings:
        notes.append(count(len(warnings), "warning"))
    return " · ".join(notes)


# Health


def _health(state: Document) -> Iterable[Health]:
    pool, disk = state.get("pool"), state.get("disk")
    if pool:
        notes = f"{pool.get('free', 0)} of {count(pool.get('slots', 0), 'slot')} free"
        workers = count(len(pool.get("workers") or ()), "worker")
        yield Health("Pool", not pool.get("degraded"), f"{notes}, {workers}")
        yield from (Health(*health_of(node)) for node in pool.get("nodes") or ())
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
        yield Health("Disk", _room_mb(state) > 0, notes)
