"""Saturation: its curve, its harmonics, and what it does not let fold back."""

import numpy as np
import pytest

from dsp.errors import ParameterError
from dsp.processors.saturation import Saturation
from dsp.units import db_of, ratio_of

RATE_HZ = 48_000


def saturate(sound, *, drive_db, mix=1.0):
    """Return a mono sound saturated, its latency taken out."""
    processor = Saturation(drive_db=drive_db, mix=mix, rate_hz=RATE_HZ, channels=1)
    padded = np.append(sound, np.zeros(processor.latency)).astype(np.float32)
    return processor.process(padded[:, np.newaxis])[processor.latency :, 0].astype(np.float64)


def naive(sound, *, drive_db):
    """Return the same curve, frame by frame."""
    return sound / np.sqrt(1.0 + (10.0 ** (drive_db / 10.0) - 1.0) * np.square(sound))


def sine(hz, level=1.0):
    """Return two seconds; ``spectrum`` looks at the second."""
    return level * np.sin(2.0 * np.pi * hz * np.arange(2 * RATE_HZ + 2) / RATE_HZ)


def spectrum(sound):
    """Return amplitudes per Hz of one second in the middle."""
    return np.abs(np.fft.rfft(sound[RATE_HZ // 2 : 3 * RATE_HZ // 2])) * 2.0 / RATE_HZ


def alias_db(sound, hz):
    """Return all that is no harmonic of ``hz`` against the fundamental."""
    lines = spectrum(sound)
    folded = lines.copy()
    folded[::hz] = 0.0
    return db_of(np.sqrt(np.square(folded).sum()) / lines[hz])


def thd_db(lines):
    """Return harmonics 2 to 20 against the first."""
    return db_of(np.sqrt(np.square(lines[2:21]).sum()) / lines[1])


@pytest.mark.parametrize("drive_db", [1.0, 6.0, 24.0])
def test_drive_is_what_full_scale_loses(drive_db):
    """A steady full scale comes out ``drive_db`` lower."""
    heard = saturate(np.ones(100), drive_db=drive_db)

    assert -drive_db == pytest.approx(db_of(heard[50]), abs=1e-4)


def test_small_signals_pass_at_unity():
    """At −80 dBFS, 12 dB of drive change nothing: gain within 0.0001 dB up to 20 kHz."""
    for hz in (50, 1_000, 12_000, 20_000):
        lines = spectrum(saturate(sine(hz, 1e-4), drive_db=12.0))
        assert db_of(1e-4) == pytest.approx(db_of(lines[hz]), abs=1e-4)


def test_low_sine_follows_the_curve():
    """At 100 Hz the anti-aliasing is not there: the curve itself, within −80 dB."""
    sound = sine(100)

    np.testing.assert_allclose(
        naive(sound, drive_db=6.0)[1:-1], saturate(sound, drive_db=6.0)[1:-1], atol=1e-4
    )


@pytest.mark.parametrize("level_db", [0.0, -12.0, -24.0])
def test_distortion_is_the_curves(level_db):
    """THD of 100 Hz at 6 dB of drive is that of x/√(1+3x²), at every level."""
    turn = np.linspace(0.0, 2.0 * np.pi, 4_096, endpoint=False)
    wanted = np.abs(np.fft.rfft(naive(ratio_of(level_db) * np.sin(turn), drive_db=6.0)))
    heard = spectrum(saturate(sine(100, ratio_of(level_db)), drive_db=6.0))[::100]

    assert thd_db(wanted) == pytest.approx(thd_db(heard), abs=0.05)


@pytest.mark.parametrize("hz", [2_999, 4_999, 8_999, 13_007])
@pytest.mark.parametrize("drive_db", [3.0, 6.0, 12.0])
def test_aliases_are_far_below_those_of_a_naive_clip(hz, drive_db):
    """What folds back is at least 17 dB lower than it would be frame by frame."""
    sound = sine(hz)

    plain_db = alias_db(naive(sound, drive_db=drive_db), hz)

    assert alias_db(saturate(sound, drive_db=drive_db), hz) < plain_db - 17.0


def test_symmetric_sound_gains_no_dc():
    """The curve is odd: a sine keeps a mean of zero and has no even harmonics."""
    lines = spectrum(saturate(sine(1_000), drive_db=12.0))

    assert lines[0] < 1e-7
    assert lines[2_000::2_000].max() < 1e-6


def test_saturation_is_odd():
    """Turned upside down in is upside down out, bit for bit."""
    sound = np.random.default_rng(2).normal(0.0, 0.5, 5_000)

    np.testing.assert_array_equal(saturate(sound, drive_db=9.0), -saturate(-sound, drive_db=9.0))


@pytest.mark.parametrize(("drive_db", "mix"), [(0.0, 1.0), (12.0, 0.0)])
def test_saturation_at_rest_is_the_identity(drive_db, mix):
    """Without drive or without mix: the same bits, and no latency."""
    sound = np.random.default_rng(2).normal(0.0, 0.5, (500, 2)).astype(np.float32)
    processor = Saturation(drive_db=drive_db, mix=mix, rate_hz=RATE_HZ, channels=2)

    assert sound.tobytes() == processor.process(sound).tobytes()
    assert 0 == processor.latency


def test_mix_is_linear():
    """Half of the mix is the mean of dry and saturated: both arrive together."""
    sound = np.random.default_rng(2).normal(0.0, 0.5, 5_000).astype(np.float32)

    half = saturate(sound, drive_db=9.0, mix=0.5)

    np.testing.assert_allclose((sound + saturate(sound, drive_db=9.0)) / 2.0, half, atol=1e-6)


def test_impulse_comes_one_frame_late():
    """``latency`` is one frame: taken out, the impulse stands where it stood."""
    sound = np.zeros(1_000)
    sound[321] = 0.5

    assert 321 == np.abs(saturate(sound, drive_db=6.0)).argmax()


def test_saturation_refuses_negative_drive():
    """There is no expanding drive."""
    with pytest.raises(ParameterError, match="drive_db must be at least 0, got -1"):
        Saturation(drive_db=-1.0, rate_hz=RATE_HZ, channels=1)


@pytest.mark.parametrize("mix", [-0.1, 1.1])
def test_saturation_refuses_what_is_no_mix(mix):
    """A mix lies in 0 … 1."""
    with pytest.raises(ParameterError, match=r"mix must lie in 0\.\.\.1"):
        Saturation(drive_db=6.0, mix=mix, rate_hz=RATE_HZ, channels=1)
