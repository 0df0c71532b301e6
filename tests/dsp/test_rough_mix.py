"""What came as a mix stays one: a finished song, stems in their producer's balance."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import yaml

from dsp.mixing.mix import mix
from dsp.mixing.plan import plan
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.sheet_text import text_of
from dsp.mixing.source import Resources
from tests.support.analyses import analysis_of, band, in_time
from tests.support.tones import noise

RATE_HZ = 48_000


def planned(analyses, **settings):
    return plan(analyses, in_time(analyses), Settings.model_validate(settings))


def produced():
    """Return the band in a balance that a producer might have set, its sum at −13 LUFS."""
    levels = planned(band(), balance="plan").loudness_lufs
    strays = dict(zip(levels, (0.5, -1.0, 1.5, -1.5, 1.0, -0.5), strict=True))
    moved_db = 7.0
    return [_louder(a, levels[a.probe.name] + strays[a.probe.name] + moved_db) for a in band()]


def _louder(analysis, lufs):
    """Return the stem at another loudness while it sounds."""
    now = 10.0 * np.log10(analysis.energy[analysis.energy > 0].mean()) - 0.691
    gain = 10.0 ** ((lufs - now) / 20.0)
    powers = dict.fromkeys(("energy", "bands", "excerpt_energy"), 2)
    scaled = powers | dict.fromkeys(("excerpt", "excerpt_highs", "highest"), 1)
    return replace(analysis, **{k: getattr(analysis, k) * gain**n for k, n in scaled.items()})


def neutral(stem):
    return (stem.trim_db, stem.fader_db, stem.pan, stem.width) == (0.0, 0.0, 0.0, 1.0) and not (
        stem.ride or stem.eq or stem.deess or stem.room or stem.compressor or stem.saturation
    )


def test_stems_in_a_producers_balance_are_summed_as_they_came():
    sheet = planned(produced()).sheet

    assert "keep" == sheet.balance
    assert "LUFS" in sheet.balance_why
    assert all(neutral(stem) for stem in sheet.stems.values())


def test_a_kept_balance_is_mastered_gently():
    """Its colour and its width are its producer's."""
    master = planned(produced()).sheet.master

    assert all(abs(bell.gain_db) <= 1.5 for bell in master.eq)
    assert (1.0, 0.0) == (master.width, master.lows_mono_hz)


def test_recorded_tracks_are_mixed():
    assert "plan" == planned(band()).sheet.balance


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda stems: [*stems[:-1], replace(stems[-1], frames=7)], id="lengths"),
        pytest.param(lambda stems: stems[:3], id="too few"),
        pytest.param(lambda stems: [_louder(a, -40.0) for a in stems], id="levels of no mix"),
    ],
)
def test_without_evidence_stems_are_mixed(changed):
    assert "plan" == planned(changed(produced())).sheet.balance


def test_settings_go_before_the_evidence():
    assert "plan" == planned(produced(), balance="plan").sheet.balance
    assert all(neutral(s) for s in planned(band(), balance="keep").sheet.stems.values())


def test_one_file_that_names_a_role_is_a_stem():
    assert "plan" == planned([analysis_of("lead vocal.wav")]).sheet.balance


def test_recall_sheet_of_a_kept_balance_gives_it_again():
    decided = planned(produced()).sheet
    again = planned(produced(), **yaml.safe_load(text_of(decided))).sheet

    assert text_of(decided) == text_of(again)


def test_song_louder_than_asked_for_is_turned_down_and_nothing_else(tmp_path):
    """The master is the file that came, times one number."""
    song = noise(RATE_HZ, 8.0, rms_dbfs=-18.0, seed=1)
    soundfile.write(tmp_path / "Our song.wav", song, RATE_HZ, subtype="FLOAT")
    out = tmp_path / "out"
    out.mkdir()

    made = mix(
        tmp_path / "Our song.wav",
        out,
        Settings(preset="broadcast"),
        report=lambda *_: None,
        resources=Resources(),
    )
    master, _ = soundfile.read(out / "final_mix.wav", dtype="float64")

    assert -23.0 == pytest.approx(made.heard.integrated_lufs, abs=0.1)
    gain = float((master * song).sum() / (song * song).sum())
    assert np.abs(master - gain * song).max() < 2.0**-22  # dither of 24 bits
