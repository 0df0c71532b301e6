"""The real process on real folders: stopped, doubled, and killed at any moment."""

import hashlib
import random
import statistics
import sys
import time
from pathlib import Path

import pytest

from tests.support.daemons import PATIENCE_S, Daemon, until
from tests.support.truth import (
    broken_sentences,
    drop_folder,
    rows,
    statuses,
    torn_outputs,
    write_wav,
)


def state_of(daemon: Daemon, label: str) -> str:
    return statuses(daemon.root).get(label, {}).get("state", "")


def drop(daemon: Daemon, name: str, settings: str = "") -> None:
    drop_folder(daemon.root, name, {"a.wav": name.encode() * 200}, settings)


def held_by(daemon: Daemon) -> Path:
    return daemon.root.with_name("held")


def hold_until_running(daemon: Daemon, name: str) -> None:
    """Drop what is running as long as a file is there."""
    held_by(daemon).touch()
    drop(daemon, name, f"held_by: {held_by(daemon)}\n")
    until(lambda: state_of(daemon, name) == "running", "it runs")


def test_stop_lets_running_jobs_finish(daemon):
    """SIGTERM: what runs is finished, and the exit is a success."""
    daemon.start()
    hold_until_running(daemon, "Song")
    daemon.process.terminate()
    until(lambda: "draining" in daemon.log.read_text(), "it drains")
    held_by(daemon).unlink()

    assert 0 == daemon.process.wait(PATIENCE_S)
    assert "done" == state_of(daemon, "Song")


def test_stop_ends_in_time_and_costs_the_job_nothing(daemon):
    """What does not finish within drain_s is interrupted, and finished by the next run."""
    daemon.settings["drain_s"] = 0.1
    daemon.start()
    hold_until_running(daemon, "Song")

    assert 0 == daemon.stop()  # although the job would never end
    (row,) = rows(daemon.root)
    assert ("queued", 0, 0) == (row["state"], row["failures"], row["crashes"])

    held_by(daemon).unlink()
    daemon.start()
    until(lambda: state_of(daemon, "Song") == "done", "it is done")


def test_second_daemon_is_refused_in_one_line(daemon):
    """Whoever serves the spool is named; exit 75: try again later."""
    daemon.start()
    before = daemon.log.stat().st_size

    assert 75 == daemon.spawn().wait(PATIENCE_S)
    said = daemon.log.read_bytes()[before:].decode().strip()
    assert 1 == len(said.splitlines()), said
    assert f"process {daemon.process.pid}" in said


class Studio:
    """People and tools around a spool, and what they must find in the end."""

    def __init__(self, daemon: Daemon, dice: random.Random) -> None:
        self.daemon, self.root, self.dice = daemon, daemon.root, dice
        self.dropped: dict[str, str] = {}
        """Name -> how it must end."""
        self.content: dict[str, str] = {}
        self.finals: dict[str, bytes] = {}
        self.half: Path | None = None

    def act(self) -> None:
        """Do one of the things that people do."""
        wishes = [self._short] * 4 + [self._long, self._bad, self._file, self._slow_copy]
        self.dice.choice([*wishes, self._cancel, self._retry])()

    def _drop(self, settings: str, end: str) -> None:
        name = f"{end}-{len(self.dropped):04}"
        samples = self.dice.randbytes(400)
        drop_folder(self.root, name, {"a.wav": samples, "b.wav": samples[::-1]}, settings)
        self.dropped[name] = end

    def _short(self) -> None:
        self._drop("", "done")

    def _long(self) -> None:
        self._drop(f"seconds: {self.dice.uniform(0.2, 1.0):.2f}\n", "done")

    def _bad(self) -> None:
        self._drop("how: bad_input\n", "failed")

    def _file(self) -> None:
        """One file, settings and marker first, as ``submit`` does it."""
        name, inbox = f"done-{len(self.dropped):04}.wav", self.root / "inbox" / "mix"
        staged = self.root / "staged.wav"
        write_wav(staged, self.dice.randbytes(400))
        (inbox / f"{name}.job.yaml").write_text("seconds: 0.02\n")
        (inbox / f"{name}.done").touch()
        staged.rename(inbox / name)
        self.dropped[name] = "done"

    def _slow_copy(self) -> None:
        """Finish the folder that is being copied, and begin another; there is no marker."""
        if self.half is not None:
            write_wav(self.half / "b.wav", self.dice.randbytes(400))
            (self.half / "c.wav.part").unlink()
        name = f"done-{len(self.dropped):04}"
        self.half = self.root / "inbox" / "mix" / name
        self.half.mkdir()
        (self.half / "c.wav.part").touch()  # while this is here, the folder is still arriving
        write_wav(self.half / "a.wav", self.dice.randbytes(400))
        self.dropped[name] = "done"

    def _cancel(self) -> None:
        live = [name for name, end in self.dropped.items() if end == "done"]
        if live:
            name = live[-1]
            if self.half is None or name != self.half.name:
                (self.root / "inbox" / "mix" / f"{name}.cancel").touch()
                self.dropped[name] = "done or cancelled"

    def _retry(self) -> None:
        """Move a failed drop back by hand, as a file manager would."""
        for reason in (self.root / "failed" / "mix").glob("failed-*.error.json"):
            name = reason.name.removesuffix(".error.json")
            if (self.root / "failed" / "mix" / name).exists():
                (self.root / "failed" / "mix" / name).rename(self.root / "inbox" / "mix" / name)
                return

    def leave(self) -> None:
        """Finish what is half done."""
        if self.half is not None:
            self._slow_copy()
            self.half.joinpath("c.wav.part").unlink()

    def look(self) -> list[str]:
        """Return what is wrong in the spool of a daemon that has just been killed."""
        wrong = [*broken_sentences(self.root), *torn_outputs(self.root)]
        for label, status in statuses(self.root).items():
            if status["state"] == "done":
                told = hashlib.sha256(repr(status["outputs"]).encode()).digest()
                if self.finals.setdefault(label, told) != told:
                    wrong.append(f"{label} was done, and done again")
        return wrong

    def lost(self) -> list[str]:
        """Return what did not end as it must; the daemon is at rest."""
        wrong = self.look()
        told = statuses(self.root)
        for name, ends in self.dropped.items():
            end = told.get(name, {}).get("state", "nothing")
            kept = len(list(self.root.glob(f"archive/mix/*/{name}")))
            aside = (self.root / "failed" / "mix" / name).exists()
            result = (self.root / "outbox" / "mix" / name).is_dir()
            if end not in ends or (kept, aside, result) != (
                end == "done",
                end != "done",
                end == "done",
            ):
                wrong.append(f"{name} is {end}: {kept} kept, aside {aside}, result {result}")
        extra = {path.name for path in (self.root / "outbox" / "mix").iterdir() if path.is_dir()}
        wrong += [f"doubled: {name}" for name in extra - set(self.dropped)]
        return wrong


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "kills",
    [5, pytest.param(100, marks=pytest.mark.slow), pytest.param(500, marks=pytest.mark.slow)],
)
def test_kill_at_any_moment_loses_and_doubles_nothing(daemon, kills):
    """kill -9 under mixed load, again and again: everything ends once, as it must."""
    dice = random.Random(kills)
    studio, starts_s = Studio(daemon, dice), []
    daemon.start()
    for _ in range(kills):
        until_s = time.monotonic() + dice.uniform(0.0, 0.6)
        while time.monotonic() < until_s:
            studio.act()
            time.sleep(dice.uniform(0.0, 0.08))  # people are slow; the moment of death is random
        daemon.kill()
        assert [] == studio.look()
        if dice.random() < 0.3:
            studio.act()  # people do not wait for daemons
        daemon.start()
        starts_s.append(daemon.started_in_s)
    studio.leave()
    until(daemon.at_rest, "all is done", PATIENCE_S + kills)
    assert 0 == daemon.stop()

    assert [] == studio.lost()
    median_s, worst_s = statistics.median(starts_s), max(starts_s)
    sys.stdout.write(  # pytest -s, or -rP afterwards
        f"{kills} kills, {len(studio.dropped)} drops, all ended once; "
        f"serving again after {median_s:.2f} s, at worst {worst_s:.2f} s\n"
    )
