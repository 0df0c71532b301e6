"""The surroundings fail, and come back: full disk, lost inbox, wrong clock."""

import shutil
from contextlib import suppress

import pytest

from daemon.clock import Clock
from daemon.config.models import Budgets
from daemon.files import Files
from tests.support.daemons import Daemon, read_json, settings_for, until
from tests.support.lives import Life, config_for
from tests.support.surroundings import memory_disk, needs_root
from tests.support.truth import (
    broken_sentences,
    drop_folder,
    drop_song,
    statuses,
    torn_outputs,
)

DAY_S = 86_400.0


@pytest.fixture
def small(tmp_path):
    """A daemon on a file system of 12 MB of its own."""
    root = tmp_path / "spool"
    with memory_disk(root, "size=12m"), Daemon(root, settings_for(root)) as made:
        yield made


def state_of(daemon, name):
    return statuses(daemon.root).get(name, {}).get("state")


@needs_root
def test_full_disk_delays_and_loses_nothing(small):
    """While there is no room nothing is lost; when there is, everything is done by itself."""
    small.start()
    names = [f"Song {number}" for number in range(4)]
    for name in names:
        drop_song(small.root, name, "seconds: 0.2\n")
    until(lambda: "running" in {state_of(small, name) for name in names}, "one runs")
    ballast = small.root / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    until(lambda: "will try again" in small.log.read_text(), "it notices")
    assert small.process.poll() is None
    ballast.unlink()

    until(lambda: all(state_of(small, name) == "done" for name in names), "all is done")
    assert 0 == small.stop()
    assert [] == [*broken_sentences(small.root), *torn_outputs(small.root)]


@needs_root
def test_result_too_large_for_the_disk_is_tried_again(small):
    """What a worker wrote until the disk was full goes; with room, the job is done."""
    small.settings["budgets"]["failures"] = 1_000
    small.start()
    ballast = small.root / "ballast"
    ballast.write_bytes(bytes(6_000_000))
    drop_song(small.root, "Song", "fill_bytes: 8000000\n")

    def outcomes():
        attempts = statuses(small.root).get("Song", {}).get("attempts", ())
        return [one["outcome"] for one in attempts if one["ended"]]

    until(lambda: len(outcomes()) > 1, "it was tried twice")
    assert {"unavailable"} == set(outcomes())
    ballast.unlink()
    until(lambda: state_of(small, "Song") == "done", "it is done")


def test_inbox_that_went_and_came_back_is_served(daemon):
    """A new folder under the inbox's name is watched as the old one was."""
    daemon.start()
    inbox = daemon.root / "inbox" / "mix"
    shutil.rmtree(inbox)
    until(lambda: read_json(daemon.root / "daemon.json")["inboxes"]["mix"]["problem"], "it notices")
    inbox.mkdir()
    drop_song(daemon.root, "Song")

    until(lambda: state_of(daemon, "Song") == "done", "it is done")


class JumpingClock(Clock):
    """A clock that somebody sets while a job is on its way."""

    jump_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.jump_ms


@pytest.mark.parametrize("days", [-1, 1])
def test_clock_that_jumps_a_day_delays_nothing(tmp_path, pool, monkeypatch, days):
    """Neither a job that waits to be tried again nor one that runs minds the clock on the wall."""
    clock = JumpingClock()
    monkeypatch.setattr("daemon.supervisor.supervisor.Clock", lambda: clock)
    config = config_for(tmp_path, budgets=Budgets(backoff_s=0.2, backoff_max_s=0.2))
    (tmp_path / "inbox" / "mix").mkdir(parents=True)
    drop_folder(tmp_path, "Song", {"a.wav": b"\1\2" * 900}, "how: unavailable\n")

    def jumped_and_rested(life: Life) -> bool:
        told = statuses(tmp_path).get("Song", {"state": "receiving"})
        if told["state"] == "queued" and told["attempts"]:  # it waits to be tried again
            clock.jump_ms = days * 86_400_000
        return life.at_rest()

    Life(config, Files(), pool).live(jumped_and_rested)
    assert "failed" == statuses(tmp_path)["Song"]["state"]
