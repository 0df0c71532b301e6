"""Spectra: where a sine reads, what noise adds up to, and when."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import ParameterError
from dsp.measure.spectrum import THIRD_OCTAVES_HZ, BandPowers, ThirdOctaves
from tests.support.tones import cut, noise, sine, tone

RATE_HZ = 48_000
NOMINAL_HZ = [20, 25, 31.5, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800]
NOMINAL_HZ += [1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300, 8000]
NOMINAL_HZ += [10_000, 12_500, 16_000, 20_000]


def third_octaves(block, rate_hz=RATE_HZ):
    meter = ThirdOctaves(rate_hz, block.shape[1])
    meter.update(block)
    return meter.powers()


def test_third_octaves_are_those_of_iec_61260():
    """The 31 exact centres lie within 2 % of their names."""
    assert NOMINAL_HZ == pytest.approx(THIRD_OCTAVES_HZ, rel=0.02)


@pytest.mark.parametrize("band", range(31))
def test_a_full_scale_sine_reads_its_mean_square_in_its_band(band):
    """0.5, within 0.1 dB, from the lowest band to the highest."""
    block = sine(RATE_HZ, 2.0, hz=THIRD_OCTAVES_HZ[band], channels=1)

    assert pytest.approx(0.5, rel=0.02) == third_octaves(block)[1, band]


@pytest.mark.parametrize("rate_hz", [11_025, 44_100, 96_000])
def test_powers_are_the_same_at_every_rate(rate_hz):
    """A sine at 1 kHz reads 0.5 in band 17 whatever the rate."""
    powers = third_octaves(sine(rate_hz, 2.0, channels=1), rate_hz)

    assert pytest.approx(0.5, rel=0.01) == powers[1, 17]


def test_a_sine_outside_a_band_hardly_shows_in_it():
    """Two bands away it is 60 dB down."""
    powers = third_octaves(sine(RATE_HZ, 2.0, channels=1))[1]

    assert powers[19] < 1e-6 * powers[17]
    assert powers[15] < 1e-6 * powers[17]


def test_white_noise_sums_to_its_power():
    """Channels summed: what lies between 18 Hz and 22.4 kHz, within 0.1 dB."""
    block = noise(RATE_HZ, 20.0, rms_dbfs=-20.0, seed=1)
    expected = 2.0 * 0.01 * (22_387.0 - 18.0) / 24_000.0

    assert expected == pytest.approx(third_octaves(block)[1:-1].sum(axis=1).mean(), rel=0.02)


def test_white_noise_rises_with_the_width_of_the_bands():
    """Each band has 10^0.1 times the power of the one below."""
    powers = third_octaves(noise(RATE_HZ, 20.0, rms_dbfs=-20.0, seed=2))[1:-1].mean(axis=0)

    assert np.full(15, 10.0**0.1) == pytest.approx(powers[16:] / powers[15:-1], rel=0.05)


def test_bands_above_half_the_rate_are_zero():
    """Exactly; the band that half the rate cuts is not."""
    powers = third_octaves(noise(8000, 2.0, rms_dbfs=-20.0, seed=3), 8000)[1]

    assert not powers[24:].any()
    assert powers[:24].all()


def test_a_step_weighs_mostly_its_own_sound():
    """Sound that fills one step exactly: its neighbours get 4 % each, the others nothing."""
    powers = third_octaves(tone(RATE_HZ, [(1.0, None), (0.5, 0.0), (1.0, None)], channels=1))

    assert [0.0, 0.04, 0.92, 0.04, 0.0] == pytest.approx(powers.sum(axis=1) / 0.5, abs=0.01)


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("frames", [0, 1, 4_000, 4_001, 17_600, 18_000, 18_001, 20_001])
def test_every_step_begun_is_there(frames, every):
    """A short sound has one step, and only no sound has none; the last one may be short."""
    meter = ThirdOctaves(8_000, 1, every=every)
    meter.update(np.ones((frames, 1), np.float32))

    assert (-(-frames // 4_000), 31) == meter.powers().shape


def test_silence_is_exactly_zero():
    """The floor is 0."""
    assert not third_octaves(np.zeros((3 * RATE_HZ, 2), np.float32)).any()


def test_a_step_of_less_than_a_frame_is_refused():
    """There is nothing to transform."""
    with pytest.raises(ParameterError, match="step_s must be at least one frame"):
        BandPowers(RATE_HZ, 1, edges_hz=np.array([20.0, 40.0]), step_s=1e-6)


@pytest.mark.parametrize("every", [1, 2, 4])
@given(places=st.lists(st.integers(0, 10**6), max_size=6))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_third_octaves_do_not_depend_on_the_blocks(every, places):
    """However a stream is cut and asked, the powers are the same, bit for bit."""
    block = noise(8000, 4.3, rms_dbfs=-20.0, seed=4)
    meter, whole = (ThirdOctaves(8000, 2, every=every) for _ in range(2))
    for piece in cut(block, places):
        meter.update(piece)
        meter.powers()
    whole.update(block)

    np.testing.assert_array_equal(whole.powers(), meter.powers())


@pytest.mark.parametrize("every", [2, 4])
def test_step_that_is_looked_at_stands_for_those_after_it(every):
    """Noise that does not change reads the same whether every step is looked at or one in so
    many, and there are as many steps."""
    block = noise(8000, 9.7, rms_dbfs=-20.0, seed=5)
    meter = ThirdOctaves(8000, 2, every=every)
    meter.update(block)
    all_steps = third_octaves(block, 8000)

    assert all_steps.shape == meter.powers().shape
    assert all_steps[::every] == pytest.approx(meter.powers()[::every])


@given(places=st.lists(st.integers(0, 10**6), max_size=6))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_powers_that_are_taken_are_those_that_are_asked_for(places):
    """Taken as they settle, and the rest asked for at the end: nothing lost, nothing twice."""
    block = noise(8000, 4.3, rms_dbfs=-20.0, seed=6)
    meter, whole = (ThirdOctaves(8000, 2, every=2) for _ in range(2))
    taken = []
    for piece in cut(block, places):
        meter.update(piece)
        taken.append(meter.taken())
    whole.update(block)

    np.testing.assert_array_equal(whole.powers(), np.concatenate([*taken, meter.powers()]))
