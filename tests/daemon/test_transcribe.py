"""``transcribe`` against a server that always tells the truth, or does not answer at all."""

import io
import json
import random
import subprocess
import sys
import wave
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from daemon.errors import BadInput, NothingToDo, Postponed
from daemon.handlers import transcribe
from daemon.handlers.contract import Task
from daemon.handlers.speech import transcript
from daemon.handlers.speech.answers import Segment, Word
from daemon.handlers.speech.client import Limits, SpeechClient
from daemon.handlers.speech.engines import engine_of
from daemon.handlers.speech.sound import RATE_HZ, Piece, pieces_of
from tests.support.crew import ROOT
from tests.support.daemons import Daemon, read_json, settings_for, until
from tests.support.speech_server import serving, truth_of, words_wav
from tests.support.spools import schema

KEY = "sk-a-secret-of-the-transcript"


def options(server, **more):
    given = {"endpoint": server.url, "detector": "energy", **more}
    return transcribe.Options.model_validate(given)


def done_by_hand(tmp_path, server, data, name="talk.wav", **more):
    source, out = tmp_path / name, tmp_path / "out"
    source.write_bytes(data)
    out.mkdir()
    task = Task(name, source, out, options(server, **more), lambda *_: None)
    return transcribe.handle(task), out


def words_of(document):
    return [word for one in document["segments"] for word in one["words"]]


def test_no_word_is_lost_or_doubled_and_times_are_the_sources(tmp_path):
    """Two minutes of words in several pieces: each comes once, within 50 ms of its place."""
    data, truth = words_wav(300)
    with serving(tmp_path / "server") as server:
        result, out = done_by_hand(tmp_path, server, data)
        assert len(server.journal()) == result.measurements["pieces"] > 3
    found = words_of(json.loads((out / "transcript.json").read_text()))

    assert [f"w{number}" for number, _ in truth] == [word["text"] for word in found]
    assert 0.05 > max(abs(word["start"] - at) for word, (_, at) in zip(found, truth, strict=True))


def test_shipped_schema_is_the_documents():
    """``transcript-1.json`` says of the document what the document is."""
    shipped = Path(transcript.__file__).with_name("transcript-1.json").read_text()

    assert transcript.Transcript.model_json_schema(mode="serialization") == json.loads(shipped)


def test_random_cuts_lose_and_double_no_word():
    """Pieces that overlap share words; each belongs to the one that holds its middle."""
    data, truth = words_wav(120, pause_every=1_000)
    with wave.open(io.BytesIO(data)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    dice = random.Random(16)
    for _ in range(100):
        cut = dice.randrange(RATE_HZ, len(samples) - RATE_HZ)
        overlap = RATE_HZ // 2
        found = []
        for piece in (
            Piece(0, cut + overlap, 0, cut),
            Piece(cut - overlap, len(samples), cut, len(samples)),
        ):
            part = io.BytesIO()
            with wave.open(part, "wb") as out:
                out.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
                out.writeframes(samples[piece.start : piece.end].tobytes())
            said = truth_of(part.getvalue())
            words = tuple(Word(w["start"], w["end"], w["word"]) for w in said["words"])
            whole = Segment(0.0, said["duration"], said["text"], None, words)
            found += transcript.placed([whole], piece)
        texts = [word.text for one in found for word in one.words]
        assert [f"w{number}" for number, _ in truth] == texts


def test_long_speech_is_cut_into_pieces_of_at_most_30_s():
    """Without any silence the pieces overlap; their cores cover it once."""
    samples = (8_000 * np.sin(np.arange(100 * RATE_HZ) * 0.3)).astype(np.int16)
    samples = np.concatenate([np.zeros(RATE_HZ * 12, np.int16), samples])
    pieces = pieces_of(samples, "energy", lambda _: None)

    assert 30 * RATE_HZ >= max(piece.end - piece.start for piece in pieces)
    assert [one.core_end for one in pieces[:-1]] == [one.core_start for one in pieces[1:]]


@pytest.mark.parametrize("samples", [np.zeros(5 * RATE_HZ, np.int16), np.zeros(0, np.int16)])
def test_silence_has_no_pieces(samples):
    """Digital silence, and nothing at all."""
    assert [] == pieces_of(samples, "energy", lambda _: None)


def test_silent_recording_is_nothing_to_do(tmp_path):
    """No request is made for it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(bytes(64_000))
    with serving(tmp_path / "server") as server:
        with pytest.raises(NothingToDo) as raised:
            done_by_hand(tmp_path, server, file.getvalue())
        assert [] == server.journal()

    assert "NO_SPEECH" == raised.value.code


def test_each_channel_is_a_speaker(tmp_path):
    """A stereo interview: who is on the left says the even words."""
    left, _ = words_wav(8)
    with wave.open(io.BytesIO(left)) as file:
        mono = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    both = np.stack([np.pad(mono, (0, len(mono))), np.pad(mono, (len(mono), 0))], axis=1)
    stereo = io.BytesIO()
    with wave.open(stereo, "wb") as out:
        out.setparams((2, 2, 16_000, 0, "NONE", ""))
        out.writeframes(both.astype("<i2").tobytes())
    with serving(tmp_path / "server") as server:
        _, out = done_by_hand(tmp_path, server, stereo.getvalue(), speakers="channels")

    text = (out / "transcript.txt").read_text()
    assert text.startswith("Left: w0 w1")
    assert "\n\nRight: w0 w1" in text
    assert "<v Right>" in (out / "transcript.vtt").read_text()


def test_summary_comes_with_it_and_its_failure_is_a_warning(tmp_path):
    """The transcript is whole either way."""
    data, _ = words_wav(8)
    with serving(tmp_path / "server") as server:
        summary = {"endpoint": server.url, "model": "m"}
        result, out = done_by_hand(tmp_path, server, data, summary=summary)
        assert "A summary.\n" == (out / "summary.md").read_text()
    (tmp_path / "again").mkdir()
    with serving(tmp_path / "other", "good", "404", repeat=True) as server:
        summary = {"endpoint": server.url, "model": "m"}
        result, out = done_by_hand(tmp_path / "again", server, data, summary=summary)

    assert ["SUMMARY_FAILED"] == [note.code for note in result.notes]
    assert (out / "transcript.json").exists()


def test_refusal_of_the_server_fails_the_drop_in_its_words(tmp_path):
    """A language that it does not know is the settings' fault."""
    data, _ = words_wav(8)
    with (
        serving(tmp_path / "server", "400", repeat=True) as server,
        pytest.raises(BadInput) as raised,
    ):
        done_by_hand(tmp_path, server, data)

    assert "AUDIO_REFUSED" == raised.value.code
    assert "refused with 400" in raised.value.message


def test_request_takes_no_longer_than_the_operator_says(tmp_path):
    limits = Limits(tries_s=(0.0,))
    with serving(tmp_path / "server", "hang") as server:
        engine = engine_of("auto", "", lambda: SpeechClient(server.url, limits=limits), 0.5)
        with pytest.raises(Postponed, match="SPEECH_TIMED_OUT"):
            engine.recognised(np.zeros(RATE_HZ, np.int16), "", "")


def test_page_escapes_what_was_said(tmp_path):
    """A server is as little trusted as a drop."""
    data, _ = words_wav(3)
    evil = {"segments": [{"start": 0.5, "end": 1.0, "text": "<script>alert(1)</script> & -->"}]}
    with serving(tmp_path / "server", answer=evil) as server:
        _, out = done_by_hand(tmp_path, server, data)

    assert "<script>alert" not in (out / "report.html").read_text()
    assert "<script>" not in (out / "transcript.vtt").read_text()


# In a daemon


def daemon_for(root, server, **more):
    settling = settings_for(root)["inboxes"]["mix"]["settling"]
    inbox = {
        "handler": "daemon.handlers.transcribe",
        "settling": settling,
        "options": {"endpoint": server.url, "detector": "energy", **more},
        "allow": {"network": [server.url.removeprefix("http://")]},
    }
    given = settings_for(root, inboxes={"talk": inbox})
    given["pool"] = {"slots": 2}
    return Daemon(root, given)


def status_of(root, name="talk.wav"):
    return read_json(root / f"outbox/talk/{name}.status.json")


def drop(root, data, name="talk.wav"):
    path = root / "inbox/talk" / name
    path.with_name(f".{name}").write_bytes(data)
    path.with_name(f".{name}").rename(path)


def test_killed_in_mid_job_it_asks_for_no_answered_piece_again(tmp_path):
    """``kill -9`` while pieces are under way: the journal has each answer once."""
    data, truth = words_wav(300)
    root = tmp_path / "spool"
    with serving(tmp_path / "server", seconds=0.2) as server, daemon_for(root, server) as daemon:
        daemon.start()
        drop(root, data)
        until(lambda: len(server.journal("answered")) >= 3, "three pieces are answered")
        daemon.kill()
        daemon.start()
        until(lambda: status_of(root).get("state") == "done", "it is done")
        assert 0 == daemon.stop()
        asked = [one["sha256"] for one in server.journal()]
        at_once = max(one["at_once"] for one in server.journal())
    (found,) = root.glob("outbox/talk/talk*/transcript.json")

    assert [f"w{number}" for number, _ in truth] == [
        word["text"] for word in words_of(json.loads(found.read_text()))
    ]
    assert 2 >= len(asked) - len(set(asked))  # those that were under way
    assert 2 >= at_once


def test_dead_server_makes_the_job_wait_and_costs_it_nothing(tmp_path):
    """It says why; when the server takes the key, it goes on by itself; no file has the key."""
    data, _ = words_wav(8)
    root, key = tmp_path / "spool", tmp_path / "key"
    key.write_text(KEY)
    with serving(tmp_path / "server", "401", repeat=True) as server:
        with daemon_for(root, server, api_key_file=str(key)) as daemon:
            daemon.start()
            drop(root, data)
            until(lambda: len(server.journal()) >= 5, "it has been refused five times")
            assert status_of(root)["state"] in ("queued", "running")
            server.script()
            until(lambda: status_of(root).get("state") == "done", "it is done")
            assert 0 == daemon.stop()
        said = daemon.log.read_bytes()
    files = [path.read_bytes() for path in root.rglob("*") if path.is_file()]

    assert b"SPEECH_REFUSED_KEY" in b"".join([said, *files])
    assert [] == [one for one in (said, *files) if KEY.encode() in one]


def test_status_says_why_pieces_wait_and_until_when(tmp_path):
    """A job that was split is running to its readers; its parts say that they wait for a server."""
    data, _ = words_wav(8)
    root = tmp_path / "spool"
    with (
        serving(tmp_path / "server", "401", repeat=True) as server,
        daemon_for(root, server) as daemon,
    ):
        daemon.settings["budgets"] |= {"backoff_s": 600.0, "backoff_max_s": 600.0}
        daemon.start()
        drop(root, data)

        def waiting():
            listed = (status_of(root).get("parts") or {}).get("listed") or ()
            return [part for part in listed if part["state"] == "queued"]

        (part,) = until(waiting, "its piece waits")
        shown = subprocess.run(
            [sys.executable, "-m", "daemon", "status", "talk.wav", "-c", f"{root}.yaml"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        jsonschema.Draft202012Validator(schema("status-1.json")).validate(status_of(root))

    assert "SPEECH_REFUSED_KEY" == part["code"]
    assert f"waits: {part['name']}: {part['message']}, next try {part['until']}" in shown


def test_stop_in_mid_request_drains_in_time(tmp_path):
    """A server that hangs does not hold the daemon: after ``drain_s`` it is gone."""
    data, _ = words_wav(8)
    root = tmp_path / "spool"
    with serving(tmp_path / "server", "hang", repeat=True) as server:
        daemon = daemon_for(root, server)
        daemon.settings["drain_s"] = 0.5
        with daemon:
            daemon.start()
            drop(root, data)
            until(server.journal, "the request is under way")
            assert 0 == daemon.stop(30.0)

    assert not status_of(root)["terminal"]


def test_by_hand_and_by_daemon_make_the_same_bytes(tmp_path):
    """``soundspool transcribe`` is the daemon's handler."""
    data, _ = words_wav(60)
    root = tmp_path / "spool"
    (tmp_path / "talk.wav").write_bytes(data)
    with serving(tmp_path / "server") as server:
        with daemon_for(root, server) as daemon:
            daemon.start()
            drop(root, data)
            until(lambda: status_of(root).get("state") == "done", "it is done")
        command = [sys.executable, "-m", "daemon", "transcribe", tmp_path / "talk.wav"]
        settings = ["-s", f"endpoint={server.url}", "-s", "detector=energy"]
        subprocess.run([*command, tmp_path / "out", *settings], check=True, cwd=ROOT)
    (made,) = root.glob("outbox/talk/talk*/transcript.json")

    def contents(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    assert contents(tmp_path / "out") == contents(made.parent)
