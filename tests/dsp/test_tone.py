"""Equalisers: nearer to the target, never further, and within bounds."""

import numpy as np
import pytest

from dsp.mixing.tone import (
    CENTRES,
    MASTER_MAX_DB,
    MASTER_TARGET_DB,
    OCTAVES_HZ,
    TONAL_MAX_DB,
    air_of,
    corner_of,
    master_eq,
    power_response,
    role_distance_db,
    target_distance_db,
    tonal_balance,
)
from tests.support.analyses import track_named

RATE_HZ = 48_000
TARGET = 10.0 ** (MASTER_TARGET_DB / 10.0)


def off_by(seed, most_db):
    """The master target, each third octave off, smoothly over the octaves."""
    rng = np.random.default_rng(seed)
    away = np.interp(np.arange(31), np.arange(0, 31, 5), rng.uniform(-most_db, most_db, 7))
    return TARGET * 10.0 ** (away / 10.0)


@pytest.mark.parametrize("seed", range(5))
def test_master_eq_brings_every_octave_within_three_db(seed):
    """As long as the sum is not off by more than its bands may do."""
    spectrum = off_by(seed, 6.0)
    after = spectrum * power_response(master_eq(spectrum, RATE_HZ), RATE_HZ)

    assert 3.0 > np.abs(target_distance_db(after)).max()


def test_sum_on_target_is_left_alone():
    """Nothing to correct, nothing done."""
    assert [] == master_eq(TARGET, RATE_HZ)


def test_master_eq_is_bounded():
    """However far off, no band does more than its bound."""
    bands = master_eq(off_by(1, 40.0), RATE_HZ)

    assert MASTER_MAX_DB >= max(abs(band.gain_db) for band in bands)


def test_what_a_song_lacks_is_not_raised():
    """Speech has no 63 Hz, and rumble is not made louder for it."""
    spectrum = TARGET * np.where(CENTRES < 90.0, 10.0**-2, 1.0)

    assert all(band.hz > OCTAVES_HZ[0] for band in master_eq(spectrum, RATE_HZ))


def test_silence_has_no_distance():
    """A sum with nothing in it is not equalised."""
    assert [] == master_eq(np.zeros(len(CENTRES)), RATE_HZ)


@pytest.mark.parametrize("name", ["vox.wav", "guitar.wav", "piano.wav", "brass.wav"])
@pytest.mark.parametrize("hz", [200.0, 900.0, 4000.0])
def test_tonal_balance_comes_nearer_to_the_role(name, hz):
    """The furthest region is nearer after than before, or nothing is done."""
    track = track_named(name, hz=hz, octaves=2.5)
    bells = tonal_balance(track, [], RATE_HZ)
    before, after = (
        np.abs(role_distance_db(track, power_response(bands, RATE_HZ))).max()
        for bands in ([], bells)
    )

    assert not bells or after < before


def test_tonal_balance_is_bounded():
    """A stem keeps its character: no bell above 3 dB."""
    bells = tonal_balance(track_named("bass.wav", hz=3000.0, octaves=3.0), [], RATE_HZ)

    assert all(TONAL_MAX_DB >= abs(bell.gain_db) for bell in bells)


def test_corner_follows_the_role_unless_the_stem_lives_below():
    """A guitar is cut below its range; one that is all below it is left alone."""
    assert ["high_pass"] == [b.kind for b in corner_of(track_named("guitar.wav", hz=500.0))]
    assert [] == corner_of(track_named("guitar.wav", hz=30.0, octaves=0.5))


def test_air_is_given_to_what_lacks_it():
    """A dull voice gets a shelf, a bright one none, and a slow rate has no room for it."""
    dull = track_named("vox.wav", hz=500.0, octaves=1.5)
    bright = track_named("vox.wav", hz=9000.0, octaves=1.5)

    assert ["high_shelf"] == [band.kind for band in air_of(dull, [], RATE_HZ)]
    assert [] == air_of(bright, [], RATE_HZ)
    assert [] == air_of(dull, [], 22_050)
