"""``soundspool status``: the spool and its drops, as people and tools read them.

Everything shown comes from files; the functions that render are pure and give plain text
without any terminal control, so a pipe, a log and a screen reader get what a person gets.
Exit codes: 0 · 1 the job failed · 3 the daemon does not run · 65 no such drop.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.board import Board, Pulse, Told, find_status, printable, pulse_of, statuses
from daemon.errors import BadInput

EX_OK, EX_FAILED, EX_DOWN = 0, 1, 3

_ENDED = 15
"""Drops that have ended of which an overview tells; all the others it shows."""
_BAR = 12
_NAME = 36
_LIVE = ("running", "queued", "receiving")
_HOME = "\x1b[H\x1b[J"
"""To a terminal: draw over what was drawn."""
_WATCH_S = 0.5


def status(board: Board, name: str | None, inbox: str | None, *, watch: bool, as_json: bool) -> int:
    """Print how the spool stands, or one drop; return the exit code."""
    while True:
        text, code, over = _drawn(board, name, inbox, as_json=as_json)
        if watch and sys.stdout.isatty() and not as_json:
            text = _HOME + text
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        if over or not watch:
            return code
        time.sleep(_WATCH_S)


def _drawn(
    board: Board, name: str | None, inbox: str | None, *, as_json: bool
) -> tuple[str, int, bool]:
    """Return the text, the exit code, and whether nothing will change any more."""
    pulse = pulse_of(board.root)
    if name is None:
        found = [told for told in statuses(board) if inbox in (None, told.inbox)]
        shown = overview_json if as_json else overview
        return shown(board.root, pulse, found), EX_OK if pulse.running else EX_DOWN, False
    told = find_status(board, name, inbox)
    if told is None:
        message = f"no drop is called {printable(name)!r}"
        hint = "It may not have been seen yet: soundspool explain."
        raise BadInput("NOT_FOUND", message, hint)
    text = json.dumps(told.document) if as_json else detail(board.root, pulse, told)
    return text, code_of(told, pulse), told.terminal


def code_of(told: Told, pulse: Pulse) -> int:
    """Return the exit code that tells how one drop stands."""
    if told.terminal:
        return EX_FAILED if told.document.get("state") == "failed" else EX_OK
    return EX_OK if pulse.running else EX_DOWN


def overview_json(root: Path, pulse: Pulse, found: Sequence[Told]) -> str:
    """Return the daemon's document and the drops', on one line."""
    daemon = {**pulse.document, "running_now": pulse.running, "heartbeat_age_s": pulse.age_s}
    drops = [{"status_file": str(told.path), **told.document} for told in found]
    return json.dumps({"root": str(root), "daemon": daemon, "drops": drops})


def overview(root: Path, pulse: Pulse, found: Sequence[Told]) -> str:
    """Return the spool at a glance: what lives first, then what ended last."""
    ended = [told for told in found if told.terminal][:_ENDED]
    live = sorted((told for told in found if not told.terminal), key=_by_liveness)
    lines = [*_daemon_lines(root, pulse), *_inbox_lines(pulse)]
    if rows := [_row(told) for told in (*live, *ended)]:
        lines += ["", *_columns([("NAME", "INBOX", "STATE", ""), *rows])]
    else:
        lines += ["", "No drops yet. Drop a folder of stems: soundspool submit PATH"]
    return "\n".join(lines)


def detail(root: Path, pulse: Pulse, told: Told) -> str:
    """Return all that a person wants to know of one drop."""
    found = told.document
    lines = [f"{printable(str(found.get('name')))} ({told.inbox}): {found.get('state')}"]
    if not told.terminal and not pulse.running:
        lines.append("  the daemon does not run, so this is how it was left; start it: "
                     "soundspool run")  # fmt: skip
    lines += [f"  {key:<10} {value}" for key, value in _facts(root, told) if value]
    return "\n".join(lines)


def _facts(root: Path, told: Told) -> list[tuple[str, str]]:
    found = told.document
    folder = root / "outbox" / told.inbox / str(found.get("output_folder"))
    facts = [
        ("progress", _progress(found) if found.get("state") == "running" else ""),
        ("waits for", _waits_for(found)),
        ("error", _error(found)),
        ("to do", printable(str((found.get("error") or {}).get("hint") or ""))),
        ("first seen", str(found.get("first_seen") or "")),
        ("took", _took(found)),
        ("attempts", _attempts(found)),
        ("same as", printable(str(found.get("duplicate_of") or ""))),
    ]
    facts += [("input", _input(one)) for one in found.get("inputs") or ()]
    facts += [("warning", _note(one)) for one in found.get("warnings") or ()]
    facts += [
        (str(one["role"]), printable(str(folder / one["path"])))
        for one in found.get("outputs") or ()
    ]
    return [*facts, ("status", printable(str(told.path)))]


def _daemon_lines(root: Path, pulse: Pulse) -> list[str]:
    found = pulse.document
    if not pulse.running:
        ago = "" if pulse.age_s is None else f"; it was last seen {_span(pulse.age_s)} ago"
        return [f"soundspool does not run on {printable(str(root))}{ago}. Start it: soundspool run"]
    queue = found.get("queue") or {}
    depth = queue.get("depth") or {}
    waiting = sum((depth.get("queued") or {}).values())
    oldest = f" (oldest {_span(queue['oldest_queued_s'])})" if queue.get("oldest_queued_s") else ""
    free_mb = (found.get("disk") or {}).get("free_mb")
    parts = [
        f"{depth.get('running', 0)} running",
        f"{waiting} queued{oldest}",
        f"{depth.get('receiving', 0)} receiving",
        *([f"{free_mb / 1024:.1f} GB free"] if isinstance(free_mb, int | float) else []),
    ]
    phase = printable(str(found.get("phase", "running")))
    lines = [f"soundspool on {printable(str(root))}: {phase} (pid {found.get('pid')})"]
    lines.append("  " + ", ".join(parts))
    return [*lines, *(f"  ! {_note(one)}" for one in found.get("warnings") or ())]


def _inbox_lines(pulse: Pulse) -> list[str]:
    lines = []
    for name, inbox in (pulse.document.get("inboxes") or {}).items() if pulse.running else ():
        if inbox.get("problem"):
            lines.append(f"  ! inbox {printable(name)}: {printable(str(inbox['problem']))}")
        elif inbox.get("paused"):
            lines.append(f"  inbox {printable(name)} is paused: soundspool resume {name}")
    return lines


def _by_liveness(told: Told) -> tuple[int, int, str]:
    state = str(told.document.get("state"))
    place = (told.document.get("wait") or {}).get("position")
    order = _LIVE.index(state) if state in _LIVE else len(_LIVE)
    return order, place if isinstance(place, int) else 1 << 30, told.label


def _row(told: Told) -> tuple[str, str, str, str]:
    found = told.document
    state = str(found.get("state"))
    said = {"running": _progress, "failed": _error, "done": _result}.get(state, _waits_for)(found)
    return _cut(printable(told.label), _NAME), printable(told.inbox), state, said


def _columns(rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    room = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 1 << 30
    lines = ["  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]) for row in rows]
    return [_cut(line.rstrip(), room) for line in lines]


def _progress(found: Mapping[str, Any]) -> str:
    done = float(found.get("progress") or 0.0)
    bar = ("#" * round(done * _BAR)).ljust(_BAR, ".")
    stage = printable(str((found.get("stage") or {}).get("name") or "starting")).replace("_", " ")
    eta_s = found.get("eta_s")
    left = "" if eta_s is None else f", {_span(eta_s)} left"
    return f"[{bar}] {done:4.0%} {stage}{left}"


def _waits_for(found: Mapping[str, Any]) -> str:
    wait = found.get("wait") or {}
    place = wait.get("position")
    line = "" if place is None else f", number {place} in the line"
    until = "" if wait.get("until") is None else f", until {wait['until']}"
    return printable(str(wait.get("detail") or wait.get("reason") or "")) + line + until


def _error(found: Mapping[str, Any]) -> str:
    error = found.get("error") or {}
    return printable(f"{error['code']}: {error.get('message', '')}") if error.get("code") else ""


def _result(found: Mapping[str, Any]) -> str:
    if found.get("duplicate_of"):
        return f"the same as {printable(str(found['duplicate_of']))}"
    measured = found.get("measurements") or {}
    lufs, peak = measured.get("integrated_lufs"), measured.get("true_peak_dbtp")
    sound = f"{lufs} LUFS, {peak} dBTP, " if lufs is not None and peak is not None else ""
    return f"{sound}took {_took(found)}"


def _took(found: Mapping[str, Any]) -> str:
    try:
        began, ended = (datetime.fromisoformat(str(found[key])) for key in ("started", "finished"))
    except (KeyError, ValueError):
        return ""
    return _span((ended - began).total_seconds())


def _attempts(found: Mapping[str, Any]) -> str:
    each = found.get("attempts") or ()
    if len(each) <= 1:
        return ""
    return ", ".join(f"{one['number']} {one.get('outcome') or 'under way'}" for one in each)


def _input(one: Mapping[str, Any]) -> str:
    expected = one.get("bytes_expected")
    of = f" of {expected}" if expected not in (None, one.get("bytes")) else ""
    return f"{printable(str(one.get('path')))}, {one.get('bytes')}{of} bytes"


def _note(one: object) -> str:
    if isinstance(one, Mapping):
        return printable(f"{one.get('code')}: {one.get('message')}")
    return printable(str(one))


def _span(seconds: float) -> str:
    """Return a duration as people say it: ``0.4 s``, ``40 s``, ``12 min``, ``3 h``, ``5 d``."""
    steps: tuple[tuple[float, Callable[[float], str]], ...] = (
        (10, lambda s: f"{s:.1f} s"),
        (120, lambda s: f"{s:.0f} s"),
        (7200, lambda s: f"{s / 60:.0f} min"),
        (172_800, lambda s: f"{s / 3600:.0f} h"),
    )
    for below, said in steps:
        if seconds < below:
            return said(seconds)
    return f"{seconds / 86_400:.0f} d"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
