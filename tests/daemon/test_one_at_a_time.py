"""What one drop or one job provokes is its own affair: the daemon and its neighbours go on.

A part of the daemon is given a bug that only one drop meets, called *Poison*. It fails with
``INTERNAL``, and its neighbours are done: in the run that meets the bug, and in the next one.
"""

import json

import pytest

from daemon.config.models import Budgets
from daemon.files import Files
from daemon.outbox.heartbeat import Heartbeat
from daemon.outbox.metrics import Metrics
from daemon.outbox.page import FrontPage
from daemon.outbox.publisher import Publisher
from daemon.outbox.status_writer import Statuses
from daemon.supervisor import admissions, outage, retention
from daemon.supervisor.admissions import Admissions
from daemon.supervisor.completion import Completion
from daemon.supervisor.daemon_document import DaemonDocument
from daemon.supervisor.dispatcher import Dispatcher
from daemon.supervisor.duplicates import DuplicateFinder
from tests.support.lives import Life, config_for
from tests.support.truth import broken_sentences, drop_song, statuses

OF_A_JOB = {
    "settings": (admissions, "settings_of"),
    "row": (Admissions, "_enter"),
    "order": (Dispatcher, "_order"),
    "content": (Dispatcher, "_note_content"),
    "result": (Publisher, "publish_result"),
    "archive": (Publisher, "archive"),
    "status": (Statuses, "_new"),
    "event": (Completion, "_emit"),
    "search": (DuplicateFinder, "consider"),
}
HARMLESS = {"content", "search"}
"""All that comes of these is that an equal drop is not recognised."""
LEFT = {"status", "row"}
"""Without these nothing can be said of the drop: it is left to a daemon that can."""
OF_THE_ROUND = {
    "heartbeat": (Heartbeat, "beat"),
    "document": (DaemonDocument, "state"),
    "metrics": (Metrics, "write"),
    "page": (FrontPage, "write"),
    "waits": (Completion, "show_waits"),
    "sweep": (retention, "tidy"),
    "twins": (Admissions, "answer_duplicates"),
}


@pytest.fixture
def lives(fleeting, pool):
    """Return a function that lives until all drops of these names have ended."""
    (fleeting / "inbox" / "mix").mkdir(parents=True)
    budgets = Budgets(backoff_s=0.01, backoff_max_s=0.01)

    def live(*names, drops=()):
        for name in drops:
            drop_song(fleeting, name)

        def ended(_):
            told = statuses(fleeting)
            return all(told.get(name, {}).get("terminal") for name in names)

        Life(config_for(fleeting, budgets=budgets, heartbeat_s=0.05), Files(), pool).live(ended)
        return {label: status["state"] for label, status in statuses(fleeting).items()}

    return live


def with_bug(owner, name, meets=lambda _: True):
    """Return a part of ours that raises for what meets its bug, and works for all else."""
    original = getattr(owner, name)

    def broken(*arguments, **more):
        if meets([*arguments, *more.values()]):
            raise KeyError("a bug of ours")
        return original(*arguments, **more)

    return broken


def is_poison(arguments):
    return any("Poison" in str(getattr(each, "name", each)) for each in arguments)


@pytest.mark.parametrize("part", list(OF_A_JOB))
def test_bug_that_one_drop_meets_fails_that_drop_alone(fleeting, lives, monkeypatch, part):
    """Neighbours are done, the daemon lives and starts again, and the drop says what happened."""
    with monkeypatch.context() as patch:
        patch.setattr(*OF_A_JOB[part], with_bug(*OF_A_JOB[part], is_poison))
        shown = {"Poison"} - ({"Poison"} if part in LEFT else set())
        lives("Before", *shown, drops=("Poison", "Before"))
        states = lives("After", *shown, drops=("After",))

    assert ("done", "done") == (states["Before"], states["After"])
    if part in LEFT:
        states = lives("Poison")
    assert ("done" if part in {"row", *HARMLESS} else "failed") == states["Poison"]
    if states["Poison"] == "failed":
        error = statuses(fleeting)["Poison"]["error"]
        assert "INTERNAL" == error["code"]
        assert error["hint"]
    assert [] == list(broken_sentences(fleeting))


def test_drop_that_meets_a_bug_lies_beside_the_traceback(fleeting, lives, monkeypatch):
    """Whoever mends it needs more than a code."""
    monkeypatch.setattr(Publisher, "publish_result", with_bug(Publisher, "publish_result"))
    lives("Song", drops=("Song",))

    reason = json.loads((fleeting / "failed" / "mix" / "Song.error.json").read_text())
    assert "KeyError" in reason["traceback"]
    assert (fleeting / "failed" / "mix" / "Song").is_dir()


@pytest.mark.parametrize("part", list(OF_THE_ROUND))
def test_bug_in_a_part_of_the_round_ends_neither_it_nor_a_job(lives, monkeypatch, part):
    """What shows how the daemon is, or tidies up, may fail; what it is for goes on."""
    monkeypatch.setattr(*OF_THE_ROUND[part], with_bug(*OF_THE_ROUND[part]))

    assert {"Song": "done"} == lives("Song", drops=("Song",))


def test_bug_in_a_part_of_the_round_is_shown_and_logged_once(fleeting, lives, monkeypatch, capsys):
    """A warning in ``daemon.json``, one traceback in the log, however often it is tried."""
    monkeypatch.setattr(outage, "RETRY_S", 0.0)
    monkeypatch.setattr(Metrics, "write", with_bug(Metrics, "write"))
    for name in ("One", "Two"):
        lives(name, drops=(name,))
        warnings = json.loads((fleeting / "daemon.json").read_text())["warnings"]
        said = capsys.readouterr().out

        assert [("INTERNAL", "metrics: KeyError: 'a bug of ours'")] == [
            (warning["code"], warning["message"]) for warning in warnings
        ]
        assert 1 == said.count("internal error")
