"""A spool in words: what the front page, ``soundspool top`` and ``soundspool status`` show.

Pure: ``daemon.json`` and status documents in, rows of plain text out. Both are read as they
are promised to any reader: a field may be missing, a field may be new.

Rule 1: every text in an ``Overview`` has passed ``text.shown``. Paths have not: they are for
links, and whoever makes one quotes it.
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import Literal

from daemon.errors import Fault
from daemon.outbox.health import Document, Health, health_of, room_mb
from daemon.outbox.node_lines import stage_of
from daemon.outbox.part_lines import parts_of
from daemon.outbox.places import LIVE, folder_of, is_page, place_of
from daemon.text import age_s, count, figure, shown, span

Life = Literal["alive", "down", "stopped", "absent"]

WAITING = 100
"""Of what waits, so many are shown."""
ENDED = ("done", "failed", "skipped", "cancelled")
PERIODS = 3
"""A heartbeat older than so many periods: the daemon is down."""

_FIGURES = 3
_HEARD = ("master", "episode", "recording")
"""Roles of outputs that a person listens to."""
SHOWN_ROLES = frozenset({"report", LIVE, *_HEARD})
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
_NUMBER = re.compile(r" \(\d+\)$")
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
    commands: tuple[tuple[str, str], ...] = ()
    """What else: the words, and the shell command."""
    folder: tuple[str, ...] = ()
    """The parts of a path below the root: of the result, or of where the drop lies."""
    report: tuple[str, ...] = ()
    """Likewise of its report; none: it has none."""
    sound: tuple[str, ...] = ()
    """Likewise of what can be played."""
    before: tuple[str, ...] = ()
    """Likewise of the result before this one of the same name."""
    changed: str = ""
    """What differs from that one."""
    job: str = ""


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
    failed = [one for one in latest if one["state"] == "failed"]
    return Overview(
        phase=shown(state.get("phase") or "unknown"),
        attention=tuple(shown(one) for one in _attention(state)),
        figures=(*_figures(state), ("Failed", f"{len(failed)}")),
        running=tuple(_running(one) for one in state.get("running") or ()),
        waiting=tuple(_waiting(one) for one in first),
        waiting_in_all=len(queued) + len(arriving),
        failed=tuple(_failure(one) for one in failed),
        results=tuple(
            _result(one, (inboxes.get(one.get("inbox")) or {}).get("headline") or ())
            for one in latest
            if one["state"] != "failed"
        ),
        health=tuple(sorted(health_of(state), key=lambda one: one.fine)),
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
    if room_mb(state) <= 0:
        yield "The disk is full: drops stay in their inbox until there is room."
    for warning in state.get("warnings") or ():
        if warning.get("code") not in _TOLD:
            yield f"{warning.get('message')} ({warning.get('code')})"


def _figures(state: Document) -> Iterable[tuple[str, str]]:
    """Yield the figures for the top: what a person looks for first."""
    depth = (state.get("queue") or {}).get("depth") or {}
    running = int(depth.get("running") or 0)
    waiting = sum((depth.get("queued") or {}).values()) + int(depth.get("receiving") or 0)
    left_s = _left_s(state, waiting)
    until = f", done in about {span(left_s)}" if left_s else ""
    yield "Running", f"{running}"
    yield "Waiting", f"{waiting}{until}"


def _left_s(state: Document, waiting: int) -> float:
    """Return the seconds until the queue is empty, by what jobs took so far; 0: not known."""
    totals = ((state.get("totals") or {}).get("handlers") or {}).values()
    attempts = sum(one.get("attempts") or 0 for one in totals)
    seconds = sum(one.get("seconds") or 0.0 for one in totals)
    slots = max(1, int((state.get("pool") or {}).get("slots") or 1))
    if not attempts:
        return 0.0
    each_s, under_way = seconds / attempts, list(state.get("running") or ())
    known = [one.get("eta_s") for one in under_way]
    work_s = waiting * each_s + sum(each_s if left is None else left for left in known)
    return float(work_s / slots) if waiting or under_way else 0.0


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
        commands=tuple(_commands(name, lossy=document.get("name_base64") is not None)),
        folder=("failed", inbox),
        job=shown(document.get("job") or ""),
    )


def _commands(name: str, *, lossy: bool) -> Iterable[tuple[str, str]]:
    """Yield the commands; none for a name that cannot be typed as it is shown."""
    if lossy or shown(name) != name:
        return
    dashes = "-- " if name.startswith("-") else ""
    for words, command in (("to try again", "retry"), ("to clear it away", "clear")):
        yield words, f"soundspool {command} {dashes}{shlex.quote(name)}"


def _result(document: Document, headline: Iterable[str]) -> Ended:
    outputs = document.get("outputs") or ()
    pages = [one for one in outputs if is_page(one)]
    heard = [one for role in _HEARD for one in outputs if one.get("role") == role]
    before = document.get("before") or {}
    return Ended(
        name=shown(_numbered(document)),
        inbox=shown(document.get("inbox")),
        state=shown(document.get("state")),
        finished=document.get("finished"),
        notes=shown(_notes(document, headline)),
        folder=folder_of(document),
        report=place_of(document, pages[0]) if pages else (),
        sound=place_of(document, heard[0]) if heard else (),
        before=("outbox", str(document.get("inbox")), str(before["output_folder"]))
        if before
        else (),
        changed=shown(" · ".join(before.get("changed") or ()) or "nothing changed")
        if before
        else "",
        job=shown(document.get("job") or ""),
    )


def _numbered(document: Document) -> str:
    """Return the name of a result: two mixes of one song differ by the number of their folders."""
    name, label = str(document.get("name")), str(document.get("output_folder") or "")
    number = _NUMBER.search(label)
    if number is None or document.get("duplicate_of") or name.endswith(number[0]):
        return name
    return f"{name}{number[0]}"


def _notes(document: Document, headline: Iterable[str]) -> str:
    measured, warnings = document.get("measurements") or {}, document.get("warnings") or ()
    # A handler that names none, or that the daemon has not heard of yet, puts the best first.
    names = list(headline) or list(measured)[:_FIGURES]
    notes = [figure(name, measured[name]) for name in names if measured.get(name) is not None]
    if onward := document.get("forwarded_to"):
        notes.append(f"goes on into {onward.get('inbox')}")
    if document.get("duplicate_of"):
        same = document.get("output_folder") or f"job {document['duplicate_of']}"
        notes.append(f"the same as {same}")
    if warnings:
        notes.append(count(len(warnings), "warning"))
    return " · ".join(notes)
