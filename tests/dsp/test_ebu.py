"""The meters read the EBU's test signals as the EBU demands.

EBU Tech 3341 v4 (2023), table 1: cases 1 to 6 and 9 to 23; EBU Tech 3342 v4, table 1: cases
1 to 4. The others are recordings, which cannot be synthesised. The live cases are one stream
that is asked while it runs. All tones are 1 kHz, in phase.
"""

from functools import cache

import numpy as np
import pytest
from scipy.signal import firwin

from dsp.measure.levels import TruePeakMeter
from dsp.measure.loudness import LoudnessMeter
from tests.support.tones import faded, in_blocks, sine, spread, tone

pytestmark = pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])

TOLERANCE_LU = 0.1
TOLERANCE_RANGE_LU = 1.0

LEAD_IN = (10.0, -36.0)
QUIET = (10.0, -72.0)
PROGRAMMES = {
    "case-3": [LEAD_IN, (60.0, -23.0), LEAD_IN],
    "case-4": [QUIET, LEAD_IN, (60.0, -23.0), LEAD_IN, QUIET],
    "case-5": [(20.0, -26.0), (20.1, -20.0), (20.0, -26.0)],
}
RANGES = {
    "case-1": (10.0, [(20.0, -20.0), (20.0, -30.0)]),
    "case-2": (5.0, [(20.0, -20.0), (20.0, -15.0)]),
    "case-3": (20.0, [(20.0, -40.0), (20.0, -20.0)]),
    "case-4": (15.0, [(20.0, level) for level in (-50.0, -35.0, -20.0, -35.0, -50.0)]),
}
LIVE_BLOCK_FRAMES = 1000
LIVE_LEVELS = range(-38, -18)


def metered(rate_hz, block):
    meter = LoudnessMeter(rate_hz, block.shape[1])
    for piece in in_blocks(block, 65_536):
        meter.update(piece)
    return meter


@cache
def steady(rate_hz, level_dbfs):
    """Return the meter after cases 1 and 2."""
    return metered(rate_hz, sine(rate_hz, 20.0, level_dbfs=level_dbfs))


@pytest.mark.parametrize("level", [-23.0, -33.0])
@pytest.mark.parametrize(
    "reading", ["integrated_lufs", "momentary_max_lufs", "short_term_max_lufs"]
)
def test_cases_1_and_2_a_steady_tone_reads_the_same_in_all_windows(rate_hz, level, reading):
    """A stereo tone at a level reads that many LUFS, momentary, short-term and integrated."""
    assert level == pytest.approx(getattr(steady(rate_hz, level), reading)(), abs=TOLERANCE_LU)


@pytest.mark.parametrize("sections", PROGRAMMES.values(), ids=PROGRAMMES)
def test_cases_3_to_5_quiet_parts_are_gated(rate_hz, sections):
    """What is far below the programme does not count."""
    meter = metered(rate_hz, tone(rate_hz, sections))

    assert pytest.approx(-23.0, abs=TOLERANCE_LU) == meter.integrated_lufs()


def test_case_6_five_channels_are_weighted(rate_hz):
    """Left, right, centre and both surrounds add up to −23 LUFS."""
    levels = np.array([-28.0, -28.0, -24.0, -30.0, -30.0])
    block = sine(rate_hz, 20.0, channels=5) * (10.0 ** (levels / 20.0)).astype(np.float32)

    assert pytest.approx(-23.0, abs=TOLERANCE_LU) == metered(rate_hz, block).integrated_lufs()


def test_case_9_short_term_is_constant_where_its_window_is_a_period(rate_hz):
    """Bursts that repeat every 3 s never move the short-term loudness."""
    curve = metered(rate_hz, tone(rate_hz, [(1.34, -20.0), (1.66, -30.0)] * 5)).short_term_lufs()

    assert np.full(121, -23.0) == pytest.approx(curve, abs=TOLERANCE_LU)


def test_case_12_momentary_is_constant_where_its_window_is_a_period(rate_hz):
    """Bursts that repeat every 400 ms never move the momentary loudness."""
    curve = metered(rate_hz, tone(rate_hz, [(0.18, -20.0), (0.22, -30.0)] * 25)).momentary_lufs()

    assert np.full(97, -23.0) == pytest.approx(curve, abs=TOLERANCE_LU)


@pytest.mark.parametrize("place", range(20))
def test_case_10_a_burst_of_3_s_is_caught_anywhere(rate_hz, place):
    """The maximum short-term loudness finds a burst of its own length."""
    meter = metered(rate_hz, tone(rate_hz, [(place * 0.15, None), (3.0, -23.0), (1.0, None)]))

    assert pytest.approx(-23.0, abs=TOLERANCE_LU) == meter.short_term_max_lufs()


@pytest.mark.parametrize("place", range(20))
def test_case_13_a_burst_of_400_ms_is_caught_anywhere(rate_hz, place):
    """The maximum momentary loudness finds a burst of its own length."""
    meter = metered(rate_hz, tone(rate_hz, [(place * 0.02, None), (0.4, -23.0), (1.0, None)]))

    assert pytest.approx(-23.0, abs=TOLERANCE_LU) == meter.momentary_max_lufs()


def readings_while_running(rate_hz, *, silence_s, burst_s, reading):
    """Return the reading after each burst of the live cases, one meter all along."""
    meter = LoudnessMeter(rate_hz, 2)
    readings = []
    for place, level in enumerate(LIVE_LEVELS):
        sections = [(place * silence_s, None), (burst_s, level), (1.0, None)]
        for block in in_blocks(tone(rate_hz, sections), LIVE_BLOCK_FRAMES):
            meter.update(block)
        readings.append(getattr(meter, reading)())
    return readings


def test_case_11_maximum_short_term_follows_live(rate_hz):
    """Each burst is louder, and the maximum says so at once."""
    readings = readings_while_running(
        rate_hz, silence_s=0.15, burst_s=3.0, reading="short_term_max_lufs"
    )

    assert list(LIVE_LEVELS) == pytest.approx(readings, abs=TOLERANCE_LU)


def test_case_14_maximum_momentary_follows_live(rate_hz):
    """Each burst is louder, and the maximum says so at once."""
    readings = readings_while_running(
        rate_hz, silence_s=0.02, burst_s=0.4, reading="momentary_max_lufs"
    )

    assert list(LIVE_LEVELS) == pytest.approx(readings, abs=TOLERANCE_LU)


def assert_true_peak(expected_dbtp, rate_hz, block):
    """Tech 3341 lets a meter read 0.2 dB high and 0.4 dB low."""
    meter = TruePeakMeter(rate_hz, block.shape[1])
    meter.update(block)
    assert expected_dbtp - 0.4 <= meter.true_peak_dbtp() <= expected_dbtp + 0.2


@pytest.mark.parametrize(
    ("expected_dbtp", "divisor", "amplitude", "phase_deg"),
    [
        (-6.0, 4, 0.5, 0.0),
        (-6.0, 4, 0.5, 45.0),
        (-6.0, 6, 0.5, 60.0),
        (-6.0, 8, 0.5, 67.5),
        (3.0, 4, 1.41, 45.0),
    ],
    ids=["case-15", "case-16", "case-17", "case-18", "case-19"],
)
def test_cases_15_to_19_peaks_between_samples_are_found(
    rate_hz, expected_dbtp, divisor, amplitude, phase_deg
):
    """Tones at a fraction of the rate, whose samples miss their peaks."""
    block = sine(rate_hz, 1.0, hz=rate_hz / divisor, phase_deg=phase_deg) * np.float32(amplitude)

    assert_true_peak(expected_dbtp, rate_hz, faded(block, rate_hz // 100))


@pytest.mark.parametrize("offset", range(4), ids=["case-20", "case-21", "case-22", "case-23"])
def test_cases_20_to_23_one_loud_period_is_found_wherever_it_is_sampled(rate_hz, offset):
    """A period of rate/4 at full scale in a tone of rate/6 at half, made at 4 times the rate."""
    periods = rate_hz // 12
    soft = 0.5 * np.sin(2.0 * np.pi * np.arange(24 * periods) / 24)
    loud = np.sin(2.0 * np.pi * np.arange(16) / 16)
    low_passed = np.convolve(np.concatenate([soft, loud, soft]), firwin(255, 0.25), mode="same")
    block = spread(low_passed[offset::4], 2)

    assert_true_peak(0.0, rate_hz, faded(block, rate_hz // 100))


@pytest.mark.parametrize(("expected_lu", "sections"), RANGES.values(), ids=RANGES)
def test_tech_3342_range_of_stepped_tones(rate_hz, expected_lu, sections):
    """The loudness range is the step between the tones, whatever silence a file ends in."""
    meter = metered(rate_hz, tone(rate_hz, [*sections, (1.5, None)]))

    assert expected_lu == pytest.approx(meter.range_lu(), abs=TOLERANCE_RANGE_LU)
