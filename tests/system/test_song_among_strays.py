"""A song as it comes from people's disks: among what other programs leave beside it."""

import os
import shutil

import pytest

from tests.support.daemons import Daemon, settings_for, until
from tests.support.sessions import make_session
from tests.support.truth import statuses

JUNK = ("Icon\r", "desktop.ini", ".DS_Store", "Thumbs.db", "~$notes.docx", "placeholder.txt")


@pytest.fixture
def daemon(fleeting):
    """A daemon that mixes; it runs."""
    settings = settings_for(fleeting / "spool")
    settings["inboxes"]["mix"]["handler"] = "daemon.handlers.mix"
    with Daemon(fleeting / "spool", settings) as made:
        made.start()
        yield made


def status_of(daemon, name):
    return until(
        lambda: (found := statuses(daemon.root).get(name, {})).get("terminal") and found,
        f"{name} has ended",
        120.0,
    )


def test_song_among_strays_is_mixed_as_it_was_meant(daemon):
    """Junk costs no word, a copy of a sync tool one warning; accents match in either spelling."""
    song = make_session(daemon.root / "staged" / "Song")
    stem = min(song.glob("*.wav"))
    lead = stem.rename(song / "Gesa\u0308ng.wav")
    shutil.copy(lead, song / "Ges\u00e4ng (1).wav")
    (song / "job.yaml").write_text("stems:\n  Ges\u00e4ng.wav: {fader_db: -3.0}\n")
    for name in JUNK:
        (song / name).touch()
    for path in list(song.glob("*.wav")):
        path.with_name(f"{path.name}:Zone.Identifier").write_text("[ZoneTransfer]\nZoneId=3\n")
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    held = sorted(os.listdir(song))  # noqa: PTH208 - names are compared
    song.rename(daemon.root / "inbox" / "mix" / "Song")
    status = status_of(daemon, "Song")

    assert "done" == status["state"]
    about_files = ("CONFLICT_COPY", "STEM_REPEATED", "INPUT_NOT_AUDIO")
    codes = [one["code"] for one in status["warnings"] if one["code"] in about_files]
    assert ["CONFLICT_COPY"] == codes
    assert "Ges\u00e4ng (1).wav" not in {one["path"] for one in status["inputs"]}
    (kept,) = (daemon.root / "archive" / "mix").glob("*/Song")
    assert held == sorted(os.listdir(kept))  # noqa: PTH208 - as above


@pytest.mark.parametrize("how", ["no bytes", "a placeholder"])
def test_song_with_a_stem_that_was_not_fetched_waits_and_then_fails(fleeting, how):
    """The stem is named, and what to do."""
    settings = settings_for(fleeting / "spool")
    settings["inboxes"]["mix"]["handler"] = "daemon.handlers.mix"
    settings["inboxes"]["mix"]["settling"]["truncated_after_s"] = 0.5
    with Daemon(fleeting / "spool", settings) as daemon:
        daemon.start()
        song = make_session(daemon.root / "staged" / "Song")
        (song / ("bass.wav" if how == "no bytes" else ".bass.wav.icloud")).touch()
        song.rename(daemon.root / "inbox" / "mix" / "Song")
        error = status_of(daemon, "Song")["error"]

    assert ("INPUT_PLACEHOLDER", "bass.wav") == (error["code"], error["path"])
    assert error["hint"]
