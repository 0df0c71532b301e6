"""Levels, and true peak against plain interpolation of everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample

from dsp.errors import ParameterError
from dsp.measure.levels import FULL_SCALE, LevelMeter, TruePeakMeter
from dsp.sums import filtered
from dsp.units import SILENCE_DB
from tests.support.tones import cut, in_blocks, noise, sine, spread

RATE_HZ = 48_000


def levels(block):
    meter = LevelMeter(block.shape[1])
    meter.update(block)
    return meter


def true_peak(block, rate_hz=RATE_HZ, **options):
    meter = TruePeakMeter(rate_hz, block.shape[1], **options)
    meter.update(block)
    return meter.true_peaks_dbtp()


def column(samples):
    return np.array(samples, np.float32)[:, None]


def every_reading(meter):
    return [
        *meter.sample_peak_dbfs(),
        *meter.rms_dbfs(),
        *meter.dc(),
        meter.pooled_rms_dbfs(),
        meter.crest_factor_db(),
        meter.correlation(),
        meter.clipped_frames(),
    ]


def test_sine_reads_its_rms_three_db_under_its_peak():
    """RMS is re full scale as it stands: −6.02 − 3.01."""
    meter = levels(sine(RATE_HZ, 1.0, level_dbfs=-6.0))

    assert [-9.01, -9.01] == pytest.approx(meter.rms_dbfs(), abs=0.001)


def test_sample_peak_is_read_per_channel():
    """Either sign counts."""
    meter = levels(np.array([[0.0, 0.25], [-0.5, 0.1]], np.float32))

    assert [-6.0206, -12.0412] == pytest.approx(meter.sample_peak_dbfs(), abs=1e-4)


@pytest.mark.parametrize(
    ("expected_db", "samples"),
    [(0.0, [0.3, -0.3] * 50), (3.0103, np.sin(np.arange(4800) * np.pi / 24)), (0.0, [0.0] * 10)],
    ids=["square", "sine", "silence"],
)
def test_crest_factor_is_what_it_should_be(expected_db, samples):
    """0 for a square wave and for silence, 3.01 for a sine."""
    assert expected_db == pytest.approx(levels(column(samples)).crest_factor_db(), abs=1e-4)


def test_dc_is_the_mean_of_each_channel():
    """With its sign."""
    block = sine(RATE_HZ, 1.0, level_dbfs=-20.0) + np.array([0.01, -0.02], np.float32)

    assert [0.01, -0.02] == pytest.approx(levels(block).dc(), abs=1e-6)


@pytest.mark.parametrize(("expected", "run"), [(0, 1), (0, 2), (3, 3), (10, 10)])
def test_clipping_counts_runs_of_three_or_more(expected, run):
    """One or two frames at full scale are what normalising leaves."""
    meter = levels(column([0.0, *[1.0] * run, 0.0]))

    assert expected == meter.clipped_frames()


def test_negative_full_scale_of_any_channel_clips():
    """16 bits reach −1.0 below and a little less above."""
    block = np.zeros((10, 2), np.float32)
    block[2:5, 0], block[5:7, 1] = -1.0, FULL_SCALE

    assert levels(block).clipped_frames() == 5


@given(runs=st.lists(st.integers(0, 6), max_size=6), size=st.integers(1, 8))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_clipping_is_counted_across_blocks(runs, size):
    """A run that a block boundary cuts is still one run."""
    samples = column([0.5, *(value for run in runs for value in [*[1.0] * run, 0.5])])
    meter = LevelMeter(1)
    for piece in in_blocks(samples, size):
        meter.update(piece)

    assert sum(run for run in runs if run >= 3) == meter.clipped_frames()
    assert sum(run >= 3 for run in runs) == meter.clipped_runs()


@pytest.mark.parametrize(
    ("expected", "left", "right"),
    [(1.0, 1.0, 0.5), (-1.0, 1.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)],
    ids=["same", "inverted", "one side", "silence"],
)
def test_correlation_says_how_alike_the_channels_are(expected, left, right):
    """From 1 for the same to −1 for the inverse, whatever the levels."""
    block = sine(RATE_HZ, 0.5, level_dbfs=-6.0) * np.array([left, right], np.float32)

    assert expected == pytest.approx(levels(block).correlation(), abs=1e-9)


def test_correlation_of_independent_noise_is_near_zero():
    """Ten seconds of it: within four standard deviations."""
    block = noise(RATE_HZ, 10.0, rms_dbfs=-20.0, seed=1)

    assert pytest.approx(0.0, abs=0.006) == levels(block).correlation()


def test_nothing_reads_the_floor_everywhere():
    """A meter that has heard nothing has no NaN to say."""
    expected = [SILENCE_DB] * 4 + [0.0, 0.0, SILENCE_DB, 0.0, 1.0, 0]

    assert expected == every_reading(LevelMeter(2))


@given(places=st.lists(st.integers(0, 10**6), max_size=6))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_levels_do_not_depend_on_the_blocks(places):
    """However a stream is cut, every reading is the same, bit for bit."""
    block = noise(RATE_HZ, 1.5, rms_dbfs=-3.0, seed=2)
    meter = LevelMeter(2)
    for piece in cut(block, places):
        meter.update(piece)

    assert every_reading(levels(block)) == every_reading(meter)


def test_true_peak_equals_plain_interpolation_of_everything():
    """Skipping skips nothing that counts: the same as an FFT interpolator without skips."""
    block = np.clip(noise(RATE_HZ, 0.5, rms_dbfs=-8.0, seed=3, channels=2), -0.9, 0.9)
    # Band-limited to 0.4 of the rate, where both interpolators are flat; ends in silence.
    spectrum = np.fft.rfft(block, axis=0)
    spectrum[int(0.8 * len(spectrum)) :] = 0.0
    smooth = np.fft.irfft(spectrum, axis=0) * np.hanning(len(block))[:, None]
    expected = 20.0 * np.log10(np.abs(resample(smooth, 16 * len(smooth))).max(axis=0))

    assert expected == pytest.approx(true_peak(smooth.astype(np.float32)), abs=0.002)


def test_no_interpolated_value_exceeds_its_bound():
    """The skip rule is exact: every value of every hop lies under the bound of that hop."""
    meter = TruePeakMeter(RATE_HZ, 1)
    frames = noise(RATE_HZ, 0.5, rms_dbfs=-10.0, seed=4, channels=1)[:16_000, 0]
    frames[4000:8000] = np.sign(frames[4000:8000])
    frames[8000:12_000] = np.sin(np.arange(4000) / 40.0)
    bounds, _ = meter._hop_bounds(frames)
    spans = np.lib.stride_tricks.sliding_window_view(frames, 80)[::16, 1:]
    values = np.abs(filtered(spans.T, meter._taps)).max(axis=(0, 1))

    assert np.all(values <= bounds)


@pytest.mark.parametrize("share_of_rate", [0.05, 0.2, 0.3, 0.4, 0.45])
@pytest.mark.parametrize("rate_hz", [44_100, 96_000])
def test_true_peak_of_a_sine_is_its_amplitude(rate_hz, share_of_rate):
    """At any phase, up to 0.45 of the rate."""
    hz = share_of_rate * rate_hz + 1.0
    block = sine(rate_hz, 0.2, hz=hz, phase_deg=20.0) * np.hanning(rate_hz // 5)[:, None]

    assert [0.0, 0.0] == pytest.approx(true_peak(block.astype(np.float32), rate_hz), abs=0.05)


def test_true_peak_at_the_very_ends_is_found():
    """What sounds between the last frame and the silence after it counts."""
    block = column([0.0] * 40 + [0.9, 0.9])
    silence = column([0.0] * 100)
    surrounded = np.concatenate([silence, block, silence])

    assert true_peak(surrounded) == pytest.approx(true_peak(block), abs=1e-5)
    assert true_peak(surrounded) == pytest.approx(true_peak(block[::-1]), abs=1e-5)


def test_true_peak_is_never_below_the_sample_peak():
    """The samples themselves are values of the sound."""
    block = noise(RATE_HZ, 0.2, rms_dbfs=-20.0, seed=5)

    assert np.all(true_peak(block) >= levels(block).sample_peak_dbfs())


def test_true_peaks_of_channels_are_their_own():
    """A loud channel does not hide what a quiet one reads."""
    block = noise(RATE_HZ, 0.3, rms_dbfs=-10.0, seed=6)
    quieter = block * np.array([1.0, 0.125], np.float32)

    assert true_peak(block)[1] - 18.0618 == pytest.approx(true_peak(quieter)[1], abs=1e-4)


def test_the_loudest_channel_is_the_true_peak():
    """One number for the whole."""
    meter = TruePeakMeter(RATE_HZ, 2)
    meter.update(noise(RATE_HZ, 0.2, rms_dbfs=-10.0, seed=7))

    assert max(meter.true_peaks_dbtp()) == meter.true_peak_dbtp()


@pytest.mark.parametrize("frames", [0, 1, 100])
def test_true_peak_of_silence_is_the_floor(frames):
    """However short."""
    assert SILENCE_DB == true_peak(np.zeros((frames, 1), np.float32))[0]


def test_oversampling_too_little_is_refused():
    """Once per frame would be the samples again."""
    with pytest.raises(ParameterError, match="oversample must be at least 2, got 1"):
        TruePeakMeter(RATE_HZ, 1, oversample=1)


@given(places=st.lists(st.integers(0, 10**6), max_size=6))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_true_peak_does_not_depend_on_the_blocks(places):
    """However a stream is cut and asked, the true peak is the same, bit for bit."""
    block = spread(np.clip(noise(RATE_HZ, 1.5, rms_dbfs=-3.0, seed=8)[:, 0], -1.0, 1.0), 2)
    meter = TruePeakMeter(RATE_HZ, 2)
    for piece in cut(block, places):
        meter.update(piece)
        meter.true_peak_dbtp()

    np.testing.assert_array_equal(true_peak(block), meter.true_peaks_dbtp())
