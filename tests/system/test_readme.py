"""What the README shows is what works."""

import json
import re
import wave
from pathlib import Path

import pytest

from daemon.config.models import Config
from daemon.supervisor.supervisor import Supervisor

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def handler(tmp_path):
    """The handler of the README, saved where the README says: outside the package."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "def handle(" in block]
    folder = tmp_path / "handlers"
    folder.mkdir()
    (folder / "shout.py").write_text(code, encoding="utf-8")
    return folder


def test_handler_of_ones_own_runs_from_outside_the_package(handler, tmp_path):
    """The README's handler, named in the configuration, handles a drop with its options."""
    config = Config.model_validate(
        {
            "root": tmp_path / "spool",
            "handler_paths": [handler],
            "inboxes": {"shout": {"handler": "shout", "options": {"ending": "?"}}},
            "pool": {"slots": 1, "spare": False},
        }
    )
    supervisor = Supervisor(config)
    supervisor.start()
    drop = tmp_path / "Song"
    drop.mkdir()
    with wave.open(str(drop / "kick.wav"), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(960))
    (drop / ".done").touch()
    (drop / "job.yaml").write_text("ending: '!'\n")
    drop.rename(tmp_path / "spool" / "inbox" / "shout" / "Song")
    status = tmp_path / "spool" / "outbox" / "shout" / "Song.status.json"
    try:
        while not (status.exists() and json.loads(status.read_bytes())["terminal"]):
            supervisor.round()
    finally:
        supervisor.close(clean=True)
    body = json.loads(status.read_bytes())

    assert "done" == body["state"], body["error"]
    made = tmp_path / "spool" / "outbox" / "shout" / "Song" / "names.txt"
    assert "KICK.WAV!" in made.read_text("utf-8")


def test_every_local_link_of_the_readme_leads_somewhere():
    """No picture and no page that the README names is missing."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text("utf-8"))

    assert [] == [link for link in links if not (README.parent / link).exists()]
