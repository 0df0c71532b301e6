"""Archives in an inbox of a real daemon, whose workers are confined."""

import hashlib
import json

import pytest

from tests.support.archives import HOSTILE, SONG, SUFFIXES, packed, zipped
from tests.support.daemons import Daemon, settings_for, until
from tests.support.truth import drop_song, states, statuses, torn_outputs

LIMITS = {"files": 50, "depth": 4, "bytes": 20 << 20}


@pytest.fixture
def daemon(tmp_path):
    """A daemon that serves, with a handler that counts what it is given."""
    settings = settings_for(tmp_path / "spool", pool={"slots": 2, "confine": True})
    mix = settings["inboxes"]["mix"]
    mix["settling"] |= {"settle_unknown_s": 0.1, "truncated_after_s": 0.2}
    mix["limits"] = LIMITS
    with Daemon(tmp_path / "spool", settings) as made:
        made.start()
        yield made
        assert made.process.poll() is None, made.log.read_text()[-4000:]
        assert [] == list(torn_outputs(made.root))
        assert 0 == made.stop()


def dropped(daemon, files):
    """Drop files, by their names; return their statuses when all have ended."""
    inbox = daemon.root / "inbox" / "mix"
    for name, data in files.items():
        (daemon.root / "staged.zip").write_bytes(data)
        (daemon.root / "staged.zip").rename(inbox / name)

    def are_final():
        known = states(daemon.root)
        names = (name for name in files if not name.endswith(".job.yaml"))
        return all(known.get(name) in ("done", "failed") for name in names)

    until(are_final, "all have ended", 120.0)
    return statuses(daemon.root)


def counted(daemon, label):
    """Return what the handler was given: size and hash of each file by its path."""
    found = json.loads((daemon.root / "outbox" / "mix" / label / "count.json").read_text())
    return {one["path"]: one["sha256"] for one in found}


def test_archives_are_handled_as_their_folders_and_kept_as_they_came(daemon):
    """Each kind; the handler sees the folder, the archive goes to archive/ byte for byte."""
    drops = {f"Song{suffix}": packed(SONG, suffix) for suffix in SUFFIXES}
    found = dropped(daemon, drops)
    expected = {
        path.removeprefix("Song/"): hashlib.sha256(data).hexdigest() for path, data in SONG.items()
    }

    assert {"done"} == {found[name]["state"] for name in drops}, found
    for name, data in drops.items():
        assert expected == counted(daemon, name)
        [kept] = (daemon.root / "archive" / "mix").glob(f"*/{name}")
        assert data == kept.read_bytes()
        assert {"count.json", "sheets"} == {
            path.name for path in (daemon.root / "outbox" / "mix" / name).iterdir()
        }


def test_settings_in_an_archive_count_below_those_beside_it(daemon):
    """Both go over the inbox's; a complaint names the line in the archive's own file."""
    inner = SONG | {"Song/job.yaml": b"how: bad_input\n"}
    wrong = SONG | {"Song/job.yaml": b"# mine\nhwo: well\n"}
    found = dropped(
        daemon,
        {
            "Inner.zip": zipped(inner),
            "Both.zip.job.yaml": b"how: well\n",
            "Both.zip": zipped(inner),
            "Wrong.zip": zipped(wrong),
        },
    )

    assert "UNCOUNTABLE" == found["Inner.zip"]["error"]["code"]
    assert "done" == found["Both.zip"]["state"]
    assert ("SETTINGS_INVALID", True) == (
        found["Wrong.zip"]["error"]["code"],
        found["Wrong.zip"]["error"]["message"].startswith("job.yaml:2:1: hwo: unknown key"),
    )


def test_manifest_in_an_archive_is_compared_with_what_came_out(daemon):
    """Its hashes are those of the files in it."""
    sheet = f"files: [{{name: a.wav, sha256: {'f' * 64}}}]\n".encode()
    found = dropped(daemon, {"Listed.zip": zipped(SONG | {"Song/job.yaml": sheet})})

    assert "MANIFEST_MISMATCH" == found["Listed.zip"]["error"]["code"]


def test_archive_that_is_still_copied_is_waited_for(daemon):
    """Its directory comes last."""
    data = zipped(SONG)
    place = daemon.root / "inbox" / "mix" / "Slow.zip"
    with place.open("wb") as file:
        file.write(data[:-10])
        file.flush()
        until(lambda: states(daemon.root).get("Slow.zip") == "receiving", "it is seen")
        file.write(data[-10:])

    assert "done" == dropped(daemon, {"Other.zip": data})["Other.zip"]["state"]
    until(lambda: states(daemon.root)["Slow.zip"] == "done", "it is done")


def test_hostile_archives_fail_alone(daemon):
    """Each by its code and with a hint, untouched in failed/; the neighbour is done."""
    some = list(HOSTILE.items())[::3]
    drops = {f"{kind}{suffix}": make() for kind, (suffix, make, _) in some}
    codes = {f"{kind}{suffix}": code for kind, (suffix, _, code) in some}
    drop_song(daemon.root, "Neighbour")
    found = dropped(daemon, drops)

    for name, data in drops.items():
        error = found[name]["error"]
        # What its structure calls incomplete is waited for, and never reaches a worker.
        assert error["code"] in (codes[name], "INPUT_TRUNCATED"), (name, error)
        assert error["hint"], name
        assert data == (daemon.root / "failed" / "mix" / name).read_bytes()
    until(lambda: states(daemon.root)["Neighbour"] == "done", "the neighbour is done")
