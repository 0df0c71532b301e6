"""A strip: what it sends to the sum, and what it remembers of that."""

import numpy as np
import pytest

from dsp.mixing.render.strip import StripMeter
from dsp.mixing.track import K_POWER
from tests.support.tones import cut, noise

RATE_HZ = 8_000


def heard(sound, key, *, places=()):
    ear = StripMeter(np.asarray(key, np.float64), RATE_HZ)
    for piece in cut(sound, places):
        ear.update(piece)
    return ear.meters({})


def test_ear_tells_the_moments_of_the_lead_apart():
    """Sound that comes when the lead rests counts in the mean and not under the lead."""
    sound = noise(RATE_HZ, 8.0, rms_dbfs=-20.0, seed=1)
    sound[: 4 * RATE_HZ] *= 0.01
    lead = np.repeat([1.0, 0.0], 40)
    lead[25:] = 0.0  # a window that only touches the lead's half seconds says nothing here

    found = heard(sound, lead)

    assert found.bands_under_lead.sum() < 1e-3 * found.bands.sum() * 16
    assert found.bands_under_lead.any()


def test_ear_weighs_no_other_than_it_heard():
    """The powers per half second add up to those per band, as the ear weighs them."""
    sound = noise(RATE_HZ, 5.2, rms_dbfs=-20.0, seed=2)

    found = heard(sound, [1.0])

    assert 11 == len(found.power)
    assert 55 == len(found.energy)
    assert found.power.sum() == pytest.approx(11 * found.bands @ K_POWER)


def test_ear_does_not_hear_the_blocks():
    """However the sound was cut."""
    sound = noise(RATE_HZ, 6.1, rms_dbfs=-20.0, seed=3)
    whole, pieces = heard(sound, [1.0] * 61), heard(sound, [1.0] * 61, places=(5, 20_000, 33_333))

    np.testing.assert_allclose(whole.bands_under_lead, pieces.bands_under_lead, rtol=1e-12)
    np.testing.assert_allclose(whole.energy, pieces.energy, rtol=1e-12)


def test_ear_that_heard_nothing_has_silence_to_tell():
    """31 bands of it."""
    found = heard(np.zeros((0, 2), np.float32), [1.0])

    assert [0.0] * 31 == found.bands.tolist()
    assert 0 == len(found.energy)
