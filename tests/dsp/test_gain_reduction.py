"""The meter of gain reduction."""

import numpy as np
import pytest

from dsp.processors.gain_reduction import Reduction

STEP_HOPS = 300  # 100 ms at 48 kHz


def metered(hops, active, size=10**9, rate_hz=48_000):
    meter = Reduction(rate_hz)
    for at in range(0, hops.shape[1], size):
        meter.update(hops[:, at : at + size], active[at : at + size])
    return meter


def test_a_meter_that_heard_nothing_reads_zero():
    """No hop: no reduction, and no curve."""
    meter = Reduction(48_000)

    assert (0.0, 0.0, 0) == (meter.mean_db, meter.max_db, len(meter.curve_db()))


def test_mean_is_taken_over_active_hops():
    """Where nothing sounds nothing is averaged."""
    meter = metered(np.asarray([[6.0, 2.0, 0.0, 0.0]]), np.asarray([True, True, False, False]))

    assert 4.0 == meter.mean_db


def test_max_is_that_of_the_channel_reduced_most():
    """Rows are channels."""
    meter = metered(np.asarray([[1.0, 2.0], [7.0, 0.0]]), np.ones(2, bool))

    assert 7.0 == meter.max_db


def test_curve_has_one_mean_per_100_ms():
    """Active or not; the last step may be short."""
    hops = np.concatenate([np.full(STEP_HOPS, 3.0), np.full(STEP_HOPS, 1.0), [8.0]])

    curve = metered(hops[np.newaxis], np.zeros(len(hops), bool)).curve_db()

    np.testing.assert_array_equal(np.float32([3.0, 1.0, 8.0]), curve)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_step_is_a_tenth_of_a_second(rate_hz):
    """To half a hop."""
    assert 0.1 == pytest.approx(Reduction(rate_hz).step_s, abs=8 / rate_hz)


@pytest.mark.parametrize("size", [1, 7, 300, 1_000])
def test_meter_does_not_show_how_a_stream_was_cut(size):
    """The same figures, bit for bit."""
    rng = np.random.default_rng(2)
    hops, active = rng.uniform(0.0, 9.0, (2, 1_500)), rng.uniform(size=1_500) > 0.3
    whole, pieces = metered(hops, active), metered(hops, active, size)

    assert whole.mean_db == pieces.mean_db
    assert whole.max_db == pieces.max_db
    assert whole.curve_db().tobytes() == pieces.curve_db().tobytes()
