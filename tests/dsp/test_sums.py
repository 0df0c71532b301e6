"""Sums and maxima of neighbours: against those of SciPy."""

import numpy as np
import pytest
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from dsp.sums import moving_maximum, moving_sum, smoothed

VALUES = np.abs(np.random.default_rng(2).normal(0.0, 1.0, 300))


@pytest.mark.parametrize("size", [1, 2, 17, 41])
def test_moving_maximum_is_that_of_the_neighbours(size):
    """As many maxima as values; beyond the ends there is nothing."""
    wanted = maximum_filter1d(VALUES, size, mode="constant")

    np.testing.assert_array_equal(wanted, moving_maximum(VALUES, size))


def test_smoothed_is_the_mean_of_the_neighbours():
    """With equal weights, beyond the ends too."""
    wanted = uniform_filter1d(VALUES, 41, mode="constant")

    np.testing.assert_allclose(wanted, smoothed(VALUES, np.full(41, 1.0 / 41.0)), atol=1e-12)


def test_nothing_has_no_neighbours():
    """No values, no maxima."""
    assert 0 == len(moving_maximum([], 17))


@pytest.mark.parametrize("hop", [1, 10])
def test_fewer_values_than_weights_have_no_sum(hop):
    """A sound that is shorter than a window has none."""
    for length in range(17):
        assert 0 == len(moving_sum(VALUES[:length], np.ones(17), hop=hop))

    assert 1 == len(moving_sum(VALUES[:17], np.ones(17), hop=hop))


def test_every_tenth_sum_is_that_of_all():
    """Sums that are not asked for change nothing of the others."""
    weights = np.linspace(0.1, 1.0, 40)

    np.testing.assert_array_equal(
        moving_sum(VALUES, weights)[::10], moving_sum(VALUES, weights, hop=10)
    )
