"""``soundspool submit``: copy a drop into an inbox, and wait until it has ended if asked to."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon.cli.follow import follow, jobs_called
from daemon.cli.spool_reader import SpoolReader, StatusFile, find_status, pulse_of
from daemon.cli.status_view import code_of, detail
from daemon.cli.submit import assigned, submit
from daemon.files import Files
from daemon.outbox.places import place_of
from daemon.text import shown


def submit_and_follow(
    config: Path | None,
    source: Path,
    inbox: str | None,
    assignments: Sequence[str],
    *,
    wait: bool,
    as_json: bool,
) -> int:
    """Submit `source`; return the exit code.

    Raises
    ------
    SpoolError
        See ``submit.submit`` and ``follow.follow``.
    """
    reader = SpoolReader.of(config)
    name, folder = reader.inbox(inbox)
    known = jobs_called(reader, name, source.absolute().name)
    place = submit(source, folder, assigned(assignments), Files())
    if wait:
        entry = follow_to_end(follow(reader, name, place.name, known), as_json=as_json)
        return report_end(reader, entry, as_json=as_json)
    if as_json:
        _print({"inbox": name, "name": place.name, "path": str(place)})
        return 0
    _say(f"{shown(place.name)} is in the inbox {name}")
    follow_it = f"Follow it: soundspool status --watch {shown(place.name)!r}"
    _say(follow_it if pulse_of(reader.root).running else "It waits for the daemon: soundspool run")
    return 0


def follow_to_end(looks: Iterable[StatusFile], *, as_json: bool) -> StatusFile:
    """Show the progress of a drop on a terminal; return its last status.

    Into a pipe goes nothing, or with `as_json` each status that says something new.
    """
    entry, before = None, None
    with _bar(disabled=as_json) as draw:
        for entry in looks:
            if as_json and entry.document.get("seq") != before:
                _print(entry.document)
            before = entry.document.get("seq")
            draw(entry)
    if entry is None:
        raise AssertionError  # follow() yields at least the final status, or raises
    return entry


def report_end(reader: SpoolReader, entry: StatusFile, *, as_json: bool) -> int:
    """Print where the results lie, or what went wrong; return the exit code."""
    pulse, found = pulse_of(reader.root), entry.document
    if not as_json:
        if found.get("state") != "done":
            _say(detail(reader.root, pulse, entry))
        for path in results_of(reader, entry):
            sys.stdout.write(f"{shown(path)}\n")
    return code_of(entry, pulse)


def results_of(reader: SpoolReader, entry: StatusFile) -> list[Path]:
    """Return the files that a job made; of a duplicate, those of the original."""
    original = entry.document.get("duplicate_of")
    if original is not None:
        entry = find_status(reader, str(original), entry.inbox) or entry
    found = entry.document
    places = [place_of(found, one) for one in found.get("outputs") or ()]
    return [reader.root.joinpath(*place) for place in places if place]


@contextmanager
def _bar(*, disabled: bool) -> Iterator[Any]:
    """Give a function that draws a status as a progress bar, on a terminal."""
    if disabled or not sys.stderr.isatty():
        yield lambda entry: None  # noqa: ARG005 - nothing is drawn
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal waits for it
    from rich.progress import (  # noqa: PLC0415 - likewise
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
    )

    text = TextColumn("{task.description}", markup=False)
    console = Console(stderr=True)
    with Progress(text, BarColumn(), TaskProgressColumn(), console=console, transient=True) as bar:
        row = bar.add_task("", total=1.0)
        yield lambda entry: bar.update(
            row, description=_phrase(entry), completed=float(entry.document.get("progress") or 0.0)
        )


def _phrase(entry: StatusFile) -> str:
    found = entry.document
    stage = (found.get("stage") or {}).get("name") if found.get("state") == "running" else None
    why = (found.get("wait") or {}).get("detail")
    doing = str(stage or why or found.get("state")).replace("_", " ")
    return f"{shown(found.get('name'))}: {shown(doing)}"


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")
