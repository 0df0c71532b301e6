"""Episodes: what is asked for, what is kept, and what comes out."""

import json
import os
import random
import shutil
import struct
import subprocess
import zlib
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from daemon.errors import BadInput, Postponed
from daemon.handlers import podcast
from daemon.handlers.contract import Task
from daemon.handlers.grants import Grants
from daemon.handlers.pruning import prune
from daemon.handlers.speech.client import Limits, SpeechClient
from daemon.handlers.speech.speaking import Wish, speak
from daemon.handlers.speech.voices import Cache, Server, fault_of
from dsp.episode.narration import RATE_HZ, Spoken, narrate
from dsp.episode.tags import Chapter, Tags, put_tags
from dsp.mixing.joining.level import heard_of
from tests.support.daemons import Daemon, read_json, settings_for, until
from tests.support.speech_server import serving

needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng")
needs_ffprobe = pytest.mark.skipif(not shutil.which("ffprobe"), reason="needs ffprobe")

PIECES = 100
AT_ONCE = 3


def article(pieces):
    return "# Bells\n\n" + "\n\n".join(f"Paragraph {n} tells of bells." for n in range(pieces - 1))


def task_of(tmp_path, text, name="a.md", **options):
    source, workdir, kept = tmp_path / name, tmp_path / "out", tmp_path / "kept"
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir()
    kept.mkdir(exist_ok=True)
    source.write_text(text)
    given = podcast.Options(**options)
    return Task("a", source, workdir, given, lambda *_: None, kept=kept)


def voiced(path, seconds, level, *, silence_s=0.5, rate_hz=22_050):
    edge = np.zeros(round(silence_s * rate_hz))
    body = level * np.sin(0.2 * np.arange(round(seconds * rate_hz)))
    soundfile.write(path, np.concatenate([edge, body, edge]), rate_hz, subtype="PCM_16")
    return path


def test_pauses_are_those_that_were_asked_for_and_voices_are_matched(tmp_path):
    first = Spoken(voiced(tmp_path / "1.wav", 2.0, 0.5), "a", 0.0)
    second = Spoken(voiced(tmp_path / "2.wav", 2.0, 0.02), "b", 0.4)
    out = tmp_path / "e.mp3"

    made = narrate([first, second], tmp_path, out, format="mp3", report=lambda _: None)

    sound, rate_hz = soundfile.read(out)
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    gap_s = np.diff(loud).max() / rate_hz
    (start, end), (again, _) = made.spans_s
    levels = [
        np.abs(sound[round(at * RATE_HZ) :][:RATE_HZ]).max() for at in (start + 0.5, again + 0.5)
    ]
    assert gap_s == pytest.approx(0.4, abs=0.005)
    assert again - end == pytest.approx(0.4, abs=0.005)
    assert levels[0] == pytest.approx(levels[1], rel=0.1)
    assert made.integrated_lufs == pytest.approx(-16.0, abs=0.1)
    assert made.true_peak_dbtp <= -1.0


def png(side):
    """A picture that cannot be packed: more than one page of Ogg."""
    rows = b"".join(b"\0" + random.Random(y).randbytes(3 * side) for y in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@needs_ffprobe
@pytest.mark.parametrize("kind", ["mp3", "opus", "m4b"])
def test_tags_chapters_and_cover_are_read_by_others(tmp_path, kind):
    chapters = [Chapter(0.0, 1.5, "Größe; = #\\"), Chapter(1.5, 3.0, "B")]
    voiced(tmp_path / "s.wav", 3.0, 0.5)
    spoken = [Spoken(tmp_path / "s.wav", "", 0.0)]
    source, target = tmp_path / f"s.{kind}", tmp_path / f"t.{kind}"
    made = narrate(spoken, tmp_path, source, format=kind, report=lambda _: None)
    picture = png(300)
    assert put_tags(source, Tags("T" * 200, "A", chapters, picture, "image/png"), target)

    command = ["ffprobe", "-v", "error", "-of", "json", "-show_chapters", "-show_format"]
    said = json.loads(subprocess.check_output([*command, "-show_streams", str(target)]))
    cover = ["ffmpeg", "-v", "error", "-i", target, "-map", "0:v", "-c", "copy", "-f", "image2pipe"]

    told = [(float(one["start_time"]), one["tags"]["title"].strip()) for one in said["chapters"]]
    words = said["format"].get("tags") or said["streams"][0]["tags"]
    words = {name.lower(): text for name, text in words.items()}
    assert [(0.0, "Größe; = #\\"), (1.5, "B")] == told
    assert ("T" * 200, "A") == (words["title"], words["artist"])
    assert picture == subprocess.check_output([*cover, "pipe:1"])
    assert made.integrated_lufs == pytest.approx(-16.0, abs=0.1)
    assert made.true_peak_dbtp <= -1.0
    assert heard_of(target) == (made.integrated_lufs, made.true_peak_dbtp)


@needs_espeak
@needs_ffprobe
@pytest.mark.parametrize("kind", ["mp3", "opus", "m4b"])
def test_article_becomes_an_episode_and_again_from_what_is_kept(tmp_path, kind):
    made = podcast.handle(task_of(tmp_path, article(4), format=kind))
    again = podcast.handle(task_of(tmp_path, article(4), format=kind))

    assert made.measurements["integrated_lufs"] == pytest.approx(-16.0, abs=0.1)
    assert (0, 4) == (made.measurements["cached"], again.measurements["cached"])
    assert {one.path for one in made.outputs} == {one.name for one in (tmp_path / "out").iterdir()}


def test_format_that_takes_a_program_is_refused_where_that_is_not_granted(tmp_path):
    task = replace(task_of(tmp_path, "Hello.", format="m4b"), grants=Grants())

    assert {"espeak-ng", "ffmpeg"} == podcast.USES(task.options)
    with pytest.raises(BadInput, match="FORMAT_NOT_GRANTED"):
        podcast.handle(task)


@needs_espeak
@needs_ffprobe
def test_cover_that_ffmpeg_cannot_read_costs_no_episode(tmp_path):
    task = task_of(tmp_path, "Hello.", format="m4b")
    folder = tmp_path / "drop"
    folder.mkdir()
    task.source.rename(folder / "a.md")
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff and no picture")

    made = podcast.handle(replace(task, source=folder))

    assert ["COVER_NOT_USED"] == [note.code for note in made.notes]
    assert {one.path for one in made.outputs} == {one.name for one in (tmp_path / "out").iterdir()}


@needs_espeak
def test_voice_that_espeak_lacks_is_the_drops_fault(tmp_path):
    with pytest.raises(BadInput, match="VOICE_UNKNOWN"):
        podcast.handle(task_of(tmp_path, "Hello.", voice="nobody"))


@pytest.mark.parametrize(("seconds", "level"), [(3.0, 0.0), (60.0, 0.5), (0.05, 0.5)])
def test_sound_that_cannot_be_the_text_is_not_kept(tmp_path, seconds, level):
    assert fault_of(voiced(tmp_path / "a.wav", seconds, level, silence_s=0.0), 10.0)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    assert fault_of(tmp_path / "b.wav", 10.0)


def texts_of(lines):
    return [one["text"] for one in lines if one["path"].endswith("/audio/speech")]


def talking(tmp_path, **servers):
    """Return a daemon with an inbox for each server."""
    given = settings_for(tmp_path / "spool", pool={"slots": 3})
    settling = given["inboxes"]["mix"]["settling"] | {"settle_unknown_s": 0.05}
    given["inboxes"] = {
        name: {
            "handler": "daemon.handlers.podcast",
            "settling": dict(settling),  # YAML would write an alias
            "options": {
                "endpoint": url,
                "at_once": AT_ONCE,
                "voice": "anna",
                "pause_s": 0.1,
                "request_s": 5.0,
            },
            "allow": {"network": [url.removeprefix("http://")]},
        }
        for name, url in servers.items()
    }
    return Daemon(tmp_path / "spool", given)


def drop(tmp_path, inbox, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / name).rename(tmp_path / "spool" / "inbox" / inbox / name)


def status_of(tmp_path, inbox, name):
    return read_json(tmp_path / "spool" / "outbox" / inbox / f"{name}.status.json")


def stage_of(tmp_path, inbox, name):
    return (status_of(tmp_path, inbox, name).get("stage") or {}).get("name", "")


@pytest.mark.slow
def test_killed_at_piece_60_it_asks_for_the_others_only(tmp_path):
    """The server hangs at piece 7, which costs it a try; no piece that is kept is asked for."""
    faults = ["good"] * 7 + ["hang"]  # the first request is for the list of voices
    with (
        serving(tmp_path / "server", *faults, seconds=0.02, spoken_s=0.2) as server,
        talking(tmp_path, talk=server.url) as daemon,
    ):
        daemon.start()
        drop(tmp_path, "talk", "a.md", article(PIECES))
        until(lambda: len(texts_of(server.journal())) >= 60, "sixty pieces were asked for")
        daemon.kill()
        kept = len(list((tmp_path / "spool").rglob("[0-9a-f]" * 64 + ".wav")))
        before = texts_of(server.journal())
        daemon.start()
        until(lambda: status_of(tmp_path, "talk", "a.md").get("state") == "done", "it is made")
        asked, at_once = texts_of(server.journal()), {one["at_once"] for one in server.journal()}
        (hung,) = [one["text"] for one in server.journal() if one["fault"] == "hang"]
        said = status_of(tmp_path, "talk", "a.md")["measurements"]

    again = {text for text in before if asked.count(text) > before.count(text)}
    assert kept >= len(set(before)) - AT_ONCE
    assert PIECES - kept == len(asked) - len(before) <= 40 + 1 + AT_ONCE
    assert len(again - {hung}) <= AT_ONCE  # those that were under way
    assert max(at_once) == AT_ONCE
    assert (PIECES, kept) == (said["pieces"], said["cached"])


def test_dead_server_holds_up_only_its_own_article(tmp_path):
    """Two episodes appear; the third waits in the queue, and says for what and until when."""
    with serving(tmp_path / "gone") as gone:
        dead = gone.url
    with (
        serving(tmp_path / "server") as server,
        talking(tmp_path, talk=server.url, dead=dead) as daemon,
    ):
        daemon.settings["budgets"] |= {"backoff_s": 600.0, "backoff_max_s": 600.0}
        daemon.start()
        drop(tmp_path, "dead", "c.md", article(4))
        for name in ("a.md", "b.md"):
            drop(tmp_path, "talk", name, article(4))
        for name in ("a.md", "b.md"):
            until(lambda name=name: status_of(tmp_path, "talk", name).get("state") == "done", name)

        def postponed():
            found = status_of(tmp_path, "dead", "c.md")
            return (found.get("wait") or {}).get("reason") == "retry" and found

        found = until(postponed, "the third is postponed")

    assert ("queued", 1) == (found["state"], found["attempt"])
    assert "cannot be reached" in found["wait"]["detail"]
    assert found["wait"]["until"] is not None


@pytest.mark.slow
def test_stop_in_mid_request_drains_and_keeps_what_is_answered(tmp_path):
    """A server that hangs does not hold the daemon; later only what is missing is asked for."""
    with (
        serving(tmp_path / "server", *["good"] * 4, *["hang"] * AT_ONCE) as server,
        talking(tmp_path, talk=server.url) as daemon,
    ):
        daemon.settings["drain_s"] = 0.5
        daemon.settings["inboxes"]["talk"]["options"]["request_s"] = 60.0
        daemon.start()
        drop(tmp_path, "talk", "a.md", article(8))
        until(lambda: len(server.journal()) == 4 + AT_ONCE, "requests hang")
        until(lambda: "speak: piece 4 of 8" in stage_of(tmp_path, "talk", "a.md"), "it says where")
        assert 0 == daemon.stop(30.0)
        assert not status_of(tmp_path, "talk", "a.md")["terminal"]
        daemon.start()
        until(lambda: status_of(tmp_path, "talk", "a.md").get("state") == "done", "it is made")
        asked = texts_of(server.journal())

    assert 8 + AT_ONCE == len(asked)


@pytest.mark.slow
def test_job_that_does_not_move_is_ended_and_says_where_it_hung(tmp_path):
    """A limit of the inbox, below those of a request: which piece, and for how long."""
    with (
        serving(tmp_path / "server", "good", "good", *["hang"] * 99) as server,
        talking(tmp_path, talk=server.url) as daemon,
    ):
        inbox = daemon.settings["inboxes"]["talk"]
        inbox["options"] |= {"request_s": 60.0, "at_once": 1}
        inbox["no_progress_s"] = 5.0
        daemon.settings["budgets"]["failures"] = 1
        daemon.start()
        drop(tmp_path, "talk", "a.md", article(4))
        until(lambda: status_of(tmp_path, "talk", "a.md").get("state") == "failed", "it is ended")
        error = status_of(tmp_path, "talk", "a.md")["error"]

    assert "NO_PROGRESS" == error["code"]
    assert "no progress for 5 s, in stage speak: piece 2 of 4 (“Paragraph 0" in error["message"]


def test_piece_that_hangs_is_named(tmp_path):
    """With how long it was waited for; a job that only waits moves, as often as it tries."""
    said = []
    with serving(tmp_path / "server", "good", "hang", "hang") as server:
        client = SpeechClient(server.url, limits=Limits(tries_s=(0.0, 0.1)))
        cache = Cache(tmp_path / "kept", Server(client, "m", "n", request_s=0.2))
        wishes = [Wish("Bells.", "anna"), Wish("Paragraph 0 tells of bells.", "anna")]
        with pytest.raises(
            Postponed, match=r"piece 2 of 2 \(“Paragraph 0.*asked for .* s ago"
        ) as why:
            speak(wishes, cache, speed=1.0, at_once=1, report=lambda *one: said.append(one))

    assert "SPEECH_TIMED_OUT" == why.value.code
    assert "speak: piece 2 of 2" in said[-1][0]


def test_voice_that_the_server_lacks_is_refused_with_its_list(tmp_path):
    with (
        serving(tmp_path / "server") as server,
        pytest.raises(BadInput, match=r"VOICE_UNKNOWN.*anna, bert"),
    ):
        podcast.handle(task_of(tmp_path, "Hello.", endpoint=server.url, voice="carl"))

    assert [] == texts_of(server.journal())


def folder_task(tmp_path, text, **options):
    task = task_of(tmp_path, "", name="unused.md", **options)
    folder = tmp_path / "drop"
    folder.mkdir(exist_ok=True)
    (folder / "a.md").write_text(text)
    return replace(task, source=folder)


def test_music_beside_the_article_is_heard_and_chapters_move(tmp_path):
    """What is called intro, or is named; the rest is not, and a note says so."""
    with serving(tmp_path / "server", spoken_s=0.5) as server:
        text = "---\nbed: under.wav\n---\n# One\n\nA word.\n\n# Two\n\nMore."
        task = folder_task(tmp_path, text, endpoint=server.url, voice="anna")
        for name in ("Intro.wav", "under.wav", "other.wav"):
            voiced(tmp_path / "drop" / name, 4.0, 0.2, silence_s=0.0)
        made = podcast.handle(task)

    sound, rate_hz = soundfile.read(task.workdir / "episode.mp3")
    starts = json.loads((task.workdir / "chapters.json").read_text())["chapters"]
    assert (2, "other.wav: not mixed in") == (sound.shape[1], made.notes[0].message)
    assert len(sound) / rate_hz == pytest.approx(made.measurements["duration_s"], abs=0.01)
    assert 0.0 == starts[0]["startTime"]
    assert starts[1]["startTime"] > 4.0 - 1.0  # the intro, without what overlaps


@pytest.mark.parametrize(
    ("music", "code"),
    [("../a.wav", "FRONT_MATTER_INVALID"), ("a.wav", "MUSIC_NOT_FOUND"), ("b.wav", "INPUT_")],
)
def test_music_that_cannot_be_used_is_told_before_anything_is_paid(tmp_path, music, code):
    with serving(tmp_path / "server") as server:
        task = folder_task(tmp_path, f"---\nintro: {music}\n---\nA word.", endpoint=server.url)
        (tmp_path / "drop" / "b.wav").write_bytes(b"RIFF, but no more")
        voiced(tmp_path / "a.wav", 1.0, 0.2)
        with pytest.raises(BadInput, match=code):
            podcast.handle(task)

    assert [] == server.journal()


def test_dead_server_costs_no_piece_that_was_spoken(tmp_path):
    """It is postponed; what was kept is there the next time."""
    with serving(tmp_path / "server") as server:
        task = task_of(tmp_path, article(6), endpoint=server.url, voice="anna", at_once=1)
        server.script(*["good"] * 4, "401", "401", "401")
        with pytest.raises(Postponed, match="SPEECH_REFUSED_KEY"):
            podcast.handle(task)
        server.script()
        made = podcast.handle(task)
        texts = texts_of(server.journal("asked"))

    answered = ("Bells", "Paragraph 0 tells of bells.", "Paragraph 1 tells of bells.")
    assert made.measurements["cached"] == len(answered)
    assert {1} == {texts.count(text) for text in answered}


def test_pieces_beyond_the_size_go_but_not_those_of_these_days(tmp_path):
    """What was not read for longest goes first."""
    now_s = 1e9
    for day, name in enumerate(("today", "yesterday", "last-week", "last-month")):
        (tmp_path / name).write_bytes(bytes(1 << 20))
        then = now_s - {0: 0, 1: 1, 2: 7, 3: 30}[day] * 86_400
        os.utime(tmp_path / name, (then, then))
    prune(tmp_path, 3.0, now_s=now_s)
    some = {path.name for path in tmp_path.iterdir()}
    prune(tmp_path, 0.0, now_s=now_s)

    assert {"today", "yesterday", "last-week"} == some
    assert {"today", "yesterday"} == {path.name for path in tmp_path.iterdir()}
