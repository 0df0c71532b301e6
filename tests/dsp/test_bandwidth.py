"""Where a spectrum ends, and how."""

import numpy as np
import pytest

from dsp.analysis.bandwidth import BandwidthMeter

SECONDS = 10


def noise(*, rate_hz=44_100, wall_hz=None, floor_dbfs=-125.0):
    """Return noise that falls with frequency, with nothing but a floor above the wall."""
    rng = np.random.default_rng(3)
    frames = SECONDS * rate_hz
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    hertz = np.fft.rfftfreq(frames, 1 / rate_hz)
    spectrum *= np.minimum(1.0, 1_000.0 / np.maximum(hertz, 1.0))
    if wall_hz:
        spectrum[hertz > wall_hz] = 0.0
    sound = np.fft.irfft(spectrum, frames)
    floor = 10 ** (floor_dbfs / 20) * rng.standard_normal(frames)
    return (0.3 * sound / np.abs(sound).max() + 5 * floor).astype(np.float32)


def edge_of(mono, rate_hz=44_100, block=32_768):
    meter = BandwidthMeter(rate_hz)
    for start in range(0, len(mono), block):
        meter.update(mono[start : start + block])
    return meter.edge()


@pytest.mark.parametrize("wall_hz", [16_000, 19_000, 20_200])
def test_wall_is_found_where_it_is(wall_hz):
    """A filter of a codec shows as a drop to nothing."""
    edge = edge_of(noise(wall_hz=wall_hz))

    assert "lossy_wall" == edge.evidence
    assert wall_hz == pytest.approx(edge.edge_hz, abs=100)
    assert 25 < edge.drop_db


def test_few_clicks_do_not_hide_a_wall():
    """A decoder clips the loudest attacks, and each is as wide as the spectrum."""
    mono = noise(wall_hz=16_000)
    mono[[100_000, 200_000, 300_000]] = 0.9

    assert "lossy_wall" == edge_of(mono).evidence


def test_spectrum_that_falls_by_itself_is_not_accused():
    """Where there is no drop there is no evidence."""
    assert "none" == edge_of(noise()).evidence


def test_noise_above_the_wall_speaks_against_a_codec():
    """A steep filter before a microphone amplifier is no codec."""
    assert "none" == edge_of(noise(wall_hz=16_000, floor_dbfs=-90)).evidence


def test_wall_at_the_edge_of_the_format_is_no_evidence():
    """Converters have their filter there."""
    assert "none" == edge_of(noise(wall_hz=21_000)).evidence


def test_resampled_song_is_told_from_an_encoded_one():
    """A spectrum that ends at half a usual rate once had that rate."""
    assert "upsampled" == edge_of(noise(rate_hz=96_000, wall_hz=21_500), 96_000).evidence


@pytest.mark.parametrize("block", [1_000, 10**6])
def test_blocks_do_not_show(block):
    """Whatever the sizes of the blocks, the edge is the same."""
    mono = noise(wall_hz=16_000)

    assert edge_of(mono) == edge_of(mono, block=block)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 32_000, 192_000])
def test_every_rate_has_an_edge(rate_hz):
    """The search lies within the spectrum at any rate."""
    assert 0 < edge_of(noise(rate_hz=rate_hz), rate_hz).edge_hz < rate_hz / 2


def test_silence_has_none():
    """Where nothing sounds nothing ends."""
    assert edge_of(np.zeros(44_100, np.float32)) is None
