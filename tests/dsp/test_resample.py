import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import ParameterError
from dsp.formats.resample import Resampler
from tests.support.tones import cut, in_blocks, noise, sine

PAIRS = [(44_100, 48_000), (96_000, 48_000), (32_000, 48_000), (48_000, 44_100), (8_000, 48_000)]


def resampled(blocks, from_hz, to_hz, channels=1):
    resampler = Resampler(from_hz, to_hz, channels)
    return np.concatenate([*(resampler.process(block) for block in blocks), resampler.finish()])


def thdn_db(samples, hz, rate_hz):
    """All that is not the tone, re the tone; the ends are left out."""
    middle = samples[rate_hz // 10 : -rate_hz // 10].astype(np.float64)
    angle = 2.0 * np.pi * hz / rate_hz * np.arange(len(middle))
    tone = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)
    fitted = tone @ np.linalg.lstsq(tone, middle)[0]
    return 10.0 * np.log10(np.sum((middle - fitted) ** 2) / np.sum(fitted**2))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
@pytest.mark.parametrize("hz", [997.0, 3_500.0])
def test_tone_stays_clean(from_hz, to_hz, hz):
    """Distortion and noise lie 125 dB below a tone."""
    block = sine(from_hz, 2.0, hz=hz, level_dbfs=-1.0, channels=1)

    assert thdn_db(resampled([block], from_hz, to_hz)[:, 0], hz, to_hz) <= -125.0


@pytest.mark.parametrize(("from_hz", "to_hz", "hz"), [
    (48_000, 44_100, 23_200.0), (96_000, 48_000, 26_000.0), (192_000, 44_100, 60_000.0),
])  # fmt: skip
def test_what_has_no_place_is_gone(from_hz, to_hz, hz):
    """A tone above the new half rate leaves no alias above −120 dB."""
    block = sine(from_hz, 2.0, hz=hz, channels=1)

    rms = np.std(resampled([block], from_hz, to_hz)[to_hz // 10 : -to_hz // 10, 0], dtype=float)

    assert 20.0 * np.log10(rms * np.sqrt(2.0)) <= -120.0


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44_100, 48_000), (48_000, 44_100)])
def test_treble_is_kept(from_hz, to_hz):
    """20 kHz loses less than 0.02 dB."""
    block = sine(from_hz, 1.0, hz=20_000.0, channels=1)

    rms = np.std(resampled([block], from_hz, to_hz)[to_hz // 10 : -to_hz // 10, 0], dtype=float)

    assert abs(20.0 * np.log10(rms * np.sqrt(2.0))) < 0.02


@pytest.mark.parametrize(("from_hz", "to_hz"), [*PAIRS, (192_000, 8_000), (47_999, 48_000)])
def test_click_stays_in_its_place(from_hz, to_hz):
    """What sounds after one second sounds after one second at any rate."""
    block = np.zeros((2 * from_hz, 1), np.float32)
    block[from_hz] = 1.0

    out = resampled([block], from_hz, to_hz)[:, 0]

    assert to_hz == np.argmax(np.abs(out))
    assert np.allclose(out[to_hz - 50 : to_hz], out[to_hz + 50 : to_hz : -1], atol=1e-6)


rates = st.sampled_from([8_000, 22_050, 32_000, 44_100, 47_999, 48_000, 88_200, 96_000, 192_000])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(from_hz=rates, to_hz=rates, frames=st.integers(0, 3_000))
def test_length_is_exact(from_hz, to_hz, frames):
    """n frames are round(n · to / from) frames, a half up, at every length."""
    out = resampled([np.ones((frames, 1), np.float32)], from_hz, to_hz)

    assert int(np.floor(frames * to_hz / from_hz + 0.5)) == len(out)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    from_hz=rates,
    to_hz=rates,
    places=st.lists(st.integers(0, 20_000), max_size=12),
    frames=st.sampled_from([1, 999, 20_000]),
)
def test_blocks_do_not_show(from_hz, to_hz, places, frames):
    """However a stem is cut into blocks, empty ones included, the same bits come out."""
    block = noise(frames, 1.0, rms_dbfs=-20.0, seed=3)
    expected = resampled([block], from_hz, to_hz, 2)

    assert np.array_equal(expected, resampled(cut(block, places), from_hz, to_hz, 2))


@pytest.mark.parametrize("size", [1_024, 65_536])
@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_blocks_do_not_show_in_a_long_stem(from_hz, to_hz, size):
    """The same holds over many of soxr's own buffers."""
    block = noise(300_000, 1.0, rms_dbfs=-20.0, seed=4)
    expected = resampled([block], from_hz, to_hz, 2)

    assert np.array_equal(expected, resampled(in_blocks(block, size), from_hz, to_hz, 2))


def test_equal_rates_change_no_bit():
    """48 kHz to 48 kHz is nothing at all."""
    block = noise(48_000, 0.1, rms_dbfs=-20.0, seed=5)

    assert np.array_equal(block, resampled([block], 48_000, 48_000, 2))


def test_channels_stay_apart():
    """Each channel is what it would be alone."""
    block = noise(44_100, 0.1, rms_dbfs=-20.0, seed=6)
    both = resampled([block], 44_100, 48_000, 2)

    assert np.array_equal(both[:, 1:], resampled([block[:, 1:]], 44_100, 48_000))


@pytest.mark.parametrize("arguments", [(0, 48_000, 1), (48_000, -1, 1), (48_000, 44_100, 0)])
def test_impossible_rates_are_refused(arguments):
    """A rate is at least 1 Hz, and so are channels one."""
    with pytest.raises(ParameterError, match="at least 1"):
        Resampler(*arguments)
