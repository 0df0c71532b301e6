"""The command line: ``soundspool``.

Every command acts through files or reads them; none opens the database. Data goes to
standard output, messages go to standard error. For the exit codes, see ``exit_codes``.

``status`` is called by prompts, loops and scripts, and must start fast. Typer alone takes
longer than a whole ``status`` to import, and imports pydantic before it knows which command is
meant. ``run`` and ``node`` live for months, and Typer would be 4 MB of them. So these three are
parsed here when they are plain; anything else, their help included, is left to Typer.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from daemon.cli.arguments import FLAGS, OF_STATUS, SWITCHES
from daemon.cli.exit_codes import EX_USAGE, answering


def main() -> None:
    """Run the command line."""
    words = sys.argv[1:]
    if words == ["node", "--stdio"]:
        from daemon.pool.nodes.node import main as be_a_node  # noqa: PLC0415 - this command's

        sys.exit(be_a_node())
    if plain := plain_run(words):
        from daemon.supervisor.serve import run  # noqa: PLC0415 - this command's

        with answering():
            sys.exit(run(plain.config))
    if plain := plain_status(words):
        from daemon.cli.status_view import status  # noqa: PLC0415 - this command's

        with answering(as_json=plain.json):
            as_json, watch = plain.json, plain.watch
            sys.exit(status(plain.config, plain.name, plain.inbox, watch=watch, as_json=as_json))
    from daemon.cli.commands import app  # noqa: PLC0415 - takes longer than a status does

    try:
        app()
    except SystemExit as stop:
        # Click calls a wrong command line 2; sysexits.h and our manual call it 64.
        sys.exit(EX_USAGE if stop.code == 2 else stop.code)  # noqa: PLR2004 - Click's number


def plain_run(words: Sequence[str]) -> argparse.Namespace | None:
    """Return the arguments of a plain ``run``; ``None`` for any other command line."""
    return _read(_parser("config"), words[1:]) if words[:1] == ["run"] else None


def plain_status(words: Sequence[str]) -> argparse.Namespace | None:
    """Return the arguments of a plain ``status``; ``None`` for any other command line."""
    if words[:1] != ["status"]:
        return None
    parser = _parser(*OF_STATUS)
    parser.add_argument("name", nargs="?")
    return _read(parser, words[1:])


def _parser(*names: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    for name in names:
        if name in SWITCHES:
            parser.add_argument(*FLAGS[name], action="store_true")
        else:
            parser.add_argument(*FLAGS[name], type=Path if name == "config" else str)
    return parser


def _read(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace | None:
    try:
        found, unknown = parser.parse_known_args(words)
    except argparse.ArgumentError:
        return None
    return None if unknown else found


if __name__ == "__main__":
    main()
