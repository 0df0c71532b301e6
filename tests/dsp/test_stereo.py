"""Pan keeps power, width keeps the middle, both keep the mirror."""

import numpy as np
import pytest

from dsp.errors import ParameterError
from dsp.processors.stereo import Pan, Width
from tests.support.filtering import measured_db

POSITIONS = np.linspace(-1.0, 1.0, 21)


def noise(channels, frames=20_000, seed=11):
    return np.random.default_rng(seed).normal(0.0, 0.2, (frames, channels)).astype(np.float32)


def power(block):
    return float(np.square(block.astype(np.float64)).sum())


def side(block):
    return (block[:, 0].astype(np.float64) - block[:, 1]) / 2.0


def middle(block):
    return (block[:, 0].astype(np.float64) + block[:, 1]) / 2.0


@pytest.mark.parametrize("position", POSITIONS)
def test_pan_keeps_the_power_of_a_mono_sound(position):
    """The pair has the power of the mono sound, wherever it stands."""
    sound = noise(1)

    assert power(sound) == pytest.approx(power(Pan(position, channels=1).process(sound)), rel=1e-6)


@pytest.mark.parametrize("position", POSITIONS)
def test_pan_keeps_the_power_of_a_level_stereo_sound(position):
    """When both sides carry the same power, the sum of powers stays."""
    sound = np.concatenate([noise(2), noise(2)[:, ::-1]])

    heard = Pan(position, channels=2).process(sound)

    assert power(sound) == pytest.approx(power(heard), rel=1e-6)


def test_mono_in_the_centre_is_3_db_down_on_both_sides():
    """The constant-power law: −3.01 dB each."""
    heard = Pan(0.0, channels=1).process(np.ones((4, 1), np.float32))

    np.testing.assert_allclose(np.sqrt(0.5), heard, rtol=1e-7)


def test_stereo_in_the_centre_is_the_identity():
    """A stereo sound that is not moved keeps its bits."""
    sound = noise(2)

    assert sound.tobytes() == np.ascontiguousarray(Pan(0.0, channels=2).process(sound)).tobytes()


@pytest.mark.parametrize(("position", "silent"), [(-1.0, 1), (1.0, 0)])
@pytest.mark.parametrize("channels", [1, 2])
def test_hard_pan_empties_the_other_side(position, silent, channels):
    """All the way over, the other side is exactly silent."""
    assert not Pan(position, channels=channels).process(noise(channels))[:, silent].any()


@pytest.mark.parametrize("position", POSITIONS)
def test_pan_is_mirror_symmetric(position):
    """Sides and position mirrored is the output mirrored, bit for bit."""
    sound = noise(2)

    mirrored = Pan(-position, channels=2).process(sound[:, ::-1])[:, ::-1]

    np.testing.assert_array_equal(Pan(position, channels=2).process(sound), mirrored)


@pytest.mark.parametrize("position", [-1.1, 1.01, float("nan")])
def test_pan_refuses_positions_beyond_the_speakers(position):
    """A position lies between the speakers."""
    with pytest.raises(ParameterError, match="position must lie in -1"):
        Pan(position, channels=1)


def test_pan_refuses_surround():
    """Sounds of more than two channels are folded before they get here."""
    with pytest.raises(ParameterError, match="channels must be 1 or 2, got 6"):
        Pan(0.0, channels=6)


def test_width_of_one_is_the_identity():
    """Nothing to change, nothing changed."""
    sound = noise(2)

    assert sound.tobytes() == Width(1.0, lows_mono_hz=0, rate_hz=48_000).process(sound).tobytes()


@pytest.mark.parametrize("width", [0.0, 0.5, 1.5, 2.0])
def test_width_scales_the_side_and_keeps_the_middle(width):
    """The side is multiplied, the middle is as it was."""
    sound = noise(2)

    heard = Width(width, lows_mono_hz=0, rate_hz=48_000).process(sound)

    np.testing.assert_allclose(width * side(sound), side(heard), atol=1e-7)
    np.testing.assert_allclose(middle(sound), middle(heard), atol=1e-7)


def test_width_of_zero_is_mono():
    """Both sides carry the same."""
    heard = Width(0.0, rate_hz=48_000).process(noise(2))

    np.testing.assert_allclose(heard[:, 0], heard[:, 1], atol=1e-7)


class SideOnly:
    """What a width does to a pure side signal, as a mono processor."""

    latency, tail_s = 0, 0.0

    def __init__(self, width):
        self._width = width

    def process(self, block):
        return self._width.process(np.concatenate([block, -block], axis=1))[:, :1]


class MiddleOnly(SideOnly):
    """What a width does to a mono signal."""

    def process(self, block):
        return self._width.process(np.concatenate([block, block], axis=1))[:, :1]


def test_lows_of_the_side_go_and_the_rest_stays():
    """−6 dB at 120 Hz, 24 dB per octave below, nothing above 2 kHz."""
    hz = np.asarray([30.0, 60.0, 120.0, 2_000.0, 10_000.0])
    curve = measured_db(SideOnly(Width(1.0, lows_mono_hz=120.0, rate_hz=48_000)), hz, 48_000)

    np.testing.assert_allclose([-48.2, -24.6, -6.02, 0.0, 0.0], curve, atol=0.15)


def test_lows_of_the_middle_stay():
    """A mono sound passes at its level, lows and all, and stays mono."""
    hz = np.asarray([30.0, 60.0, 120.0, 240.0, 2_000.0])
    curve = measured_db(MiddleOnly(Width(2.0, rate_hz=48_000)), hz, 48_000)
    heard = Width(2.0, rate_hz=48_000).process(np.repeat(noise(1), 2, axis=1))

    np.testing.assert_allclose(curve, 0.0, atol=0.01)
    assert heard[:, 0].tobytes() == heard[:, 1].tobytes()


@pytest.mark.parametrize("hz", [240.0, 440.0, 1_000.0])
def test_what_stands_on_one_side_stays_there(hz):
    """Lows are mono below 120 Hz, and an octave above them a hard-panned tone keeps its side."""
    tone = np.sin(2 * np.pi * hz * np.arange(48_000) / 48_000)
    sound = np.stack([tone, np.zeros_like(tone)], axis=1).astype(np.float32)
    left, right = Width(1.0, rate_hz=48_000).process(sound)[12_000:].T

    assert -24.0 > 20 * np.log10(np.abs(right).max() / np.abs(left).max())


@pytest.mark.parametrize("width", [-0.1, 2.5])
def test_width_refuses_what_is_no_width(width):
    """A width lies in 0 … 2."""
    with pytest.raises(ParameterError, match=r"width must lie in 0\.\.\.2"):
        Width(width, rate_hz=48_000)
