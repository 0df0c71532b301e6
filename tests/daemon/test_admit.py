"""Taking a drop in: one rename, and nothing lost on either side of it."""

import errno
import os
import re
import signal
from contextlib import contextmanager
from itertools import count

import pytest

from daemon.config.models import Limits
from daemon.files import Files
from daemon.intake.admit import Admitter
from daemon.intake.drop import look
from daemon.intake.recovery import find_admitted, find_cut_short, mend
from daemon.intake.writer_probe import ignore_lease_signals
from daemon.layout import job_id, settings_beside
from dsp.containers.identify import AUDIO_SUFFIXES
from tests.support.clocks import FakeClock
from tests.support.files import Died, DyingFiles, OtherDevice, RecordingFiles


class FilesAcross(OtherDevice, Files):
    pass


class RecordingAcross(OtherDevice, RecordingFiles):
    pass


class DyingAcross(OtherDevice, DyingFiles):
    pass


def fresh(spool):
    """Make an inbox with a song and a loose file with settings; an empty work directory."""
    inbox = spool / "inbox"
    (inbox / "Song" / "sub").mkdir(parents=True)
    (spool / "work").mkdir()
    for path in ("Song/a.wav", "Song/sub/b.wav", "loose.wav", "loose.wav.job.yaml"):
        (inbox / path).write_bytes(path.encode())
    (inbox / "loose.wav.done").touch()
    return spool


@pytest.fixture
def spool(tmp_path):
    """An inbox with two drops."""
    return fresh(tmp_path)


def admitter_of(spool, files):
    return Admitter("mix", spool / "inbox", spool / "work", Limits(), files, FakeClock())


def seen(spool, name):
    fd = os.open(spool / "inbox", os.O_RDONLY)
    try:
        return look(fd, name, Limits(), AUDIO_SUFFIXES)
    finally:
        os.close(fd)


def tree(folder):
    """Return every file below `folder` with its bytes; folders that are empty, too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


def test_a_job_id_is_a_time_and_a_throw():
    """Ids sort by time and fit a file name."""
    assert "20261120-214501-8000" == job_id(FakeClock().wall_ms(), 0.5)
    assert "19700101-000000-ffff" == job_id(0, 0.999999)


@pytest.mark.parametrize("files", [Files(), FilesAcross()], ids=["rename", "other device"])
def test_a_folder_is_taken_whole(spool, files):
    """The drop is in the work directory and no longer in the inbox."""
    place = admitter_of(spool, files).admit(seen(spool, "Song"), whole=True)

    assert {"a.wav": b"Song/a.wav", "sub/b.wav": b"Song/sub/b.wav"} == tree(place.path)
    assert {"loose.wav", "loose.wav.job.yaml", "loose.wav.done"} == set(tree(spool / "inbox"))


@pytest.mark.parametrize("files", [Files(), FilesAcross()], ids=["rename", "other device"])
def test_a_file_takes_its_settings_along(spool, files):
    """Settings beside a file go with it; the marker has served."""
    place = admitter_of(spool, files).admit(seen(spool, "loose.wav"), whole=True)

    assert b"loose.wav" == place.path.read_bytes()
    assert b"loose.wav.job.yaml" == settings_beside(place.path).read_bytes()
    assert ["Song"] == os.listdir(spool / "inbox")  # noqa: PTH208 - names are compared


def test_the_path_tells_all(spool):
    """Inbox, job and name are read off the work directory, as after a crash."""
    place = admitter_of(spool, Files()).admit(seen(spool, "loose.wav"), whole=True)

    assert [place] == find_admitted(spool / "work")
    assert ("mix", "20261120-214501-8000", "loose.wav") == (place.inbox, place.job, place.name)


def test_two_jobs_in_one_second_differ(spool):
    """When the dice agree, the next number is taken."""
    admitter = admitter_of(spool, Files())
    places = [admitter.admit(seen(spool, name), whole=True) for name in ("Song", "loose.wav")]

    assert ["20261120-214501-8000", "20261120-214501-8001"] == [place.job for place in places]


@pytest.mark.parametrize("files", [Files(), FilesAcross()], ids=["rename", "other device"])
def test_a_drop_that_changed_is_put_back(spool, files):
    """What is not what it was when it settled returns to the inbox, and leaves no trace."""
    drop = seen(spool, "loose.wav")
    (spool / "inbox" / "loose.wav").write_bytes(b"more")
    before = tree(spool / "inbox")

    assert admitter_of(spool, files).admit(drop, whole=True) is None
    assert before == tree(spool / "inbox")
    assert [] == list((spool / "work" / "mix").iterdir())


@pytest.mark.parametrize("files", [Files(), FilesAcross()], ids=["rename", "other device"])
def test_a_drop_somebody_writes_is_put_back(spool, files):
    """A writer follows its file through the rename; the probe sees it there."""
    before = signal.getsignal(signal.SIGIO)
    ignore_lease_signals()
    with (spool / "inbox" / "loose.wav").open("r+b"):
        place = admitter_of(spool, files).admit(seen(spool, "loose.wav"), whole=True)
    signal.signal(signal.SIGIO, before)

    if place is not None and os.uname().sysname != "Linux":
        pytest.skip("no leases here")
    assert place is None


def test_a_refused_drop_is_taken_as_it_is(spool):
    """A link is moved, not followed: its row must have its drop."""
    (spool / "inbox" / "link.wav").symlink_to("/etc/passwd")
    place = admitter_of(spool, Files()).admit(seen(spool, "link.wav"), whole=False)

    assert place.path.is_symlink()


def test_a_failing_disk_leaves_the_drop_in_the_inbox(spool):
    """When the rename fails, the settings that went ahead come back."""

    class Failing(Files):
        def rename(self, step, source, target, **more):
            if step == "admit.drop":
                raise OSError(errno.ENOSPC, "full")
            super().rename(step, source, target, **more)

    before = tree(spool / "inbox")
    with pytest.raises(OSError, match="full"):
        admitter_of(spool, Failing()).admit(seen(spool, "loose.wav"), whole=True)

    assert before == tree(spool / "inbox")


def _several(spool, count):
    for number in range(count):
        (spool / "inbox" / f"{number}.wav").write_bytes(b"%d" % number)
    return [seen(spool, f"{number}.wav") for number in range(count)]


def test_drops_that_go_together_share_their_syncs(spool):
    """Each gets a job of its own; what is synced, is synced once for all of them."""
    files, drops = RecordingFiles(), _several(spool, 3)
    places = admitter_of(spool, files).admit_together(drops)

    assert list(places.values()) == find_admitted(spool / "work")
    assert {"0.wav": b"0", "1.wav": b"1", "2.wav": b"2"} == {
        name: place.path.read_bytes() for name, place in places.items()
    }
    assert ["admit.sync", *["admit.drop"] * 3, "admit.names"] == [
        step for step in files.steps if step in ("admit.sync", "admit.drop", "admit.names")
    ]


def test_a_drop_that_changed_does_not_go_with_the_others(spool):
    """It is in the inbox as it is now, without a trace in work; the others are in."""
    drops = _several(spool, 3)
    (spool / "inbox" / "1.wav").write_bytes(b"written meanwhile")
    places = admitter_of(spool, Files()).admit_together(drops)

    assert ["0.wav", "2.wav"] == sorted(places)
    assert b"written meanwhile" == (spool / "inbox" / "1.wav").read_bytes()
    assert 2 == len(list((spool / "work" / "mix").iterdir()))


@pytest.mark.parametrize("refused", ["admit.job", "admit.sync", "admit.names"])
def test_a_disk_that_refuses_drops_together_leaves_all_of_them_in_the_inbox(spool, refused):
    """None is in, and each may be tried alone."""

    class Refusing(RecordingFiles):
        @contextmanager
        def _step(self, name):
            with super()._step(name):
                if name == refused and self.steps.count("admit.in"):
                    raise OSError(errno.EIO, "refused")
                yield

    drops, before = _several(spool, 3), tree(spool / "inbox")
    with pytest.raises(OSError, match="refused"):
        admitter_of(spool, Refusing()).admit_together(drops)

    assert before == tree(spool / "inbox")
    assert [] == list((spool / "work" / "mix").iterdir())


_EVERYTHING = ["Song/a.wav", "Song/sub/b.wav", "loose.wav", "loose.wav.job.yaml"]


def _admit(files, spool, name, *, changed):
    """Admit a drop; when it `changed` since it was seen, it will be put back."""
    drop = seen(spool, name)
    if changed:
        path = spool / "inbox" / name
        (path / "a.wav" if path.is_dir() else path).write_bytes(b"written meanwhile")
    admitter_of(spool, files).admit(drop, whole=True)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("across", [False, True], ids=["rename", "other device"])
@pytest.mark.parametrize("changed", [False, True], ids=["taken", "put back"])
@pytest.mark.parametrize("name", ["Song", "loose.wav"])
def test_dying_at_any_step_keeps_every_byte_in_one_place(
    tmp_path_factory, across, when, changed, name
):
    """After a crash and mend, a drop is whole in the inbox or whole in the work directory."""
    recorder = RecordingAcross() if across else RecordingFiles()
    dying = DyingAcross if across else DyingFiles
    for number in count():
        spool = fresh(tmp_path_factory.mktemp("spool"))
        if number == 0:
            _admit(recorder, fresh(tmp_path_factory.mktemp("first")), name, changed=changed)
            steps = recorder.steps
        if number == len(steps):
            break
        with pytest.raises(Died):
            _admit(dying(number, when), spool, name, changed=changed)
        mended(spool)
        mended(spool)  # may be repeated

        places = find_admitted(spool / "work")
        inside = {
            re.sub(r"^mix/[^/]+/in/", "", path): data
            for path, data in tree(spool / "work").items()
            if path != "mix"
        }
        outside = tree(spool / "inbox")
        assert not outside.keys() & inside.keys(), (steps[number], when)
        together = sorted([*outside, *inside])
        assert _EVERYTHING == [path for path in together if path != "loose.wav.done"]
        assert bool(places) != (spool / "inbox" / name).exists(), (steps[number], when)
        if name == "loose.wav" and places:
            assert settings_beside(places[0].path) is not None


def mended(spool, inbox="inbox"):
    mend(Files(), find_cut_short(spool / "work", "mix", lambda _: False), spool / inbox)


def test_mend_spares_jobs_that_have_their_drop(spool):
    """A job with its drop, or with the outputs of an attempt, is none of its business."""
    place = admitter_of(spool, Files()).admit(seen(spool, "Song"), whole=True)
    other = spool / "work" / "mix" / "20261120-214501-0001" / "out.1"
    other.mkdir(parents=True)
    mended(spool)

    assert [place] == find_admitted(spool / "work")
    assert other.exists()


def test_mend_does_not_touch_the_jobs_of_a_missing_inbox(spool):
    """An unmounted inbox cannot be given anything back."""
    room = spool / "work" / "mix" / "20261120-214501-0001"
    (room / "in").mkdir(parents=True)
    with pytest.raises(FileNotFoundError):
        mended(spool, "nowhere")

    assert room.exists()


def test_what_is_put_back_never_replaces_what_came_meanwhile(spool):
    """The name was taken by a new drop: the old one comes back beside it."""
    room = spool / "work" / "mix" / "20261120-214501-0001" / "in"
    room.mkdir(parents=True)
    (room / "loose.wav.job.yaml").write_bytes(b"old")
    mended(spool)

    assert b"old" == (spool / "inbox" / "loose.wav.job (2).yaml").read_bytes()
