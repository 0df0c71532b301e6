"""Changes below a root bring its scan forward; without any hint the scan comes all the same."""

import os
import shutil

import pytest

from daemon.intake import hints
from daemon.intake.hints import Hints
from tests.support.clocks import FakeClock
from tests.support.daemons import until
from tests.support.surroundings import memory_disk, needs_root


@pytest.fixture
def root(fleeting):
    for folder in ("a/deep", "b", ".hidden"):
        (fleeting / folder).mkdir(parents=True)
    return fleeting


@pytest.fixture
def watching(root):
    """Give a function that begins to watch the root; it returns when the watches are set."""
    begun = []

    def watch(**limits):
        made = Hints({"music": root}, FakeClock(), **limits)
        made.start()
        begun.append(made)
        until(lambda: made.watching, "it watches")
        return made

    yield watch
    for one in begun:
        one.ask_to_stop()
        one._thread.join()


def told(found):
    """Wait until something moved and a minute is over; return what moved."""
    until(lambda: found._moved, "something moved")
    assert not found.ripe()
    found._clock.advance(hints.QUIET_S)
    assert found.ripe()
    return found.take()


def test_file_that_changes_names_its_folder_and_is_told_once(root, watching):
    """A minute after the last change, so that a handler finds no file too young."""
    found = watching()
    (root / ".hidden/x.wav").touch()
    (root / "a/deep/._x.wav").touch()
    (root / "a/deep/x.wav").write_bytes(b"x")

    assert ["music/a/deep"] == told(found)
    assert not found.ripe()


def test_new_folder_is_watched_and_one_that_went_is_in_the_folder_above(root, watching):
    """A folder that is scanned stands for all in it; of bytes that are no text, the one above."""
    found = watching()
    (root / "a/deep/x.wav").touch()
    (root / "new").mkdir()
    until(lambda: ("music", "") in found._moved, "the folder is seen")
    assert ["music"] == told(found)
    until(lambda: found.watching == 5, "the new one is watched")
    (root / "new/y.wav").touch()
    assert ["music/new"] == told(found)
    odd = root / "b" / os.fsdecode(b"\xff")
    odd.mkdir()
    until(lambda: found.watching == 6, "that one is watched, too")
    found.take()
    (odd / "z.wav").touch()
    assert ["music/b"] == told(found)
    shutil.rmtree(root / "a/deep")

    assert ["music/a"] == told(found)


def test_folder_that_was_renamed_is_watched_under_its_new_name(root, watching):
    """Else a scan would be asked for a folder that is not there."""
    found = watching()
    (root / "a").rename(root / "c")
    until(lambda: found._moved, "something moved")
    found.take()
    found.watching = 0
    (root / "b/x.wav").touch()  # wakes it
    until(lambda: found.watching, "the watches are set anew")
    found.take()
    (root / "c/deep/x.wav").touch()
    until(lambda: ("music", "c/deep") in found._moved, "it moved")


def test_more_folders_than_may_be_watched_are_left_to_the_timer(root, watching):
    """The upper ones come first; nothing else is different."""
    found = watching(most_watches=2)
    (root / "a/x.wav").touch()
    (root / "b/y.wav").touch()

    assert ["music/a"] == told(found)
    assert 2 == found.watching


def test_root_without_events_is_not_touched(root, monkeypatch):
    """A network file system tells nothing of what others write, and may hang."""
    monkeypatch.setattr(hints, "read_mountinfo", lambda: f"1 1 0:1 / {root} rw - nfs4 nas rw")
    found = Hints({"music": root}, FakeClock())
    found.start()
    found._thread.join()

    assert not found.watching


@needs_root
def test_disk_that_is_taken_away_is_no_change(tmp_path):
    """A scan would find no root and say so; what lies there then is watched instead."""
    disk = tmp_path / "disk"
    with memory_disk(disk, "size=1m"):
        (disk / "a").mkdir()
        found = Hints({"music": disk}, FakeClock())
        found.start()
        until(lambda: found.watching == 2, "it watches")
    until(lambda: found.watching == 1, "the folder below is watched")
    found.ask_to_stop()
    found._thread.join()

    assert not found.take()


def test_hundreds_of_folders_become_their_root():
    """A drop stays short, whatever moved."""
    moved = {("music", f"folder {number}") for number in range(300)}

    assert ["music"] == hints._upper(moved)
