"""Roles come from the words of file names."""

import csv
import unicodedata
from pathlib import Path

import pytest

from dsp.mixing.role_words import ASIDE, LANGUAGES
from dsp.mixing.roles import PROFILES, role_of, roles_of
from dsp.stem_roles import DESK


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("vocal_lead_sax.wav", "lead"),
        ("Lead Vox.wav", "lead"),
        ("BGV_02.flac", "backing"),
        ("vocals backing.wav", "backing"),
        ("beat_kick_snare.wav", "drums"),
        ("beat_hats_perc.wav", "hats"),
        ("DrumsOverheads.aiff", "drums"),
        ("Kick01.wav", "kick"),
        ("808.wav", "bass"),
        ("bass.flac", "bass"),
        ("bassoon.wav", "other"),
        ("E-Gitarre 2.wav", "guitar"),
        ("piano.wav", "keys"),
        ("pad.ogg", "pad"),
        ("lead synth.wav", "synth"),
        ("stems/brass.wav", "brass"),
        ("Streicher.wav", "strings"),
        ("Voz.wav", "lead"),
        ("track 07.wav", "other"),
        ("stem 03.wav", "other"),
        ("Bass Drum.wav", "kick"),
        ("Lead Guitar.wav", "guitar"),
        ("Guitar Lead.wav", "guitar"),
        ("Backing Guitar.wav", "guitar"),
        ("12_ElecGtrLead.wav", "guitar"),
        ("Harmony Mix.wav", "backing"),
        ("フロアタム.wav", "drums"),
        ("カスタム.wav", "other"),
        ("Tenor Ukulele.wav", "guitar"),
        ("Fender Rhodes.wav", "keys"),
        ("Drums Ambience.wav", "drums"),
        ("Kick Reverb.wav", "kick"),
        ("Floor Tom.wav", "drums"),
        ("Hand Claps.wav", "perc"),
        ("808 Clap.wav", "snare"),
        ("Acoustic Piano.wav", "keys"),
        ("Tenor Sax.wav", "brass"),
        ("808 Snare.wav", "snare"),
        ("TR-808 Kit.wav", "drums"),
        ("SN Top.wav", "snare"),
        ("EG1.wav", "guitar"),
        ("LV.wav", "lead"),
        ("LdVox 2.wav", "lead"),
        ("OH L.wav", "drums"),
        ("Hammond.wav", "keys"),
        ("Clav.wav", "keys"),
        ("Clave.wav", "perc"),
        ("Guiro.wav", "perc"),
        ("Maracas.wav", "perc"),
        ("Timbales.wav", "perc"),
        ("Music Bed.wav", "music"),
        ("Jingle.wav", "jingle"),
        ("Speaker 1.wav", "speech"),
        ("Trompete.wav", "brass"),
        ("Große Trommel.wav", "kick"),
        ("GESANG.wav", "lead"),
        ("Chöre.wav", "backing"),
        ("Grosse Caisse.wav", "kick"),
        ("Charley.wav", "hats"),
        ("Choeurs.wav", "backing"),
        ("Chœurs.wav", "backing"),
        ("Caja.wav", "snare"),
        ("Platillos.wav", "hats"),
        ("Coros.wav", "backing"),
        ("Teclados.wav", "keys"),
        ("BATERIA.wav", "drums"),
        ("Voce.wav", "lead"),
        ("Tastiere.wav", "keys"),
        ("Rullante.wav", "snare"),
        ("Violão.wav", "guitar"),
        ("Zang.wav", "lead"),
        ("Gitaar.wav", "guitar"),
        ("Wokal.wav", "lead"),
        ("Gitara basowa.wav", "bass"),
        ("Вокал.wav", "lead"),
        ("бас-гитара.wav", "bass"),
        ("Малый барабан.wav", "snare"),
        ("メインボーカル2.wav", "lead"),
        ("エレキギター.wav", "guitar"),
        ("バスドラム.wav", "kick"),
        ("コーラス.wav", "backing"),
        ("人声.wav", "lead"),
        ("底鼓.wav", "kick"),
        ("电吉他.wav", "guitar"),
        ("보컬.wav", "lead"),
        ("베이스 기타.wav", "bass"),
    ],
)
def test_role_is_read_from_whole_words(name, role):
    """The words of a name tell the role, the narrower word first."""
    assert role == role_of(name)[0]


@pytest.mark.parametrize("names", ["role_names", "role_names_fresh", "role_names_held_out"])
def test_names_of_studios_are_understood(names):
    """Of names that were written down without a look at the words, nearly all tell their role.

    The first list was read at 89 % when it was written, then words and rules were added; the
    second, written after that, at 81 %. The third was read at 84 %, and at 98 % when words had
    been added for the failures of another list by the same hand.
    """
    text = (Path(__file__).parent / "references" / f"{names}.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    told = [role_of(f"{row['name']}.wav") for row in rows]
    wrong = [
        (row["name"], found.role)
        for row, found in zip(rows, told, strict=True)
        if (ASIDE if found.aside else found.role) not in row["role"].split("|")
    ]

    assert len(wrong) <= 0.02 * len(rows), wrong


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Kompgitarr V", "guitar"),
        ("Rhythmusgitarren", "guitar"),
        ("leadguitar", "guitar"),
        ("Schlagzeugbus", "drums"),
        ("Entrevistadora", "speech"),
        ("Chitarra dx", "guitar"),
        ("SnareTeppich", "snare"),
        ("БасГитара", "bass"),
        ("электрогитарой", "guitar"),
        ("男Vox", "lead"),
        ("Through the Thorough", "other"),
        ("C sharp", "other"),
        ("invoice", "other"),
        ("wrapper", "other"),
        ("organize", "other"),
        ("bassoon", "other"),
    ],
)
def test_joined_and_inflected_words_tell_what_they_are_made_of(name, role):
    """A word that no list has is understood by its parts, unless they are too short."""
    assert role == role_of(f"{name}.wav").role


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Drums (no kick).wav", "drums"),
        ("Drums without kick and snare.wav", "drums"),
        ("no_vocals.wav", "other"),
        ("ohne Gesang.wav", "other"),
        ("sans voix.wav", "other"),
        ("ボーカルなし.wav", "other"),
        ("无人声.wav", "other"),
        ("Voices in the Room (Instrumental).wav", "music"),
        ("No Woman No Cry - Kick.wav", "kick"),
        ("Guitar (bass player).wav", "guitar"),
        ("Take 3 [Piano].wav", "keys"),
    ],
)
def test_what_is_lacking_or_in_brackets_is_no_role(name, role):
    """What is said not to be in it tells nothing; brackets speak where the name does not."""
    assert role == role_of(name).role


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Sänger", "lead"),
        ("Batería", "drums"),
        ("ドラム", "drums"),
        ("드럼", "drums"),
        ("Łódź Głos", "lead"),
    ],
)
def test_accents_may_be_encoded_either_way(name, role, form):
    """macOS takes letters and accents apart."""
    assert role == role_of(unicodedata.normalize(form, f"{name}.wav")).role


def roles(*names):
    return [told.role for told in roles_of([f"{name}.wav" for name in names]).values()]


def test_title_tells_no_role():
    """What all names of a folder share says nothing about a stem."""
    title = "Voices in the Room - "
    parts = ("Kick", "Bass", "Synth", "Guitar", "Take 7")

    assert ["kick", "bass", "synth", "guitar", "other"] == roles(*(title + part for part in parts))
    assert ["kick", "bass"] == roles("01 Piano Man Kick", "02 Piano Man Bass")


def test_shared_words_tell_where_they_are_all_there_is():
    """A folder of nothing but guitars holds guitars, and room microphones of drums are drums."""
    assert ["guitar", "guitar"] == roles("Guitar L", "Guitar R")
    assert ["lead", "backing"] == roles("Vocals", "Backing Vocals")
    assert ["kick", "drums", "drums"] == roles("Drums Kick", "Drums 1", "Drums OH")


def test_folder_tells_where_the_name_does_not():
    """Exports by group have the group as a folder."""
    assert ["drums", "lead", "guitar"] == roles("Drums/01", "Vocals/01", "Vocals/Guitar")
    assert ["other", "other"] == roles("Vocal Session/01", "Vocal Session/02")


@pytest.mark.parametrize(
    ("name", "aside"),
    [
        ("Click", True),
        ("Metronom", True),
        ("Claqueta", True),
        ("クリック", True),
        ("Reference Mix", True),
        ("My Song Rough", True),
        ("My Song (Master)", True),
        ("Master Guitar", False),
        ("Drum Mix", False),
        ("Music", False),
    ],
)
def test_click_and_references_are_no_stems(name, aside):
    """Unless the name names an instrument, too."""
    assert aside == role_of(f"{name}.wav").aside


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_every_role_that_words_can_tell_has_a_profile(language):
    """No word leads to a role that the planner does not know, in any language."""
    assert set(language) <= {*PROFILES, ASIDE}
    assert PROFILES.keys() == set(DESK)


def test_reason_spells_the_word_as_people_do():
    """Accents are kept where they were looked past."""
    assert "its name says Sänger".casefold() == role_of("SANGER.wav").why
