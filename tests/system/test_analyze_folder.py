"""A folder of songs through a real daemon: decoders that hang and crash, caches, kill -9."""

import csv
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.daemons import Daemon, settings_for, until
from tests.support.known_songs import song
from tests.support.stems import written
from tests.support.truth import statuses

RATE_HZ = 22_050
GOOD = 9

# In place of the real programs: what a decoder does to a worker, it does for real.
DECODER = """#!/bin/sh
for word in "$@"; do
  case "$word" in
    file:/proc/self/fd/*) path=$(readlink "${word#file:}") ;;
  esac
done
case "$path" in
  *Hang.m4a) kill -STOP $PPID; exec sleep 600 ;;
  *Crash.m4a) kill -SEGV $PPID; exec sleep 600 ;;
esac
exit 1
"""

# As far as ffmpeg writes them: what it is told besides the name.
FORMATS = {
    "16.wav": "",
    "24.wav": "-c:a pcm_s24le",
    "float.wav": "-c:a pcm_f32le",
    "8.wav": "-c:a pcm_u8",
    "long.rf64": "-f wav -rf64 always",
    "sony.w64": "",
    "apple.aiff": "",
    "little.aifc": "-f aiff -c:a pcm_s16le",
    "core.caf": "",
    "free.flac": "",
    "fast.flac": "-ar 96000",
    "vorbis.ogg": "-c:a vorbis -strict -2 -ac 2",
    "free.oga": "-c:a flac -f ogg",
    "opus.opus": "-c:a libopus",
    "three.mp3": "",
    "two.mp2": "",
    "aac.m4a": "",
    "lossless.m4a": "-c:a alac",
    "adts.aac": "",
    "matroska.mka": "-c:a flac",
}

# A whole M4A, as far as its boxes go.
HANGS = b"\0\0\0\x20ftypM4A " + bytes(20) + b"\0\0\0\x08moov" + b"\0\0\0\0mdat" + b"Hang" * 5_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Twelve songs: nine good ones, and one each that hangs, crashes and breaks off."""
    folder = tmp_path_factory.mktemp("songs") / "Album"
    folder.mkdir()
    for place in range(GOOD + 1):
        sound = song(90.0 + 5 * place, seconds=12.0).mono[:, None]
        written(folder / f"{place:02d}.wav", sound, rate_hz=RATE_HZ, subtype="PCM_16")
    cut = folder / f"{GOOD:02d}.wav"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 3 // 4])
    (folder / "Hang.m4a").write_bytes(HANGS)
    (folder / "Crash.m4a").write_bytes(HANGS + b"not")
    return folder


@pytest.fixture
def daemon(fleeting):
    """A daemon that analyses, not started; its decoders of M4A are the ones above."""
    programs = fleeting / "programs"
    programs.mkdir()
    for name in ("ffmpeg", "ffprobe"):
        (programs / name).write_text(DECODER)
        (programs / name).chmod(stat.S_IRWXU)
    settings = settings_for(fleeting / "spool")
    settings["budgets"] |= {"failures": 1, "crashes": 1}
    inbox = settings["inboxes"]["mix"]
    inbox |= {"handler": "daemon.handlers.analyze", "stall_s": 5.0}
    inbox["settling"] |= {"truncated_after_s": 0.1, "settle_unknown_s": 0.05}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    with Daemon(fleeting / "spool", settings, environment={"PATH": path}) as made:
        yield made


def drop(daemon, folder, name):
    shutil.copytree(folder, daemon.root / "staged" / name)
    (daemon.root / "staged" / name).rename(daemon.root / "inbox" / "mix" / name)


def ended(daemon, name):
    return until(
        lambda: (found := statuses(daemon.root).get(name, {})).get("terminal") and found,
        f"{name} has ended",
        180.0,
    )


def table(daemon, name):
    path = daemon.root / "outbox" / "mix" / name / "table.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_bad_songs_are_named_and_the_others_are_right(daemon, songs):
    """A decoder that hangs, one that kills its worker and a file that breaks off harm no other."""
    daemon.start()
    drop(daemon, songs, "Album")
    status = ended(daemon, "Album")
    rows = table(daemon, "Album")

    assert "done" == status["state"]
    assert 12 == len(rows)
    for place in range(GOOD):
        row = rows[f"{place:02d}.wav"]
        assert 90.0 + 5 * place == pytest.approx(float(row["bpm"]), rel=0.01)
        assert ("", "true", "fresh") == (row["error_code"], row["complete"], row["source"])
    assert ("false", "INPUT_DAMAGED") == tuple(
        rows[f"{GOOD:02d}.wav"][name] for name in ("complete", "warnings")
    )
    named = [one["message"] for one in status["warnings"] if one["code"] == "SONG_FAILED"]
    assert ["Crash.m4a", "Hang.m4a"] == sorted(text.partition(": ")[0] for text in named)
    assert ("CRASHED", "STALLED") == tuple(
        rows[f"{name}.m4a"]["error_code"] for name in ("Crash", "Hang")
    )

    for name in ("Hang.m4a", "Crash.m4a", f"{GOOD:02d}.wav"):
        (songs / name).unlink()
    drop(daemon, songs, "Again")
    again = ended(daemon, "Again")

    assert "done" == again["state"]
    assert again["parts"] is None
    assert {"cache"} == {row["source"] for row in table(daemon, "Again").values()}
    bpm = {name: row["bpm"] for name, row in table(daemon, "Again").items()}
    assert bpm == {name: rows[name]["bpm"] for name in bpm}


def test_no_song_is_analysed_again_after_it_was_kept(daemon, songs):
    """The daemon is killed as soon as one more song is kept; what was kept is not written again."""
    kept = daemon.root / "state" / "kept" / "mix"
    good = daemon.root.parent / "good"
    good.mkdir()
    for place in range(GOOD):
        shutil.copy(songs / f"{place:02d}.wav", good)
    daemon.start()
    drop(daemon, good, "Album")
    written_at = {}
    for most in (1, 3, 6):
        until(lambda most=most: len(list(kept.rglob("*.json"))) >= most, "songs are kept")
        daemon.kill()
        now = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
        assert written_at == {path: now[path] for path in written_at}
        written_at = now
        daemon.start()
    status = ended(daemon, "Album")

    assert "done" == status["state"]
    now = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    assert written_at == {path: now[path] for path in written_at}
    assert GOOD == len(now) == len(table(daemon, "Album"))


@pytest.fixture(scope="module")
def every_format(tmp_path_factory):
    """Two songs in each of twenty formats; of real music, where there is some."""
    folder, real = tmp_path_factory.mktemp("formats") / "Forty", os.environ.get("REAL_AUDIO")
    folder.mkdir()
    sources = sorted(Path(real).glob("formats/*.flac"))[:1] if real else []
    for place in range(2 - len(sources)):
        sound = song(90.0 + 30 * place, seconds=14.0).mono[:, None]
        path = folder.parent / f"{place}.wav"
        sources.append(written(path, sound, rate_hz=RATE_HZ, subtype="PCM_16"))
    for place, source in enumerate(sources):
        for name, arguments in FORMATS.items():
            command = ["ffmpeg", "-v", "error", "-t", "14", "-i", source, *arguments.split()]
            subprocess.run([*command, folder / f"{place} {name}"], check=True)
    return folder


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_forty_files_of_every_format_are_each_analysed_once(daemon, every_format):
    """Killed three times meanwhile. All formats of a song agree; dropped again, no part runs."""
    daemon.environment.clear()  # the real programs
    kept = daemon.root / "state" / "kept" / "mix"
    daemon.start()
    drop(daemon, every_format, "Forty")
    written_at = {}
    for most in (1, 13, 26):
        until(lambda most=most: len(list(kept.rglob("*.json"))) >= most, "songs are kept", 300.0)
        daemon.kill()
        now = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
        assert written_at == {path: now[path] for path in written_at}
        written_at = now
        daemon.start()
    status = ended(daemon, "Forty")
    rows = table(daemon, "Forty")

    now = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    assert written_at == {path: now[path] for path in written_at}
    assert ("done", 2 * len(FORMATS)) == (status["state"], len(now))
    for name, row in rows.items():
        assert ("", "true") == (row["error_code"], row["complete"]), name
        assert float(rows[f"{name[0]} 16.wav"]["bpm"]) == pytest.approx(float(row["bpm"]), rel=0.01)

    drop(daemon, every_format, "Again")
    assert ("done", None) == tuple(ended(daemon, "Again")[key] for key in ("state", "parts"))
    assert {"cache"} == {row["source"] for row in table(daemon, "Again").values()}


def test_single_song_gets_its_documents_and_is_known_the_second_time(daemon, songs):
    """No table, no parts; a confined worker can read and write what is kept."""
    daemon.settings["pool"]["confine"] = True
    daemon.start()
    sources = []
    for name in ("One.wav", "Two.wav"):
        shutil.copy(songs / "00.wav", daemon.root / "inbox" / "mix" / name)
        assert "done" == ended(daemon, name)["state"]
        folder = daemon.root / "outbox" / "mix" / name
        document = json.loads((folder / "analysis.json").read_bytes())
        sources.append((document["file"]["name"], document["analysis"]["source"]))

        assert not (folder / "table.csv").exists()
    assert [("One.wav", "fresh"), ("Two.wav", "cache")] == sources


def test_force_of_a_drop_replaces_what_is_kept(daemon, songs):
    """The daemon gives no earlier result, and the handler none that it keeps."""
    kept = daemon.root / "state" / "kept" / "mix"
    daemon.start()
    sources, entries = [], []
    for name in ("One.wav", "Two.wav"):
        if name == "Two.wav":
            (daemon.root / "inbox" / "mix" / f"{name}.job.yaml").write_text("force: true\n")
        shutil.copy(songs / "00.wav", daemon.root / "inbox" / "mix" / name)
        status = ended(daemon, name)
        assert ("done", None) == (status["state"], status["duplicate_of"])
        text = (daemon.root / "outbox" / "mix" / name / "analysis.json").read_bytes()
        sources.append(json.loads(text)["analysis"]["source"])
        entries += [(path, path.stat().st_ino) for path in kept.rglob("*.json")]

    assert ["fresh", "fresh"] == sources
    (first, inode), (second, new) = entries
    assert first == second
    assert inode != new


def test_cancel_keeps_the_songs_that_were_done(daemon, songs):
    """Dropped again, the folder goes on there. A song that hangs keeps the first job going."""
    kept = daemon.root / "state" / "kept" / "mix"
    daemon.settings["inboxes"]["mix"]["stall_s"] = 120.0
    some = daemon.root.parent / "some"
    some.mkdir()
    (some / "Hang.m4a").write_bytes(HANGS)
    for place in range(GOOD):
        shutil.copy(songs / f"{place:02d}.wav", some)
    daemon.start()
    drop(daemon, some, "Album")
    until(lambda: len(list(kept.rglob("*.json"))) >= 3, "songs are kept", 120.0)
    (daemon.root / "inbox" / "mix" / "Album.cancel").touch()

    assert "cancelled" == ended(daemon, "Album")["state"]
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    (some / "Hang.m4a").unlink()
    drop(daemon, some, "Again")
    again = ended(daemon, "Again")
    rows = table(daemon, "Again").values()

    assert "done" == again["state"]
    assert len(before) == [row["source"] for row in rows].count("cache")
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert GOOD == len(rows)


def test_confined_worker_says_why_it_writes_no_copy(daemon):
    """It may start no program; the analysis is whole all the same."""
    daemon.settings["pool"]["confine"] = True
    daemon.settings["inboxes"]["mix"]["options"] = {"tags": "copy"}
    daemon.start()
    sound = song(100.0, seconds=12.0).mono[:, None]
    flac = daemon.root.parent / "One.flac"
    written(flac, sound, rate_hz=RATE_HZ, container="FLAC", subtype="PCM_16")
    shutil.copy(flac, daemon.root / "inbox" / "mix")
    status = ended(daemon, "One.flac")
    (message,) = [o["message"] for o in status["warnings"] if o["code"] == "TAGS_NOT_WRITTEN"]

    assert "done" == status["state"]
    assert "may not be started here" in message
    assert {"data", "peaks", "report"} == {one["role"] for one in status["outputs"]}
