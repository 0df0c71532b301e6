"""The file system of an inbox stops answering: nothing else waits, and nothing of it is lost."""

import copy
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemons import PATIENCE_S, ROOT, Daemon, read_json, settings_for, until
from tests.support.surroundings import IMPATIENT, rounds_pass, unmount
from tests.support.truth import broken_sentences, drop_folder, torn_outputs, write_wav

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/fuse").exists(), reason="run as root, with /dev/fuse"
)


class Remote:
    """A folder behind a file server that can be made to stop answering."""

    def __init__(self, folder: Path, trap: str = "") -> None:
        self.behind, self.mount = folder / "behind", folder / "mount"
        self.behind.mkdir()
        self.mount.mkdir()
        command = [sys.executable, "-m", "tests.support.passthrough", self.behind, self.mount, trap]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.server = subprocess.Popen(command, cwd=ROOT, bufsize=0, **pipes)
        self.hangs = False
        until(lambda: self.mount.is_mount() or self.server.poll() is not None, "it is mounted")
        if self.server.poll() is not None:
            pytest.skip(f"no FUSE here: {self.server.stderr.read().decode()[-200:]}")

    def hang(self) -> None:
        """Fall silent between two requests."""
        self._tell()
        self.hangs = True

    def let_someone_wait(self) -> None:
        """Return when a request has come that is not answered."""
        assert b"w" == self.server.stdout.read(1)

    def answer(self) -> None:
        if self.hangs:
            self._tell()
        self.hangs = False

    def _tell(self) -> None:
        self.server.stdin.write(b".")
        while (said := self.server.stdout.read(1)) != b".":
            assert said, "the server has ended"

    def drop(self, name: str) -> None:
        staged = self.behind.parent / name
        staged.mkdir()
        write_wav(staged / "a.wav", name.encode() * 100)
        (staged / ".done").touch()
        staged.rename(self.behind / name)

    def end(self) -> None:
        """End the server: whoever still waits for it is told that the connection is gone."""
        self.server.communicate(timeout=PATIENCE_S)
        unmount(self.mount)


@pytest.fixture
def remote(tmp_path):
    made = Remote(tmp_path)
    yield made
    made.end()


@pytest.fixture
def daemon(tmp_path, remote):
    """A daemon with an inbox on its own disk and one on the file server; not started."""
    root = tmp_path / "spool"
    near = settings_for(root)["inboxes"]["mix"]
    far = copy.deepcopy(near) | {"path": str(remote.mount)}  # YAML would show them as one
    inboxes = {"mix": near, "far": far}
    with Daemon(root, settings_for(root, inboxes=inboxes), IMPATIENT) as made:
        yield made
        remote.answer()


def told(daemon, label, inbox="mix"):
    return read_json(daemon.root / "outbox" / inbox / f"{label}.status.json")


def is_done(daemon, label, inbox="mix"):
    return told(daemon, label, inbox).get("state") == "done"


def far_away(daemon):
    return read_json(daemon.root / "daemon.json")["inboxes"]["far"]


def test_other_inbox_goes_on_while_one_hangs(daemon, remote):
    """The heart beats on, the other inbox is served, and in the end this one is, too."""
    daemon.start()
    remote.drop("Before")
    until(lambda: is_done(daemon, "Before", "far"), "the far inbox is served")
    remote.hang()
    remote.drop("Meanwhile")
    remote.let_someone_wait()
    for number in range(5):
        drop_folder(daemon.root, f"Song {number}", {"a.wav": bytes([number]) * 900})
        until(lambda name=f"Song {number}": is_done(daemon, name), "the near inbox is served")
    rounds_pass(daemon)  # what daemon.json says is from before the last song otherwise
    hung = far_away(daemon)
    rounds_pass(daemon)

    assert hung["scans"] == far_away(daemon)["scans"]
    assert hung["last_scan_age_s"] < far_away(daemon)["last_scan_age_s"]
    remote.answer()
    until(lambda: is_done(daemon, "Meanwhile", "far"), "it is served again")
    assert 0 == daemon.stop()
    assert [] == [*broken_sentences(daemon.root), *torn_outputs(daemon.root)]


def test_daemon_starts_and_stops_while_an_inbox_hangs(daemon, remote):
    """Only its own thread waits for it; what it holds comes when it answers."""
    remote.drop("Later")
    remote.hang()
    daemon.start()
    drop_folder(daemon.root, "Song", {"a.wav": b"\1\2" * 900})
    until(lambda: is_done(daemon, "Song"), "the near inbox is served")
    assert 0 == daemon.stop()

    daemon.start()
    remote.answer()
    until(lambda: is_done(daemon, "Later", "far"), "the far inbox is served")
    assert 0 == daemon.stop()


def test_root_that_hangs_costs_a_worker_and_nothing_else(tmp_path, remote):
    """The job that reads it waits and says for what; a job beside it is done meanwhile."""
    settings = settings_for(tmp_path / "spool")
    near = settings["inboxes"]["mix"]
    reads = copy.deepcopy(near) | {"reads": {"music": str(remote.mount)}, "stall_s": 4.0}
    settings["inboxes"]["far"] = reads
    with Daemon(tmp_path / "spool", settings, IMPATIENT) as daemon:
        daemon.start()
        remote.hang()
        for inbox in ("far", "mix"):
            write_wav(tmp_path / "song.wav", inbox.encode() * 99)
            (tmp_path / "song.wav").rename(daemon.root / "inbox" / inbox / "Song.wav")
        until(lambda: is_done(daemon, "Song.wav"), "the inbox beside it is served")
        until(
            lambda: "did not answer" in str(told(daemon, "Song.wav", "far").get("wait")),
            "it is said",
        )
        waits = told(daemon, "Song.wav", "far")
        remote.answer()
        until(lambda: is_done(daemon, "Song.wav", "far"), "it answers")
        assert 0 == daemon.stop()

    assert ("queued", "retry") == (waits["state"], waits["wait"]["reason"])
    assert "ROOT_HANGS" == waits["attempts"][0]["error"]["code"]


@pytest.fixture
def treacherous(tmp_path):
    """A file server that falls silent when somebody enters the folder `c`."""
    made = Remote(tmp_path, trap="c")
    for number, folder in enumerate("abcde"):
        (made.behind / folder).mkdir()
        write_wav(made.behind / folder / "x.wav", bytes([number]) * 900)
    made.hangs = True
    yield made
    made.answer()
    made.end()


@pytest.mark.slow
def test_library_whose_root_hangs_in_mid_scan_goes_on_when_it_answers(tmp_path, treacherous):
    """It costs a slot until it is called stalled, then it waits; nothing counts as missing."""
    settings = settings_for(tmp_path / "spool")
    settings["budgets"]["failures"] = 100
    library = {
        "handler": "daemon.handlers.library",
        "reads": {"music": str(treacherous.mount)},
        "options": {"follow": ["tags"]},
        "keeps": True,
        "stall_s": 4.0,
        "no_progress_s": 5.0,
    }
    settings["inboxes"]["far"] = library
    with Daemon(tmp_path / "spool", settings, IMPATIENT) as daemon:
        daemon.start()
        (daemon.root / "inbox" / "far" / "now.scan").write_text("full: false\n")
        (daemon.root / "inbox" / "far" / "now.scan.done").touch()
        treacherous.let_someone_wait()
        drop_folder(daemon.root, "Song", {"a.wav": b"\1\2" * 900})
        until(lambda: is_done(daemon, "Song"), "the inbox beside it is served")
        until(
            lambda: "did not answer" in str(told(daemon, "now.scan", "far").get("wait")),
            "it is said",
        )
        waits = told(daemon, "now.scan", "far")
        treacherous.answer()
        until(lambda: is_done(daemon, "now.scan", "far"), "it answers")
        measured = told(daemon, "now.scan", "far")["measurements"]
        assert 0 == daemon.stop()

    assert ["stalled", "postponed"] == [one["outcome"] for one in waits["attempts"]][:2]
    assert "ROOT_HANGS" == waits["attempts"][1]["error"]["code"]
    assert (5, 0) == (measured["files"], measured["missing"])


def test_killed_daemon_leaves_nothing_behind_in_a_hung_inbox(daemon, remote):
    """A thread that waits for a dead file server does not keep its process alive."""
    daemon.start()
    remote.hang()
    remote.let_someone_wait()

    daemon.kill()
    assert daemon.process.returncode == -signal.SIGKILL


def test_original_of_a_copied_drop_does_not_come_again(daemon, remote):
    """Killed between copy and original, started while the inbox hangs: done, and done once."""
    daemon.start()
    assert 0 == daemon.stop()
    job = "20261120-214501-3f9a"
    arrived = daemon.root / "work" / "far" / job / "in"
    arrived.mkdir(parents=True)
    for folder in (arrived / "Song", remote.behind / f".claimed-{job}" / "Song"):
        folder.mkdir(parents=True)
        write_wav(folder / "a.wav", b"\1\2" * 900)
    remote.hang()
    daemon.start()
    until(lambda: is_done(daemon, "Song", "far"), "it is done although its inbox hangs")
    remote.answer()

    until(lambda: not list(remote.behind.iterdir()), "the original has gone")
    remote.drop("Next")
    until(lambda: is_done(daemon, "Next", "far"), "the inbox is served")
    assert 0 == daemon.stop()
    told = (daemon.root / "outbox" / "far").glob("*.status.json")
    assert ["Next", "Song"] == sorted(path.name.removesuffix(".status.json") for path in told)
