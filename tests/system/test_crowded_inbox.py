"""Tens of thousands of strange files in an inbox, and events that the kernel could not keep."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemons import PATIENCE_S, ROOT, Daemon, read_json, settings_for, until
from tests.support.surroundings import descriptors_of, memory_mb_of, rounds_pass
from tests.support.truth import drop_song, states, statuses, write_wav

MANY = 60_000
INSTANCES = "/proc/sys/user/max_inotify_instances"
NO_INSTANCES = f'echo 0 > {INSTANCES} && exec "$@"'
NO_WATCHES = 'echo 0 > /proc/sys/user/max_inotify_watches && exec "$@"'


@pytest.fixture
def daemon(fleeting):
    """A daemon on a spool in memory; it has not been started."""
    with Daemon(fleeting / "spool", settings_for(fleeting / "spool")) as made:
        yield made


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
    """By an event, with little said of the others, and little memory spent on them."""
    daemon.start()
    drop_song(daemon.root, "First")
    until(lambda: states(daemon.root) == {"First": "done"}, "a first one is done")
    process = daemon.process.pid
    had_mb = memory_mb_of(process)
    litter(daemon.root / "inbox" / "mix", MANY, "._{}.wav", "x{}.txt")
    drop_song(daemon.root, "Song")
    until(lambda: states(daemon.root).get("Song") == "done", "it is done")
    until(lambda: inbox_of(daemon)["left_alone_more"] == MANY // 2 - 50, "all are counted")
    has_mb = memory_mb_of(process)
    rounds_pass(daemon)

    assert 50 == len(inbox_of(daemon)["left_alone"])
    assert 0 == inbox_of(daemon)["missed"]
    assert 8_000 > (daemon.root / "daemon.json").stat().st_size
    assert 24 > has_mb - had_mb  # most of it the library's, for 60,000 events at once
    assert 2 > memory_mb_of(process) - has_mb


@pytest.mark.slow
def test_song_that_holds_60_000_ignored_files_is_taken(daemon):
    """Resource forks and thumbnails are not looked at, and are kept with the song."""
    daemon.start()
    _stage(daemon, MANY, "._{}", "{}.asd")
    until(lambda: states(daemon.root).get("Song") == "done", "it is done")

    assert 1 == len(statuses(daemon.root)["Song"]["inputs"])
    assert MANY == len(list(daemon.root.glob("archive/mix/*/Song/._*"))) * 2


@pytest.mark.parametrize("many", [2_000, pytest.param(MANY, marks=pytest.mark.slow)])
def test_song_with_too_many_unknown_files_is_refused_with_a_reason(daemon, many):
    """At once, for a look ends at the limit; the drop is set aside whole."""
    daemon.start()
    _stage(daemon, many, "take {}.txt")
    until(lambda: states(daemon.root).get("Song") == "failed", "it is refused")

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
    words = [
        "submit",
        tmp_path / "notes.txt",
        "--wait",
        "--config",
        daemon.root.with_name("spool.yaml"),
    ]
    said = subprocess.run(
        [sys.executable, "-m", "daemon", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert "alone" in said.stderr
    assert said.returncode not in (0, None)


def test_song_whose_event_the_kernel_lost_is_taken_all_the_same(daemon):
    """The queue of events overflows while the daemon sleeps; later events arrive again."""
    daemon.start()
    kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    inbox = daemon.root / "inbox" / "mix"
    until(lambda: inbox_of(daemon)["scans"] > 0, "it has looked, and watches")
    daemon.process.send_signal(signal.SIGSTOP)
    for number in range(kept * 6 // 5):
        name = inbox / f".{number}"
        name.touch()
        name.unlink()
    drop_song(daemon.root, "Lost")
    daemon.process.send_signal(signal.SIGCONT)
    until(lambda: states(daemon.root).get("Lost") == "done", "it is done")
    until(lambda: "overflow" in daemon.log.read_text(), "the library has noticed")
    drop_song(daemon.root, "Heard")
    until(lambda: states(daemon.root).get("Heard") == "done", "it is done")
    rounds_pass(daemon)

    assert ("events", 0) == (inbox_of(daemon)["mode"], inbox_of(daemon)["missed"])


def test_daemon_without_a_single_watch_polls_and_says_why(daemon):
    """In a user namespace that grants no inotify watch."""
    daemon.command = ("unshare", "-Ur", "sh", "-c", NO_WATCHES, "sh", *daemon.command)
    daemon.process = daemon.spawn()
    until(lambda: daemon._serves() or "denied" in daemon.log.read_text(), "it serves")
    until(lambda: inbox_of(daemon)["scans"] > 0, "it has looked")
    had, scans = descriptors_of(daemon.process.pid), inbox_of(daemon)["scans"]
    for name in ("One", "Two", "Three"):
        drop_song(daemon.root, name)
        until(lambda: states(daemon.root).get(name) == "done", "it is done")  # noqa: B023
    until(lambda: inbox_of(daemon)["scans"] >= scans + 10, "it scans on")

    assert "polling" == inbox_of(daemon)["mode"]
    assert "max_user_watches is reached" in inbox_of(daemon)["polling_because"]
    # The library left three behind for each scan; a worker that starts has as many for a while.
    until(lambda: descriptors_of(daemon.process.pid) < had + 10, "none is left behind")


def test_daemon_without_an_inotify_instance_polls_until_there_is_one(daemon):
    """In a user namespace that grants none at first; of the user's own, other tests need some."""
    daemon.command = ("unshare", "-Ur", "sh", "-c", NO_INSTANCES, "sh", *daemon.command)
    daemon.process = daemon.spawn()
    until(lambda: daemon._serves() or "denied" in daemon.log.read_text(), "it serves")
    drop_song(daemon.root, "Polled")
    until(lambda: states(daemon.root).get("Polled") == "done", "it is done")
    until(lambda: inbox_of(daemon)["mode"] == "polling", "it says so")
    assert "max_user_instances is reached" in inbox_of(daemon)["polling_because"]
    enter = ["nsenter", "--user", "--preserve-credentials", f"--target={daemon.process.pid}"]
    subprocess.run([*enter, "sh", "-c", f"echo 128 > {INSTANCES}"], check=True)
    until(lambda: inbox_of(daemon)["mode"] == "events", "events are used again")

    assert "" == inbox_of(daemon)["polling_because"]
