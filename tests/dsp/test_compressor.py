"""Compressor, de-esser, keyed band, ride: measured with tones, steps and noise."""

import numpy as np
import pytest

from dsp.audio import HOP_FRAMES, Block
from dsp.errors import ParameterError
from dsp.processors.compressor import Compressor, DeEsser, KeyedBand, Ride, static_reduction_db
from dsp.processors.filters import biquad, response_db
from dsp.units import db_of, dbs_of, ratio_of
from tests.support.tones import in_blocks, noise, sine, tone

RATES = (44_100, 48_000, 96_000)
RATE_HZ = 48_000
PANEL = {"threshold_db": -20.0, "ratio": 4.0, "knee_db": 6.0, "attack_ms": 5.0, "release_ms": 150.0}


def compressor(*, rate_hz=RATE_HZ, channels=2, **changes):
    return Compressor(**{**PANEL, **changes}, rate_hz=rate_hz, channels=channels)


def peak_db(block: Block) -> float:
    return db_of(float(np.abs(block).max()))


def gains_of(processor, sound: Block) -> np.ndarray:
    """Return the gain at every frame: of a sound that is nowhere zero."""
    return (processor.process(sound) / sound)[:, 0].astype(np.float64)


def levels(*sections: tuple[float, float], rate_hz=RATE_HZ) -> Block:
    """Return a square wave at a quarter of the rate: a level on every frame, never zero."""
    gains = np.repeat(
        [ratio_of(level) for _, level in sections], [round(s * rate_hz) for s, _ in sections]
    )
    signs = np.tile([1.0, 1.0, -1.0, -1.0], len(gains) // 4 + 1)[: len(gains)]
    return np.repeat((gains * signs).astype(np.float32)[:, np.newaxis], 2, axis=1)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("ratio", [1.5, 4.0, np.inf])
def test_steady_tones_follow_the_static_curve(rate_hz, ratio):
    """Every 2 dB from −40 to 0 dBFS, to 0.1 dB."""
    given = np.arange(-40.0, 0.5, 2.0)
    curve = {"threshold_db": -20.0, "ratio": ratio, "knee_db": 6.0}
    found = []
    for level in given:
        out = compressor(rate_hz=rate_hz, ratio=ratio).process(
            sine(rate_hz, 0.4, hz=997.0, level_dbfs=level)
        )
        found.append(peak_db(out[-rate_hz // 10 :]))

    np.testing.assert_allclose(given - static_reduction_db(given, **curve), found, atol=0.1)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("attack_ms", [2.0, 10.0, 60.0])
def test_attack_is_the_time_to_63_percent(rate_hz, attack_ms):
    """Of the reduction in dB, after a step up; late by at most two hops."""
    sound = levels((0.1, -60.0), (1.0, -8.0), rate_hz=rate_hz)
    reduction = -dbs_of(gains_of(compressor(rate_hz=rate_hz, attack_ms=attack_ms), sound))

    step = round(0.1 * rate_hz)
    took = np.argmax(reduction[step:] > (1.0 - 1.0 / np.e) * reduction[-1])

    wanted = attack_ms * 0.001 * rate_hz
    assert wanted <= took <= wanted + 2 * HOP_FRAMES


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("release_ms", [50.0, 300.0])
def test_release_is_the_time_until_63_percent_are_gone(rate_hz, release_ms):
    """Of the reduction in dB, after a step down; a short attack rounds it by its own length."""
    sound = levels((0.5, -8.0), (1.0, -60.0), rate_hz=rate_hz)
    panel = compressor(rate_hz=rate_hz, attack_ms=1.0, release_ms=release_ms)
    reduction = -dbs_of(gains_of(panel, sound))

    step = round(0.5 * rate_hz)
    took = np.argmax(reduction[step:] < reduction[step] / np.e)

    wanted = release_ms * 0.001 * rate_hz
    assert wanted <= took <= wanted + 0.001 * rate_hz + 3 * HOP_FRAMES


def test_below_the_knee_the_sound_is_what_it_was():
    """Bit for bit."""
    sound = sine(RATE_HZ, 0.3, level_dbfs=-23.5)

    np.testing.assert_array_equal(sound, compressor().process(sound))


def test_make_up_is_a_fixed_gain():
    """Below the knee the sound comes out times the make-up, exactly."""
    sound = sine(RATE_HZ, 0.3, level_dbfs=-30.0)

    out = compressor(make_up_db=6.0).process(sound)

    np.testing.assert_array_equal(sound * np.float32(ratio_of(6.0)), out)


@pytest.mark.parametrize(("link", "reduction_db"), [(1.0, 15.0), (0.5, 7.5), (0.0, 0.0)])
def test_link_is_how_far_the_soft_channel_follows(link, reduction_db):
    """The left is reduced by 15 dB; the right alone would not be reduced at all."""
    sound = np.stack([sine(RATE_HZ, 0.5)[:, 0], sine(RATE_HZ, 0.5, level_dbfs=-40.0)[:, 0]], axis=1)

    out = compressor(link=link).process(sound)[-RATE_HZ // 10 :]

    assert -40.0 - reduction_db == pytest.approx(peak_db(out[:, 1]), abs=0.1)
    assert -15.0 == pytest.approx(peak_db(out[:, 0]), abs=0.1)


def test_gain_moves_without_steps():
    """Between two frames the gain moves by no more than a 16th of what its attack allows."""
    gains_db = dbs_of(gains_of(compressor(attack_ms=2.0), levels((0.1, -60.0), (0.2, 0.0))))

    steepest = 15.0 / (0.002 * RATE_HZ)

    assert np.abs(np.diff(gains_db)).max() < 1.05 * steepest


def test_compressor_is_not_late():
    """A click at frame n is at frame n."""
    sound = np.zeros((1_000, 2), np.float32)
    sound[321] = 1.0

    assert [321] == np.flatnonzero(compressor().process(sound)[:, 0]).tolist()


def test_reduction_is_reported():
    """Steady tone: mean, maximum and curve end at what the static curve takes."""
    panel = compressor(attack_ms=1.0)
    panel.process(sine(RATE_HZ, 3.0, hz=997.0))

    assert 15.0 == pytest.approx(panel.reduction.mean_db, abs=0.1)
    assert 15.0 == pytest.approx(panel.reduction.max_db, abs=0.1)
    assert 15.0 == pytest.approx(panel.reduction.curve_db()[-1], abs=0.1)


def test_silence_does_not_count_in_the_mean_reduction():
    """A minute of nothing does not make a compressor look gentle."""
    panel = compressor(attack_ms=1.0, release_ms=20.0)
    panel.process(tone(RATE_HZ, [(1.0, 0.0), (4.0, None)], hz=997.0))

    assert 15.0 == pytest.approx(panel.reduction.mean_db, abs=0.2)


@pytest.mark.parametrize("size", [65_536, 7_777, 1_600])
def test_long_streams_do_not_show_how_they_were_cut(size):
    """Law 1 beyond the ends of the detector's segments: sound, rest, sound."""
    sound = np.concatenate(
        [noise(RATE_HZ, 2.0, rms_dbfs=-12.0, seed=1), np.zeros((50_000, 2), np.float32),
         noise(RATE_HZ, 2.0, rms_dbfs=-12.0, seed=2)]
    )  # fmt: skip
    pieces = compressor()

    out = np.concatenate([pieces.process(block) for block in in_blocks(sound, size)])

    assert compressor().process(sound).tobytes() == out.tobytes()


@pytest.mark.parametrize(
    "changes", [{"ratio": 0.5}, {"knee_db": -1.0}, {"link": 1.5}, {"attack_ms": -1.0}]
)
def test_compressor_refuses_what_makes_no_sense(changes):
    """With the name, the value and the range."""
    with pytest.raises(ParameterError, match=f"{next(iter(changes))} must"):
        compressor(**changes)


def de_esser(*, rate_hz=RATE_HZ, channels=2, **changes):
    panel = {
        "hz": 6_000.0, "q": 1.5, "threshold_db": -30.0, "ratio": 4.0, "range_db": 8.0,
        "attack_ms": 1.0, "release_ms": 60.0, **changes,
    }  # fmt: skip
    return DeEsser(**panel, rate_hz=rate_hz, channels=channels)


def test_de_esser_follows_its_curve_in_the_band():
    """6 dB over the threshold at 4:1 is 4.5 dB less; at any level the range is the most."""
    reduction = [
        level
        - peak_db(de_esser().process(sine(RATE_HZ, 0.5, hz=6_000.0, level_dbfs=level))[-4_800:])
        for level in (-40.0, -24.0, 0.0)
    ]

    np.testing.assert_allclose([0.0, 4.5, 8.0], reduction, atol=0.1)


def test_de_esser_hears_only_its_band():
    """A tone far below at full scale does not move it."""
    sound = sine(RATE_HZ, 0.3, hz=100.0, level_dbfs=-3.0)

    np.testing.assert_array_equal(sound, de_esser().process(sound))


def test_de_esser_leaves_the_rest_of_the_spectrum():
    """While it takes 8 dB from the band, 300 Hz loses less than 0.1 dB."""
    low, high = sine(RATE_HZ, 1.0, hz=300.0, level_dbfs=-6.0), sine(RATE_HZ, 1.0, hz=6_000.0)

    out = de_esser().process(low + high)[-RATE_HZ // 2 :, 0]

    lines = 2.0 * np.abs(np.fft.rfft(out)) / len(out)
    assert -6.0 == pytest.approx(db_of(lines[150]), abs=0.1)
    assert -8.0 == pytest.approx(db_of(lines[3_000]), abs=0.1)


def test_de_esser_reports_its_reduction():
    """The most it took is its range."""
    panel = de_esser()
    panel.process(sine(RATE_HZ, 0.5, hz=6_000.0))

    assert 8.0 == pytest.approx(panel.reduction.max_db, abs=0.01)


@pytest.mark.parametrize("changes", [{"ratio": 0.9}, {"range_db": -1.0}, {"hz": 30_000.0}])
def test_de_esser_refuses_what_makes_no_sense(changes):
    """With the name, the value and the range."""
    with pytest.raises(ParameterError, match=f"{next(iter(changes))} must"):
        de_esser(**changes)


def keyed_band(key, *, key_step_s=0.1, **changes):
    panel = {
        "hz": 2_000.0, "q": 1.5, "depth_db": 6.0, "attack_ms": 10.0, "release_ms": 10.0, **changes,
    }  # fmt: skip
    return KeyedBand(**panel, key=key, key_step_s=key_step_s, rate_hz=RATE_HZ, channels=2)


def test_keyed_band_cuts_where_the_key_says():
    """Full depth at the centre while the key is 1, half at 0.5, nothing at 0."""
    sound = sine(RATE_HZ, 0.9, hz=2_000.0)
    out = keyed_band([0.0, 1.0, 0.5], key_step_s=0.3).process(sound)

    found = [peak_db(out[end - 4_800 : end]) for end in (14_400, 28_800, 43_200)]

    np.testing.assert_allclose([0.0, -6.0, -3.0], found, atol=0.02)


def test_keyed_band_at_zero_is_the_sound():
    """Where the lead rests nothing is lost, bit for bit."""
    sound = noise(RATE_HZ, 0.5, rms_dbfs=-15.0, seed=3)

    np.testing.assert_array_equal(sound, keyed_band(np.zeros(5)).process(sound))


def test_keyed_band_at_one_is_a_static_cut():
    """The response is that of 1 + (g − 1) · BP, at every frequency."""
    click = np.zeros((2 * RATE_HZ, 2), np.float32)
    click[RATE_HZ] = 1.0
    hz = np.fft.rfftfreq(RATE_HZ, 1.0 / RATE_HZ)[20:20_000:137]
    b0, b1, b2, _, a1, a2 = biquad("band_pass", hz=2_000.0, q=1.5, rate_hz=RATE_HZ)
    cut = ratio_of(-6.0) - 1.0
    wanted = np.asarray([1.0 + cut * b0, a1 + cut * b1, a2 + cut * b2, 1.0, a1, a2])

    out = keyed_band(np.ones(20)).process(click)[RATE_HZ:, 0]

    found = dbs_of(np.abs(np.fft.rfft(out)))[20:20_000:137]
    np.testing.assert_allclose(response_db(wanted, hz, RATE_HZ), found, atol=0.01)


def test_key_is_on_the_time_of_the_stream():
    """The cut begins at the hop in which the key rises, whatever the blocks."""
    band = keyed_band([0.0] * 7 + [1.0])
    sound = levels((1.0, -6.0))

    out = np.concatenate([band.process(block) for block in in_blocks(sound, 1_000)])

    first = np.flatnonzero((out != sound).any(axis=1))[0]
    assert 0 <= first - (0.7 * RATE_HZ - HOP_FRAMES) <= HOP_FRAMES


def test_sign_of_zero_does_not_show_how_a_stream_was_cut():
    """−0.0 is what a flipped silence is; a band at rest and a band that moves agree on it."""
    sound = -np.zeros((9_600, 2), np.float32)
    pieces = keyed_band([0.0, 1.0])

    out = np.concatenate([pieces.process(block) for block in in_blocks(sound, 100)])

    assert keyed_band([0.0, 1.0]).process(sound).tobytes() == out.tobytes()


def test_key_keeps_its_last_value():
    """Beyond its end."""
    out = keyed_band([1.0]).process(sine(RATE_HZ, 1.0, hz=2_000.0))

    assert -6.0 == pytest.approx(peak_db(out[-4_800:]), abs=0.02)


def test_keyed_band_reports_its_reduction_while_keyed():
    """The mean leaves out where the key rests."""
    band = keyed_band([0.0, 0.0, 1.0, 1.0, 1.0, 1.0], attack_ms=0.0)
    band.process(sine(RATE_HZ, 0.6))

    assert 6.0 == pytest.approx(band.reduction.mean_db, abs=1e-6)


def test_keyed_band_refuses_to_boost():
    """A negative depth is no cut."""
    with pytest.raises(ParameterError, match="depth_db must be at least 0, got -3"):
        keyed_band([1.0], depth_db=-3.0)


def ride(curve_db, step_s=0.1):
    return Ride(curve_db, step_s=step_s, rate_hz=RATE_HZ, channels=2)


def test_ride_goes_straight_from_middle_to_middle():
    """In dB, of each step; before the first and after the last it stands."""
    sound = levels((0.5, -6.0))
    seconds = np.arange(len(sound)) / RATE_HZ
    wanted = np.interp(seconds, [0.05, 0.15, 0.25], [0.0, -6.0, 3.0])

    gains_db = dbs_of(gains_of(ride([0.0, -6.0, 3.0]), sound))

    np.testing.assert_allclose(wanted, gains_db, atol=0.02)


@pytest.mark.parametrize("curve_db", [[], [0.0], np.zeros(50)])
def test_ride_at_zero_is_the_sound(curve_db):
    """Bit for bit."""
    sound = noise(RATE_HZ, 0.5, rms_dbfs=-15.0, seed=4)

    np.testing.assert_array_equal(sound, ride(curve_db).process(sound))
