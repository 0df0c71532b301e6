"""Filters against the cookbook's promises, against ``freqz`` and against float64."""

import numpy as np
import pytest
from scipy.signal import freqz

from dsp.errors import ParameterError
from dsp.processors.filters import Cascade, biquad, response_db
from dsp.units import SILENCE
from tests.support.filtering import in_float64, measured_db, null_db, on_bins

KINDS = ("peak", "low_shelf", "high_shelf", "high_pass", "low_pass", "band_pass", "notch")
RATES = (44_100, 48_000, 96_000)
OCTAVES = np.geomspace(20.0, 20_000.0, 61)

per_kind = pytest.mark.parametrize("kind", KINDS)
per_rate = pytest.mark.parametrize("rate_hz", RATES)


def gain_at(kind, hz, *, corner=1_000.0, q=0.7071, gain_db=6.0, rate_hz=48_000):
    sos = biquad(kind, hz=corner, q=q, gain_db=gain_db, rate_hz=rate_hz)
    return float(response_db(sos, hz, rate_hz))


@per_kind
@per_rate
def test_response_is_freqz(kind, rate_hz):
    """The planned response is SciPy's, within a billionth of a dB."""
    sos = biquad(kind, hz=1_234.0, q=1.3, gain_db=-7.0, rate_hz=rate_hz)
    _, wanted = freqz(sos[:3], sos[3:], worN=OCTAVES, fs=rate_hz)

    np.testing.assert_allclose(
        20.0 * np.log10(np.abs(wanted)), response_db(sos, OCTAVES, rate_hz), atol=1e-9
    )


@per_kind
@per_rate
def test_cascade_sounds_as_planned(kind, rate_hz):
    """The spectrum of the impulse response is the planned response, within 0.001 dB."""
    hz = on_bins(OCTAVES, rate_hz)
    sos = biquad(kind, hz=1_234.0, q=1.3, gain_db=-7.0, rate_hz=rate_hz)
    wanted = response_db(sos, hz, rate_hz)
    loud = wanted > -60.0  # below, the float32 of the output is what is measured

    heard = measured_db(Cascade(sos, 1), hz, rate_hz)

    np.testing.assert_allclose(wanted[loud], heard[loud], atol=1e-3)


@per_kind
@pytest.mark.parametrize("hz", [30.0, 1_000.0, 15_000.0])
def test_cascade_nulls_against_float64(kind, hz):
    """What is lost against float64 throughout lies 140 dB below, and stays there."""
    sos = np.stack([biquad(kind, hz=hz, q=0.9, gain_db=6.0, rate_hz=48_000)] * 2)
    sound = np.random.default_rng(3).normal(0.0, 0.2, (48_000, 2)).astype(np.float32)

    heard = Cascade(sos, 2).process(sound)

    assert null_db(heard, in_float64(sos, sound)) < -140.0


@pytest.mark.parametrize("kind", ["high_pass", "low_pass"])
def test_butterworth_corner_is_half_power(kind):
    """With q = √½ a pass filter is 3.01 dB down at its corner."""
    assert gain_at(kind, 1_000.0) == pytest.approx(-3.0103, abs=1e-3)


@pytest.mark.parametrize(("kind", "near", "far"), [("high_pass", 80, 40), ("low_pass", 800, 1600)])
def test_pass_filter_slope_is_12_db_per_octave(kind, near, far):
    """Two octaves beyond the corner, the next octave costs 12 dB."""
    corner = 320.0 if kind == "high_pass" else 200.0

    fall_db = gain_at(kind, near, corner=corner) - gain_at(kind, far, corner=corner)

    assert fall_db == pytest.approx(12.0, abs=0.1)


@pytest.mark.parametrize("gain_db", [-12.0, 3.0, 9.0])
def test_shelf_has_two_plateaus_and_half_the_gain_between(gain_db):
    """A shelf gives its gain on its side, half of the dB at the corner, nothing beyond."""
    low = [gain_at("low_shelf", hz, gain_db=gain_db) for hz in (1.0, 1_000.0, 23_999.0)]
    high = [gain_at("high_shelf", hz, gain_db=gain_db) for hz in (23_999.0, 1_000.0, 1.0)]

    assert [gain_db, gain_db / 2.0, 0.0] == pytest.approx(low, abs=1e-3)
    assert [gain_db, gain_db / 2.0, 0.0] == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize("gain_db", [-12.0, 9.0])
def test_peak_has_its_gain_at_its_centre_only(gain_db):
    """A peak gives its gain at the centre and leaves both ends alone."""
    heights = [gain_at("peak", hz, q=2.0, gain_db=gain_db) for hz in (1.0, 1_000.0, 23_999.0)]

    assert [0.0, gain_db, 0.0] == pytest.approx(heights, abs=1e-3)


def test_cut_undoes_boost():
    """A peak of +g and one of −g are each other's inverse."""
    pair = np.stack(
        [biquad("peak", hz=700.0, q=1.0, gain_db=g, rate_hz=48_000) for g in (5.0, -5.0)]
    )

    np.testing.assert_allclose(0.0, response_db(pair, OCTAVES, 48_000), atol=1e-9)


def test_band_pass_is_0_db_at_its_centre():
    """A band-pass lets its centre through and is 3 dB down one bandwidth apart."""
    q = 2.0
    edge_hz = 1_000.0 * (np.sqrt(1.0 + 1.0 / (4.0 * q * q)) + 1.0 / (2.0 * q))

    assert gain_at("band_pass", 1_000.0, q=q) == pytest.approx(0.0, abs=1e-9)
    assert gain_at("band_pass", edge_hz, q=q, rate_hz=768_000) == pytest.approx(-3.01, abs=0.01)


def test_notch_is_deep():
    """A notch leaves nothing of its centre."""
    assert gain_at("notch", 1_000.0) < -200.0


@pytest.mark.parametrize("hz", [0.0, -5.0, 24_000.0, 30_000.0, float("nan")])
def test_biquad_refuses_what_the_rate_cannot_hold(hz):
    """A corner lies above 0 and below half the rate."""
    with pytest.raises(ParameterError, match="hz must lie between 0 and 24000"):
        biquad("peak", hz=hz, q=1.0, rate_hz=48_000)


def test_biquad_refuses_q_of_zero():
    """q is above 0."""
    with pytest.raises(ParameterError, match="q must be above 0, got 0"):
        biquad("notch", hz=50.0, q=0.0, rate_hz=48_000)


def test_cascade_without_sections_is_the_identity():
    """No filter: the same bits."""
    sound = np.random.default_rng(3).normal(0.0, 0.2, (100, 2)).astype(np.float32)

    assert sound.tobytes() == Cascade(np.zeros((0, 6)), 2).process(sound).tobytes()


@pytest.mark.parametrize(("kind", "hz", "q"), [("high_pass", 20, 0.7), ("notch", 50, 30.0)])
def test_tail_is_cut_far_below_hearing(kind, hz, q):
    """Where a tail is cut to silence, even four like filters have decayed below −260 dB."""
    sos = np.stack([biquad(kind, hz=hz, q=q, rate_hz=48_000)] * 4)
    cascade = Cascade(sos, 1)
    impulse = np.zeros((cascade.tail_frames + 100, 1), np.float32)
    impulse[0] = 1.0
    beyond = in_float64(sos, impulse)[cascade.tail_frames :]

    assert np.abs(beyond).max() < 100.0 * SILENCE


def test_cascade_rests_after_its_tail():
    """Past its tail a cascade computes nothing: there is nothing that could decay to denormals."""
    cascade = Cascade(biquad("high_pass", hz=30.0, q=0.7, rate_hz=48_000), 1)
    cascade.process(np.ones((1_000, 1), np.float32))
    cascade.process(np.zeros((cascade.tail_frames, 1), np.float32))
    state = cascade._state.copy()
    cascade.process(np.zeros((65_536, 1), np.float32))

    np.testing.assert_array_equal(state, cascade._state)


def test_cascade_past_its_tail_is_as_new():
    """What was cut from a tail does not come back: the faintest sound meets an empty filter."""
    sos = biquad("high_pass", hz=30.0, q=0.7, rate_hz=48_000)
    rested, new = Cascade(sos, 1), Cascade(sos, 1)
    rested.process(np.ones((1_000, 1), np.float32))
    rested.process(np.zeros((rested.tail_frames + 1, 1), np.float32))
    faint = np.full((500, 1), 1e-13, np.float32)

    assert new.process(faint).tobytes() == rested.process(faint).tobytes()
