"""The equaliser: what was planned is what is heard."""

import numpy as np
import pytest

from dsp.errors import ParameterError
from dsp.processors.eq import Band, Equaliser, response_db, sections_of
from tests.support.filtering import in_float64, measured_db, null_db, on_bins

CURVE = (
    Band("high_pass", 80.0),
    Band("low_shelf", 150.0, 2.5),
    Band("peak", 320.0, -3.5, 1.2),
    Band("peak", 2_800.0, 4.0, 0.9),
    Band("notch", 6_000.0, q=8.0),
    Band("high_shelf", 9_000.0, 3.0),
)
OCTAVES = np.geomspace(40.0, 20_000.0, 61)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_equaliser_sounds_as_planned(rate_hz):
    """The spectrum of the impulse response is the planned curve, within 0.001 dB."""
    hz = on_bins(OCTAVES, rate_hz)

    heard = measured_db(Equaliser(CURVE, rate_hz=rate_hz, channels=1), hz, rate_hz)

    np.testing.assert_allclose(response_db(CURVE, hz, rate_hz), heard, atol=1e-3)


def test_response_is_the_sum_of_its_bands():
    """In dB, bands add up."""
    alone = sum(response_db([band], OCTAVES, 48_000) for band in CURVE)

    np.testing.assert_allclose(alone, response_db(CURVE, OCTAVES, 48_000), atol=1e-9)


def test_equaliser_nulls_against_float64():
    """Six bands lose nothing above −140 dB against float64 throughout."""
    sound = np.random.default_rng(5).normal(0.0, 0.2, (96_000, 2)).astype(np.float32)
    wanted = in_float64(sections_of(CURVE, 48_000), sound)

    heard = Equaliser(CURVE, rate_hz=48_000, channels=2).process(sound)

    assert null_db(heard, wanted) < -140.0


@pytest.mark.parametrize(
    "bands", [(), (Band("peak", 500.0, 0.0), Band("high_shelf", 30_000.0, 6.0))]
)
def test_equaliser_that_does_nothing_is_the_identity(bands):
    """Without a band that acts: the same bits, no tail."""
    sound = np.random.default_rng(5).normal(0.0, 0.2, (1_000, 2)).astype(np.float32)
    equaliser = Equaliser(bands, rate_hz=48_000, channels=2)

    assert sound.tobytes() == equaliser.process(sound).tobytes()
    assert equaliser.tail_s == 0.0


@pytest.mark.parametrize("kind", ["peak", "notch", "high_shelf", "low_pass"])
@pytest.mark.parametrize("hz", [21_000.0, 22_050.0, 40_000.0])
def test_band_that_acts_above_the_rate_is_dropped(kind, hz):
    """At 44.1 kHz nothing is left above 20.9 kHz to act on."""
    assert 0 == len(sections_of([Band(kind, hz, 6.0)], 44_100))


def test_low_shelf_above_the_rate_still_lifts_what_is_below():
    """A low shelf beyond the rate is held at the limit: its gain is there."""
    assert response_db([Band("low_shelf", 40_000.0, 6.0)], 1_000.0, 44_100) == pytest.approx(
        6.0, abs=0.01
    )


def test_high_pass_above_the_rate_still_takes_what_is_below():
    """A high-pass beyond the rate is held at the limit: nothing passes."""
    assert response_db([Band("high_pass", 40_000.0)], 1_000.0, 44_100) < -50.0


def test_equaliser_refuses_a_corner_of_zero():
    """A band's corner is above 0."""
    with pytest.raises(ParameterError, match="hz must lie between 0"):
        Equaliser([Band("high_pass", 0.0)], rate_hz=48_000, channels=1)


def test_impulse_stays_where_it_is():
    """An equaliser adds no delay: the impulse comes out in the frame it went in."""
    impulse = np.zeros((1_000, 1), np.float32)
    impulse[321] = 1.0
    bands = [Band("peak", 1_000.0, 4.0), Band("low_shelf", 100.0, -3.0)]

    heard = Equaliser(bands, rate_hz=48_000, channels=1).process(impulse)

    assert not heard[:321].any()
    assert 321 == np.abs(heard).argmax()
