"""Which files of a folder are heard, and under which name."""

import shutil

import pytest
import yaml

from dsp.errors import ParameterError
from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources
from dsp.mixing.stems import by_found_names, find_stems
from tests.support.sessions import make_session

COMPOSED, DECOMPOSED = "Ges\u00e4ng.wav", "Gesa\u0308ng.wav"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return make_session(tmp_path_factory.mktemp("session") / "Song")


@pytest.fixture
def song(session, tmp_path):
    return shutil.copytree(session, tmp_path / "Song")


def a_stem(song):
    return min(song.glob("*.wav"))


def names_in(song, settings=None):
    found = find_stems(song, Resources(), settings or Settings())
    return [probe.name for probe in found.probes], [code for code, _ in found.warnings]


def test_junk_of_every_kind_is_passed_over_in_silence(song):
    """As are empty files that are named like nothing we hear."""
    expected = names_in(song)
    for name in ("Icon\r", "desktop.ini", ".DS_Store", "Thumbs.db", "empty.txt", "_READY"):
        (song / name).touch()
    for path in list(song.glob("*.wav")):
        path.with_name(f"{path.name}:Zone.Identifier").write_text("[ZoneTransfer]")
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    shutil.copy(a_stem(song), a_stem(song).with_suffix(".wav.part"))

    assert expected == names_in(song)


def test_a_copy_of_a_sync_tool_is_not_mixed(song):
    """Unless the settings name it."""
    stems, _ = names_in(song)
    copy = a_stem(song).with_stem(f"{a_stem(song).stem} (1)")
    shutil.copy(a_stem(song), copy)

    assert (stems, ["CONFLICT_COPY"]) == names_in(song)
    meant = Settings.model_validate({"stems": {copy.name: {"mute": False}}})
    assert (sorted([*stems, copy.name]), []) == names_in(song, meant)


@pytest.mark.parametrize(("said", "found"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_settings_find_a_stem_in_either_spelling_of_an_accent(said, found):
    """What a keyboard writes and what a Mac stores look alike, and are meant alike."""
    settings = Settings.model_validate({"stems": {said: {"fader_db": -6.0}}})

    assert {found: {"fader_db": -6.0}} == by_found_names(settings, [found]).overrides()["stems"]


def test_two_settings_for_one_stem_are_refused():
    """Nothing says which is meant."""
    settings = Settings.model_validate({"stems": {COMPOSED: {}, DECOMPOSED: {}}})
    with pytest.raises(ParameterError, match="accents"):
        by_found_names(settings, [COMPOSED])


def _mixed(song, out, **settings):
    out.mkdir()
    made = mix(song, out, Settings.model_validate(settings), report=lambda *_: None)
    sheet = yaml.safe_load((out / "mix.yaml").read_text())
    return made, set(sheet["stems"])


def test_the_same_bytes_are_heard_once(song, tmp_path):
    """Under whatever name they come again; the status still lists every file that was read."""
    again = song / "zz something else.wav"
    shutil.copy(a_stem(song), again)
    made, heard = _mixed(song, tmp_path / "out")
    _, both = _mixed(song, tmp_path / "both", stems={a_stem(song).name: {}, again.name: {}})

    assert again.name not in heard
    assert ["STEM_REPEATED"] == [code for code, _ in made.warnings if code == "STEM_REPEATED"]
    assert again.name in {one["path"] for one in made.inputs}
    assert {again.name, a_stem(song).name} <= both
