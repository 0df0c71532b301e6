"""Episodes: what is asked for, what is kept, and what comes out."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from daemon.errors import BadInput, Postponed
from daemon.handlers import podcast
from daemon.handlers.contract import Task
from daemon.handlers.speech.voices import judge
from dsp.episode.narration import RATE_HZ, Spoken, narrate
from dsp.episode.tags import Chapter, id3_tag
from tests.support.daemons import Daemon, settings_for, until
from tests.support.speech_server import serving

needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="needs espeak-ng")
needs_ffprobe = pytest.mark.skipif(not shutil.which("ffprobe"), reason="needs ffprobe")

PIECES = 100


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


@needs_ffprobe
def test_chapters_are_read_by_others(tmp_path):
    chapters = [Chapter(0.0, 1.5, "Größe"), Chapter(1.5, 3.0, "B")]
    voiced(tmp_path / "s.wav", 3.0, 0.5)
    spoken = [Spoken(tmp_path / "s.wav", "", 0.0)]
    narrate(spoken, tmp_path, tmp_path / "s.mp3", format="mp3", report=lambda _: None)
    tag = id3_tag(title="T" * 200, author="A", chapters=chapters)
    (tmp_path / "t.mp3").write_bytes(tag + (tmp_path / "s.mp3").read_bytes())

    command = ["ffprobe", "-v", "error", "-of", "json", "-show_chapters", "-show_format"]
    said = json.loads(subprocess.check_output([*command, str(tmp_path / "t.mp3")]))

    told = [(one["start"], one["end"], one["tags"]["title"]) for one in said["chapters"]]
    assert [(0, 1500, "Größe"), (1500, 3000, "B")] == told
    assert ("T" * 200, "A") == (said["format"]["tags"]["title"], said["format"]["tags"]["artist"])


@needs_espeak
@pytest.mark.parametrize("kind", ["mp3", "opus"])
def test_article_becomes_an_episode_and_again_from_what_is_kept(tmp_path, kind):
    made = podcast.handle(task_of(tmp_path, article(4), format=kind))
    again = podcast.handle(task_of(tmp_path, article(4), format=kind))

    assert made.measurements["integrated_lufs"] == pytest.approx(-16.0, abs=0.1)
    assert (0, 4) == (made.measurements["cached"], again.measurements["cached"])
    assert {one.path for one in made.outputs} == {one.name for one in (tmp_path / "out").iterdir()}


@needs_espeak
def test_voice_that_espeak_lacks_is_the_drops_fault(tmp_path):
    with pytest.raises(BadInput, match="VOICE_UNKNOWN"):
        podcast.handle(task_of(tmp_path, "Hello.", voice="nobody"))


@pytest.mark.parametrize(("seconds", "level"), [(3.0, 0.0), (60.0, 0.5), (0.05, 0.5)])
def test_sound_that_cannot_be_the_text_is_not_kept(tmp_path, seconds, level):
    with pytest.raises(Postponed, match="SPEECH_BAD_ANSWER"):
        judge(voiced(tmp_path / "a.wav", seconds, level, silence_s=0.0), 10.0)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    with pytest.raises(Postponed, match="SPEECH_BAD_ANSWER"):
        judge(tmp_path / "b.wav", 10.0)


def texts_of(lines):
    return [one["text"] for one in lines if one["path"].endswith("/audio/speech")]


def talking(tmp_path, server, at_once):
    settings = settings_for(tmp_path / "spool")
    inbox = settings["inboxes"]["mix"]
    inbox["handler"] = "daemon.handlers.podcast"
    inbox["settling"] |= {"settle_unknown_s": 0.2}
    inbox["options"] = {"endpoint": server.url, "at_once": at_once, "voice": "anna"}
    inbox["allow"] = {"network": [f"127.0.0.1:{server.port}"]}
    return Daemon(tmp_path / "spool", settings)


def test_killed_in_the_middle_it_asks_for_the_others_only(tmp_path):
    """A piece that was kept is not asked for again; those under way, `at_once` at most, may be."""
    at_once = 3
    with (
        serving(tmp_path / "server", seconds=0.02) as server,
        talking(tmp_path, server, at_once) as daemon,
    ):
        daemon.start()
        (tmp_path / "a.md").write_text(article(PIECES))
        (tmp_path / "a.md").rename(tmp_path / "spool" / "inbox" / "mix" / "a.md")
        until(lambda: len(texts_of(server.journal())) >= 60, "sixty pieces were asked for")
        daemon.kill()
        kept = len(list((tmp_path / "spool").rglob("[0-9a-f]" * 64 + ".wav")))
        before = len(texts_of(server.journal()))
        daemon.start()
        until(
            lambda: any((tmp_path / "spool" / "outbox" / "mix").glob("*/episode.mp3")), "it is made"
        )
        asked = texts_of(server.journal())

    assert kept >= 60 - at_once
    assert len(asked) - before == PIECES - kept
    assert len(asked) <= PIECES + at_once


def test_voice_that_the_server_lacks_is_refused_with_its_list(tmp_path):
    with (
        serving(tmp_path / "server") as server,
        pytest.raises(BadInput, match=r"VOICE_UNKNOWN.*anna, bert"),
    ):
        podcast.handle(task_of(tmp_path, "Hello.", endpoint=server.url, voice="carl"))

    assert [] == texts_of(server.journal())


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
