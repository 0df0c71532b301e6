"""Tens of thousands of strange files in an inbox, and events that the kernel could not keep."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemons import ROOT, Daemon, read_json, settings_for, until
from tests.support.surroundings import memory_mb_of, rounds_pass, seconds_of
from tests.support.truth import drop_folder, statuses, write_wav

MANY = 60_000
NO_WATCHES = 'echo 0 > /proc/sys/user/max_inotify_watches && exec "$@"'


@pytest.fixture
def daemon(fleeting):
    """A daemon on a spool in memory; it has not been started."""
    made = Daemon(fleeting / "spool", settings_for(fleeting / "spool"))
    with ExitStack() as undo:

        @undo.callback
        def _():
            if made.process is not None and made.process.poll() is None:
                made.kill()

        yield made


def drop(daemon, name, settings=""):
    drop_folder(daemon.root, name, {"a.wav": name.encode() * 200}, settings)


def states(daemon):
    return {name: status["state"] for name, status in statuses(daemon.root).items()}


def litter(folder, many, *kinds):
    """Put empty files into a folder, as many of each kind."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for number in range(many // len(kinds)):
        for kind in kinds:
            name = kind.format(number)
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
    os.close(fd)


def inbox_of(daemon):
    return read_json(daemon.root / "daemon.json")["inboxes"]["mix"]


def test_song_beside_60_000_strange_files_is_taken(daemon):
    """By an event, with little said of the others, and little spent on them."""
    daemon.start()
    drop(daemon, "First")
    until(lambda: states(daemon) == {"First": "done"}, "a first one is done")
    process = daemon.process.pid
    had_mb = memory_mb_of(process)
    litter(daemon.root / "inbox" / "mix", MANY, "._{}.wav", "x{}.txt")
    drop(daemon, "Song")
    until(lambda: states(daemon).get("Song") == "done", "it is done")
    until(lambda: inbox_of(daemon)["left_alone_more"] == MANY // 2 - 50, "all are counted")
    looks, spent_s = inbox_of(daemon)["scans"], seconds_of(process)
    rounds_pass(daemon, 8)

    assert 50 == len(inbox_of(daemon)["left_alone"])
    assert 0 == inbox_of(daemon)["missed"]
    assert 8_000 > (daemon.root / "daemon.json").stat().st_size
    assert 12 > memory_mb_of(process) - had_mb
    assert 2 >= inbox_of(daemon)["scans"] - looks
    assert 0.8 > seconds_of(process) - spent_s  # in four seconds, a scan or two included
    print(memory_mb_of(process) - had_mb, seconds_of(process) - spent_s, inbox_of(daemon)["scans"] - looks)


def test_song_that_holds_60_000_ignored_files_is_taken(daemon):
    """Resource forks and thumbnails are not looked at, and are kept with the song."""
    daemon.start()
    _stage(daemon, MANY, "._{}.wav", ".x{}")
    until(lambda: states(daemon).get("Song") == "done", "it is done")

    assert 1 == len(statuses(daemon.root)["Song"]["inputs"])
    assert MANY == len(list(daemon.root.glob("archive/mix/*/Song/._*"))) * 2


@pytest.mark.parametrize("many", [2_000, MANY])
def test_song_with_too_many_unknown_files_is_refused_with_a_reason(daemon, many):
    """At once, for a look ends at the limit; the drop is set aside whole."""
    daemon.start()
    _stage(daemon, many, "take {}.txt")
    until(lambda: states(daemon).get("Song") == "failed", "it is refused")

    assert "TOO_MANY_FILES" == statuses(daemon.root)["Song"]["error"]["code"]
    assert "256" in statuses(daemon.root)["Song"]["error"]["message"]
    assert many + 2 == len(list((daemon.root / "failed" / "mix" / "Song").iterdir()))


def _stage(daemon, many, *kinds):
    staged = daemon.root / "staged"
    staged.mkdir()
    write_wav(staged / "a.wav", bytes(200))
    litter(staged, many, *kinds)
    (staged / ".done").touch()
    staged.rename(daemon.root / "inbox" / "mix" / "Song")


def test_submit_of_a_stranger_among_many_is_told_so(daemon, tmp_path):
    """``submit --wait`` does not wait for ever for what the heartbeat has no room to name."""
    daemon.start()
    litter(daemon.root / "inbox" / "mix", 100, "a{}.txt")
    (tmp_path / "notes.txt").touch()
    said = subprocess.run(
        [sys.executable, "-m", "daemon", "submit", tmp_path / "notes.txt", "--wait"]
        + ["--config", daemon.root.with_name("spool.yaml")],
        cwd=ROOT, capture_output=True, text=True, timeout=20.0, check=False,
    )

    assert "alone" in said.stderr
    assert said.returncode not in (0, None)


def test_song_whose_event_the_kernel_lost_is_taken_all_the_same(daemon):
    """The queue of events overflows while the daemon sleeps; later events arrive again."""
    daemon.start()
    kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    inbox = daemon.root / "inbox" / "mix"
    daemon.process.send_signal(signal.SIGSTOP)
    for number in range(kept * 6 // 5):
        name = inbox / f".{number}"
        name.touch()
        name.unlink()
    drop(daemon, "Lost")
    daemon.process.send_signal(signal.SIGCONT)
    until(lambda: states(daemon).get("Lost") == "done", "it is done")
    assert "overflow" in daemon.log.read_text()
    until(lambda: inbox_of(daemon)["receiving"] == 0, "it is at rest")
    looks = inbox_of(daemon)["scans"]
    until(lambda: inbox_of(daemon)["scans"] == looks and not time.sleep(1.5) or not (looks := 0), "x") if 0 else None
    drop(daemon, "Heard")
    until(lambda: states(daemon).get("Heard") == "done", "it is done", 5.0)

    assert ("events", 0) == (inbox_of(daemon)["mode"], inbox_of(daemon)["missed"])


def test_daemon_without_a_single_watch_polls_and_says_why(daemon):
    """In a user namespace that grants no inotify watch."""
    daemon.command = ("unshare", "-Ur", "sh", "-c", NO_WATCHES, "sh", *daemon.command)
    daemon.process = daemon.spawn()
    told = daemon.root / "daemon.json"
    until(lambda: read_json(told).get("phase") == "running" or daemon.process.poll(), "it serves")
    if "cannot create" in daemon.log.read_text():
        pytest.skip("this machine grants no user namespace of one's own")
    for number in range(2):
        drop(daemon, f"Song {number}")
        until(lambda: states(daemon).get(f"Song {number}") == "done", "it is done")  # noqa: B023

    print(inbox_of(daemon), os.listdir(f"/proc/{daemon.process.pid}/fd"))
    assert "polling" == inbox_of(daemon)["mode"]
