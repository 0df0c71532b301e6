"""The library handler: a folder of real files in, catalogue, page, feed and duplicates out."""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from functools import partial
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import soundfile

from daemon.errors import BadInput, NothingToDo
from daemon.handlers import library
from daemon.handlers.contract import EndedPart, Split, Task
from tests.support.clocks import FakeClock
from tests.support.sample_packs import RATE_HZ, sample_packs, wav
from tests.support.speech_server import serving, words_wav
from tests.support.surroundings import needs
from tests.support.tones import sine


def raised(error):
    raise error


def noise(seconds):
    return np.random.default_rng(1).uniform(-0.5, 0.5, (round(seconds * RATE_HZ), 2))


def stamps(root):
    told = ((path, path.stat()) for path in root.rglob("*"))
    names = ("size", "atime_ns", "mtime_ns", "ctime_ns", "ino")
    return {path: [getattr(one, f"st_{name}") for name in names] for path, one in told}


class Archive:
    """An inbox with a library, as a daemon would work on it; its parts run in this process."""

    def __init__(self, folder):
        self.folder, self.root = folder, folder / "music"
        self.root.mkdir()
        self.kept = folder / "kept"
        self.kept.mkdir()
        self.out = folder / "none"
        self.jobs = 0
        self.splits, self.known = [], []
        self.clock = FakeClock()
        self.clock.now_ms = time.time_ns() // 1_000_000 + 3_600_000  # nothing is young

    def scan(self, text="# nothing is asked for\n", between=lambda: None, **options):
        """Let a drop be handled; return the result and the stages that had parts.

        `between` is what happens between its first parts and its next round.
        """
        self.jobs += 1
        job = self.folder / f"job-{self.jobs}"
        job.mkdir()
        drop = job / "now.scan"
        drop.write_text(text)
        settings, ended, carried, stages = library.Options(**options), (), None, []
        for number in range(8):
            workdir = job / f"out.{number}"
            workdir.mkdir()
            given = {"kept": self.kept, "roots": {"music": self.root}, "carried": carried}
            task = Task(drop.name, drop, workdir, settings, lambda *_: None, round=number,
                        parts=ended, **given)  # fmt: skip
            made = library.handle(task, self.clock)
            if not isinstance(made, Split):
                self.out = workdir
                return made, stages
            stages.append(made.parts[0].options["stage"])
            self.splits.append(made)
            if made.views:
                self.out = workdir
                self.known += self.rows("SELECT count(*) FROM meta")
            carried, given["carried"] = workdir, workdir
            ended = ()
            for place, one in enumerate(made.parts):
                folder = job / f"part.{number}.{place}"
                folder.mkdir()
                did = library.part(Task(drop.name, drop, folder, settings, lambda *_: None,
                                        part=one.options, **given))  # fmt: skip
                notes = [{"code": note.code, "message": note.message} for note in did.notes]
                ended += (EndedPart(one.name, "done", folder, notes=notes),)
            if number == 0:
                between()
        raise AssertionError("it never ends")

    def feed(self):
        text = (self.out / "changes.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def rows(self, query):
        connection = sqlite3.connect(self.out / "catalogue.sqlite")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


@pytest.fixture
def archive(fleeting):
    return Archive(fleeting)


def test_library_of_all_sorts_is_known_whole(archive):
    """24-bit WAV with bext, broken tags, five scripts, strays and tiny files."""
    many = sample_packs(archive.root)
    before = stamps(archive.root)

    result, stages = archive.scan(part_s=0.5)

    assert ["tags", "decode"] == stages
    assert many == result.measurements["files"] == result.measurements["added"]
    assert before == stamps(archive.root)
    names = {os.fsdecode(name): rest for name, *rest in archive.rows(
        """SELECT name, duration_s, length(peaks), integrated_lufs, meta.trouble FROM file
        JOIN meta ON meta.content = file.content"""
    )}  # fmt: skip
    assert many == len(names)
    assert [3.0, 200, pytest.approx(-6.02, abs=0.1), None] == names["Take 1.wav"]
    assert names["Take 1.wav"][2] - 6.02 == pytest.approx(names["노래.wav"][2], abs=0.05)
    assert "INPUT_NOT_AUDIO" == names["not audio.wav"][3]
    assert "INPUT_EMPTY" == names["empty.wav"][3]
    assert [3.0] * 2 == [round(names[name][0], 1) for name in ("latin.wav", "loop.mp3")]
    lines = archive.feed()
    assert many == len(lines) == len({line["to"] for line in lines})
    page = (archive.out / "library.html").read_text()
    told = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    addresses = {
        unquote_to_bytes(folder[len("file://") :] + (dict(enumerate(row)).get(11) or row[0]))
        for _, folder, rows in told["groups"]
        for row in rows
    }
    assert {os.fsencode(path) for path in archive.root.rglob("*") if path.suffix} - {
        os.fsencode(archive.root / "packs/._Take 1.wav")
    } == addresses


def test_file_that_moves_or_comes_back_is_not_examined_again(archive):
    """What is known hangs on bytes: another name costs nothing, and no change makes no result."""
    path = wav(archive.root / "a.wav", noise(2.0))
    archive.scan()
    with pytest.raises(NothingToDo, match="LIBRARY_UNCHANGED"):
        archive.scan()
    path.rename(archive.root / "b.wav")

    result, stages = archive.scan()

    assert (1, 0, []) == (result.measurements["moved"], result.measurements["added"], stages)
    (line,) = archive.feed()
    assert ("moved", "music/a.wav", "music/b.wav") == (line["kind"], line["from"], line["to"])
    assert [(2.0,)] == archive.rows("SELECT duration_s FROM meta")


def test_stems_alike_at_both_ends_are_told_apart_and_equal_sounds_found(archive):
    """Silence at both ends makes one quick id of many stems; full hashes tell, and find copies."""
    quiet = np.zeros((RATE_HZ, 1))
    for name, level in (("bass", 0.1), ("drums", 0.5), ("copy of drums", 0.5)):
        middle = level * sine(RATE_HZ, 0.5, hz=100.0, channels=1)
        wav(archive.root / f"{name}.wav", np.concatenate([quiet, middle, quiet]))
    samples, _ = soundfile.read(archive.root / "drums.wav", dtype="int32")
    wav(archive.root / "drums.flac", samples, "PCM_24")

    result, _ = archive.scan()

    assert 0 == result.measurements["changed"]  # nothing was known of them before
    peaks = dict(archive.rows(
        """SELECT CAST(name AS TEXT), sample_peak_dbfs FROM file
        JOIN meta ON meta.content = file.content"""
    ))  # fmt: skip
    assert peaks["bass.wav"] + 13.98 == pytest.approx(peaks["drums.wav"], abs=0.02)
    with (archive.out / "duplicates.csv").open(newline="") as table:
        groups = [(row["group"], row["same"], row["path"]) for row in csv.DictReader(table)]
    assert [
        ("1", "sound", f"music/{name}") for name in ("copy of drums.wav", "drums.flac", "drums.wav")
    ] == groups


def test_damage_is_told_by_a_full_scan_and_is_no_change(archive):
    """Other bytes under the same size and time, which no scan of times would find."""
    path = wav(archive.root / "a.wav", noise(5.0))
    archive.scan()
    with path.open("r+b") as file:
        file.seek(300_000)
        file.write(bytes(64))
    os.utime(path, (1_700_000_000, 1_700_000_000))

    result, _ = archive.scan("full: true\n")

    assert ["FILE_DAMAGED"] == [note.code for note in result.notes]
    assert [("damaged",)] == archive.rows("SELECT kind FROM change")


def test_header_that_promises_more_than_there_is_is_named(archive):
    """A copy that was cut off: its header says four seconds, its sound two.

    Of one that cannot be decoded at all that is said, and no length.
    """
    damaged = archive.root / "damaged.ogg"
    soundfile.write(damaged, noise(1.0), RATE_HZ)
    data = bytearray(damaged.read_bytes())
    data[data.index(b"vorbis", 60) + 20] ^= 1  # in the page of tags
    damaged.write_bytes(data)
    os.utime(damaged, (1_700_000_000, 1_700_000_000))
    path = wav(archive.root / "cut.wav", noise(4.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    os.utime(path, (1_700_000_000, 1_700_000_000))

    result, _ = archive.scan()

    assert ["DURATION_DIFFERS"] == [note.code for note in result.notes]
    assert ["INPUT_DAMAGED", "INPUT_TRUNCATED"] == [
        trouble for (trouble,) in archive.rows("SELECT trouble FROM meta ORDER BY 1")
    ]


def test_young_file_is_listed_and_examined_later(archive):
    """What may still be written is not decoded; the next run makes up for it."""
    path = wav(archive.root / "a.wav", noise(1.0))
    now_s = archive.clock.now_ms / 1000
    os.utime(path, (now_s, now_s))

    _, first = archive.scan()
    archive.clock.advance(60)
    _, second = archive.scan()

    assert ([], ["tags", "decode"]) == (first, second)


def test_first_tags_do_not_wait_for_those_of_all(archive, monkeypatch):
    """Of a large library a few are done first; each round brings views of what is known then."""
    monkeypatch.setattr("daemon.handlers.library.rounds._FIRST_S", 0.008)
    monkeypatch.setattr("daemon.handlers.library.rounds._GLANCE", 1)
    for number in range(7):
        wav(archive.root / f"{number}/a.wav", noise(0.1 * (number + 1)))

    _, stages = archive.scan(part_s=1e-9, follow=["tags"])

    assert ["tags", "tags", "tags"] == stages
    assert [1, 3, 3] == [len(one.parts) for one in archive.splits]
    assert [
        "tags: 1 file left",
        "tags: 6 files left, 1000.0 a second",
        "tags: 3 files left, 3000.0 a second",
    ] == [one.stage for one in archive.splits]
    assert [(0.0, 1.0), (1 / 7, 4 / 7), (4 / 7, 1.0)] == [one.share for one in archive.splits]
    assert [(0,), (1,), (4,)] == archive.known


def test_nobody_sees_that_files_were_read(archive):
    """Listed, hashed, decoded and analysed: no time of access is new where that may be."""
    (archive.root / ".ndignore").write_text("*.tmp\n")
    for name, subtype in (("a.wav", "PCM_24"), ("b.flac", "PCM_16"), ("c.aiff", "PCM_16")):
        wav(archive.root / name, noise(1.0), subtype)
    for path in archive.root.iterdir():
        os.utime(path, (1_500_000_000, 1_700_000_000))
    before = stamps(archive.root)

    _, stages = archive.scan(follow=["loudness", "analysis"])

    assert ["tags", "decode", "follow"] == stages
    assert before == stamps(archive.root)


def test_folder_that_is_asked_for_is_examined_and_the_rest_waits(archive):
    """Whoever asks for an album does not wait for a thousand others that are due."""
    for name in ("a/1.wav", "b/2.wav"):
        path = wav(archive.root / name, noise(1.0 if name[0] == "a" else 1.5))
        os.utime(path, (archive.clock.now_ms / 1000,) * 2)
    archive.scan()
    archive.clock.advance(60)

    archive.scan("under: music/a\n")
    assert [(1.0,)] == archive.rows("SELECT duration_s FROM meta")
    archive.scan()

    assert [(1.0,), (1.5,)] == archive.rows("SELECT duration_s FROM meta ORDER BY 1")


def test_folder_that_is_asked_for_goes_before_the_rest_of_a_long_scan(archive, monkeypatch):
    """It is done between two rounds; what parts had said of a file of before counts no more."""
    monkeypatch.setattr("daemon.handlers.library.rounds._FIRST_S", 0.008)
    monkeypatch.setattr("daemon.handlers.library.rounds._GLANCE", 1)
    for number in range(5):
        wav(archive.root / f"{number}/a.wav", noise(0.1 * (number + 1)))
    options = {"part_s": 1e-9, "follow": ["tags"]}
    asked = []

    def between():
        (glanced,) = archive.root.glob("0/*.wav")
        wav(glanced, noise(0.7))
        with pytest.raises(KeyboardInterrupt):  # cancelled: seen again, and not examined
            archive.scan("under: music/0\n", between=partial(raised, KeyboardInterrupt), **options)
        archive.scan("under: music/4\n", **options)
        asked.extend(archive.rows("SELECT declared_s FROM meta ORDER BY 1"))

    archive.scan(between=between, **options)

    assert [(0.5,)] == asked
    assert "tags: 1 file left" == archive.splits[2].stage  # of what is asked for
    assert [True, False, False] == [one.gives_way for one in archive.splits[:3]]
    lengths = archive.rows("SELECT declared_s FROM meta ORDER BY 1")
    assert [(0.2,), (0.3,), (0.4,), (0.5,), (0.7,)] == lengths
    assert [f"music/{n}/a.wav" for n in range(5)] == sorted(one["to"] for one in archive.feed())
    assert {"added"} == {one["kind"] for one in archive.feed()}


def test_analysis_that_is_wanted_later_is_made_of_what_is_known(archive):
    """An option that was widened is due for all files, and no other work is done again."""
    wav(archive.root / "a.wav", noise(1.0))
    archive.scan()

    _, stages = archive.scan(follow=["tags", "peaks", "analysis"])

    assert ["follow"] == stages
    ((follow,),) = archive.rows("SELECT follow FROM meta")
    assert {"bpm", "key"} <= json.loads(follow).keys()


@needs("ffmpeg", debian="ffmpeg")
def test_what_nobody_could_decode_is_heard_once_ffmpeg_may(archive):
    """Of an M4A with tags and length alone; until then no run is made for it again and again."""
    source = wav(archive.root / "a.wav", noise(1.0))
    command = ["ffmpeg", "-v", "error", "-i", source, "-c:a", "aac", source.with_suffix(".m4a")]
    subprocess.run(command, check=True)
    source.unlink()
    archive.scan(foreign=False)
    ((trouble, declared_s),) = archive.rows("SELECT trouble, declared_s FROM meta")
    assert ("INPUT_NOT_SUPPORTED", 1.0) == (trouble, pytest.approx(declared_s, abs=0.05))
    with pytest.raises(NothingToDo):
        archive.scan(foreign=False)

    _, stages = archive.scan()

    assert ["decode"] == stages
    assert [(None, 200)] == archive.rows("SELECT trouble, length(peaks) FROM meta")


def test_what_is_said_is_written_down_once_and_found_on_the_page(archive):
    """A transcriber that is away holds up nothing; the next run asks for what it lacks, alone."""
    data, truth = words_wav(6)
    for name in ("talk", "copy of talk"):
        (archive.root / f"{name}.wav").write_bytes(data)
        os.utime(archive.root / f"{name}.wav", (1_700_000_000, 1_700_000_000))
    with serving(archive.folder / "server", "401", repeat=True) as server:
        asked = {"endpoint": server.url, "detector": "energy"}
        result, _ = archive.scan(follow=["peaks", "transcript"], transcript=asked)
        assert ["SPEECH_REFUSED_KEY"] == [note.code for note in result.notes]
        server.script()
        before = len(server.journal())

        result, stages = archive.scan(follow=["peaks", "transcript"], transcript=asked)

        assert (["transcript"], 1) == (stages, len(server.journal()) - before)
    ((told,),) = archive.rows("SELECT transcript FROM meta")
    said = " ".join(text for _, _, text in json.loads(told)["segments"])
    assert [f"w{number}" for number, _ in truth] == said.split()
    assert f'"{said}"' in (archive.out / "library.html").read_text()


def test_all_that_is_said_is_written_down_by_hand_too(archive):
    """Without a daemon the parts are done one after the other, those after the first one, too."""
    for number in (3, 4):
        (archive.root / f"{number}.wav").write_bytes(words_wav(number)[0])
    archive.out = archive.folder / "out"
    archive.out.mkdir()
    with serving(archive.folder / "server") as server:
        asked = {"endpoint": server.url, "detector": "energy"}
        settings = library.Options(follow=["transcript"], transcript=asked, settle_s=0, part_s=1e-9)
        made = library.handle(Task("music", archive.root, archive.out, settings, lambda *_: None))

    assert 2 == made.measurements["files"]
    with closing(sqlite3.connect(archive.out / "catalogue.sqlite3")) as connection:
        rows = connection.execute("SELECT transcript IS NOT NULL FROM meta").fetchall()
    assert [(1,), (1,)] == rows


def test_large_library_has_a_page_for_each_top_folder(archive, monkeypatch):
    """A page that no browser would open is cut; the first one leads to the others."""
    monkeypatch.setattr("daemon.handlers.library.views.MOST_ROWS", 3)
    for number in range(6):
        wav(archive.root / f"{number % 2}/deep/{number}.wav", noise(0.1))

    archive.scan()

    first = (archive.out / "library.html").read_text()
    assert ["library-0001.html", "library-0002.html"] == re.findall(
        r'href="(library-\d+.html)"', first
    )
    assert "music/1/deep" in (archive.out / "library-0002.html").read_text()


@pytest.mark.parametrize("text", ["under: ../x\n", "full: perhaps\n", "undr: a\n", "[1, 2]\n"])
def test_drop_that_cannot_be_understood_is_refused(archive, text):
    """A scan that would not do what it says is not made."""
    with pytest.raises(BadInput):
        archive.scan(text)


def test_disk_that_was_exchanged_waits_for_somebody_to_say_so(archive):
    """``accept_removals`` makes what is there the library."""
    for number in range(30):
        wav(archive.root / f"{number}.wav", noise(0.05))
    archive.scan()
    shutil.rmtree(archive.root)
    archive.root.mkdir()
    wav(archive.root / "other.wav", noise(0.06))
    with pytest.raises(BadInput, match="ROOT_CHANGED"):
        archive.scan()

    result, _ = archive.scan("accept_removals: true\n")

    assert (1, 30) == (result.measurements["files"], result.measurements["removed"])
