"""Names that other programs leave beside the sound."""

import os
import unicodedata

import pytest

from dsp.containers.junk import (
    _sorted,
    composed,
    copies_among,
    files_in,
    kind_of,
    stands_for,
    waits_for,
)
from tests.support.files import dig

JUNK = [
    *("Icon\r", "Icon?", "icon\uf00d", ".DS_Store", ".ds_store", "DS_Store", "_DS_Store"),
    *(".DS_Store (1)", ".DS_Store copy", "._kick.wav", ".localized", "__MACOSX", "__macosx"),
    *(".Spotlight-V100", ".fseventsd", ".Trashes", ".Trash-1000", ".TemporaryItems"),
    *("Thumbs.db", "THUMBS.DB", "ehthumbs.db", "ehthumbs_vista.db", "Thumbs.db:encryptable"),
    *("desktop.ini", "Desktop.ini", "desktop (1).ini", "$RECYCLE.BIN"),
    *("System Volume Information", "~$notes.docx", ".~lock.notes.odt#"),
    *("kick.wav:Zone.Identifier", "kick.wav\uf03aZone.Identifier", "kick.wav.Zone.Identifier"),
    *("kick.wav_Zone.Identifier", "kick.wav%3AZone.Identifier", "kick.wav:Zone.Identifier:$DATA"),
    *("kick.wav\uf022AFP_AfpInfo", "kick.wav:com.apple.quarantine"),
    "kick.wav\ua789Zone.Identifier",
    *("@eaDir", "#recycle", "@Recycle", "#snapshot", ".@__thumb", "lost+found", ".stfolder"),
    *("kick.wav.asd", "kick.pkf", "kick.wav.reapeaks", "kick.gpk", "kick.wav.PEAK", ".nfs0001"),
]
SOUND = [
    *("kick.wav", "Icon", "Recycler", "Icon.wav", "icons.wav", "DS Store Jingle.wav"),
    *("desktop.wav", "thumbs up.wav"),
    *("identifier.wav", "zone.wav", "recycle.wav", "Song", "part.wav", "copy.wav", "~kick.wav"),
    *("\u5927\u9f13.wav", "Bassdrum \u2013 neu.wav", "kick\udcff.wav", "peak.wav", "asd.wav"),
]


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_known_by_its_kind(name):
    """Whatever wrote it, and however a file system spelt it."""
    assert "junk" == kind_of(name)
    assert "junk" == kind_of(unicodedata.normalize("NFD", name))


@pytest.mark.parametrize("name", SOUND)
def test_sound_is_no_junk(name):
    """What only resembles junk is left alone."""
    assert "plain" == kind_of(name)


def test_names_of_songs_are_sorted_as_all_others():
    """What ends as sound does is sorted by a shorter way, with the same answer."""
    shapes = ("{}.wav", "kick.{}.wav", "kick{}.wav", "song.syncthing.{}", "{}")
    names = [shape.format(name) for shape in shapes for name in (*JUNK, *SOUND)]
    names.append("kick.wav:com\uf02eapple.x.wav")

    assert [_sorted(name, composed(name).lower()) for name in names] == [*map(kind_of, names)]


@pytest.mark.parametrize(
    ("name", "real"),
    [("kick.wav.crdownload", "kick.wav"), ("KICK.WAV.Part", "KICK.WAV"), ("kick.wav~", "")],
)
def test_a_partial_download_says_what_it_will_be(name, real):
    """So that what is left of an earlier try is told from one that goes on."""
    assert "arriving" == kind_of(name)
    assert real == waits_for(name)


def test_a_placeholder_says_what_it_stands_for():
    """Cloud drives list what they have not fetched."""
    assert "bass.wav" == stands_for(".bass.wav.icloud")
    assert "bass.wav" == stands_for("bass.wav.nextcloud")
    assert "" == stands_for("bass.wav")


COPIES = [
    *("bass (1).wav", "bass(2).wav", "BASS (1).WAV", "bass - Copy.wav", "bass - Copy (2).wav"),
    *("bass copy.wav", "bass copy 2.wav", "bass Kopie.wav", "bass copie.wav", "bass - Kopie.wav"),
    *("bass - copie.wav", "bass (copy).wav", "bass (another copy).wav", "bass (3rd copy).wav"),
    *("bass (Kopie).wav", "Copy of bass.wav", "Kopie von bass.wav", "Copie de bass.wav"),
    "bass.sync-conflict-20261120-214501-ABCDEFG.wav",
    "bass (conflicted copy 2026-11-20 214501).wav",
    "bass (Anna's conflicted copy 2026-11-20).wav",
    "bass (In Konflikt stehende Kopie von Anna 2026-11-20).wav",
    "bass (Copie en conflit de Anna 2026-11-20).wav",
    "bass (Case Conflict 1).wav",
    "bass (SFConflict anna@example.org 2026-11-20-21-45-01).wav",
    "bass_conflict-20261120-214501.wav",
    "bass_NAS_Nov-20-2145-2026_Conflict.wav",
    "bass [Conflict].wav",
    "bass-DESKTOP-3F9A2B1.wav",
    "bass-LAPTOP-ABCDE-2.wav",
    "bass (1) (1).wav",
    "bass - Copy - Copy.wav",
]


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_beside_its_original_is_known(copy):
    """Every sync tool and file manager has a spelling of its own."""
    assert {copy: "bass.wav"} == copies_among(["bass.wav", copy, "kick.wav"])


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_without_its_original_is_the_file(copy):
    """The original may have been renamed, or lie in another folder, or be another format."""
    assert {} == copies_among([copy, "kick.wav", "other/bass.wav", "bass.flac"])


def test_accents_make_no_difference():
    """A Mac decomposes them, the machine of the other singer does not."""
    original, copy = "Ge\u0301sang.wav", "G\u00e9sang (1).wav"

    assert {copy: original} == copies_among([copy, original])
    assert composed(original) == composed("G\u00e9sang.wav")


@pytest.mark.parametrize("name", ["bass 2.wav", "bass_1.wav", "bass-DI.wav", "bass (DI).wav"])
def test_what_people_call_their_tracks_is_no_copy(name):
    """A second take is not the first one again."""
    assert {} == copies_among(["bass.wav", name])


@pytest.mark.usefixtures("emptied")
def test_files_are_found_at_any_depth(tmp_path):
    """Neither junk nor what is hidden is entered, and no link followed."""
    for path in ("b.wav", "sub/a.wav", "__MACOSX/x.wav", ".git/y.wav", "._b.wav"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "link").symlink_to("/")
    os.mkfifo(tmp_path / "pipe")
    dig(tmp_path / ".deep")

    assert [tmp_path / "b.wav", tmp_path / "sub" / "a.wav"] == files_in(tmp_path)
