"""Key and tuning of cadences of which both are known."""

import numpy as np
import pytest

from dsp.analysis.key import KEYS, key_of
from dsp.analysis.tuning import LEAST_SHARPNESS, tuning_of
from tests.support.known_songs import RATE_HZ, evidence_of, song


@pytest.mark.parametrize("key", KEYS)
def test_key_of_a_cadence_is_found(key):
    """Tonic, subdominant, dominant, tonic: in all 24 keys."""
    evidence = evidence_of(song(180.0, seconds=9.0, key=key).mono)
    found = key_of(evidence.pitch, tuning_of(evidence.cents).cents)

    assert key == found.name
    assert found.second != key
    assert len(KEYS) == len(found.scores)
    assert sum(found.scores) == pytest.approx(1.0)
    assert max(found.scores) == found.p


@pytest.mark.parametrize("cents", [-45.0, 12.5, 33.0])
def test_tuning_is_read_to_two_cents_and_does_not_move_the_key(cents):
    """A song a little off A = 440 Hz says how far, and keeps its key."""
    evidence = evidence_of(song(150.0, seconds=16.0, key="D minor", cents=cents).mono)
    tuning = tuning_of(evidence.cents)

    assert cents == pytest.approx(tuning.cents, abs=2.0)
    assert tuning.sharpness > 0.3
    assert key_of(evidence.pitch, tuning.cents).name == "D minor"


def test_noise_agrees_on_no_tuning():
    """What has no tones is far below the sharpness from which a tuning is told."""
    noise = np.random.default_rng(3).standard_normal(20 * RATE_HZ).astype(np.float32)

    assert tuning_of(evidence_of(0.1 * noise).cents).sharpness < LEAST_SHARPNESS / 2


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_no_key_is_made_up(seconds):
    """Silence and a second of music have none."""
    mono = song(150.0, seconds=16.0).mono[int(0.5 * RATE_HZ) :][: int(seconds * RATE_HZ)]
    evidence = evidence_of(np.concatenate([mono, np.zeros(10 * RATE_HZ, np.float32)]))

    assert key_of(evidence.pitch, 0.0) is None
