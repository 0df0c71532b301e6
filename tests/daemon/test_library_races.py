"""A library that does not hold still, and a scan that dies."""

import os
import random
import signal
from contextlib import suppress
from functools import partial

import pytest

from daemon.errors import BadInput, Postponed
from tests.support.libraries import Shelf
from tests.support.surroundings import Disk, mount, needs_root, unmount

ALL = 1 << 40


def in_child(act):
    """Run something in a process of its own; return how it ended, as ``waitpid`` says."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return child


def summary(shelf):
    """Return all that counts of a catalogue."""
    return shelf.files(), shelf.files("missing"), sorted(shelf.changes(), key=str)


@pytest.mark.parametrize("where", ["at a commit", "in a folder"])
def test_scan_killed_at_every_step_ends_as_if_nothing_had_been(fleeting, where):
    """SIGKILL at each commit, or before it: what follows goes on, and tells each thing once."""

    def shelf_at(name):
        (fleeting / name).mkdir()
        shelf = Shelf(fleeting / name)
        for number in range(24):
            shelf.write(f"{number % 4}/{number % 3}/{number}.wav", b"%d" % number)
        shelf.scan()
        shelf.analysed()
        (shelf.root / "0/0/0.wav").rename(shelf.root / "3/new.wav")
        (shelf.root / "1/1/1.wav").unlink()
        shelf.write("2/2/2.wav", b"changed")
        shelf.write("added/one.wav", b"one")
        return shelf

    unbroken = shelf_at("unbroken")
    unbroken.scan()
    shelf = shelf_at("killed")

    shelf.now_ms = unbroken.now_ms

    def attempt(steps):
        def step():
            nonlocal steps
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        if where == "at a commit":
            looking = shelf.look(after_commit=step, job="one")
        else:
            looking = shelf.look(batch_entries=5, job="one")
        with looking as look:
            look.go(ALL, shelf.rules, step if where == "in a folder" else lambda: None)

    killed = 0
    while os.waitpid(in_child(partial(attempt, killed % 4)), 0)[1] == signal.SIGKILL:
        killed += 1  # each attempt dies at another step, so that one of them gets on
        assert killed < 100

    assert killed > 8
    assert summary(unbroken) == summary(shelf)


def test_files_renamed_while_scans_run_keep_who_they_are(fleeting):
    """Thousands of renames under the scan's feet: each file keeps its row, and none is removed."""
    shelf = Shelf(fleeting)
    for number in range(120):
        shelf.write(f"{number % 12}/{number}.wav", b"%d" % number)
    for folder in range(12):
        (shelf.root / str(folder)).mkdir(exist_ok=True)
    shelf.scan()
    before = set(shelf.identities())
    dice = random.Random(1)

    def rename_all():
        for _ in range(10):
            for number in range(120):
                path = next(shelf.root.glob(f"*/{number}.wav"))
                path.rename(shelf.root / str(dice.randrange(12)) / path.name)

    child = in_child(rename_all)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        shelf.scan()
    shelf.scan()
    shelf.scan(hours=48)

    assert before == set(shelf.identities())
    assert shelf.there() == shelf.files()
    assert [] == shelf.query("SELECT * FROM change WHERE kind = 'removed'")


@needs_root
@pytest.mark.parametrize("place", ["the root", "a folder"])
def test_disk_that_is_taken_away_and_replaced_takes_no_file_along(tmp_path, place):
    """Unmounted, in the middle too; another one in its place; an empty one: nothing is missing."""
    disks = [Disk(tmp_path / f"{name}.img", tmp_path / name) for name in ("ours", "other", "empty")]
    shelf = Shelf(tmp_path)
    where = shelf.root if place == "the root" else shelf.root / "disk"
    where.mkdir(exist_ok=True)
    below = "" if place == "the root" else "disk/"
    try:
        shelf.write("outside.wav")
        (tmp_path / "other/other.wav").write_bytes(b"other")
        mount("--bind", tmp_path / "ours", where)
        for number in range(30):
            shelf.write(f"{below}{number % 3}/{number}.wav", b"%d" % number)
        shelf.scan()
        known = shelf.files()
        assert 30 <= len(known)

        for step in ("in the middle", "none", "other", "empty", "none"):
            if step in {"other", "empty"}:
                mount("--bind", tmp_path / step, where)
            with suppress(Postponed, BadInput), shelf.look() as look:
                look.go(ALL, shelf.rules, lambda: unmount(where))
            with suppress(Postponed, BadInput):
                assert "ROOT_CHANGED" in {code for code, _ in shelf.scan(hours=48)}
            unmount(where)
            assert known == shelf.files(), step

        mount("--bind", tmp_path / "ours", where)
        assert [] == shelf.scan(hours=48)
        assert known == shelf.files()
    finally:
        unmount(where)
        for disk in disks:
            disk.unmount()
