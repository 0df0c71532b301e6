"""The daemon's own foundations, taken away: the queue, the lock, the folders."""

import os
import shutil
import signal
import sqlite3
import sys

import pytest

from daemon.codes import CODES
from tests.support.daemons import Daemon, read_json, settings_for, until
from tests.support.truth import broken_sentences, drop_song, rows, states


@pytest.fixture
def daemon(tmp_path):
    """A daemon that has not been started."""
    root = tmp_path / "spool"
    (root / "inbox" / "mix").mkdir(parents=True)
    with Daemon(root, settings_for(root)) as made:
        yield made


def done(daemon, *names):
    return until(
        lambda: all(states(daemon.root).get(name) == "done" for name in names), f"{names} are done"
    )


def warnings(daemon):
    return {one["code"] for one in read_json(daemon.root / "daemon.json").get("warnings", ())}


def lose_the_form(queue):
    with sqlite3.connect(queue) as db:
        db.execute("PRAGMA user_version = 0")
    db.close()


def break_a_page(queue):
    """Overwrite the table of jobs, wherever SQLite has put it."""
    db = sqlite3.connect(queue)
    page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'job'").fetchone()[0]
    size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    with queue.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def write_nonsense(queue):
    """Make a row say what no version of ours could have written."""
    with sqlite3.connect(queue) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE job SET inputs = '[1', published_ms = NULL")
    db.close()


def lose_the_jobs(queue):
    """Leave out a table that no check looks for."""
    with sqlite3.connect(queue) as db:
        db.execute("DROP TABLE job")
    db.close()


def lose_how_it_stopped(queue):
    with sqlite3.connect(queue) as db:
        db.execute("DROP TABLE control")
    db.close()


@pytest.mark.parametrize(
    "damage",
    [
        break_a_page,
        lose_how_it_stopped,
        *(
            pytest.param(damage, marks=pytest.mark.slow)
            for damage in (lose_the_form, write_nonsense, lose_the_jobs)
        ),
    ],
)
def test_queue_that_is_damaged_after_a_clean_stop_is_built_anew(daemon, damage):
    """At the first start, by whichever query meets it; the old one is kept."""
    daemon.start()
    drop_song(daemon.root, "Before")
    done(daemon, "Before")
    assert 0 == daemon.stop()
    damage(daemon.root / "state" / "queue.sqlite3")

    daemon.start()
    drop_song(daemon.root, "After")
    done(daemon, "After")

    assert "QUEUE_REBUILT" in warnings(daemon)
    assert list((daemon.root / "state").glob("corrupt-*/queue.sqlite3"))
    assert 0 == daemon.stop()


def test_queue_that_cannot_be_opened_is_refused_with_a_hint(daemon):
    """A folder in its place is no damage that we could move aside."""
    (daemon.root / "state" / "queue.sqlite3").mkdir(parents=True)

    assert 75 == daemon.spawn().wait(20.0)
    said = daemon.log.read_text()
    assert CODES["DISK_TROUBLE"].hint in said


def test_daemon_whose_lock_is_gone_ends_in_words(daemon):
    """``rm -r state`` under a running daemon: another one may serve the spool from then on."""
    daemon.start()
    shutil.rmtree(daemon.root / "state")

    assert 75 == daemon.process.wait(20.0)
    assert "LOCK_LOST" in daemon.log.read_text()
    daemon.start()
    drop_song(daemon.root, "Song")
    done(daemon, "Song")
    assert 0 == daemon.stop()


def test_folder_that_leads_into_another_of_ours_is_not_used(daemon):
    """A link from outbox/mix to archive/mix would mix results and drops."""
    daemon.start()
    outbox = daemon.root / "outbox" / "mix"
    outbox.rename(daemon.root / "outbox" / "aside")
    outbox.symlink_to(daemon.root / "archive" / "mix")
    until(lambda: "leads to" in str(read_json(daemon.root / "daemon.json")), "it says so")
    drop_song(daemon.root, "Song")
    until(lambda: list((daemon.root / "work" / "mix").glob("*/in/Song")), "it is admitted")
    outbox.unlink()
    (daemon.root / "outbox" / "aside").rename(outbox)

    done(daemon, "Song")
    assert [] == list(broken_sentences(daemon.root))
    assert 0 == daemon.stop()


def test_inbox_that_becomes_a_way_into_work_is_closed_and_named(daemon):
    """A link to work/mix in the inbox's place would have running jobs taken in as drops."""
    daemon.start()
    drop_song(daemon.root, "Running", "seconds: 1.5\n")
    until(lambda: states(daemon.root).get("Running") == "running", "it runs")
    inbox = daemon.root / "inbox" / "mix"
    inbox.rename(daemon.root / "inbox" / "aside")
    inbox.symlink_to(daemon.root / "work" / "mix")
    until(lambda: "own folders" in str(read_json(daemon.root / "daemon.json")), "it says so")
    done(daemon, "Running")
    assert {"Running": "done"} == states(daemon.root)
    inbox.unlink()
    (daemon.root / "inbox" / "aside").rename(inbox)
    drop_song(daemon.root, "Later")

    done(daemon, "Later")
    assert 2 == len(rows(daemon.root))
    assert 0 == daemon.stop()


def test_result_that_the_queue_has_forgotten_is_not_made_again(daemon):
    """A disk that lied about syncing gives back an older queue: the drop left, the result lies."""
    daemon.start()
    drop_song(daemon.root, "Song", "seconds: 0.5\n")
    until(lambda: states(daemon.root).get("Song") == "running", "it runs")
    older = daemon.root.with_name("older")
    daemon.process.send_signal(signal.SIGSTOP)
    shutil.copytree(daemon.root / "state", older)
    daemon.process.send_signal(signal.SIGCONT)
    done(daemon, "Song")
    until(daemon.at_rest, "all is in its place")
    daemon.kill()
    shutil.rmtree(daemon.root / "state")
    older.rename(daemon.root / "state")

    daemon.start()
    until(lambda: [row["state"] for row in rows(daemon.root) if row["published_ms"]], "it is found")
    assert [("done", 1)] == [(row["state"], row["attempts"]) for row in rows(daemon.root)]
    assert {"Song": "done"} == states(daemon.root)
    assert ["Song"] == [
        path.name for path in (daemon.root / "outbox" / "mix").iterdir() if path.is_dir()
    ]
    assert 0 == daemon.stop()


def test_job_that_runs_beside_deaths_of_the_daemon_pays_nothing(daemon):
    """Killed five times, with a budget for one: the job is still there, and costs nothing."""
    daemon.settings["budgets"] = {"backoff_s": 0.05, "backoff_max_s": 0.1, "interruptions": 1}
    drop_song(daemon.root, "Song", "seconds: 600\n")
    for _ in range(5):
        daemon.start()
        until(lambda: states(daemon.root).get("Song") == "running", "it runs")
        until(lambda: not _handled(daemon), "no job is being handled")
        daemon.process.send_signal(signal.SIGSTOP)
        if _handled(daemon):
            daemon.process.send_signal(signal.SIGCONT)
        daemon.kill()

    (row,) = rows(daemon.root)
    assert ("running", 0, 0, 0) == (
        row["state"], row["failures"], row["crashes"], row["interruptions"]
    )  # fmt: skip
    assert row["attempts"] >= 5


def _handled(daemon):
    fd = os.open(daemon.root / "state" / "lock", os.O_RDONLY)
    try:
        return os.pread(fd, 128, 32).strip(b"\0 ")
    finally:
        os.close(fd)


DIES_OF_POISON = (
    "import os; from daemon.outbox.publisher import Publisher; publish = Publisher.publish_result;"
    " Publisher.publish_result = lambda self, inbox, job, attempt, label, **more:"
    " os._exit(9) if label == 'Poison' else publish(self, inbox, job, attempt, label, **more);"
    " from daemon.cli.main import main; main()"
)


def test_job_of_which_the_daemon_dies_is_left_alone_in_the_end(daemon):
    """Its neighbours are served; a daemon without the fault goes on where it was left."""
    daemon.settings["budgets"] = {"interruptions": 2}
    sound, daemon.command = daemon.command, (sys.executable, "-c", DIES_OF_POISON)
    drop_song(daemon.root, "Poison")
    for _ in range(2):
        assert 9 == daemon.spawn().wait(30.0)
    daemon.start()
    drop_song(daemon.root, "Neighbour")
    done(daemon, "Neighbour")

    assert "DAEMON_DIED" in warnings(daemon)
    assert 0 == daemon.stop()
    daemon.command = sound
    daemon.start()
    done(daemon, "Poison")
    assert 0 == daemon.stop()
