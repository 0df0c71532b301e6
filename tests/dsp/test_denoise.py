"""Steady noise is lowered between and beneath words, and words are left as they are."""

import numpy as np
import pytest

from dsp.errors import ParameterError
from dsp.measure.spectrum import ThirdOctaves
from dsp.processors.denoise import OCTAVES_HZ, Denoiser
from dsp.units import dbs_of
from tests.support.tones import noise

RATE_HZ = 48_000
REDUCTION_DB = 12.0


@pytest.fixture(scope="module")
def hiss():
    return noise(RATE_HZ, 4.0, rms_dbfs=-55.0, seed=5, channels=1).astype(np.float32)


@pytest.fixture(scope="module")
def noise_db(hiss):
    meter = ThirdOctaves(RATE_HZ, 1, step_s=0.5, every=2)
    meter.update(hiss)
    power = meter.powers().mean(axis=0)
    return tuple(10.0 * np.log10(power[3 * k + 1 : 3 * k + 4].sum()) for k in range(10))


def denoised(sound, noise_db, reduction_db=REDUCTION_DB):
    lowered = Denoiser(
        noise_db=noise_db, reduction_db=reduction_db, rate_hz=RATE_HZ, channels=sound.shape[1]
    )
    late = np.zeros((lowered.latency, sound.shape[1]), np.float32)
    return lowered.process(np.concatenate([sound, late]))[lowered.latency :]


def rms_db(sound):
    return float(dbs_of(np.sqrt(np.square(sound, dtype=np.float64).mean())))


def test_noise_alone_is_lowered_by_what_was_asked_for(hiss, noise_db):
    """And evenly: no second of it stands out."""
    done = denoised(hiss, noise_db)[RATE_HZ // 2 :]
    seconds = [rms_db(done[start : start + RATE_HZ]) for start in range(0, 3 * RATE_HZ, RATE_HZ)]

    assert [-55.0 - REDUCTION_DB] * 3 == pytest.approx(seconds, abs=0.3)


def test_noise_of_two_channels_is_told_for_both_together(hiss, noise_db):
    both = np.repeat(hiss, 2, axis=1)
    done = denoised(both, tuple(np.asarray(noise_db) + 3.01))

    assert -55.0 - REDUCTION_DB == pytest.approx(rms_db(done[RATE_HZ // 2 :]), abs=0.3)


def test_what_stands_above_the_noise_is_passed_from_its_first_millisecond(hiss, noise_db):
    """A burst 30 dB above it, in all bands, loses nothing at its onset."""
    burst = hiss.copy()
    start, stop = RATE_HZ, RATE_HZ + RATE_HZ // 4
    burst[start:stop] *= 10.0 ** (30.0 / 20.0)
    done = denoised(burst, noise_db)
    left = done[start:stop] - burst[start:stop]

    assert rms_db(left) < rms_db(burst[start:stop]) - 60.0


def test_nothing_is_changed_where_nothing_is_to_be_lowered(hiss, noise_db):
    """The transform and its way back leave no trace above the last bits."""
    done = denoised(hiss, noise_db, reduction_db=0.0)

    assert rms_db(done - hiss) < rms_db(hiss) - 130.0


def test_noise_has_a_level_in_each_octave():
    with pytest.raises(ParameterError, match=f"{len(OCTAVES_HZ)} numbers"):
        Denoiser(noise_db=(-60.0,), reduction_db=6.0, rate_hz=RATE_HZ, channels=1)
