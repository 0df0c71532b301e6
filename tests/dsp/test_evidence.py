"""What a stem sounds like, beside what it is called."""

import numpy as np
import pytest
import soundfile as sf
import yaml

from dsp.formats.reader import probe
from dsp.mixing.evidence import doubt_of, role_by_sound
from dsp.mixing.mix import mix
from dsp.mixing.plan import plan
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources
from dsp.mixing.stem_analysis import analyse
from tests.support.analyses import analysis_of, band, in_time, track_named
from tests.support.tones import noise, sine


def strip_of(analysis, **settings):
    stems = [*band(), analysis]
    sheet = plan(stems, in_time(stems), Settings.model_validate(settings)).sheet
    return sheet.stems[analysis.probe.name]


@pytest.mark.parametrize(
    ("hz", "octaves", "role"), [(60.0, 0.6, "bass"), (12_000.0, 0.5, "hats"), (800.0, 2.0, "other")]
)
def test_nameless_stem_gets_the_role_that_it_sounds_like(hz, octaves, role):
    strip = strip_of(analysis_of("Audio 07.wav", hz=hz, octaves=octaves))

    assert role == strip.role
    assert "its name names no role" in strip.role_why


def test_name_and_settings_go_before_the_sound():
    named = analysis_of("Guitar.wav", hz=60.0, octaves=0.6)
    told = {"stems": {"Audio 07.wav": {"role": "kick"}}}

    assert "guitar" == strip_of(named).role
    assert "kick" == strip_of(analysis_of("Audio 07.wav", hz=60.0, octaves=0.6), **told).role


@pytest.mark.parametrize(
    ("role", "hz", "doubted"),
    [
        ("bass", 3_000.0, True),
        ("bass", 80.0, False),
        ("hats", 60.0, True),
        ("hats", 8_000.0, False),
        ("lead", 50.0, True),
        ("lead", 600.0, False),
        ("pad", 60.0, False),
    ],
)
def test_role_that_the_sound_contradicts_is_doubted(role, hz, doubted):
    assert doubted is bool(doubt_of(role, track_named("stem.wav", hz=hz, octaves=0.5).spectrum))


@pytest.mark.parametrize(
    ("per_s", "falls_in_s", "role"),
    [(4.0, 0.03, "drums"), (0.5, 0.03, "other"), (4.0, 0.4, "other")],
    ids=["strokes", "rare strokes", "notes"],
)
def test_nameless_stem_of_strokes_is_drums(tmp_path, per_s, falls_in_s, role):
    """Where strokes are frequent and over at once; notes that ring are played on something else."""
    rate_hz, seconds = 44_100, 10.0
    at = np.arange(round(rate_hz * seconds)) % round(rate_hz / per_s) / rate_hz
    sound = noise(rate_hz, seconds, rms_dbfs=-10.0, seed=1, channels=1)[:, 0]
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    sf.write(tmp_path / "in" / "Audio 07.wav", sound * np.exp(-at / falls_in_s), rate_hz)
    sf.write(tmp_path / "in" / "Lead.wav", sine(rate_hz, seconds, channels=1), rate_hz)
    made = mix(tmp_path / "in", tmp_path / "out", Settings(), report=lambda *_: None)
    sheet = yaml.safe_load((tmp_path / "out" / made.outputs["sheet"]).read_text())

    assert role == sheet["stems"]["Audio 07.wav"]["role"]


@pytest.mark.parametrize(
    ("name", "sound", "doubt"),
    [
        ("Vocal.wav", noise(44_100, 4.0, rms_dbfs=-20.0, seed=2), "hardly any of it has a pitch"),
        ("Snare.wav", sine(44_100, 4.0, hz=500.0, level_dbfs=-20.0), "a pitch and are held"),
        ("Host.wav", sine(44_100, 4.0, hz=300.0, level_dbfs=-20.0), "as no speech does"),
        ("Vocal.wav", sine(44_100, 4.0, hz=500.0, level_dbfs=-20.0), ""),
        ("Snare.wav", noise(44_100, 4.0, rms_dbfs=-20.0, seed=2), ""),
    ],
)
def test_pitch_is_a_second_opinion(tmp_path, name, sound, doubt):
    """The sheet says what speaks against the role that the name says."""
    sf.write(tmp_path / name, sound, 44_100)
    strip = strip_of(analyse(probe(tmp_path / name, name=name), resources=Resources()))

    assert doubt in strip.role_why
    assert bool(doubt) == ("in doubt" in strip.role_why)


def test_silence_says_nothing():
    silent = np.zeros(31)

    assert ("", "") == role_by_sound(silent)
    assert "" == doubt_of("bass", silent)


def test_contradiction_is_a_warning_of_the_mix(tmp_path):
    """On real bytes: a bass that whistles, beside a lead."""
    folder, out = tmp_path / "Song", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for name, hz in (("Bass", 3_000.0), ("Vocal", 400.0)):
        sf.write(folder / f"{name}.wav", sine(44_100, 2.0, hz=hz, level_dbfs=-20.0), 44_100)

    made = mix(folder, out, Settings(), report=lambda *_: None, resources=Resources())

    assert ["Bass.wav"] == [
        text.split()[0] for code, text in made.warnings if code == "ROLE_DOUBTED"
    ]
