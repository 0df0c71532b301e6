"""The container files against the program that they run."""

import json
import re
import tomllib
from pathlib import Path

import typer.main
import yaml

from daemon.cli.commands import app
from daemon.config import models

FOLDER = Path(__file__).parents[2] / "docs/container"
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
SERVICE = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["soundspool"]
COMMANDS = typer.main.get_command(app).commands


def test_commands_of_the_image_are_commands_of_the_program():
    """What starts it and what asks for its health."""
    told = [json.loads(each) for each in re.findall(r'CMD (\["soundspool".*\])', CONTAINERFILE)]
    told.append(SERVICE["healthcheck"]["test"][1:])

    assert [["status"], ["run"], ["status"]] == [words[1:] for words in told]
    assert {"status", "run"} <= COMMANDS.keys()


def test_variables_of_the_image_are_keys_of_the_configuration(tmp_path):
    """And the spool is the volume."""
    given = dict(re.findall(r"(SOUNDSPOOL_\w+)=(\S+)", CONTAINERFILE)) | SERVICE["environment"]
    empty = tmp_path / "config.yaml"
    empty.write_text("inboxes: {mix: {}}\n")
    found = models.load(empty, given)

    assert found.root == Path("/spool")
    assert "VOLUME /spool" in CONTAINERFILE
    assert SERVICE["volumes"][0].endswith(":/spool")
    assert ["ffmpeg"] == found.inboxes["mix"].allow.programs
    assert found.drain_s < float(SERVICE["stop_grace_period"].removesuffix("s"))


def test_image_is_made_of_all_that_the_package_is_made_of():
    """What the wheel takes from beside its packages is copied before it is built."""
    copied = " ".join(re.findall(r"^COPY (?!--)(.*)$", CONTAINERFILE, re.MULTILINE))
    wheel = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text())["tool"]["hatch"]
    made_of = wheel["build"]["targets"]["wheel"]
    needed = [*made_of["packages"], *made_of["force-include"], *made_of["shared-data"]]

    assert all(path in copied or path.split("/")[0] in copied.split() for path in needed)
