"""The peaks that a limiter must expect: never too low, and seldom too high."""

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

from dsp.audio import HOP_FRAMES
from dsp.processors.limiter_peaks import LimiterPeaks
from dsp.processors.oversample import TruePeakHops
from dsp.units import dbs_of
from tests.support.tones import in_blocks, noise, sine

RATE_HZ = 48_000
SINC = firwin(256 * 16 + 1, 1 / 16, window=("kaiser", 12.0))


def peaks_of(sound, limit=0.1, size=10**9):
    meter = LimiterPeaks(sound.shape[1], limit=limit)
    tail = np.zeros((meter.latency, sound.shape[1]), np.float32)
    parts = [meter.update(block) for block in in_blocks(np.concatenate([sound, tail]), size)]
    return np.concatenate(parts)[: len(sound) // HOP_FRAMES]


@pytest.mark.parametrize(
    "sound",
    [
        noise(RATE_HZ, 0.2, rms_dbfs=-6.0, seed=1, channels=1),
        np.sign(noise(RATE_HZ, 0.2, rms_dbfs=-6.0, seed=2, channels=1)),
        np.sign(sine(RATE_HZ, 0.2, hz=5_000.0, phase_deg=7.0, channels=1)),
    ],
    ids=["white noise", "random signs", "a square"],
)
def test_peaks_are_not_too_low_for_full_bands(sound):
    """Per hop or next to it (a summit may lie on a border), against a sinc of 256 frames."""
    dense = np.abs(resample_poly(sound[:, 0].astype(np.float64), 16, 1, window=SINC))
    truth = dense.reshape(-1, 16 * HOP_FRAMES).max(axis=1)

    found = peaks_of(sound)

    around = np.max([found[:-2], found[1:-1], found[2:]], axis=0)
    assert (dbs_of(truth[1:-1]) - dbs_of(around)).max() < 0.1


def test_peaks_of_a_tone_are_its_true_peaks():
    """Within the band nothing is added: 0.05 dB at most."""
    sound = sine(RATE_HZ, 0.2, hz=15_000.0, channels=1)
    meter = TruePeakHops(1)
    inside = slice(12, -12)
    wanted = meter.update(np.concatenate([sound, np.zeros((meter.latency, 1), np.float32)]))

    np.testing.assert_allclose(
        dbs_of(wanted[: len(sound) // HOP_FRAMES])[inside],
        dbs_of(peaks_of(sound))[inside],
        atol=0.05,
    )


def test_peaks_far_below_the_limit_are_those_of_the_samples():
    """Nothing is interpolated that cannot matter."""
    sound = noise(RATE_HZ, 0.2, rms_dbfs=-40.0, seed=3)
    wanted = np.abs(sound).reshape(-1, HOP_FRAMES * 2).max(axis=1)

    np.testing.assert_array_equal(wanted, peaks_of(sound, limit=1.0))


@pytest.mark.parametrize("size", [1, 7, 16, 1_000])
def test_peaks_do_not_show_how_a_stream_was_cut(size):
    """The same bits, whatever came together."""
    sound = noise(RATE_HZ, 0.02, rms_dbfs=-6.0, seed=4)

    assert peaks_of(sound).tobytes() == peaks_of(sound, size=size).tobytes()
