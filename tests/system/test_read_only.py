"""A folder, or the whole spool, can be read and no longer be written; later it can."""

import os
from pathlib import Path

import pytest

from tests.support.daemons import Daemon, read_json, settings_for, until
from tests.support.surroundings import (
    IMPATIENT,
    Disk,
    mount_of_its_own,
    needs_root,
    read_only,
    rounds_pass,
    unmount,
)
from tests.support.truth import (
    broken_sentences,
    drop_folder,
    rows,
    states,
    statuses,
    torn_outputs,
    write_wav,
)

pytestmark = needs_root


@pytest.fixture
def daemon(tmp_path):
    """A daemon that has not been started."""
    root = tmp_path / "spool"
    with Daemon(root, settings_for(root), IMPATIENT) as made:
        yield made


@pytest.fixture
def drop(daemon):
    """Drop a folder by a way that leads around every mount, as another machine would."""
    inbox = daemon.root / "inbox" / "mix"
    inbox.mkdir(parents=True)
    fd = os.open(inbox, os.O_PATH | os.O_DIRECTORY)

    def drop(name, settings=""):
        staged = Path(f"/proc/self/fd/{fd}/.staged")
        staged.mkdir()
        write_wav(staged / "a.wav", name.encode() * 200)
        (staged / "job.yaml").write_text(settings)
        (staged / ".done").touch()
        staged.rename(staged.with_name(name))

    yield drop
    os.close(fd)


@pytest.mark.parametrize("kind", ["inbox", "work", "outbox", "failed", "archive"])
def test_folder_that_turns_read_only_delays_and_loses_nothing(daemon, drop, kind):
    """The daemon lives, says why, and does by itself what was refused when it can."""
    folder = daemon.root / kind
    folder.mkdir(exist_ok=True)
    ends = {"Good": "done", "Bad": "failed", "Slow": "done"}
    with mount_of_its_own(folder):
        daemon.start()
        held = daemon.root.with_name("held")
        held.touch()
        drop("Slow", f"held_by: {held}")
        until(lambda: states(daemon.root).get("Slow") == "running", "one runs")
        with read_only(folder):
            drop("Good")
            drop("Bad", "how: bad_input")
            held.unlink()
            until(lambda: "Read-only" in _said(daemon), "it says why")
            rounds_pass(daemon)
            assert daemon.process.poll() is None
        until(lambda: states(daemon.root) == ends, "all is done")
        assert 0 == daemon.stop()
        assert [] == [*broken_sentences(daemon.root), *torn_outputs(daemon.root)]
        assert [] == list((daemon.root / "work" / "mix").iterdir())


def _said(daemon):
    told = read_json(daemon.root / "daemon.json")
    problems = [inbox["problem"] for inbox in told["inboxes"].values()]
    return " ".join([*problems, *(one["message"] for one in told["warnings"])])


@pytest.fixture
def disk(tmp_path):
    """A disk under the spool."""
    made = Disk(tmp_path / "disk.ext4", tmp_path / "spool")
    yield made
    unmount(tmp_path / "spool")


def test_disk_that_dies_under_the_spool_loses_nothing(disk, daemon):
    """Read-only at once and for good: the daemon keeps quiet; repaired, all is done, once."""
    daemon.settings["log_level"] = "debug"
    daemon.start()
    for number in range(3):
        drop_folder(
            daemon.root, f"Song {number}", {"a.wav": bytes(200)}, "seconds: 0.4\nforce: true"
        )
    until(lambda: "running" in states(daemon.root).values(), "one runs")
    disk.fail()
    until(lambda: "will try again" in daemon.log.read_text(), "it notices")
    told, tries, lines = statuses(daemon.root), _tries(daemon), _lines(daemon)
    until(lambda: _tries(daemon) >= tries + 4, "four tries have failed")
    assert daemon.process.poll() is None
    assert told == statuses(daemon.root)
    assert 0 == daemon.stop()
    assert lines + 12 > _lines(daemon)
    disk.repair()
    (daemon.root / "daemon.json").unlink()  # a heartbeat is not synced: it may be empty now
    daemon.start()
    until(lambda: states(daemon.root) == {f"Song {n}": "done" for n in range(3)}, "all is done")
    assert 0 == daemon.stop()
    assert [] == [*broken_sentences(daemon.root), *torn_outputs(daemon.root)]
    assert 3 == len(rows(daemon.root)) == len(list(daemon.root.glob("archive/mix/*/*")))


def _tries(daemon):
    return daemon.log.read_text().count("will try again")


def _lines(daemon):
    """Return how much an operator has to read."""
    return sum('"level": "debug"' not in line for line in daemon.log.read_text().splitlines())
