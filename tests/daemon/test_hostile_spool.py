"""The commands on a spool whose files are damaged, half written, or no files at all."""

import json
import sys

import pytest

from daemon.cli import main
from tests.support.desks import DeskSpool
from tests.support.hostile_files import KINDS, make
from tests.support.spools import drop

READING = (
    ("status",),
    ("status", "--json"),
    ("status", "Song"),
    ("top", "--once"),
    ("explain", "Song"),
    ("explain", "Song", "--json"),
    ("explain", "Failed"),
    ("cancel", "Song"),
    ("retry", "Failed"),
)
HOSTILE = (
    "",
    "{",
    "[]",
    "null",
    '{"schema": 1}',
    '{"schema": 1, "state": [], "wait": 7, "inputs": {"a": 1}, "heartbeat": {}}',
    '{"schema": 1, "state": "receiving", "wait": {"detail": []}, "inputs": [7]}',
    '{"code": [], "message": {"a": 1}, "hint": 7, "details": "x"}',
    '{"code": "\\u001b[2J", "message": "\\ud800", "hint": null}',
    "[" * 100_000,
    '{"a": ' * 100_000,
    '{"schema": 1, "seq": 1e999, "period_s": NaN, "name_base64": "!", "name": "\\u202e"}',
)


@pytest.fixture
def spool(tmp_path):
    """A spool with a drop that is seen and one that failed."""
    made = DeskSpool(tmp_path)
    made.beat()
    made.tell(drop("receiving", "Song"))
    (made.inbox / "Song").mkdir()
    made.fail("Failed")
    return made


def places(spool):
    """Return the files that commands read."""
    return (
        spool.root / "daemon.json",
        spool.root / "outbox" / "mix" / "Song.status.json",
        spool.root / "outbox" / "mix" / "Other.status.json",
        spool.root / "failed" / "mix" / "Failed.error.json",
    )


def run(spool, monkeypatch, words):
    """Run a command in this process: it ends with an exit code of its own."""
    monkeypatch.setattr(sys, "argv", ["soundspool", *words, "--config", str(spool.config)])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert (stop.value.code or 0) in (0, 1, 3, 65, 75), (words, stop.value.code)


@pytest.mark.parametrize("words", READING, ids=" ".join)
@pytest.mark.parametrize("kind", KINDS)
def test_commands_answer_among_files_that_are_none(spool, monkeypatch, capsys, words, kind):
    """Nothing is waited for, followed, or read without end."""
    for place in places(spool):
        place.unlink(missing_ok=True)
        make(place, kind)

    run(spool, monkeypatch, words)

    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_commands_answer_whatever_the_files_say(spool, monkeypatch, capsys, words):
    """Damaged by a disk or by a person; no control character reaches the terminal."""
    for text in HOSTILE:
        for place in places(spool):
            place.write_text(text)
        if not (spool.root / "failed" / "mix" / "Failed").exists():
            spool.fail("Failed")
            places(spool)[-1].write_text(text)

        run(spool, monkeypatch, words)

        said = capsys.readouterr()
        assert "\x1b" not in said.out.replace("\x1b[0m", "")
        if "--json" in words and said.out:
            json.loads(said.out)
        for path in spool.inbox.glob("Failed*"):
            path.rename(spool.root / f"taken {path.name}") if path.is_file() else None
