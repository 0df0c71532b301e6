"""The manual page against the command line that it describes."""

import re
from pathlib import Path

import pytest
import typer.main

from daemon.cli.commands import app

PAGE = (Path(__file__).parents[2] / "docs/soundspool.1").read_text()
COMMANDS = typer.main.get_command(app).commands


def options_of(command) -> set[str]:
    nested = getattr(command, "commands", {}).values()
    own = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    return own.union(*map(options_of, nested))


def described(command: str) -> str:
    """Return the synopsis lines of a command."""
    synopsis = PAGE[PAGE.index(".Sh SYNOPSIS") : PAGE.index(".Sh DESCRIPTION")]
    named = re.compile(rf"^\.Cm .*\b{command}\b", re.MULTILINE)
    parts = re.split(r"^\.Nm$", synopsis, flags=re.MULTILINE)
    return "".join(part for part in parts if named.search(part))


@pytest.mark.parametrize("command", COMMANDS)
def test_man_page_has_the_command(command):
    """Every command stands in the synopsis and has an entry of its own."""
    assert described(command)
    assert re.search(rf"^\.It .*\bCm {command}\b", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_man_page_knows_no_option_that_is_not_there(command):
    """Each option in a command's synopsis is one that the command has."""
    shown = {f"-{name}" for name in re.findall(r"Fl (\S+)", described(command))}

    assert shown <= options_of(COMMANDS[command])


@pytest.mark.parametrize("code", [0, 1, 3, 64, 65, 70, 75, 78, 130])
def test_man_page_lists_every_exit_code(code):
    """A script can look up what a code means."""
    assert f".It {code}\n" in PAGE[PAGE.index(".Sh EXIT STATUS") :]
