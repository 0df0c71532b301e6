"""The daemon's own limits, lowered while it runs or from the start: size of a file, open files."""

import resource
import time

import pytest

from daemon.supervisor.serve import EX_CONFIG
from tests.support.daemons import PATIENCE_S, Daemon, read_json, settings_for, until
from tests.support.surroundings import IMPATIENT, descriptors_of, limited, rounds_pass
from tests.support.truth import (
    broken_sentences,
    drop_folder,
    drop_song,
    rows,
    states,
    torn_outputs,
)


@pytest.fixture
def daemon(tmp_path):
    """A daemon of a service manager that has gone; it has not been started."""
    root = tmp_path / "spool"
    deaf = {"NOTIFY_SOCKET": str(tmp_path / "gone")}
    with Daemon(root, settings_for(root), IMPATIENT, deaf) as made:
        yield made


def all_done(daemon, names):
    until(
        lambda: states(daemon.root) == dict.fromkeys(names, "done"),
        f"done {states(daemon.root)}",
    )
    assert 0 == daemon.stop()
    assert [] == [*broken_sentences(daemon.root), *torn_outputs(daemon.root)]
    assert len(names) == len(rows(daemon.root))
    assert [] == list((daemon.root / "work" / "mix").iterdir())


def warnings(daemon):
    return {
        one["code"]: one["message"] for one in read_json(daemon.root / "daemon.json")["warnings"]
    }


def slow_one_runs(daemon, settings=""):
    """Drop what runs as long as a file is there; return that file."""
    held = daemon.root.with_name("held")
    held.touch()
    drop_song(daemon.root, "Slow", f"held_by: {held}\n{settings}")
    until(lambda: states(daemon.root).get("Slow") == "running", "one runs")
    return held


@pytest.mark.parametrize("most", [0, 1 << 10, 48 << 10])
def test_files_that_may_not_grow_delay_and_lose_nothing(daemon, most):
    """EFBIG, for the queue, statuses and results alike, is the surroundings' fault."""
    daemon.settings["budgets"]["failures"] = 1_000
    daemon.start()
    held = slow_one_runs(daemon, "fill_bytes: 100000\n")
    with limited(daemon.process.pid, resource.RLIMIT_FSIZE, most):
        drop_song(daemon.root, "Song", "fill_bytes: 100000\n")
        drop_song(daemon.root, "Late")
        held.unlink()
        if most < 4_096:  # less than daemon.json: it can only fall silent
            heartbeat = daemon.root / "daemon.json"
            until(lambda: time.time() - heartbeat.stat().st_mtime > 2.0, "it is refused")
        else:
            until(lambda: "SURROUNDINGS" in warnings(daemon), "it says so")
            rounds_pass(daemon, 4)
        assert daemon.process.poll() is None
        assert not {"done", "failed"} & set(states(daemon.root).values())
    all_done(daemon, ["Slow", "Song", "Late"])


@pytest.mark.parametrize("spare", [-16, 0, 2])
def test_descriptors_that_run_out_delay_and_lose_nothing(daemon, spare):
    """With a few more than it has open, with none more, and with fewer than it waits for."""
    daemon.start()
    held = slow_one_runs(daemon)
    process = daemon.process.pid
    opened = descriptors_of(process)
    with limited(process, resource.RLIMIT_NOFILE, opened + spare):
        drop_song(daemon.root, "Song", "seconds: 0.1\n")
        drop_song(daemon.root, "Late", "priority: rush\n")
        held.unlink()
        # What was open when it was counted may have been enough: then there is nothing to say.
        until(
            lambda: (
                "Too many open files" in daemon.log.read_text()
                or {*states(daemon.root).values()} == {"done"}
            ),
            "it says so",
        )
        assert daemon.process.poll() is None
    all_done(daemon, ["Slow", "Song", "Late"])


def started_with(daemon, most):
    daemon.command = ("prlimit", f"--nofile={most}:{most}", *daemon.command)
    return daemon


def test_daemon_started_with_64_descriptors_serves(daemon):
    """Also a song of more stems than are synced at once, two at a time."""
    stems = {f"{number}.wav": bytes([number]) * 200 for number in range(40)}
    started_with(daemon, 64).start()
    for name in ("One", "Two", "Three"):
        drop_folder(daemon.root, name, stems)
    all_done(daemon, ["One", "Two", "Three"])
    assert "Too many open files" not in daemon.log.read_text()


@pytest.mark.parametrize("most", [12, 24, 48])
def test_daemon_started_with_too_few_descriptors_says_so(daemon, most):
    """It ends at once, with the exit code of a configuration that asks for too much."""
    process = started_with(daemon, most).spawn()

    assert EX_CONFIG == process.wait(PATIENCE_S)
    assert f"60 open files are needed, {most} allowed" in daemon.log.read_text()
