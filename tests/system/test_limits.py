"""What an operator allows and what a drop lists, all the way through a real daemon."""

import hashlib
import json
import shutil

import pytest
import soundfile

from tests.support.containers import noise_bytes
from tests.support.daemons import Daemon, read_json, settings_for, until

MIX = "daemon.handlers.mix"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """A daemon with strict limits that mixes, in confined workers."""
    root = tmp_path_factory.mktemp("limits") / "spool"
    inbox = settings_for(root)["inboxes"]["mix"] | {"handler": MIX}
    inbox["limits"] = {"channels": 1, "rate_hz_max": 96_000, "frames": 48_000}
    inbox["settling"] = inbox["settling"] | {"truncated_after_s": 0.1, "on_truncated": "accept"}
    daemon = Daemon(root, settings_for(root, inboxes={"mix": inbox}, pool={"slots": 2}))
    daemon.start()
    yield daemon
    assert 0 == daemon.stop()


@pytest.fixture
def drop(daemon, tmp_path):
    """Drop a folder of files, and return the status it ends with."""

    def drop(files, settings=None):
        folder = tmp_path / tmp_path.name
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        if settings:
            (folder / "job.yaml").write_text(json.dumps(settings))
        shutil.copytree(folder, daemon.root / "inbox" / "mix" / folder.name)
        status = daemon.root / "outbox" / "mix" / f"{folder.name}.status.json"
        until(lambda: read_json(status).get("terminal"), f"{status} is terminal")
        return read_json(status)

    return drop


def wav(tmp_path, frames=24_000, channels=1, rate_hz=48_000):
    path = tmp_path / "made.wav"
    noise, _ = soundfile.read(_noise(tmp_path), always_2d=True)
    soundfile.write(path, noise[:, :1].repeat(channels, axis=1)[:frames], rate_hz, "PCM_24")
    return path.read_bytes()


def _noise(tmp_path):
    path = tmp_path / "noise.wav"
    path.write_bytes(noise_bytes("wav", 2.0))
    return path


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("INPUT_CHANNELS", {"channels": 2}),
        ("INPUT_RATE", {"rate_hz": 192_000}),
        ("INPUT_TOO_LONG", {"frames": 48_001}),
    ],
)
def test_limits_of_the_inbox_reach_the_decoder(drop, tmp_path, code, made):
    """Channels, rate and frames that would pass by default are refused here."""
    told = drop({"a.wav": wav(tmp_path, **made)})

    assert ("failed", code) == (told["state"], told["error"]["code"])


def test_what_is_within_the_limits_is_mixed(drop, tmp_path):
    """The limits bind what comes in, not the stereo master that goes out."""
    assert "done" == drop({"a.wav": wav(tmp_path)})["state"]


def test_file_with_another_hash_than_listed_fails(drop, tmp_path):
    """The message names the file, what was listed and what was found."""
    data = wav(tmp_path)
    other = hashlib.sha256(b"another file").hexdigest()
    listed = [{"name": "a.wav", "bytes": len(data), "sha256": other}]

    told = drop({"a.wav": data}, {"files": listed})

    assert ("failed", "MANIFEST_MISMATCH") == (told["state"], told["error"]["code"])
    for part in ("a.wav", other, hashlib.sha256(data).hexdigest()):
        assert part in told["error"]["message"]


def test_files_with_the_hashes_listed_are_mixed(drop, tmp_path):
    """Without any wait: a manifest says when a drop is whole."""
    data = wav(tmp_path)
    listed = [{"name": "a.wav", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]

    assert "done" == drop({"a.wav": data}, {"files": listed})["state"]


def test_header_that_was_never_finished_is_accepted_when_asked(drop, tmp_path):
    """on_truncated: accept reaches the decoder too, and the status says so."""
    data = bytearray(wav(tmp_path))
    data[4:8] = (8).to_bytes(4, "little")
    at = data.index(b"data")
    data[at + 4 : at + 8] = bytes(4)

    told = drop({"a.wav": bytes(data)})

    assert "done" == told["state"], told["error"]
    assert ["INPUT_TRUNCATED"] == [one["code"] for one in told["warnings"]][:1]
