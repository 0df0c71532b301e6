"""Onset flux, the starts of notes, and the coarse copy."""

import numpy as np
import pytest

from dsp.measure.onsets import HOPS_PER_S, WAVE_RATE_HZ, Decimated, OnsetFlux, onsets_of
from tests.support.songs import notes

CLICKS_S = np.arange(20) * 0.3 + 0.5


def flux_of(frames, rate_hz, block=65_536):
    meter = OnsetFlux(rate_hz, frames.shape[1])
    for start in range(0, len(frames), block):
        meter.update(frames[start : start + block])
    return meter.flux()


def noise(rate_hz, seconds, channels=2):
    rng = np.random.default_rng(1)
    return (0.1 * rng.standard_normal((round(rate_hz * seconds), channels))).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100])
@pytest.mark.parametrize("block", [1_000, 777, 44_100])
def test_flux_blocks_do_not_show(rate_hz, block):
    """The same frames in other blocks give the same flux, bit for bit."""
    frames = noise(rate_hz, 3.3)

    assert np.array_equal(flux_of(frames, rate_hz), flux_of(frames, rate_hz, block))


@pytest.mark.parametrize("block", [1_000, 777])
def test_wave_blocks_do_not_show(block):
    """The coarse copy does not depend on the blocks either."""
    frames = noise(44_100, 3.3)
    whole, pieces = Decimated(44_100, 2), Decimated(44_100, 2)
    whole.update(frames)
    for start in range(0, len(frames), block):
        pieces.update(frames[start : start + block])

    assert np.array_equal(whole.wave(), pieces.wave())


def test_flux_may_be_asked_at_any_time():
    """Asking does not disturb what comes after."""
    frames = noise(16_000, 2.5)
    meter = OnsetFlux(16_000, 2)
    meter.update(frames[:23_000])
    meter.flux()
    meter.update(frames[23_000:])

    assert np.array_equal(flux_of(frames, 16_000), meter.flux())


def test_flux_of_silence_is_zero():
    """Nothing begins in silence."""
    assert 0.0 == flux_of(np.zeros((40_000, 2), np.float32), 16_000).max()


@pytest.mark.parametrize("rate_hz", [8_000, 32_000, 44_100, 96_000, 192_000])
def test_onsets_start_at_the_same_second_at_any_rate(rate_hz):
    """A note is found within 4 ms of its start, whatever the rate."""
    onsets = onsets_of(flux_of(notes(CLICKS_S, 7.0, rate_hz=rate_hz), rate_hz))

    assert len(CLICKS_S) == len(onsets.times_s)
    assert np.abs(onsets.times_s - CLICKS_S).max() < 0.004


def test_flux_hops_cover_the_stream():
    """Two hundred hops a second, the unfinished one left out."""
    assert HOPS_PER_S * 5 // 2 == len(flux_of(noise(44_100, 2.5), 44_100))


def test_flux_ignores_which_channel_sounds():
    """Left and right swapped, or in opposite polarity, begin at the same instants."""
    mono = notes(CLICKS_S, 7.0)
    wide = np.concatenate([mono, -mono], axis=1)

    np.testing.assert_allclose(flux_of(wide, 16_000), flux_of(mono, 16_000), atol=0.01)


def test_onsets_lead_is_taken_off():
    """An instrument that is faintly heard 20 ms before its attack starts with that noise."""
    onsets = onsets_of(flux_of(notes(CLICKS_S, 7.0, lead_ms=20.0), 16_000))

    assert onsets.lead_s == pytest.approx(0.02, abs=0.005)
    assert np.abs(onsets.times_s - CLICKS_S).max() < 0.005


def test_onsets_of_an_immediate_sound_have_no_lead():
    """A struck note sounds at once."""
    onsets = onsets_of(flux_of(notes(CLICKS_S, 7.0), 16_000))

    assert onsets.lead_s == pytest.approx(0.0, abs=0.002)


def test_onsets_of_a_slow_attack_start_before_their_peak():
    """A 60 ms attack is found near its beginning, not near its top."""
    onsets = onsets_of(flux_of(notes(CLICKS_S, 7.0, attack_ms=60.0), 16_000))

    assert np.median(onsets.times_s - CLICKS_S) == pytest.approx(0.0, abs=0.010)


def test_onsets_of_noise_have_no_lead():
    """Steady noise never rests, so nothing tells how its notes begin."""
    assert onsets_of(flux_of(noise(16_000, 10), 16_000)).lead_s is None


def test_onsets_of_nothing_are_none():
    """No frames, no onsets."""
    assert 0 == len(onsets_of(OnsetFlux(48_000, 2).flux()).times_s)


def test_wave_keeps_time():
    """A click stays at its second."""
    frames = np.zeros((44_100 * 3, 1), np.float32)
    frames[44_100 * 5 // 4] = 1.0
    copy = Decimated(44_100, 1)
    copy.update(frames)

    assert WAVE_RATE_HZ * 5 // 4 == np.argmax(np.abs(copy.wave()))
