"""The control grid: peaks per hop, gains per frame."""

import numpy as np
import pytest

from dsp.audio import HOP_FRAMES
from dsp.processors.control_rate import HopPeaks, Ramp


def planar(frames, channels=2, seed=3):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (channels, frames)).astype(np.float32)


def test_hop_peaks_are_the_highest_magnitudes():
    """One per channel and complete hop."""
    sound = planar(5 * HOP_FRAMES + 3)
    wanted = np.abs(sound[:, : 5 * HOP_FRAMES]).reshape(2, 5, HOP_FRAMES).max(axis=2)

    np.testing.assert_array_equal(wanted, HopPeaks(2, linked=False).push(sound.T))


def test_linked_hop_peaks_are_those_of_the_louder_channel():
    """One for all channels."""
    sound = planar(5 * HOP_FRAMES)
    wanted = np.abs(sound).reshape(2, 5, HOP_FRAMES).max(axis=(0, 2))[np.newaxis]

    np.testing.assert_array_equal(wanted, HopPeaks(2, linked=True).push(sound.T))


@pytest.mark.parametrize("size", [1, 5, 16, 17, 100])
def test_hop_peaks_do_not_show_how_a_stream_was_cut(size):
    """A hop that arrives in pieces has one peak, when its last frame is there."""
    sound = planar(1_000)
    peaks = HopPeaks(2, linked=False)

    parts = [peaks.push(sound[:, at : at + size].T) for at in range(0, 1_000, size)]

    np.testing.assert_array_equal(
        HopPeaks(2, linked=False).push(sound.T), np.concatenate(parts, axis=1)
    )


def ones(frames):
    return np.ones((frames, 1), np.float32)


def test_ramp_is_a_straight_line_between_borders():
    """From the first border of a hop to just before the second."""
    ramp = Ramp(np.asarray([[1.0, 0.5]]))
    wanted = np.concatenate([np.linspace(1.0, 0.5, 17)[:-1], np.linspace(0.5, 0.9, 17)[:-1]])

    gains = ramp.scaled(ones(32), np.asarray([[0.9, 0.1]]))[:, 0]

    np.testing.assert_allclose(wanted, gains, atol=1e-7)


@pytest.mark.parametrize("size", [1, 7, 16, 33])
def test_ramp_does_not_show_how_a_stream_was_cut(size):
    """A hop that is asked for in pieces is the same sixteen gains."""
    borders = np.random.default_rng(1).uniform(0.1, 1.0, (1, 30))
    whole = Ramp(borders[:, :2]).scaled(ones(28 * HOP_FRAMES), borders[:, 2:])
    ramp, given, parts = Ramp(borders[:, :2]), 2, []
    for at in range(0, len(whole), size):
        frames = min(size, len(whole) - at)
        more = ramp.completed_by(frames)
        parts.append(ramp.scaled(ones(frames), borders[:, given : given + more]))
        given += more

    assert whole.tobytes() == np.concatenate(parts).tobytes()


def test_ramp_of_ones_gives_back_the_block():
    """Where nothing is to be done nothing is copied."""
    block = ones(48)

    assert block is Ramp(np.ones((1, 2))).scaled(block, np.ones((1, 3)))
