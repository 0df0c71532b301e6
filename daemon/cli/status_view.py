"""``soundspool status``: the spool and its drops, as people and tools read them.

Everything shown comes from files; what renders is pure and gives plain text without any
terminal control, so a pipe, a log and a screen reader get what a person gets.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.cli.spool_reader import (
    Pulse,
    SpoolReader,
    StatusFile,
    find_status,
    pulse_of,
    statuses,
    until,
)
from daemon.errors import BadInput
from daemon.outbox.node_lines import attempts_at_nodes
from daemon.outbox.overview import Ended, Overview, Running, overview_of
from daemon.outbox.part_lines import parts_of
from daemon.outbox.places import place_of
from daemon.outbox.status_reader import standing
from daemon.text import shown, span

EX_OK, EX_FAILED, EX_DOWN = 0, 1, 3

_MOST, _LEAST = 10, 2
"""Lines of each part of an overview; a small terminal shows fewer."""
_BESIDE_ROWS, _PARTS = 14, 5
"""Lines of a terminal that are headings, and parts that share the rest; a failure has two."""
_BAR = 12
_HOME = "\x1b[H\x1b[J"
"""To a terminal: write over what was written."""
_WATCH_S = 0.5

Row = tuple[str, ...]


def status(
    config: Path | None, name: str | None, inbox: str | None, *, watch: bool, as_json: bool
) -> int:
    """Print how the spool stands, or one drop; return the exit code.

    Raises
    ------
    BadConfig
        The configuration cannot be read.
    BadInput
        No drop goes by this name.
    """
    reader, before = SpoolReader.of(config), ""
    while True:
        text, code, over = _view(reader, name, inbox, as_json=as_json)
        if text != before:
            home = _HOME if watch and sys.stdout.isatty() and not as_json else ""
            sys.stdout.write(f"{home}{text}\n")
            sys.stdout.flush()
        if over or not watch:
            return code
        before = text
        time.sleep(_WATCH_S)


def _view(
    reader: SpoolReader, name: str | None, inbox: str | None, *, as_json: bool
) -> tuple[str, int, bool]:
    """Return the text, the exit code, and whether nothing will change any more."""
    pulse = pulse_of(reader.root)
    if name is None:
        found = [entry for entry in statuses(reader) if inbox in (None, entry.inbox)]
        render = overview_json if as_json else overview
        return render(reader.root, pulse, found), EX_OK if pulse.running else EX_DOWN, False
    entry = find_status(reader, name, inbox)
    if entry is None:
        hint = f"It may not have been seen yet: soundspool explain {shown(name)!r}."
        raise BadInput("NOT_FOUND", f"no drop is called {shown(name)!r}", hint)
    text = json.dumps(entry.document) if as_json else detail(reader.root, pulse, entry)
    return text, code_of(entry, pulse), entry.terminal


def code_of(entry: StatusFile, pulse: Pulse) -> int:
    """Return the exit code that tells how one drop stands."""
    if entry.terminal:
        return EX_FAILED if entry.document.get("state") == "failed" else EX_OK
    return EX_OK if pulse.running else EX_DOWN


def overview_json(root: Path, pulse: Pulse, found: Sequence[StatusFile]) -> str:
    """Return the daemon's document and the drops', on one line."""
    daemon = {**pulse.document, "life": pulse.life, "heartbeat_age_s": pulse.age_s}
    drops = [{"status_file": str(entry.path), **entry.document} for entry in found]
    return json.dumps({"root": str(root), "daemon": daemon, "drops": drops})


def overview(root: Path, pulse: Pulse, found: Sequence[StatusFile]) -> str:
    """Return the spool at a glance: what lives, what failed, what is done."""
    seen = overview_of(pulse.document, standing(root, (entry.document for entry in found)))
    share = _share()
    lines = _head(root, pulse, seen, share)
    tables = [(title, rows) for title, rows in _tables(seen, share) if rows]
    for title, rows in tables:
        lines += ["", title, *_columns(rows)]
    if not tables:
        lines += ["", "No drops yet. Give it a folder of stems: soundspool submit PATH"]
    return "\n".join(lines)


def detail(root: Path, pulse: Pulse, entry: StatusFile) -> str:
    """Return all that a person wants to know of one drop."""
    found = entry.document
    lines = [f"{shown(found.get('name'))} ({shown(entry.inbox)}): {shown(found.get('state'))}"]
    if not entry.terminal and not pulse.running:
        lines.append("  The daemon does not run; this is the last state. Start it: soundspool run")
    return "\n".join(
        [*lines, *(f"  {key:<11}{value}" for key, value in _facts(root, entry) if value)]
    )


def bar(progress: float) -> str:
    """Return progress 0..1 as ``[######......]  50%``."""
    return f"[{('#' * round(progress * _BAR)).ljust(_BAR, '.')}] {progress:4.0%}"


def _share() -> int:
    """Return how many lines each part may have: all of them fit a terminal."""
    if not sys.stdout.isatty():
        return _MOST
    return max(_LEAST, (shutil.get_terminal_size().lines - _BESIDE_ROWS) // _PARTS)


def _cut_list(lines: list[str], share: int, more: str) -> list[str]:
    left_out = len(lines) - share
    return [*lines[:share], f"{more}and {left_out} more"] if left_out > 0 else lines


def _head(root: Path, pulse: Pulse, seen: Overview, share: int) -> list[str]:
    if not pulse.running:
        ago = "" if pulse.age_s is None else f"; it was last seen {span(pulse.age_s)} ago"
        return [f"soundspool does not run on {shown(root)}{ago}. Start it: soundspool run"]
    figures = ", ".join(f"{name.lower()} {value}" for name, value in seen.figures)
    lines = [f"soundspool on {shown(root)}: {seen.phase}, process {pulse.document.get('pid')}"]
    health = [f"  {part.name}: {part.notes}" for part in seen.health]
    attention = [f"  ! {sentence}" for sentence in seen.attention]
    lines += [f"  {figures}", *_cut_list(health, share, "  ")]
    return [*lines, *_cut_list(attention, share, "  ! ")]


def _tables(seen: Overview, share: int) -> Iterable[tuple[str, list[Row]]]:
    parts: tuple[tuple[str, list[list[Row]], int], ...] = (
        ("FAILED", [_failure(one) for one in seen.failed], len(seen.failed)),
        ("RUNNING", [[_running(one)] for one in seen.running], len(seen.running)),
        (
            "WAITING",
            [[(one.name, one.inbox, one.why)] for one in seen.waiting],
            seen.waiting_in_all,
        ),
        (
            "ENDED",
            [[(one.name, one.inbox, f"{one.state} {one.notes}")] for one in seen.results],
            len(seen.results),
        ),
    )
    for title, told, in_all in parts:
        rows = [row for one in told[:share] for row in one]
        left_out = in_all - min(share, len(told))
        yield title, [*rows, *([(f"and {left_out} more", "", "")] if left_out else [])]


def _running(one: Running) -> Row:
    return one.name, one.inbox, f"{bar(one.progress)}  {one.stage} {one.left}".rstrip()


def _failure(one: Ended) -> list[Row]:
    again = f" Then: {one.commands[0][1]}" if one.commands else ""
    return [(one.name, one.inbox, f"{one.code}: {one.notes}"), ("", "", f"{one.step}{again}")]


def _columns(rows: Sequence[Row]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1 << 30
    lines = ["  ".join([*map(str.ljust, row[:-1], widths), row[-1]]) for row in rows]
    return [_cut(f"  {line}".rstrip(), room) for line in lines]


def _facts(root: Path, entry: StatusFile) -> Iterable[tuple[str, str]]:
    found = entry.document
    error = found.get("error") or {}
    if found.get("state") == "running":
        yield "progress", _progress(found)
    for part in parts_of(found.get("parts") or {}):
        yield "parts", part
    yield "waits", _waits(found.get("wait") or {})
    yield "error", f"{shown(error.get('code'))}: {shown(error.get('message'))}" if error else ""
    yield "what to do", shown(error.get("hint") or "")
    yield "first seen", shown(found.get("first_seen") or "")
    yield "took", _took(found)
    yield "attempts", _attempts(found.get("attempts") or ())
    for one, where in attempts_at_nodes(found):
        yield "node", f"attempt {one.get('number')} {where}"
    yield "same as", shown(found.get("duplicate_of") or "")
    before = found.get("before") or {}
    yield "before it", shown(before.get("output_folder") or "")
    for one in before.get("changed") or ():
        yield "changed", shown(one)
    came, goes = found.get("forwarded_from") or {}, found.get("forwarded_to") or {}
    yield "came from", shown(f"{came['inbox']}/{came['label']}" if came else "")
    yield "goes on", shown(f"{goes['inbox']}/{goes['name']}" if goes else "")
    for one in found.get("inputs") or ():
        yield "input", _input(one)
    if (more := (found.get("inputs_total") or 0) - len(found.get("inputs") or ())) > 0:
        yield "inputs", f"and {more} more"
    for one in found.get("warnings") or ():
        yield "warning", f"{shown(one.get('code'))}: {shown(one.get('message'))}"
    for one in found.get("outputs") or ():
        yield shown(one.get("role")), shown(root.joinpath(*place_of(found, one)))
    yield "status", shown(entry.path)


def _progress(found: Mapping[str, Any]) -> str:
    stage = str((found.get("stage") or {}).get("name") or "starting").replace("_", " ")
    left = "" if found.get("eta_s") is None else f", {span(found['eta_s'])} left"
    return f"{bar(float(found.get('progress') or 0.0))} {shown(stage)}{left}"


def _waits(wait: Mapping[str, Any]) -> str:
    parts = [wait.get("detail") or wait.get("reason")]
    parts += [f"number {wait['position']}"] if wait.get("position") else []
    return ", ".join(shown(part) for part in (*parts, until(wait)) if part)


def _took(found: Mapping[str, Any]) -> str:
    try:
        began, ended = (datetime.fromisoformat(str(found[key])) for key in ("started", "finished"))
        return span((ended - began).total_seconds())
    except (KeyError, ValueError, TypeError):  # not there; no time; one without its zone
        return ""


def _attempts(each: Sequence[Mapping[str, Any]]) -> str:
    if len(each) <= 1:
        return ""
    return ", ".join(
        f"{one.get('number')} {shown(one.get('outcome') or 'under way')}" for one in each
    )


def _input(one: Mapping[str, Any]) -> str:
    expected = one.get("bytes_expected")
    lacking = isinstance(expected, int) and expected > int(one.get("bytes") or 0)
    of = f" of {expected}" if lacking else ""
    return f"{shown(one.get('path'))}, {one.get('bytes')}{of} bytes"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
