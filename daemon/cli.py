"""The command line: ``soundspool``.

Every command acts through files or reads them; none opens the database. What a command
does lies in a module of its own, imported when the command runs, so that ``soundspool
status`` starts in a blink. Data goes to standard output, messages go to standard error.

Exit codes: 0 done · 1 the job failed · 3 the daemon does not run · 64 usage · 65 bad input ·
70 our bug · 75 try later · 78 configuration.
"""

# ruff: noqa: PLC0415, FBT002 - a command imports what it needs; flags are booleans

import json as json_module
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from daemon.errors import BadConfig, BadInput, SpoolError

app = typer.Typer(
    name="soundspool",
    help="Drop a folder of stems, find the mix.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="What the daemon is told by its configuration.")
app.add_typer(config_app, name="config", no_args_is_help=True)

EX_FAILED, EX_DOWN, EX_USAGE, EX_DATAERR = 1, 3, 64, 65
EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG, EX_INTERRUPTED = 70, 75, 78, 130

Config = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration.")
]
Inbox = Annotated[
    str | None, typer.Option("--inbox", "-i", metavar="NAME", help="Which inbox, if several.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for tools.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="A setting, as job.yaml has it."),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on until it ends.")]


@app.command()
def run(config: Config = None) -> None:
    """Run the daemon in the foreground, until SIGTERM or Ctrl-C."""
    from daemon.supervisor import run as run_daemon

    with _answering():
        raise typer.Exit(run_daemon(config))


@app.command()
def mix(
    source: Annotated[Path, typer.Argument(help="A folder of stems, or one file.", exists=True)],
    out: Annotated[Path, typer.Argument(help="The folder to make; it must not exist yet.")],
    settings: Set = None,
    json: Json = False,
) -> None:
    """Mix and master a folder of stems, here and now, without the daemon."""
    from daemon.by_hand import mix_by_hand

    raise typer.Exit(mix_by_hand(source, out, settings or [], as_json=json))


@app.command()
def demo(
    spool: Annotated[
        Path, typer.Option(help="Where to make the demo's spool; kept for you to look at.")
    ] = Path("soundspool-demo"),
    json: Json = False,
) -> None:
    """Make a short song, start a daemon, drop the song, and show the mix."""
    from daemon.demo import run_demo

    with _answering(as_json=json):
        raise typer.Exit(run_demo(spool, as_json=json))


@app.command()
def submit(
    path: Annotated[Path, typer.Argument(help="A folder of stems, or one file.", exists=True)],
    *,
    inbox: Inbox = None,
    settings: Set = None,
    priority: Annotated[
        str | None, typer.Option(metavar="LANE", help="rush, normal or bulk.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job has ended.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Copy a drop into an inbox, whole at once, so that it starts immediately."""
    from daemon.hand_in import hand_in

    with _answering(as_json=json):
        asked = [*(settings or []), *([f"priority={priority}"] if priority else [])]
        raise typer.Exit(hand_in(config, path, inbox, asked, wait=wait, as_json=json))


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="One drop; without it, everything.")] = None,
    inbox: Inbox = None,
    watch: Watch = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show how the daemon and its drops stand."""
    from daemon.board import Board
    from daemon.show import status as show

    with _answering(as_json=json):
        raise typer.Exit(show(Board.of(config), name, inbox, watch=watch, as_json=json))


@app.command()
def top(
    once: Annotated[bool, typer.Option("--once", help="Draw one picture and end.")] = False,
    config: Config = None,
) -> None:
    """Watch the daemon at work, full screen."""
    from daemon.config_file import root_of
    from daemon.top import run_top

    with _answering():
        raise typer.Exit(run_top(root_of(config), once=once))


@app.command()
def explain(
    path: Annotated[str, typer.Argument(help="A path in an inbox or in failed/, or a name.")],
    inbox: Inbox = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Tell why something has not started: the rule that holds it back, and the time left."""
    from daemon.explain import explain_command

    with _answering(as_json=json):
        raise typer.Exit(explain_command(config, path, inbox, as_json=json))


@app.command()
def retry(
    names: Annotated[list[str] | None, typer.Argument(help="Drops in failed/.")] = None,
    inbox: Inbox = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that failed.")] = False,
    config: Config = None,
) -> None:
    """Move failed drops back into their inbox, under their names."""
    from daemon.board import Board, failed_drops, find_failed
    from daemon.desk import retry as move_back
    from daemon.files import Files
    from daemon.outbox.words import shown

    if bool(names) == every:
        raise typer.BadParameter("name the drops, or say --all")
    with _answering():
        board, files = Board.of(config), Files()
        found = [find_failed(board, name, inbox) for name in names or []]
        found += [one for one in failed_drops(board) if every and inbox in (None, one.inbox)]
        for one in found:
            move_back(board, one, files)
            _say(f"{shown(one.path.name)} is back in the inbox {shown(one.inbox)}")


@app.command()
def cancel(
    names: Annotated[list[str], typer.Argument(help="Drops that have not ended.")],
    inbox: Inbox = None,
    config: Config = None,
) -> None:
    """Ask for drops to be cancelled: they go to failed/."""
    from daemon.board import Board
    from daemon.desk import cancel as wish

    with _answering():
        board = Board.of(config)
        for name in names:
            wish(board, name, inbox)
        _say("cancelling; soundspool status shows when it is done")


@app.command()
def pause(
    inbox: Annotated[str | None, typer.Argument(help="Without it, all of them.")] = None,
    config: Config = None,
) -> None:
    """Take nothing more from an inbox until it is resumed; what runs goes on."""
    from daemon.desk import pause as pause_folder

    with _answering():
        for name, folder in _chosen(config, inbox):
            _say(f"{name} is paused" if pause_folder(folder) else f"{name} was paused already")


@app.command()
def resume(
    inbox: Annotated[str | None, typer.Argument(help="Without it, all of them.")] = None,
    config: Config = None,
) -> None:
    """Let a paused inbox go on."""
    from daemon.desk import resume as resume_folder

    with _answering():
        for name, folder in _chosen(config, inbox):
            _say(f"{name} goes on" if resume_folder(folder) else f"{name} was not paused")


@app.command()
def check(json: Json = False, config: Config = None) -> None:
    """Check configuration, folders, permissions and machine before the daemon runs."""
    from daemon.check import run_check

    with _answering(as_json=json):
        raise typer.Exit(run_check(config, as_json=json))


@config_app.command("show")
def config_show(config: Config = None) -> None:
    """Print the configuration that counts, every default filled in, as JSON."""
    from daemon.config import load

    with _answering():
        sys.stdout.write(load(config).model_dump_json(indent=1) + "\n")


@config_app.command("check")
def config_check(config: Config = None) -> None:
    """Check the configuration alone; each complaint has its line."""
    from daemon.config import load
    from daemon.config_file import find

    with _answering():
        load(config)
        _say(f"{find(config).path}: in order")


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SystemExit as stop:
        # Click calls a wrong command line 2; sysexits.h and our manual call it 64.
        sys.exit(EX_USAGE if stop.code == 2 else stop.code)  # noqa: PLR2004 - Click's number


@contextmanager
def _answering(*, as_json: bool = False) -> Iterator[None]:
    """Turn an error into its message and its exit code."""
    try:
        yield
    except BadConfig as error:
        _fail("CONFIG", str(error), "", EX_CONFIG, as_json=as_json)
    except SpoolError as error:
        code = EX_DATAERR if isinstance(error, BadInput) else EX_TEMPFAIL
        code = EX_DOWN if error.code == "DAEMON_DOWN" else code
        _fail(error.code, error.message, error.hint, code, as_json=as_json)
    except BrokenPipeError:
        # The reader has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except OSError as error:
        hint = "Some folders are the daemon's: try as its user." if error.errno == 13 else ""  # noqa: PLR2004 - EACCES
        _fail("SYSTEM", f"{error.strerror}: {error.filename}", hint, EX_TEMPFAIL, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(EX_INTERRUPTED) from None


def _fail(code: str, message: str, hint: str, exit_code: int, *, as_json: bool) -> None:
    from daemon.outbox.words import shown

    if as_json:
        error = {"code": code, "message": message, "hint": hint}
        sys.stdout.write(json_module.dumps({"error": error}) + "\n")
    else:
        lines = [*message.split("\n"), *([hint] if hint else [])]
        _say("\n".join(shown(line) for line in lines))
    raise typer.Exit(exit_code)


def _chosen(config: Path | None, inbox: str | None) -> list[tuple[str, Path]]:
    from daemon.board import Board

    board = Board.of(config)
    return [board.inbox(inbox)] if inbox else list(board.inboxes.items())


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")


if __name__ == "__main__":
    main()
