"""Publication: results appear whole and once, drops are set aside with a reason."""

import json

import pytest

from daemon.files import Files
from daemon.layout import Spool
from daemon.outbox.publisher import Publisher
from daemon.supervisor.completion import named_after
from tests.support.surroundings import memory_disk, needs_root

JOB = "20261120-214501-3f9a"


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path)
    for kind in ("outbox", "failed", "archive", "work"):
        spool.folder(kind, "mix").mkdir(parents=True)
    drop = spool.drop("mix", JOB, "Song")
    drop.mkdir(parents=True)
    (drop / "a.wav").write_bytes(b"stem")
    result = spool.result("mix", JOB, 1)
    result.mkdir(mode=0o700)
    (result / "final_mix.wav").write_bytes(b"song")
    return spool


@pytest.fixture
def publisher(spool):
    return Publisher(spool, Files())


def test_result_appears_in_the_outbox_whole(spool, publisher):
    """One rename makes the result visible, readable by others."""
    assert publisher.publish_result("mix", JOB, 1, "Song")
    folder = spool.folder("outbox", "mix") / "Song"
    assert b"song" == (folder / "final_mix.wav").read_bytes()
    assert 0o755 == folder.stat().st_mode & 0o777


def test_result_never_replaces_an_older_one(spool, publisher):
    """A label that is taken, even by an empty folder, is refused."""
    (spool.folder("outbox", "mix") / "Song").mkdir()

    assert not publisher.publish_result("mix", JOB, 1, "Song")
    assert spool.result("mix", JOB, 1).is_dir()


@pytest.mark.parametrize(
    ("label", "named"),
    [
        ("Song", "Song.wav"),
        ("Song (2)", "Song (2).wav"),
        ("take.flac", "take.wav"),
        ("final_mix", "final_mix.wav"),
        ("No. 5", "No. 5.wav"),
        ("x" * 255, "x" * 251 + ".wav"),
    ],
)
def test_master_has_the_name_of_its_song_too(spool, publisher, label, named):
    """Beside the one that tools know, and it costs no room; two mixes of a song differ."""
    names = ("final_mix.wav", named_after(label, "final_mix.wav"))
    publisher.publish_result("mix", JOB, 1, label, names=names)
    folder = spool.folder("outbox", "mix") / label

    assert (folder / "final_mix.wav").samefile(folder / named)
    assert {"final_mix.wav", named} == {path.name for path in folder.iterdir()}


def test_publishing_twice_is_harmless(publisher):
    """Start-up may repeat the step that had already happened."""
    publisher.publish_result("mix", JOB, 1, "Song")

    assert publisher.publish_result("mix", JOB, 1, "Song")


def test_archived_drop_keeps_its_bytes_and_its_namesakes(spool, publisher):
    """A drop goes into the archive of its month beside others of its name."""
    (spool.folder("archive", "mix") / "2026-11" / "Song").mkdir(parents=True)
    where = publisher.archive("mix", JOB, "Song", 1_795_000_000_000)

    assert spool.folder("archive", "mix") / "2026-11" / "Song (2)" == where
    assert b"stem" == (where / "a.wav").read_bytes()


def test_failed_drop_lies_beside_its_reason(publisher):
    """The drop is untouched and the reason is a file that says what to do."""
    error = {"code": "NO_AUDIO", "message": "no audio", "hint": "add some"}
    where = publisher.set_aside("mix", JOB, "Song", error, 0)
    reason = json.loads((where.parent / "Song.error.json").read_text())

    assert b"stem" == (where / "a.wav").read_bytes()
    assert "add some" == reason["hint"]


@pytest.mark.parametrize("folder", [False, True])
def test_reason_never_replaces_a_drop_of_its_name(spool, publisher, folder):
    """A failed drop may be called ``Song.error.json``; the reason of ``Song`` goes elsewhere."""
    drop = spool.drop("mix", "20261120-214501-0001", "Song.error.json")
    drop.parent.mkdir(parents=True)
    (drop.mkdir if folder else drop.touch)()
    error = {"code": "X", "message": "y"}
    first = publisher.set_aside("mix", "20261120-214501-0001", "Song.error.json", error, 0)
    publisher.set_aside("mix", JOB, "Song", error, 0)

    assert "Song.error.json (2)" == first.name
    assert folder == first.is_dir()
    assert JOB == json.loads((first.parent / "Song.error.json").read_text())["job"]


def test_setting_aside_twice_is_harmless(publisher):
    """A repetition after a crash finds nothing left to move."""
    publisher.set_aside("mix", JOB, "Song", {"code": "X", "message": "y"}, 0)

    assert publisher.set_aside("mix", JOB, "Song", {"code": "X", "message": "y"}, 0) is None


def test_work_is_cleared_only_after_the_drop_has_left(spool, publisher):
    """What a person dropped is never removed with the leftovers."""
    publisher.clear("mix", JOB)
    assert spool.drop("mix", JOB, "Song").is_dir()

    publisher.archive("mix", JOB, "Song", 0)
    publisher.clear("mix", JOB)
    assert not spool.job("mix", JOB).exists()


@needs_root
def test_what_cannot_be_removed_from_work_is_named_and_left(spool, publisher):
    """A mount, another user's file: to try again would change nothing."""
    publisher.archive("mix", JOB, "Song", 0)
    mounted = spool.result("mix", JOB, 1) / "mounted"
    mounted.mkdir()
    with memory_disk(mounted, "size=1m"):
        left = publisher.clear("mix", JOB)

        assert left.startswith(f"{mounted}: ")
    assert "" == publisher.clear("mix", JOB)
    assert not spool.job("mix", JOB).exists()
