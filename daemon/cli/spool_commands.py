"""The commands by which a person changes what lies in a spool: what a file manager does, too."""

# ruff: noqa: PLC0415, FBT002 - a command imports what it needs; flags are booleans

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.exit_codes import answering
from daemon.cli.options import Config, Failed, Inbox, Json


def retry(
    names: Failed = None,
    inbox: Inbox = None,
    every: Annotated[
        bool, typer.Option("--all", help="Everything that failed, except what was cancelled.")
    ] = False,
    config: Config = None,
) -> None:
    """Move failed drops back into their inbox, under their names."""
    from daemon.cli import control

    _move_failed(control.retry, names, inbox, config, every=every, cancelled=False)


def clear(
    names: Failed = None,
    inbox: Inbox = None,
    every: Annotated[bool, typer.Option("--all", help="Everything in failed/.")] = False,
    config: Config = None,
) -> None:
    """Move failed drops to the archive: nobody will try them again, and no list shows them."""
    from daemon.cli import control

    _move_failed(control.clear, names, inbox, config, every=every, cancelled=True)


def cancel(
    names: Annotated[list[str], typer.Argument(help="Drops that have not ended.")],
    inbox: Inbox = None,
    config: Config = None,
) -> None:
    """Cancel drops that wait or run: they go to failed/."""
    from daemon.cli.control import cancel as request
    from daemon.cli.spool_reader import SpoolReader

    with answering():
        reader = SpoolReader.of(config)
        for name in names:
            request(reader, name, inbox)
        _say("cancelling; soundspool status shows when it is done")


def scan(  # noqa: PLR0917 - options are named
    inbox: Annotated[str | None, typer.Argument(help="Which inbox, if several.")] = None,
    under: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="Only this folder; may be repeated.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read every file to its end again.")] = False,
    accept_removals: Annotated[
        bool, typer.Option("--accept-removals", help="What is gone is gone.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job has ended.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Scan the folders that an inbox reads, now: drop a .scan, as its timer does."""
    from daemon.cli.scan_command import scan as drop_scan

    with answering(as_json=json):
        asked = {"full": full, "accept_removals": accept_removals, "wait": wait, "as_json": json}
        sys.exit(drop_scan(config, inbox, under or (), **asked))


def pause(
    inbox: Annotated[str | None, typer.Argument(help="Without it, all of them.")] = None,
    config: Config = None,
) -> None:
    """Pause an inbox: it takes nothing more; what runs is finished."""
    from daemon.cli.control import pause as pause_folder

    with answering():
        for name, folder in _chosen(config, inbox):
            _say(f"{name} is paused" if pause_folder(folder) else f"{name} was paused already")


def resume(
    inbox: Annotated[str | None, typer.Argument(help="Without it, all of them.")] = None,
    config: Config = None,
) -> None:
    """Resume a paused inbox."""
    from daemon.cli.control import resume as resume_folder

    with answering():
        for name, folder in _chosen(config, inbox):
            _say(f"{name} is resumed" if resume_folder(folder) else f"{name} was not paused")


def _move_failed(
    move: Callable[[Any, Any, Any], Path],
    names: list[str] | None,
    inbox: str | None,
    config: Path | None,
    *,
    every: bool,
    cancelled: bool,
) -> None:
    from daemon.cli.spool_reader import SpoolReader, chosen_failed
    from daemon.files import Files
    from daemon.text import shown

    if bool(names) == every:
        raise typer.BadParameter("name the drops, or say --all")
    with answering():
        reader, files = SpoolReader.of(config), Files()
        for one in chosen_failed(reader, names, inbox, cancelled=cancelled):
            _say(f"{shown(one.path.name)} is now {shown(move(reader, one, files))}")


def _chosen(config: Path | None, inbox: str | None) -> list[tuple[str, Path]]:
    from daemon.cli.spool_reader import SpoolReader

    reader = SpoolReader.of(config)
    return [reader.inbox(name) for name in ([inbox] if inbox else reader.inboxes)]


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")
