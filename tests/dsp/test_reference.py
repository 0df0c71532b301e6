"""A reference beside the stems: the master moves toward it, within bounds."""

import json

import numpy as np
import pytest
import soundfile as sf

from dsp.mixing.mix import mix
from dsp.mixing.plan import plan
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.reference import reference_of
from dsp.mixing.source import Resources
from dsp.mixing.tone import target_distance_db
from tests.support.analyses import analysis_of, band, in_time
from tests.support.sessions import make_session
from tests.support.tones import noise


def planned(song=None, **settings):
    stems = band()
    reference = reference_of(song) if song else None
    return plan(stems, in_time(stems), Settings.model_validate(settings), reference).sheet.master


def song(**sound):
    return analysis_of("reference.wav", channels=2, correlation=0.5, **sound)


def test_master_takes_over_its_loudness():
    assert -11.0 == pytest.approx(planned(song(lufs=-11.0)).target_lufs, abs=0.1)
    assert -8.0 == planned(song(lufs=-3.0)).target_lufs
    assert -16.0 == planned(song(lufs=-11.0), target_lufs=-16.0).target_lufs


def test_bells_lead_toward_its_spectrum_and_stay_bounded():
    """Dark and bright references want the opposite, and no octave moves by more than 4 dB."""
    treble = {
        hz: sum(bell.gain_db for bell in planned(song(hz=hz, octaves=1.5)).eq if bell.hz >= 2000)
        for hz in (60.0, 3000.0)
    }
    assert treble[60.0] < 0.0 < treble[3000.0]
    assert all(abs(bell.gain_db) <= 4.0 for bell in planned(song(hz=6000.0, octaves=1.0)).eq)


def test_width_follows_its_sides_within_bounds():
    narrow, wide = (planned(song(side=side)).width for side in (0.001, 0.6))

    assert (0.8, 1.25) == (narrow, wide)


def test_glue_follows_its_crest_within_bounds():
    """A dense reference asks for more, one with high peaks for less or none."""
    dense, alike, loose = (planned(song(crest_db=db)).glue for db in (6.0, 14.0, 30.0))

    assert loose is None
    assert dense.threshold_db < alike.threshold_db
    assert "3 dB on average" in dense.why


def test_what_is_switched_off_is_not_taken_over():
    off = {"master_eq": False, "widen": False}
    master = planned(song(hz=6000.0, side=0.6), stages=off)

    assert ((), 1.0) == (master.eq, master.width)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = make_session(tmp_path_factory.mktemp("session") / "Song", seconds=4.0)
    bright = np.diff(noise(48_000, 6.0, rms_dbfs=-30.0, seed=5), axis=0)
    sf.write(folder / "Reference.flac", bright, 48_000)
    return folder


def mixed(source, out, **settings):
    out.mkdir()
    made = mix(
        source,
        out,
        Settings.model_validate(settings),
        report=lambda *_: None,
        resources=Resources(),
    )
    return made, json.loads((out / "report.json").read_text())


def test_reference_is_read_and_not_mixed(session, tmp_path):
    made, report = mixed(session, tmp_path / "out")

    assert "Reference.flac" == report["reference"]["name"]
    assert "Reference.flac" in {row["path"] for row in made.inputs}
    assert "Reference.flac" not in {row["name"] for row in report["stems"]}
    assert not [text for _, text in made.warnings if "Reference.flac" in text]
    assert made.heard.integrated_lufs == pytest.approx(
        report["reference"]["integrated_lufs"], abs=0.1
    )


def test_master_is_closer_to_the_reference_than_without(session, tmp_path):
    toward, report = mixed(session, tmp_path / "toward")
    without, _ = mixed(session, tmp_path / "without", stages={"reference": False})
    reference_db = np.asarray(report["spectrum"]["target_db"])

    def away_db(made):
        distance = target_distance_db(10.0 ** (made.heard.bands_db / 10.0), reference_db)
        return float(np.sqrt(np.nanmean(distance**2)))

    assert away_db(toward) < away_db(without) - 1.0
