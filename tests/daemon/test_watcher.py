"""One inbox watched: what is seen, taken, refused and reported."""

import errno
import os
import shutil
import signal
import struct
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pytest
from watchdog.observers.api import ObservedWatch
from watchdog.observers.inotify import InotifyEmitter

from daemon.config.models import Inbox, Limits, Settling
from daemon.errors import Fault
from daemon.files import Files
from daemon.handlers.contract import Declaration
from daemon.intake import watcher as watcher_module
from daemon.intake.latecomers import Latecomers
from daemon.intake.mounts import is_network, kind_of_mount
from daemon.intake.observations import Admitted, CancelAsked, Gone, PutBack, Sighting, Wait
from daemon.intake.watcher import Watch, Watcher
from daemon.layout import settings_beside
from tests.support.clocks import FakeClock
from tests.support.containers import noise_bytes
from tests.support.daemons import until
from tests.support.files import DEEP, OtherDevice, bottom_of, dig

LATE_S = 60.0


class SilentWatch:
    """A watch that announces nothing; without it every test would wait for threads to end."""

    builds = 1
    problem = ""

    def check(self):
        return True

    def stop(self):
        pass


def closed_by(reason):
    """Return the answer of a gate that is closed for this reason, or open for none."""
    return Wait(reason, None, "no room") if reason else None


class Studio:
    """An inbox with its watcher, a clock and all that was reported.

    With a fake clock it is looked at by hand; with a real one the thread does.
    """

    def __init__(self, root, inbox=None, clock=None):
        self.folder, self.work = root / "inbox", root / "work"
        self.folder.mkdir(parents=True)
        self.work.mkdir()
        self.clock = clock or FakeClock()
        self.reports = []
        self.queue = SimpleQueue()
        self.closed = None
        self.handler = Declaration()
        self.watcher = Watcher(
            "mix",
            self.folder,
            (inbox or Inbox()).model_copy(update={"settling": Settling(settle_single_s=0)}),
            work=self.work,
            files=Files(),
            clock=self.clock,
            gate=lambda drop: closed_by(self.closed),  # noqa: ARG005 - one answer for all drops
            report=self.report,
            handler=lambda: self.handler,
        )
        if clock is None:
            self.watcher._watch = SilentWatch()

    def report(self, report):
        self.reports.append(report)
        self.queue.put(report)

    def listed(self):
        return sorted(os.listdir(self.folder))  # noqa: PTH208 - names alone

    def put(self, path, data=None):
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(noise_bytes("wav") if data is None else data)

    def look(self, seconds=0.0, *, woken=False):
        """Let time pass, look, and return what was reported by this look."""
        self.clock.advance(seconds)
        before = len(self.reports)
        self.watcher.look(woken=woken)
        return self.reports[before:]

    def next(self, kind):
        """Wait for the next report of a kind."""
        while True:
            report = self.queue.get(timeout=LATE_S)
            if isinstance(report, kind):
                return report


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path)


def test_a_file_that_outgrew_its_header_is_taken_whole_with_a_warning(studio):
    """A WAV of 4 GiB and 100 s declares 100 s: its deadline counts all, the status says so."""
    size = (1 << 32) + 100 * 192_000
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", size % (1 << 32) + 36, b"WAVE", b"fmt ", 16,
                       1, 2, 48_000, 192_000, 4, 16)  # fmt: skip
    studio.put("long.wav", head + b"data" + struct.pack("<I", size % (1 << 32)))
    os.truncate(studio.folder / "long.wav", 44 + size)
    studio.look()
    (admitted,) = studio.look(30.0)

    assert ["INPUT_SIZE_WRAPPED"] == [code for code, _ in admitted.warnings]
    assert size / 192_000 == admitted.seconds


def test_no_header_sets_its_own_deadline(tmp_path):
    """An Ogg that claims 2⁶² frames at 1 Hz counts as long as the inbox lets a file be."""
    studio = Studio(tmp_path, Inbox(limits=Limits(frames=600 * 8_000)))
    data = bytearray(noise_bytes("ogg"))
    rate, granule = data.index(b"\x01vorbis") + 12, data.rindex(b"OggS") + 6
    data[rate : rate + 4] = (1).to_bytes(4, "little")
    data[granule : granule + 8] = ((1 << 62) - 1).to_bytes(8, "little")
    studio.put("liar.ogg", bytes(data))
    studio.look()
    (admitted,) = studio.look(2.0)

    assert 600 == admitted.seconds


def test_scan_is_not_dropped_behind_one_that_was_just_taken(studio):
    """Whoever asks for it has not heard of that one yet, and two in a row are one too many."""
    studio.handler, done = Declaration(accepts={".scan"}), []
    studio.put("by hand.scan", b"under: a")
    studio.look()
    (admitted,) = studio.look(30.0)
    assert "by hand.scan" == admitted.place.name
    for taken in (0, 1):
        studio.watcher.drop("timer.scan", b"x", lambda: done.append(studio.listed()), taken)
        studio.look()

    assert [[], ["timer.scan", "timer.scan.done"]] == done


def test_nothing_is_taken_before_the_handler_has_told(studio):
    """Any file may be a drop by then; none is told of, for it is known in a moment."""
    studio.handler = ""
    studio.put("a.wav")
    studio.put("note.txt")

    assert [] == studio.look() + studio.look(100.0)

    studio.handler = Declaration(accepts={".txt"})
    studio.look()
    (admitted,) = studio.look(30.0)
    assert "note.txt" == admitted.place.name
    assert {"a.wav"} == set(studio.watcher.health.left_alone)


def test_drops_without_a_handler_say_why_they_wait(studio):
    """They keep their place; when the handler is there, strange files are no drops any more."""
    studio.handler = "its handler shout cannot be used: No module named shout"
    studio.put("Song/a.wav")
    studio.put("note.txt")
    sightings = studio.look()

    assert ["Song", "note.txt"] == [sighting.name for sighting in sightings]
    assert {studio.handler} == {sighting.wait.detail for sighting in sightings}

    studio.handler = Declaration()
    gone, song = studio.look()
    (admitted,) = studio.look(5.0)
    assert Gone("mix", "note.txt") == gone
    assert ("Song", "settling") == (song.name, song.wait.reason)
    assert "Song" == admitted.place.name


def test_of_tens_of_thousands_of_files_without_a_handler_the_first_are_told_of(studio):
    """Any of them may be a drop; a status for each would be a burden."""
    studio.handler = "no worker starts"
    for number in range(200):
        studio.put(f"{number:03}.txt", b"text")

    assert 50 == len(studio.look())


def test_a_loose_file_is_seen_settles_and_is_taken(studio):
    """First it is receiving, with the reason; two seconds later it is a job."""
    studio.put("a.wav")
    (sighting,) = studio.look()
    (admitted,) = studio.look(2.0)

    assert ("settling", "2026-11-20T21:45:03.000Z") == (sighting.wait.reason, sighting.wait.until)
    assert "a.wav" == admitted.place.name
    assert (studio.work / "mix" / admitted.place.job / "in" / "a.wav").is_file()
    assert ("header", 0.5) == (admitted.inputs[0]["ready_by"], admitted.seconds)


def test_a_folder_is_one_job(studio):
    """All audio in the tree becomes one job with the folder's name."""
    studio.put("Song/kick.wav")
    studio.put("Song/sub/bass.flac", noise_bytes("flac"))
    studio.look()
    (admitted,) = studio.look(5.0)

    assert "Song" == admitted.place.name
    assert ["kick.wav", "sub/bass.flac"] == [each["path"] for each in admitted.inputs]


def test_a_marked_folder_is_taken_at_first_sight(studio):
    """The sender said that all is there; one look suffices."""
    studio.put("Song/kick.wav")
    studio.put("Song/.done", b"")
    (admitted,) = studio.look()

    assert isinstance(admitted, Admitted)


def test_a_folder_with_a_manifest_is_taken_at_first_sight(studio):
    """Sizes that agree are proof enough."""
    size = len(noise_bytes("wav"))
    studio.put("Song/kick.wav")
    studio.put("Song/job.yaml", f"files:\n  - name: kick.wav\n    bytes: {size}\n".encode())
    (admitted,) = studio.look()

    assert "manifest" == admitted.inputs[0]["ready_by"]


@pytest.mark.parametrize(
    "text",
    [
        "files: kick.wav",
        "files: [kick.wav]",
        "files: [{name: ../kick.wav}]",
        "files: [{name: /kick.wav}]",
        "files: [{name: kick.wav, bytes: many}]",
        "files: [{name: kick.wav, sha256: 1}]",
        "a: [",
        "a: 1\na: 2",
    ],
)
def test_bad_settings_refuse_the_drop(studio, text):
    """What job.yaml cannot mean is said, once the folder is quiet."""
    studio.put("Song/kick.wav")
    studio.put("Song/job.yaml", text.encode())
    studio.look()
    (admitted,) = studio.look(5.0)

    assert "SETTINGS_INVALID" == admitted.refusal.code


def test_half_a_file_is_reported_and_then_refused(studio):
    """A person reads how much has come, and a quarter of an hour later what went wrong."""
    data = noise_bytes("wav")
    studio.put("a.wav", data[:1000])
    (sighting,) = studio.look()
    (admitted,) = studio.look(900.0)

    assert ("incomplete", 1000, len(data)) == (
        sighting.wait.reason,
        sighting.inputs[0]["bytes"],
        sighting.inputs[0]["bytes_expected"],
    )
    assert "INPUT_TRUNCATED" == admitted.refusal.code


def test_a_link_is_refused_and_taken_away(studio):
    """A link becomes a failed job; what it names is not read."""
    (studio.folder / "a.wav").symlink_to("/etc/passwd")
    studio.look()
    (admitted,) = studio.look(2.0)

    assert "REFUSED_SYMLINK" == admitted.refusal.code
    assert admitted.place.path.is_symlink()


def test_one_bad_drop_does_not_stop_the_others(studio):
    """Each drop is judged on its own."""
    studio.put("good.wav")
    studio.put("Bad/job.yaml", b"[" * 2000)
    os.mkfifo(studio.folder / "pipe.wav")
    studio.look()
    admitted = studio.look(5.0)

    assert {"good.wav": True, "Bad": False, "pipe.wav": False} == {
        each.place.name: each.refusal is None for each in admitted
    }


def taken(reports):
    return [told.place.name for told in reports if isinstance(told, Admitted)]


def test_who_waits_for_room_is_not_looked_at_in_every_scan(studio):
    """Behind the first that must wait, a look a minute is enough; room is seen at once."""
    for name in ("a", "b"):
        studio.put(f"{name}/kick.wav")
        studio.put(f"{name}/.done", b"")
    studio.closed = "slot"
    studio.look()
    studio.put("b/more.part", b"")

    assert [] == studio.look(30.0)
    assert ["incomplete"] == [told.wait.reason for told in studio.look(31.0)]
    (studio.folder / "b" / "more.part").unlink()
    studio.closed = None
    assert ["a", "b"] == taken(studio.look(5.0))


def test_room_that_opens_in_mid_scan_goes_to_nobody_younger(studio):
    """The oldest gets it at the next look."""
    for name in ("a", "b"):
        studio.put(f"{name}/kick.wav")
        studio.put(f"{name}/.done", b"")
    answers = iter(["slot", None, None, None])
    studio.watcher._scanner._gate = lambda drop: closed_by(next(answers))  # noqa: ARG005 - a gate

    assert [] == [told for told in studio.look() if isinstance(told, Admitted)]
    assert ["a", "b"] == taken(studio.look(1.0))


@pytest.mark.parametrize("reason", ["slot", "disk", "memory"])
def test_a_closed_gate_keeps_the_drop_in_the_inbox(studio, reason):
    """The inbox is the overflow, and the status says why."""
    studio.put("Song/kick.wav")
    studio.put("Song/.done", b"")
    studio.closed = reason
    (sighting,) = studio.look()

    assert reason == sighting.wait.reason
    assert (studio.folder / "Song").is_dir()

    studio.closed = None
    assert isinstance(studio.look()[0], Admitted)


def test_the_oldest_drop_goes_first(studio):
    """When there is room again, it goes to who waited longest, not to whose name is first."""
    studio.closed = "slot"
    for name in ("z", "a"):
        studio.put(f"{name}/kick.wav")
        studio.put(f"{name}/.done", b"")
        studio.look(1.0)
    studio.closed = None

    assert ["z", "a"] == [each.place.name for each in studio.look(1.0)]


def test_a_full_disk_is_said_and_stops_nobody_else(studio):
    """A drop that cannot be taken stays, says why, and comes in when there is room."""

    class Full(Files):
        def rename(self, step, source, target, **more):
            if source.name == "big.wav":
                raise OSError(errno.ENOSPC, "No space left on device")
            super().rename(step, source, target, **more)

    admitter = studio.watcher._scanner._admitter
    studio.watcher._scanner._admitter = replace(admitter, files=Full())
    for name in ("big.wav", "small.wav"):
        studio.put(name)
    studio.look()
    admitted, put_back, sighting = studio.look(2.0)

    assert PutBack("mix", "big.wav") == put_back  # the room that was taken for it is free again
    assert "disk" == sighting.wait.reason
    assert "small.wav" == admitted.place.name
    assert "big.wav: No space left on device" == studio.watcher.health.problem

    studio.watcher._scanner._admitter = admitter
    assert "big.wav" == studio.look(1.0)[0].place.name


def _ready(studio, *names):
    for name in names:
        studio.put(f"{name}/kick.wav")
        studio.put(f"{name}/.done", b"")


def test_a_fault_of_ours_fails_the_drop_that_met_it_and_no_other(studio):
    """It is set aside with a code and the traceback; its neighbours are taken."""
    _ready(studio, "a", "poison", "z")
    faults = iter([ZeroDivisionError("of ours")])

    def gate(drop):
        if drop.name == "poison" and (fault := next(faults, None)):
            raise fault

    studio.watcher._gate = gate
    admitted = {each.place.name: each.refusal for each in studio.look()}

    assert (None, None) == (admitted["a"], admitted["z"])
    fault = Fault.of(admitted["poison"])
    assert "INTERNAL" == fault.code
    assert fault.hint
    assert "of ours" in fault.traceback
    assert "" == studio.watcher.health.problem


@pytest.mark.parametrize("step", ["admit.job", "admit.drop", "admit.aside.drop", "admit.copy"])
def test_a_drop_that_cannot_even_be_failed_stays_and_says_so(studio, step):
    """It lies in the inbox under its name, and is tried again later, not all the time."""
    tries = []

    across = step in ("admit.aside.drop", "admit.copy")

    class Broken(*([OtherDevice] if across else []), Files):
        @contextmanager
        def _step(self, name):
            yield
            if name == step:
                tries.append(name)
                raise RecursionError("of ours")

    admitter = studio.watcher._scanner._admitter
    studio.watcher._scanner._admitter = replace(admitter, files=Broken())
    _ready(studio, "poison")
    told = studio.look()[-1]

    assert "of ours" in told.wait.detail
    assert "of ours" in studio.watcher.health.problem
    assert ["poison"] == os.listdir(studio.folder)  # noqa: PTH208 - names are compared
    assert [] == list((studio.work / "mix").glob("*/*/*"))
    before = len(tries)
    for _ in range(10):
        studio.look(5.0)
    assert before == len(tries)
    assert "of ours" in studio.watcher.health.problem

    studio.watcher._scanner._admitter = admitter
    assert ["poison"] == taken(studio.look(20.0))


def test_a_drop_that_cannot_be_put_back_at_once_is_put_back_later(studio):
    """Nothing stays in a hidden folder because the disk refused twice."""
    refusing = {"admit.copy", "admit.back"}

    class Refusing(OtherDevice, Files):
        @contextmanager
        def _step(self, name):
            if name in refusing:
                raise OSError(errno.EIO, "Input/output error")
            yield

    admitter = studio.watcher._scanner._admitter
    studio.watcher._scanner._admitter = replace(admitter, files=Refusing())
    _ready(studio, "Song")
    studio.look()

    assert "Input/output error" in studio.watcher.health.problem
    refusing.clear()
    assert ["Song"] == taken([*studio.look(1.0), *studio.look(1.0)])


@pytest.mark.usefixtures("emptied")
@pytest.mark.parametrize("across", [False, True], ids=["same device", "other device"])
def test_a_drop_of_any_depth_is_refused_and_kept(studio, across):
    """Deeper than the stack and than any path: it is failed with a code, and whole."""

    class Across(OtherDevice, Files):
        pass

    admitter = studio.watcher._scanner._admitter
    studio.watcher._scanner._admitter = replace(admitter, files=Across() if across else Files())
    dig(studio.folder / "Deep")
    studio.look()
    (admitted,) = studio.look(5.0)

    assert "TOO_DEEP" == admitted.refusal.code
    assert (DEEP, "bottom.wav") == bottom_of(admitted.place.path)
    studio.look()
    assert [] == list(studio.folder.iterdir())


def test_a_path_that_nobody_can_open_is_refused(tmp_path):
    """Limits may allow a depth that no path can have."""
    studio = Studio(tmp_path, Inbox(limits=Limits(depth=100)))
    dig(studio.folder / "Long", 50, "x" * 100)
    dig(studio.folder / "Song", 90)
    studio.look()
    told = [each for each in studio.look(60.0) if isinstance(each, Admitted)]

    assert [("Long", "TOO_DEEP")] == [(each.place.name, each.refusal.code) for each in told]


def test_an_inbox_without_a_watch_is_polled(studio):
    """When the kernel allows no further watch, scans go on and the health report tells."""
    studio.watcher._watch.check = lambda: False
    studio.watcher._watch.problem = "none is left"

    assert 5.0 == studio.watcher.look(woken=False)
    assert "polling" == studio.watcher.health.mode
    assert "none is left" == studio.watcher.health.polling_because


def test_a_pause_holds_everything_back(studio):
    """An empty file is enough to stop an inbox, and its removal to start it."""
    studio.put(".pause", b"")
    studio.put("Song/kick.wav")
    studio.put("Song/.done", b"")
    (sighting,) = studio.look()

    assert "paused" == sighting.wait.reason
    assert studio.watcher.health.paused

    (studio.folder / ".pause").unlink()
    assert isinstance(studio.look()[0], Admitted)


def test_a_drop_taken_back_is_gone(studio):
    """What a person removes from the inbox is forgotten."""
    studio.put("a.wav")
    studio.look()
    (studio.folder / "a.wav").unlink()

    assert [Gone("mix", "a.wav")] == studio.look()


def test_a_missing_inbox_forgets_nothing(studio):
    """An unmounted inbox is no deletion; when it is back, all goes on."""
    studio.put("a.wav")
    studio.look()
    away = studio.folder.rename(studio.folder.with_name("away"))

    assert [] == studio.look(1.0)
    assert "No such file" in studio.watcher.health.problem

    away.rename(studio.folder)
    (admitted,) = studio.look(1.0)
    assert "" == studio.watcher.health.problem
    assert isinstance(admitted, Admitted)


def test_a_cancelled_drop_is_taken_out(studio):
    """A drop that is not wanted any more ends as a cancelled job."""
    studio.put("a.wav")
    studio.look()
    studio.put("a.wav.cancel", b"")
    (admitted,) = studio.look()

    assert admitted.cancelled
    assert ["a.wav.cancel"] == [path.name for path in studio.folder.iterdir()]


def test_a_cancel_for_a_running_job_is_passed_on(studio):
    """The drop is no longer here; the supervisor knows where, and has the file removed."""
    studio.put("Song.cancel", b"")

    assert [CancelAsked("mix", "Song", "Song.cancel")] == studio.look()
    assert ["Song.cancel"] == [path.name for path in studio.folder.iterdir()]


def test_settings_and_marker_go_with_a_drop_whose_accents_are_spelt_differently(studio):
    """They are looked for under the drop's own spelling from then on."""
    studio.put("Gesa\u0308ng.wav")
    studio.put("Ges\u00e4ng.wav.job.yaml", b"force: true\n")
    studio.put("Ges\u00e4ng.wav.done", b"")
    (admitted,) = studio.look()

    assert b"force: true\n" == settings_beside(admitted.place.path).read_bytes()
    assert [] == list(studio.folder.iterdir())


def test_stopping_a_watch_says_nothing(caplog):
    """The library calls it an error when its thread is stopped between two reads."""
    watched = ObservedWatch("/", recursive=False)
    InotifyEmitter(SimpleQueue(), watched).queue_events(0.0)

    assert [] == caplog.records


def test_a_folder_that_comes_again_soon_is_suspected(studio):
    """The second half of a folder that paused is a job of its own, with a warning.

    Not so a second mix of the same stems.
    """
    for stem, expected in (("kick", []), ("kick", []), ("snare", ["POSSIBLE_SPLIT_DROP"])):
        studio.put(f"Song/{stem}.wav")
        studio.put("Song/.done", b"")
        (admitted,) = studio.look(60.0)

        assert expected == [code for code, _ in admitted.warnings]


def exported(studio, stem):
    """Export a stem into the folder of the song; return what is reported once it has settled."""
    studio.put(f"Song/{stem}.wav")
    studio.look(60.0)
    return studio.look(60.0)


def ended(studio, admitted, *, kept=True):
    """Let a job end: its drop comes to rest in the archive, or does not."""
    rest = studio.work.parent / "archive" / admitted.place.job
    rest.parent.mkdir(exist_ok=True)
    admitted.place.path.rename(rest)
    studio.watcher.note_end(admitted.place.job, rest if kept else None)
    return rest


def test_stems_that_come_after_their_folder_was_taken_join_it(studio):
    """They wait for the end of its job, and are one new job with copies of the first ones."""
    (first,) = exported(studio, "kick")
    (waits,) = exported(studio, "snare")
    assert "these join them" in waits.wait.detail

    studio.put("Song/hats.wav")
    archived = ended(studio, first)
    studio.look(60.0)
    (second,) = studio.look(300.0)

    names = ["hats.wav", "kick.wav", "snare.wav"]
    assert names == sorted(path.name for path in second.place.path.iterdir())
    assert names == sorted(one["path"] for one in second.inputs)
    assert ["FILES_JOINED"] == [code for code, _ in second.warnings]
    assert [archived / "kick.wav"] == list(archived.iterdir())
    assert [] == list(studio.folder.iterdir())


def test_restart_forgets_no_folder_that_was_taken(studio):
    """Its latecomers join it all the same, by what its row says."""
    (first,) = exported(studio, "kick")
    studio.watcher._scanner.latecomers = Latecomers(300.0)
    studio.watcher.recall("Song", first.inputs, first.place.job, studio.clock.monotonic_s())
    ended(studio, first)
    (second,) = exported(studio, "snare")

    names = ["kick.wav", "snare.wav"]
    assert names == sorted(path.name for path in second.place.path.iterdir())
    assert names == sorted(one["path"] for one in second.inputs)


def test_third_part_of_a_folder_joins_the_first_two(studio):
    """A session may be exported as slowly as it likes."""
    for stem in ("kick", "snare", "hats"):
        exported(studio, stem)
        (last,) = studio.look() or studio.reports[-1:]
        ended(studio, last)

    assert 3 == len(last.inputs)


@pytest.mark.parametrize(
    "case", ["first said whole", "second said whole", "cancelled", "gone", "late", "off"]
)
def test_folder_whose_name_came_before_is_a_job_of_its_own(studio, case):
    """Where a doubt remains, it is taken alone, with a warning."""
    if case == "first said whole":
        studio.put("Song/.done", b"")
    if case == "off":
        studio.watcher._scanner.latecomers = Latecomers(0.0)
    exported(studio, "kick")
    first = next(one for one in studio.reports if isinstance(one, Admitted))
    rest = ended(studio, first, kept=case != "cancelled")
    if case == "gone":
        (rest / "kick.wav").unlink()
    if case == "late":
        studio.clock.advance(301.0)
    if case == "second said whole":
        studio.put("Song/.done", b"")
    exported(studio, "snare")
    second = [one for one in studio.reports if isinstance(one, Admitted)][-1]

    assert ["snare.wav"] == [one["path"] for one in second.inputs]
    assert ["POSSIBLE_SPLIT_DROP"] == [code for code, _ in second.warnings]


def test_what_is_left_alone_is_said(studio):
    """A file of no known use stays, and the health report names it."""
    studio.put("notes.txt", b"x")
    studio.look()

    assert {"notes.txt": "not a kind of file that this inbox takes"} == (
        studio.watcher.health.left_alone
    )


def test_an_undecodable_name_is_taken(studio):
    """A name from another age is shown with a mark and handled like any other."""
    name = os.fsdecode(b"kick\xff.wav")
    studio.put(name)
    studio.look()
    (admitted,) = studio.look(2.0)

    assert os.fsdecode(b"kick\xff.wav") == admitted.place.name
    assert name == admitted.place.path.name


def test_a_limit_is_of_the_inbox(tmp_path):
    """An operator may narrow what an inbox takes."""
    studio = Studio(tmp_path, Inbox(limits=Limits(bytes=10)))
    studio.put("a.wav")
    studio.look()
    (admitted,) = studio.look(2.0)

    assert "TOO_LARGE" == admitted.refusal.code


def test_numbers_are_told_twice_a_second_at_most(studio):
    """A file that grows in many events does not flood its reader."""
    data = noise_bytes("wav")
    studio.put("a.wav", data[:1000])
    told = len(studio.look())
    for step in range(20):
        studio.put("a.wav", data[: 1001 + step])
        told += len(studio.look(0.0625, woken=True))

    assert 3 == told


def test_rounds_come_more_often_while_something_is_received(studio):
    """An idle inbox is polled every ten seconds, a busy one when something falls due."""
    assert 10.0 == studio.watcher.look(woken=False)

    studio.put("a.wav", noise_bytes("wav")[:1000])
    assert 1.0 == studio.watcher.look(woken=False)

    studio.put("b.wav")
    studio.watcher.look(woken=False)
    studio.clock.advance(1.75)
    assert 0.25 == pytest.approx(studio.watcher.look(woken=False))


def test_events_that_miss_too_much_are_not_trusted(studio):
    """Three drops that only a scan found: from then on we poll, and say so."""
    studio.look()
    studio.clock.now_ms = time.time_ns() // 1_000_000 + 60_000
    for name in ("a.wav", "b.wav", "c.wav"):
        studio.put(name, noise_bytes("wav")[:1000])
    studio.look()

    assert 3 == studio.watcher.health.missed
    studio.look()
    assert "polling" == studio.watcher.health.mode


def test_drops_that_lay_there_at_the_start_are_no_missed_events(studio):
    """Nothing could have announced what came before us."""
    studio.clock.now_ms = time.time_ns() // 1_000_000 + 60_000
    for name in ("a.wav", "b.wav", "c.wav"):
        studio.put(name, noise_bytes("wav")[:1000])
    studio.look()

    assert 0 == studio.watcher.health.missed


def test_a_network_inbox_is_polled_with_patience(studio, monkeypatch):
    """No events are hoped for, and quiet times are those for the network."""
    line = f"36 35 0:40 / {studio.folder} rw - nfs4 server:/x rw\n"
    monkeypatch.setattr(watcher_module, "read_mountinfo", lambda: line)
    studio.put("a.wav")
    studio.look()

    assert "polling" == studio.watcher.health.mode
    assert not any(isinstance(report, Admitted) for report in studio.look(9.0))
    assert isinstance(studio.look(1.0)[0], Admitted)


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        *((kind, False) for kind in ("ext4", "btrfs", "overlay", "fuse.fuse-overlayfs", "fuseblk")),
        *((kind, True) for kind in ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs")),
    ],
)
def test_network_file_systems_are_known(tmp_path, kind, network):
    """Where other machines may write, events do not tell."""
    assert network == is_network(tmp_path, f"1 0 8:1 / / rw - {kind} x rw\n")


def test_the_nearest_mount_counts(tmp_path):
    """Of mounts within mounts, the innermost; of two at one place, the later."""
    (tmp_path / "a b").mkdir()
    text = (
        f"1 0 8:1 / / rw - ext4 x rw\n2 1 8:2 / {tmp_path}/a\\040b rw - nfs x rw\n"
        f"3 1 8:3 / {tmp_path}/a\\040b rw - cifs x rw\nnonsense\n"
    )

    assert "cifs" == kind_of_mount(tmp_path / "a b", text)
    assert "ext4" == kind_of_mount(tmp_path, text)


@pytest.mark.parametrize("how", ["removed and made again", "moved away and made again"])
def test_a_watch_on_a_replaced_folder_is_built_anew(tmp_path, how):
    """The same path is not the same folder; watchdog would not notice."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    watch = Watch(folder, lambda: None)
    watch.check()
    if how.startswith("removed"):
        (emitter,) = watch._observer.emitters
        shutil.rmtree(folder)
        emitter.join(LATE_S)  # it ends with its folder, in silence
    else:
        folder.rename(tmp_path / "away")
    folder.mkdir()
    watch.check()
    built = watch.builds
    watch.check()
    watch.stop()

    assert (2, 2) == (built, watch.builds)


# The rest is the real thing: a thread, events, the machine's clock.


@pytest.fixture
def live(tmp_path):
    before = signal.getsignal(signal.SIGIO)
    studio = Studio(tmp_path, clock=watcher_module.Clock())
    studio.watcher.start()
    # The first round is over and the watch stands when the first scan has been counted.
    until(lambda: studio.watcher.health.scans, "it has looked")
    yield studio
    assert studio.watcher.stop(LATE_S)
    signal.signal(signal.SIGIO, before)


def _arrive(studio, root, name):
    """Rename a marked folder into the inbox."""
    making = root / "making" / name
    making.mkdir(parents=True)
    (making / "kick.wav").write_bytes(noise_bytes("wav"))
    (making / ".done").touch()
    making.rename(studio.folder / name)


def test_an_event_wakes_the_scan(live, tmp_path, monkeypatch):
    """Before the next scan is due, which is never here."""
    for name in ("_LOCAL_S", "_AFTER_TAKING_EVERY_S"):
        monkeypatch.setattr(watcher_module, name, 1e6)
    scans = live.watcher.health.scans
    live.watcher.wake()  # the wait that has begun is the old one
    until(lambda: live.watcher.health.scans > scans, "it has looked")
    for number in range(5):
        _arrive(live, tmp_path, f"Song {number}")
        live.next(Admitted)


def test_a_watch_survives_its_inbox(live, tmp_path):
    """An inbox that is removed and made again is watched again, without a restart."""
    shutil.rmtree(live.folder)
    live.folder.mkdir()
    _arrive(live, tmp_path, "Song")

    assert "Song" == live.next(Admitted).place.name


def test_a_file_being_written_is_not_taken(live):
    """While a writer has the file open it stays, whatever else says that it is whole."""
    with (live.folder / "a.wav").open("wb") as file:
        file.write(noise_bytes("wav"))
        file.flush()
        (live.folder / "a.wav.done").touch()
        # Seen earlier, it may have been empty, or not marked.
        while "has it open for writing" not in live.next(Sighting).wait.detail:
            pass

    assert "a.wav" == live.next(Admitted).place.name


def test_a_watcher_that_was_told_to_stop_takes_nothing_more(studio):
    """It may have hung meanwhile, and another one may watch the inbox by now."""
    for name in ("a", "b"):
        studio.put(f"{name}/kick.wav")
        studio.put(f"{name}/.done", b"")
    studio.watcher._gate = lambda drop: studio.watcher.ask_to_stop()  # noqa: ARG005 - a gate

    studio.watcher._look_safely(woken=False)
    assert ["a"] == taken(studio.reports)


def test_a_watcher_stops_when_told(tmp_path):
    """Stopping ends the thread, also one that never began."""
    studio = Studio(tmp_path, clock=watcher_module.Clock())

    assert studio.watcher.stop()
    assert Path(studio.folder).is_dir()
