"""Loudness: the standard's filter, its gates, its windows, and second opinions."""

import re
import subprocess

import numpy as np
import pyloudnorm
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz_sos

from dsp.errors import ParameterError
from dsp.measure.long_loudness import LongLoudnessMeter
from dsp.measure.loudness import (
    FLOOR_LUFS,
    STEP_S,
    LoudnessMeter,
    StepEnergies,
    channel_weights,
    integrated_lufs,
    k_weighting_sos,
    lufs_of,
    range_lu,
    sliding_lufs,
)
from tests.support.surroundings import needs
from tests.support.tones import cut, in_blocks, noise, sine, tone

RATE_HZ = 48_000
READINGS = ["integrated_lufs", "momentary_max_lufs", "short_term_max_lufs"]


def metered(rate_hz, block):
    meter = LoudnessMeter(rate_hz, block.shape[1])
    meter.update(block)
    return meter


@pytest.fixture(scope="module")
def programme():
    """Return 30 s of noise that changes its level every 2 s, different left and right."""
    steps_db = np.random.default_rng(5).uniform(-30.0, 0.0, 15)
    gains = np.repeat(10.0 ** (steps_db / 20.0), 2 * RATE_HZ)[:, None]
    return (noise(RATE_HZ, 30.0, rms_dbfs=-18.0, seed=6) * gains).astype(np.float32)


def test_k_weighting_is_the_standards_at_48_khz():
    """BS.1770-5, annex 1, tables 1 and 2."""
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285]
    shelf += [1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]

    assert np.array([shelf, high_pass]) == pytest.approx(k_weighting_sos(48_000), abs=1e-14)


@pytest.mark.parametrize(
    ("rate_hz", "top_hz", "tolerance_db"),
    [(44_100, 10_000, 0.02), (96_000, 10_000, 0.06), (192_000, 10_000, 0.08), (22_050, 2000, 0.06)],
)
def test_k_weighting_is_the_same_at_every_rate(rate_hz, top_hz, tolerance_db):
    """A filter for another rate weighs every frequency as the one for 48 kHz does."""
    hz = np.geomspace(10.0, top_hz, 200)
    expected, actual = (
        20.0 * np.log10(np.abs(freqz_sos(k_weighting_sos(rate), hz, fs=rate)[1]))
        for rate in (48_000, rate_hz)
    )

    assert expected == pytest.approx(actual, abs=tolerance_db)


def test_a_full_scale_sine_of_997_hz_in_one_channel_reads_minus_3_01():
    """The calibration that BS.1770-5 states."""
    meter = metered(RATE_HZ, sine(RATE_HZ, 5.0, hz=997.0, channels=1))

    assert pytest.approx(-3.01, abs=0.005) == meter.integrated_lufs()


def test_mono_reads_3_lu_below_the_same_on_two_channels():
    """One loudspeaker is half the power of two."""
    block = noise(RATE_HZ, 2.0, rms_dbfs=-20.0, seed=1, channels=1)
    both = np.repeat(block, 2, axis=1)

    difference_lu = (
        metered(RATE_HZ, both).integrated_lufs() - metered(RATE_HZ, block).integrated_lufs()
    )
    assert pytest.approx(3.01, abs=0.005) == difference_lu


def test_lfe_of_a_surround_file_does_not_count():
    """Sound in the fourth of six channels alone is silence to the standard."""
    block = np.zeros((RATE_HZ, 6), np.float32)
    block[:, 3] = 0.5

    assert metered(RATE_HZ, block).integrated_lufs() == FLOOR_LUFS


def test_surrounds_weigh_1_41():
    """BS.1770-5, table 4, for L R C Ls Rs."""
    assert channel_weights(5).tolist() == [1.0, 1.0, 1.0, 1.41, 1.41]


@pytest.mark.parametrize("channels", [0, 9])
def test_unknown_layout_is_refused(channels):
    """There are weights for one to eight channels."""
    with pytest.raises(ParameterError, match=r"channels must be 1 to 8, got \d"):
        LoudnessMeter(RATE_HZ, channels)


@given(
    rate_hz=st.sampled_from([8000, 11_025, 44_100, 48_000]),
    places=st.lists(st.integers(0, 10**6), max_size=8),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_step_energies_do_not_depend_on_the_blocks(rate_hz, places):
    """However a stream is cut, its energies are the same, bit for bit."""
    block = noise(rate_hz, 0.7, rms_dbfs=-12.0, seed=2)
    whole, pieces = (StepEnergies(rate_hz, 2, step_s=STEP_S) for _ in range(2))
    whole.update(block)
    for piece in cut(block, places):
        pieces.update(piece)

    np.testing.assert_array_equal(whole.energies(), pieces.energies())


def test_tiny_blocks_do_not_show():
    """One frame at a time gives the same energies, bit for bit."""
    block = noise(8000, 0.25, rms_dbfs=-12.0, seed=3)
    whole, frames = (StepEnergies(8000, 2, step_s=STEP_S) for _ in range(2))
    whole.update(block)
    for frame in in_blocks(block, 1):
        frames.update(frame)

    np.testing.assert_array_equal(whole.energies(), frames.energies())


def test_steps_keep_time_where_they_are_not_whole_frames():
    """At 11,025 Hz a step of 10 ms is 110.25 frames; 10 s are still 1,000 steps."""
    meter = StepEnergies(11_025, 1, step_s=STEP_S)
    for piece in in_blocks(np.ones((110_250, 1), np.float32), 997):
        meter.update(piece)

    assert len(meter.energies()) == 1000


def test_asking_does_not_change_what_is_measured(programme):
    """A meter that is asked in between reads the same in the end."""
    quiet, asked = (LoudnessMeter(RATE_HZ, 2) for _ in range(2))
    for piece in in_blocks(programme, 300_000):
        quiet.update(piece)
        asked.update(piece)
        asked.integrated_lufs()

    np.testing.assert_array_equal(quiet.energy(), asked.energy())


@pytest.mark.parametrize("reading", READINGS)
def test_meter_of_hours_reads_what_the_other_reads(reading):
    """Energies that were folded, four times here, lose no window."""
    rng = np.random.default_rng(6)
    loud = rng.uniform(0.01, 0.5, 3_400).repeat(800)[:, np.newaxis]  # 340 s, anew each 0.1 s
    noise = (loud * rng.standard_normal((len(loud), 1))).astype(np.float32)
    usual, long = LoudnessMeter(8_000, 1), LongLoudnessMeter(8_000, 1)
    for piece in in_blocks(noise, 65_536):
        usual.update(piece)
        long.update(piece)

    assert getattr(long, reading)() == pytest.approx(getattr(usual, reading)(), abs=1e-9)
    np.testing.assert_allclose(long.short_term_lufs(), usual.short_term_lufs(), atol=1e-9)


@pytest.mark.parametrize("reading", READINGS)
def test_silence_reads_the_floor(reading):
    """Digital silence is −70 LUFS, never −inf or NaN."""
    silence = np.zeros((4 * RATE_HZ, 2), np.float32)

    assert getattr(metered(RATE_HZ, silence), reading)() == FLOOR_LUFS


@pytest.mark.parametrize("reading", READINGS)
def test_nothing_reads_the_floor(reading):
    """A meter that has heard nothing may be asked."""
    assert getattr(LoudnessMeter(RATE_HZ, 2), reading)() == FLOOR_LUFS


@pytest.mark.parametrize("reading", ["momentary_lufs", "short_term_lufs"])
def test_curves_of_less_than_a_window_are_empty(reading):
    """What was not measured is not made up."""
    meter = metered(RATE_HZ, sine(RATE_HZ, 0.39))

    assert len(getattr(meter, reading)()) == 0


def test_energy_of_silence_after_sound_becomes_exactly_zero():
    """The filter's decay is flushed, so that silence can be recognised."""
    meter = StepEnergies(RATE_HZ, 1, step_s=STEP_S)
    meter.update(tone(RATE_HZ, [(0.5, 0.0), (2.0, None)], channels=1))

    assert not meter.energies()[-100:].any()


def test_filter_state_never_becomes_denormal():
    """Five seconds of silence leave no state small enough to slow the machine down."""
    meter = StepEnergies(RATE_HZ, 1, step_s=STEP_S)
    meter.update(tone(RATE_HZ, [(0.5, 0.0), (5.0, None)], channels=1))
    state = np.abs(meter._state)

    assert np.all((state == 0.0) | (state > np.finfo(np.float64).tiny))


def test_stored_steps_of_100_ms_read_what_the_meter_reads(programme):
    """The planner's coarse steps lose nothing of the integrated loudness and the range."""
    meter = metered(RATE_HZ, programme)
    steps = StepEnergies(RATE_HZ, 2, step_s=0.1)
    steps.update(programme)
    energy = steps.energies().sum(axis=1)

    expected = meter.integrated_lufs(), meter.range_lu()
    assert expected == pytest.approx(
        (integrated_lufs(energy, step_s=0.1), range_lu(energy, step_s=0.1))
    )


@given(gain_db=st.floats(-12.0, 12.0))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_gain_moves_loudness_by_as_much_and_leaves_the_range(gain_db):
    """Loudness is relative to full scale, its range to itself, away from the absolute gate."""
    energy = np.random.default_rng(4).uniform(1e-3, 1e-1, 300)
    louder = energy * 10.0 ** (gain_db / 10.0)

    expected = integrated_lufs(energy, step_s=0.1) + gain_db, range_lu(energy, step_s=0.1)
    assert expected == pytest.approx(
        (integrated_lufs(louder, step_s=0.1), range_lu(louder, step_s=0.1))
    )


def test_a_quiet_window_after_a_loud_one_keeps_its_digits():
    """Windows are summed anew: nothing of the loud part is left in the quiet one."""
    energy = np.concatenate([np.full(1000, 1e3), np.full(1000, 1e-6)])
    curve = sliding_lufs(energy, step_s=STEP_S, window_s=3.0, hop_s=0.1)

    assert lufs_of(1e-6) == pytest.approx(curve[-1], abs=1e-9)


def test_range_of_less_than_3_s_is_zero():
    """Without a single short-term window there is no range."""
    assert range_lu(np.full(29, 0.1), step_s=0.1) == 0.0


def test_pyloudnorm_agrees(programme):
    """An implementation by others reads the same, but for its K-weighting (0.04 LU low)."""
    theirs = pyloudnorm.Meter(RATE_HZ).integrated_loudness(programme.astype(np.float64))

    assert theirs == pytest.approx(metered(RATE_HZ, programme).integrated_lufs(), abs=0.06)


@needs("ffmpeg", debian="ffmpeg")
def test_ffmpeg_agrees(programme, tmp_path):
    """The EBU R 128 meter of ffmpeg reads the same, to the one decimal that it prints."""
    path = tmp_path / "programme.wav"
    soundfile.write(path, programme, RATE_HZ, subtype="FLOAT")
    command = ["ffmpeg", "-nostats", "-i", path, "-af", "ebur128", "-f", "null", "-"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    summary = printed[printed.rindex("Summary:") :]
    theirs = [float(re.search(rf"{word}:\s+(\S+)", summary)[1]) for word in ("I", "LRA")]
    meter = metered(RATE_HZ, programme)

    assert theirs == pytest.approx([meter.integrated_lufs(), meter.range_lu()], abs=0.11)
