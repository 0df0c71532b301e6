"""Levels: trim, ride and faders, on made-up stems."""

import numpy as np
import pytest

from dsp.measure.loudness import integrated_lufs
from dsp.mixing.balance import (
    FADER_MAX_DB,
    WORKING_LUFS,
    faders_db,
    lead_to_rest_lu,
    ride_curve_db,
    trim_db,
)
from dsp.mixing.roles import PROFILES
from dsp.mixing.stem_meters import STEP_S
from tests.support.analyses import track_named


def phrases(levels_db):
    """Four seconds for each level."""
    return np.repeat(10.0 ** (np.asarray(levels_db) / 10.0), 40)


def spread_db(energy):
    window = np.ones(30) / 30
    return float((10.0 * np.log10(np.convolve(energy, window, mode="valid"))).std())


def test_trim_brings_a_stem_to_the_working_level():
    """Whatever the equaliser adds is taken into account."""
    track = track_named("vox.wav", lufs=-31.0)

    assert WORKING_LUFS - track.loudness_lufs - 2.0 == pytest.approx(trim_db(track, 2.0), abs=0.01)


def test_trim_of_silence_is_nothing():
    """There is no level to bring it from."""
    assert 0.0 == trim_db(track_named("vox.wav", active=np.zeros(30)), 0.0)


def test_ride_evens_out_phrases():
    """The spread of 3 s loudness falls by about the amount that was asked for."""
    energy = phrases([-20, -26, -20, -24, -18, -26])
    ridden = energy * 10.0 ** (ride_curve_db(energy, amount=0.5, range_db=6.0) / 10.0)

    assert 0.75 * spread_db(energy) > spread_db(ridden)


def test_ride_stays_in_its_range():
    """A whisper is not pulled up to a shout."""
    curve = ride_curve_db(phrases([-10, -29, -10, -10]), amount=1.0, range_db=3.0)

    assert 3.0 >= np.abs(curve).max()


def test_ride_leaves_a_steady_voice_alone():
    """Nothing to even out: under a tenth of a dB away from the ends."""
    curve = ride_curve_db(phrases([-20] * 4), amount=0.5, range_db=3.0)

    assert 0.1 > np.abs(curve[30:-30]).max()


def test_ride_of_silence_is_nothing():
    """No phrase, no gain."""
    assert not ride_curve_db(np.zeros(50), amount=0.5, range_db=3.0).any()


@pytest.mark.parametrize("strayed_db", [-3.0, 0.0, 2.5])
def test_fader_takes_back_what_the_strip_did(strayed_db):
    """A role keeps its distance whatever its strip added on the way."""
    tracks = [track_named(name) for name in ("vox.wav", "bass.wav", "pad.wav")]
    energies = {t.name: t.energy.copy() for t in tracks}
    energies["pad.wav"] *= 10.0 ** (strayed_db / 10.0)
    faders = faders_db(tracks, energies)
    loud = {
        name: integrated_lufs(energy * 10.0 ** (faders[name] / 10.0), step_s=STEP_S)
        for name, energy in energies.items()
    }
    wanted = PROFILES["pad"].level_lu - PROFILES["bass"].level_lu

    assert wanted == pytest.approx(loud["pad.wav"] - loud["bass.wav"], abs=0.05)


@pytest.mark.parametrize(("lead", "role"), [("vox.wav", "lead"), ("host.wav", "speech")])
def test_lead_is_set_against_the_rest_by_what_it_is(lead, role):
    """A singer is as loud as the band; under speech the music steps back."""
    tracks = [track_named(name) for name in (lead, "bass.wav", "keys.wav", "pad.wav")]
    faders = faders_db(tracks, {t.name: t.energy for t in tracks})
    energies = {t.name: t.energy * 10.0 ** (faders[t.name] / 10.0) for t in tracks}

    assert PROFILES[role].over_rest_lu == pytest.approx(lead_to_rest_lu(tracks, energies), abs=0.05)


def test_only_the_lead_against_the_rest_while_it_sounds():
    """What the rest does while the lead is silent does not count."""
    half = np.repeat([1.0, 0.0], 15)
    tracks = [track_named("vox.wav", active=half), track_named("bass.wav")]
    energies = {t.name: t.energy for t in tracks}
    louder = {**energies, "bass.wav": energies["bass.wav"] * np.where(tracks[0].active, 1.0, 9.0)}

    assert lead_to_rest_lu(tracks, energies) == pytest.approx(lead_to_rest_lu(tracks, louder))


def test_faders_are_bounded():
    """A stem that is 40 dB off is brought no further than the bound."""
    tracks = [track_named("vox.wav", lufs=-20), track_named("bass.wav", lufs=-60)]
    faders = faders_db(tracks, {t.name: t.energy for t in tracks})

    assert 2 * FADER_MAX_DB + PROFILES["bass"].level_lu >= faders["bass.wav"]


def test_without_a_lead_there_is_no_distance_to_it():
    """An instrumental keeps the distances between its roles."""
    tracks = [track_named("bass.wav"), track_named("pad.wav")]

    assert lead_to_rest_lu(tracks, {t.name: t.energy for t in tracks}) is None
