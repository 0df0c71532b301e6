"""``soundspool mix`` and ``analyze``: one job in this process, with progress on the terminal.

The handler is the daemon's, so the bytes are the daemon's. The result is made in a hidden
folder beside its place and appears by one rename: a job that fails or is interrupted leaves
nothing.
"""

import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape

from daemon.cli.progress import reporting, say
from daemon.cli.submit import assigned
from daemon.config.drop_settings import for_handler, merged, settings_of
from daemon.config.validation import assign, validate
from daemon.errors import BadInput, NothingToDo, SpoolError, Unavailable
from daemon.files import Files
from daemon.handlers.contract import Result, Task
from daemon.handlers.grants import read_secrets
from daemon.text import figure, shown

EX_OK, EX_USAGE, EX_DATAERR, EX_SOFTWARE, EX_TEMPFAIL = 0, 64, 65, 70, 75


def handled_by_hand(
    handler: ModuleType, source: Path, out: Path, assignments: Sequence[str], *, as_json: bool
) -> int:
    """Let a handler make the new folder ``out`` of ``source``; return the exit code.

    Parameters
    ----------
    handler : module
        As ``daemon.handlers.contract`` has it, with its ``HEADLINE``.
    assignments : list of str
        ``KEY=VALUE``, over what ``job.yaml`` says.
    """
    console = Console(stderr=True)
    try:
        wanted = assigned(assignments)
        _refuse_existing(out)
    except BadInput as error:
        _tell(error, console, as_json=as_json)
        return EX_USAGE
    try:
        options = options_of(handler.Options, source, wanted)
        secrets = read_secrets(wanted, os.environ)
        with reporting(console, as_json=as_json) as (report, report_piece):
            given = Task(
                source.name,
                source,
                out,
                options,
                report,
                secrets=secrets,
                report_piece=report_piece,
            )
            result = _made(handler, given, out)
    except BaseException as error:  # noqa: BLE001 - every end of a job has its exit code
        return _ended_badly(error, console, as_json=as_json)
    _show(result, out, console, handler.HEADLINE, as_json=as_json)
    return EX_OK


def options_of(kind: type[BaseModel], source: Path, wanted: Mapping[str, Any]) -> BaseModel:
    """Return the settings of ``job.yaml`` beside or in the drop, overruled by ``wanted``.

    Raises
    ------
    BadInput
        The settings cannot be used.
    """
    document = settings_of(source, {}, max_bytes=1 << 16).options
    value = merged(document.value, {})
    for key, new in wanted.items():
        assign(value, key, new)
    return validate(kind, for_handler(document.with_value(value), kind))


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise BadInput("OUTPUT_EXISTS", f"{str(out)!r} exists already", "Name a new folder.")


def _made(handler: ModuleType, task: Task, out: Path) -> Result:
    out.parent.mkdir(parents=True, exist_ok=True)
    workdir = Path(tempfile.mkdtemp(prefix=".soundspool-", dir=out.parent))
    try:
        result: Result = handler.handle(replace(task, workdir=workdir))
        workdir.chmod(0o755)  # mkdtemp is private; a result is for whoever may see its parent
        Files().rename("publish result", workdir, out)
    except BaseException:
        shutil.rmtree(workdir, ignore_errors=True)
        raise
    return result


def _show(
    result: Result, out: Path, console: Console, headline: Sequence[str], *, as_json: bool
) -> None:
    if as_json:
        say(
            event="done",
            folder=str(out),
            outputs={one.role: one.path for one in result.outputs},
            measurements=dict(result.measurements),
            warnings=[{"code": note.code, "message": note.message} for note in result.notes],
        )
        return
    for note in result.notes:
        console.print(f"[yellow]{note.code}[/] {escape(shown(note.message))}", soft_wrap=True)
    measured = result.measurements
    figures = [figure(name, measured[name]) for name in headline if measured.get(name) is not None]
    if figures:
        console.print(escape(shown(" · ".join(figures))), style="bold", highlight=False)
    for one in result.outputs:
        sys.stdout.write(f"{out / one.path}\n")


def _ended_badly(error: BaseException, console: Console, *, as_json: bool) -> int:
    if isinstance(error, BadInput | NothingToDo):
        _tell(error, console, as_json=as_json)
        return EX_DATAERR
    if isinstance(error, Unavailable):
        _tell(error, console, as_json=as_json)
        return EX_TEMPFAIL
    if isinstance(error, KeyboardInterrupt):
        console.print("interrupted; nothing was written")
        return 130
    if isinstance(error, OSError):
        problem = Unavailable("DISK_TROUBLE", str(error), "Make room or check the disk.")
        _tell(problem, console, as_json=as_json)
        return EX_TEMPFAIL
    if as_json:
        say(event="failed", code="BUG", message=repr(error))
    console.print("[red]This is a bug in Soundspool; please report it with these lines.[/]")
    sys.stderr.write("".join(traceback.format_exception(error)))
    return EX_SOFTWARE


def _tell(error: SpoolError, console: Console, *, as_json: bool) -> None:
    if as_json:
        say(event="failed", code=error.code, message=error.message, hint=error.hint)
        return
    console.print(f"[red]{error.code}[/] {escape(shown(error.message))}", soft_wrap=True)
    if error.hint:
        console.print(escape(shown(error.hint)), soft_wrap=True)
