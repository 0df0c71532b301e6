"""Room for the lead: found where it is covered, made within bounds."""

import numpy as np
import pytest

from dsp.mixing.masking import (
    BANDS_PER_STEM,
    BETTER_DB,
    MAX_DEPTH_DB,
    WIDEST,
    make_room,
    uncovered,
)
from dsp.mixing.prediction import cut_power
from dsp.mixing.recall_sheet import Room
from dsp.mixing.tone import CENTRES
from dsp.processors.eq import Band, response_db
from tests.support.analyses import track_named

FLAT = np.ones(len(CENTRES))


def levels(*tracks, rest_db=0.0):
    """Every strip passes its stem; the rest by ``rest_db`` louder."""
    return {t.name: FLAT * (1.0 if t.role == "lead" else 10 ** (rest_db / 10)) for t in tracks}


@pytest.fixture
def covered():
    """A voice around 1 kHz under a guitar, a piano and a pad in the same place."""
    return [
        track_named(name, hz=1000.0, octaves=0.2)
        for name in ("vox.wav", "guitar.wav", "piano.wav", "pad.wav")
    ]


def test_covered_lead_is_uncovered(covered):
    """Every masked band gets better by at least 2 dB."""
    powers = levels(*covered, rest_db=2.0)
    rooms, masked = make_room(covered, powers)
    after = {n: p * cut_power(rooms.get(n, ()), CENTRES) for n, p in powers.items()}

    assert masked
    assert all(m.better_db >= 2.0 for m in uncovered(covered, masked, powers, after))


def test_cuts_are_bounded_and_spare_the_lead(covered):
    """At most two per stem, at most 6 dB, none in the lead."""
    rooms, _ = make_room(covered, levels(*covered, rest_db=20.0))

    assert "vox.wav" not in rooms
    assert BANDS_PER_STEM >= max(len(room) for room in rooms.values())
    assert MAX_DEPTH_DB >= max(cut.depth_db for room in rooms.values() for cut in room)


def test_free_lead_is_left_alone(covered):
    """Nothing is cut where nothing covers."""
    assert ({}, []) == make_room(covered, levels(*covered, rest_db=-15.0))


def test_rest_in_another_place_is_left_alone():
    """A bass covers no voice."""
    stems = [
        track_named("vox.wav", hz=2000.0, octaves=0.5),
        track_named("bass.wav", hz=60.0, octaves=0.5),
    ]

    assert {} == make_room(stems, levels(*stems))[0]


def test_more_asked_for_is_cut_from_more_stems(covered):
    """The depth of one cut is bounded; more stems are cut instead."""
    powers = levels(*covered)
    few, many = (make_room(covered, powers, wanted)[0] for wanted in (0.5 * BETTER_DB, 12.0))

    assert len(many) >= len(few)
    assert sum(len(room) for room in many.values()) > sum(len(room) for room in few.values())


def test_neighbours_share_one_cut(covered):
    """A patch of masked third octaves gets one cut per stem, not one per band."""
    rooms, masked = make_room(covered, levels(*covered))

    assert max(len(room) for room in rooms.values()) < len(masked)
    assert -(-len(masked) // WIDEST) >= max(len(room) for room in rooms.values())


def test_only_the_moments_of_the_lead_count():
    """What plays while the lead is silent covers nothing."""
    half = np.repeat([1.0, 0.0], 15)
    stems = [
        track_named("vox.wav", hz=1000.0, active=half),
        track_named("guitar.wav", hz=1000.0, lufs=-10.0, active=1.0 - half),
    ]

    assert 1 >= len(make_room(stems, levels(*stems))[1])


def test_without_a_lead_there_is_no_room_to_make():
    """An instrumental is cut nowhere."""
    stems = [track_named("guitar.wav"), track_named("piano.wav")]

    assert ({}, []) == make_room(stems, levels(*stems))


@pytest.mark.parametrize("depth_db", [1.5, 6.0])
def test_power_of_a_cut_is_its_depth_at_its_centre(depth_db):
    """At the centre the whole depth, two octaves away a fraction of a dB."""
    cut = Room(hz=1000.0, q=2.0, depth_db=depth_db)
    centre, far = 10 * np.log10(cut_power([cut], np.asarray([1000.0, 4000.0])))

    assert -depth_db == pytest.approx(centre, abs=1e-6)
    assert -0.5 < far


def test_power_of_a_cut_is_that_of_the_filter_that_makes_it():
    """The analogue formula and the digital band agree below a sixth of the rate."""
    hz = np.geomspace(100.0, 8000.0, 50)
    band_pass = 10 ** (response_db([Band("band_pass", 1000.0, q=1.2)], hz, 48_000) / 20)
    wanted = 10 * np.log10(cut_power([Room(hz=1000.0, q=1.2, depth_db=6.0)], hz))
    gain = 10 ** (-6.0 / 20)
    # Where the band-pass passes p, its real part is p² (its phase is acos p).
    made = 20 * np.log10(np.abs(1 + (gain - 1) * (band_pass**2 + 1j * band_pass * np.sqrt(
        np.maximum(1 - band_pass**2, 0)))))  # fmt: skip

    np.testing.assert_allclose(wanted, made, atol=0.1)
