"""The outline of a song, and where it is silent."""

import numpy as np
import pytest

from dsp.analysis.outline import OutlineMeter, SilenceMeter


def outline_of(block, size=777):
    meter = OutlineMeter(block.shape[1])
    for start in range(0, len(block), size):
        meter.update(block[start : start + size])
    return meter.outline()


def silences_of(block, size=777):
    meter = SilenceMeter()
    for start in range(0, len(block), size):
        meter.update(block[start : start + size])
    return meter.head, meter.longest, meter.tail


def test_outline_holds_the_extremes_of_every_pixel():
    """No sample of any channel lies outside of it."""
    sound = np.random.default_rng(1).uniform(-0.9, 0.9, (2_000, 2)).astype(np.float32)
    outline = outline_of(sound)

    assert (4, 2) == outline.shape
    for pixel, (low, high) in enumerate(outline.tolist()):
        part = sound[pixel * 512 : (pixel + 1) * 512]
        assert round(float(part.min()) * 128) == low
        assert round(float(part.max()) * 128) == high


def test_opposite_channels_do_not_vanish():
    """What cancels in mono is drawn all the same."""
    wave = np.full((512, 1), 0.5, np.float32)

    assert [[-64, 64]] == outline_of(np.concatenate([wave, -wave], axis=1)).tolist()


def test_full_scale_fits_into_eight_bits():
    """Clipped samples do not wrap round."""
    assert [[-128, 127]] == outline_of(np.array([[1.5], [-1.5]], np.float32)).tolist()


@pytest.mark.parametrize("size", [1, 64, 10_000])
def test_silence_is_measured_to_the_frame(size):
    """Head, longest pause and tail, wherever the blocks are cut."""
    sound = np.zeros((1_000, 2), np.float32)
    sound[100:300, 0] = 0.5
    sound[700:950, 1] = -0.5

    assert (100, 400, 50) == silences_of(sound, size)


def test_all_silent_has_no_head():
    """What never sounds is silent as long as it is."""
    assert (None, 900, 900) == silences_of(np.full((900, 1), 1e-4, np.float32))
