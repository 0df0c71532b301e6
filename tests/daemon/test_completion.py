"""What follows when a job has ended, as readers see it."""

import errno
import json
import os
from contextlib import contextmanager

import pytest

from daemon.config.models import Budgets
from daemon.files import Files
from daemon.supervisor import outage
from tests.support.lives import Life, config_for
from tests.support.truth import drop_folder, drop_song, statuses


@pytest.fixture
def live(fleeting, pool):
    """Return a function that drops a folder and lives until it has ended."""
    (fleeting / "inbox" / "mix").mkdir(parents=True)
    config = config_for(fleeting, budgets=Budgets(backoff_s=0.01, backoff_max_s=0.01))

    def live(name, settings="", content=b"\1\2" * 500):
        drop_folder(fleeting, name, {"a.wav": content}, settings)
        Life(config, Files(), pool).live(
            lambda life: statuses(fleeting).get(name, {}).get("terminal") and life.at_rest()
        )
        return statuses(fleeting)[name]

    return live


def test_history_tells_how_a_job_ended(fleeting, live):
    """One event per end, with the code of the error: what a dashboard counts."""
    live("Good")
    live("Bad", "how: bad_input\n")

    lines = map(json.loads, (fleeting / "events.jsonl").read_text().splitlines())
    ends = {line["subject"]: (line["type"], line["data"]["error"]) for line in lines
            if line["type"] != "soundspool.job.queued"}  # fmt: skip
    assert {
        "mix/Good": ("soundspool.job.done", None),
        "mix/Bad": ("soundspool.job.failed", "UNCOUNTABLE"),
    } == ends


def test_drop_of_known_content_shares_the_result_unless_it_asks_for_its_own(fleeting, live):
    """``force: true`` is how a person says: do it again."""
    original = live("Original")
    twin = live("Twin")
    forced = live("Forced", "force: true\n")
    later = live("Later")

    assert (original["job"], None) == (twin["duplicate_of"], forced["duplicate_of"])
    assert forced["job"] == later["duplicate_of"]
    assert {"Original", "Forced"} == {
        path.name for path in (fleeting / "outbox" / "mix").iterdir() if path.is_dir()
    }


def test_drop_with_a_recall_sheet_is_no_duplicate_of_the_one_without(fleeting, live):
    """The sheet is no input, and changes the song all the same."""
    live("Original")
    drop_folder(fleeting, "Edited", {"a.wav": b"\1\2" * 500, "mix.yaml": b"\3\4"})
    live("Other", content=b"\5\6" * 700)

    assert statuses(fleeting)["Edited"]["duplicate_of"] is None
    assert (fleeting / "outbox" / "mix" / "Edited").is_dir()


def test_second_result_of_a_name_tells_what_changed_since_the_first(fleeting, live):
    """Its status names the other one, and the settings and files that differ."""
    first = live("Song")
    live("Song", "force: true\n", b"\3" * 900)
    second = statuses(fleeting)["Song (2)"]["before"]

    assert first["before"] is None
    assert (first["job"], "Song") == (second["job"], second["output_folder"])
    assert "a.wav: another version" in second["changed"]


def test_result_whose_name_is_taken_gets_another(fleeting, live):
    """What a person has put into the outbox is not replaced."""
    (fleeting / "outbox" / "mix" / "Song").mkdir(parents=True)
    drop_folder(fleeting, "Song", {"a.wav": bytes(200)})
    live("Other", content=b"\3\4" * 500)

    assert "done" == statuses(fleeting)["Song (2)"]["state"]
    assert "Song" not in statuses(fleeting)
    assert [] == list((fleeting / "outbox" / "mix" / "Song").iterdir())


class NotedFiles(Files):
    """Note the names of all steps."""

    def __init__(self):
        self.steps = []

    @contextmanager
    def _step(self, name):
        self.steps.append(name)
        yield


def test_result_is_durable_before_its_drop_is_archived(fleeting, pool):
    """A disk keeps names in any order: a power cut must not leave an archived drop without one."""
    (fleeting / "inbox" / "mix").mkdir(parents=True)
    drop_song(fleeting, "Song")
    files = NotedFiles()
    Life(config_for(fleeting), files, pool).live(
        lambda life: statuses(fleeting).get("Song", {}).get("terminal") and life.at_rest()
    )

    wanted = ["publish result", "sync results", "archive drop", "sync drops"]
    assert wanted == [step for step in files.steps if step in wanted]


class StuckFiles(Files):
    """Refuse to publish a result until a reader was told of it."""

    stuck = True

    @contextmanager
    def _step(self, name):
        if name == "publish result" and self.stuck:
            raise OSError(errno.EIO, os.strerror(errno.EIO), "outbox/mix")
        yield


def test_result_that_cannot_be_published_says_why(fleeting, pool, monkeypatch):
    """Its status does not go on as if a worker were at it, and is not final before it is true."""
    monkeypatch.setattr(outage, "RETRY_S", 0.05)
    (fleeting / "inbox" / "mix").mkdir(parents=True)
    drop_song(fleeting, "Song")
    files, told = StuckFiles(), []

    def until(life):
        status = statuses(fleeting).get("Song", {})
        if files.stuck and (status.get("wait") or {}).get("reason") == "disk":
            told.append(status)
            files.stuck = False
        return status.get("terminal") and life.at_rest()

    Life(config_for(fleeting), files, pool).live(until)

    [status] = told
    assert ("running", False, None) == (status["state"], status["terminal"], status["finished"])
    assert "cannot be published: Input/output error" in status["wait"]["detail"]
    assert ("done", None) == (
        statuses(fleeting)["Song"]["state"],
        statuses(fleeting)["Song"]["wait"],
    )
