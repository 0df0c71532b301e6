"""Roles come from the words of file names."""

import pytest

from dsp.mixing.roles import PROFILES, role_of


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
    ],
)
def test_role_is_read_from_whole_words(name, role):
    """The words of a name tell the role, the narrower word first."""
    assert role == role_of(name)[0]


def test_every_role_that_words_can_tell_has_a_profile():
    """No word leads to a role that the planner does not know."""
    from dsp.mixing.roles import _WORDS  # noqa: PLC0415 - private table, only for this law

    assert set(_WORDS) <= set(PROFILES)
