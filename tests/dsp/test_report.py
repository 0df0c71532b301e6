"""The report: small, finite, and what it says of the balance is what was planned."""

import json
import math

import numpy as np
import pytest

from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.render.strip import TrackMeters
from dsp.mixing.report_data import lead_to_rest, lead_to_rest_bands, thinned
from dsp.mixing.roles import PROFILES
from dsp.mixing.tone import CENTRES
from tests.support.analyses import track_named
from tests.support.sessions import make_session


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Mix a session once; return what its report says, and what it warns of."""
    out = tmp_path_factory.mktemp("report")
    folder = make_session(tmp_path_factory.mktemp("session") / "song")
    made = mix(folder, out, Settings(), report=lambda *_: None)
    return json.loads((out / "report.json").read_text()), made


def numbers_in(value):
    if isinstance(value, dict):
        return [n for one in value.values() for n in numbers_in(one)]
    if isinstance(value, list):
        return [n for one in value for n in numbers_in(one)]
    return [value] if isinstance(value, float) else []


def meters(power, *, half_seconds=20):
    """A strip that sent the same power in every band, with the lead in the first half."""
    bands = np.full(len(CENTRES), power)
    return TrackMeters(
        bands=bands,
        bands_under_lead=bands * (half_seconds // 2),
        power=np.full(half_seconds, power),
        reductions={},
    )


def test_report_holds_finite_numbers_only(written):
    """Any tool can read it."""
    numbers = numbers_in(written[0])

    assert 1_000 < len(numbers)
    assert all(math.isfinite(number) for number in numbers)


def test_curves_are_short_enough_to_draw(written):
    """No list is longer than a waveform's 2,000 points."""
    report = written[0]

    assert 2_000 >= max(len(c) for c in report["curves"].values())
    assert 2_000 >= max(len(c) for c in report["waveform"].values())


def test_wanted_distances_are_those_of_the_roles(written):
    """Between stems that accompany, what is wanted is the difference of their roles."""
    wanted = {row["role"]: row["wanted_lu"] for row in written[0]["balance"]["roles"]}

    assert PROFILES["bass"].level_lu - PROFILES["pad"].level_lu == pytest.approx(
        wanted["bass"] - wanted["pad"], abs=0.2
    )


def test_roles_arrive_within_a_lu_and_a_half_of_what_is_wanted(written):
    """Measured at the sum by the report's coarse meter, which sees half seconds."""
    rows = written[0]["balance"]["roles"]

    assert all(abs(row["to_lead_lu"] - row["wanted_lu"]) < 1.5 for row in rows)


def test_lead_arrives_at_the_distance_that_was_planned(written):
    """Lead to rest as heard is within 1 LU of lead to rest as foretold."""
    balance = written[0]["balance"]

    assert balance["lead_to_rest_planned_lu"] == pytest.approx(balance["lead_to_rest_lu"], abs=1.0)


def test_every_dynamic_stage_has_its_reduction(written):
    """Glue and limiter with mean, maximum and a curve."""
    reductions = written[0]["reductions"]

    assert {"glue", "limiter", "low_limiter"} == set(reductions)
    assert all(r["max_db"] >= r["mean_db"] >= 0.0 for r in reductions.values())


def test_lead_to_rest_counts_only_the_moments_of_the_lead():
    """Half the power while the lead sounds is 3 dB, whatever comes after."""
    tracks = [track_named("vox.wav"), track_named("bass.wav")]
    strips = {"vox.wav": meters(2.0), "bass.wav": meters(1.0)}
    active = np.repeat([True, False], 50)
    strips["bass.wav"].power[10:] = 100.0

    assert 3.01 == lead_to_rest(tracks, strips, active)
    assert [3.0] * len(CENTRES) == lead_to_rest_bands(tracks, strips)


def test_figure_that_does_not_exist_is_none():
    """Without a lead there is no distance to it."""
    tracks = [track_named("bass.wav")]

    assert lead_to_rest(tracks, {"bass.wav": meters(1.0)}, np.ones(100, bool)) is None
    assert [] == lead_to_rest_bands(tracks, {"bass.wav": meters(1.0)})


def test_thinned_curve_keeps_its_extremes():
    """A single peak survives."""
    curve = np.zeros(10_000)
    curve[4_321] = -7.0

    assert -7.0 == thinned(curve, 100).min()
    assert 100 == len(thinned(curve, 100))


def test_good_mix_warns_of_nothing(written):
    """A clean session that reaches its target is not nagged about."""
    assert () == written[1].warnings
