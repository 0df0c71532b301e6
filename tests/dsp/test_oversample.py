"""True peaks per hop: against sines whose peaks are known, and against plain upsampling."""

import numpy as np
import pytest
from scipy.signal import resample

from dsp.audio import HOP_FRAMES
from dsp.processors.oversample import TAPS, TruePeakHops, interpolator, worst_miss
from dsp.units import db_of, dbs_of, ratio_of

FREQUENCIES = (*np.linspace(0.01, 0.45, 23), 1 / 6, 1 / 4, 1 / 3, 0.4, 4 / 9)
"""As parts of the rate; the fractions keep their phase against the grid for ever."""


def sine(part, turn, frames=400):
    return np.sin(2.0 * np.pi * part * np.arange(frames) + turn).astype(np.float32)[:, np.newaxis]


def music(frames, channels=2, seed=4):
    """Return noise that was low-passed at 0.42 of the rate, swelling and falling."""
    rng = np.random.default_rng(seed)
    lines = np.fft.rfft(rng.normal(0.0, 1.0, (frames, channels)), axis=0)
    lines[int(0.84 * len(lines)) :] = 0.0
    swell = 0.5 + 0.5 * np.sin(2.0 * np.pi * np.arange(frames) / 3_000.0)[:, np.newaxis]
    return (0.3 * np.fft.irfft(lines, frames, axis=0) * swell).astype(np.float32)


def all_peaks(sound, threshold=0.0):
    meter = TruePeakHops(sound.shape[1], threshold=threshold)
    return meter.update(np.concatenate([sound, np.zeros((meter.latency, sound.shape[1]), "f4")]))


def test_interpolator_passes_dc():
    """Every phase sums to 1."""
    np.testing.assert_allclose(1.0, interpolator(8, 32).sum(axis=1), atol=1e-12)


def test_interpolator_keeps_the_frames():
    """Phase 0 is the frame itself."""
    wanted = np.zeros(32)
    wanted[15] = 1.0

    np.testing.assert_allclose(wanted, interpolator(8, 32)[0], atol=1e-15)


def test_interpolator_is_mirror_symmetric():
    """The point a step before a frame weighs backwards what the point a step after does."""
    phases = interpolator(8, 32)

    np.testing.assert_allclose(phases[1:], phases[:0:-1, ::-1], atol=1e-15)


def test_interpolator_is_flat():
    """Up to 0.45 of the rate, no phase is more than 0.1 dB off."""
    part = np.linspace(0.0, 0.45, 400)
    turns = np.exp(2j * np.pi * part * (np.arange(TAPS)[:, np.newaxis] - TAPS // 2 + 1))

    np.testing.assert_allclose(0.0, dbs_of(np.abs(interpolator(8, TAPS) @ turns)), atol=0.1)


@pytest.mark.parametrize("part", FREQUENCIES)
def test_true_peak_of_a_sine_is_found(part):
    """Up to 0.45 of the rate, in any phase: at most 0.02 dB too low, 0.07 dB too high."""
    inside = slice(4, -4)  # a sine that begins at once rings, and truly peaks higher
    found = [all_peaks(sine(part, turn))[inside].max() for turn in np.linspace(0.0, np.pi, 33)]

    assert db_of(min(found)) > -0.02
    assert db_of(max(found)) < 0.07


def around(peaks):
    """Return the highest of each hop and its neighbours: a summit may lie on a border."""
    return np.max([peaks[:-2], peaks[1:-1], peaks[2:]], axis=0)


def test_true_peak_per_hop_is_that_of_plain_upsampling():
    """Against FFT upsampling by 64: no hop is 0.05 dB too low or too high."""
    sound = music(9_600)
    dense = np.abs(resample(sound.astype(np.float64), 64 * len(sound), axis=0))
    wanted = dense.reshape(-1, HOP_FRAMES * 64 * 2).max(axis=1)[4:-4]
    slack = wanted.max() * (ratio_of(0.05) - 1.0)

    found = all_peaks(sound)[: 9_600 // HOP_FRAMES][4:-4]

    assert (wanted[1:-1] <= around(found) + slack).all()
    assert (found[1:-1] <= around(wanted) + slack).all()


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.6, 2.0])
def test_threshold_never_hides_a_peak_above_it(threshold):
    """Above the threshold, the peaks are those that are found without one, bit for bit."""
    sound = music(48_000)
    wanted, found = all_peaks(sound), all_peaks(sound, threshold)
    above = wanted > threshold

    np.testing.assert_array_equal(wanted[above], found[above])
    assert (found[~above] <= threshold).all()


def signs_of_the_heaviest(phases, frame):
    """Return three hops of ±1 that drive the heaviest point after a frame of the middle one."""
    heaviest = phases[np.abs(phases).sum(axis=1).argmax()]
    sound = np.ones(3 * HOP_FRAMES, np.float32)
    sound[frame + 1 : frame + 1 + TAPS] = np.sign(heaviest)
    return sound[:, np.newaxis]


def test_bound_is_reached_but_not_passed():
    """The signs of the heaviest point's weights drive it to the bound that skipping rests on."""
    meter = TruePeakHops(1)

    found = TruePeakHops(1, threshold=2.5).update(signs_of_the_heaviest(interpolator(8, TAPS), 4))

    assert meter._bound == pytest.approx(found[1], rel=worst_miss(8) - 1.0)
    assert found[1] <= meter._bound


def test_silent_hop_between_loud_ones_is_not_cleared():
    """A hop of zeros rises above the threshold when its neighbours make it."""
    sound = signs_of_the_heaviest(interpolator(8, TAPS), HOP_FRAMES - 1)
    sound[HOP_FRAMES : 2 * HOP_FRAMES] = 0.0

    assert TruePeakHops(1, threshold=0.1).update(sound)[1] > 0.1


def test_hop_that_still_rises_is_not_taken_for_its_neighbour():
    """Per hop of a slow sine: no more than what the sine reaches inside it."""
    found = all_peaks(sine(0.01, 0.3, 1_600))[2:-4]
    dense = np.abs(np.sin(2.0 * np.pi * 0.01 * np.arange(0.0, 1_600.0, 0.01) + 0.3))
    wanted = dense.reshape(100, -1).max(axis=1)[2 : 2 + len(found)]

    assert (found <= wanted * ratio_of(0.01)).all()


@pytest.mark.parametrize("sizes", [(1,), (7,), (0, 333, 1, 4_097), (16,), (2_048,)])
@pytest.mark.parametrize("threshold", [0.0, 0.4])
def test_blocks_do_not_show(sizes, threshold):
    """However a stream is cut, the same bits come out."""
    sound = music(6_000)
    pieces, start, found = TruePeakHops(2, threshold=threshold), 0, []
    while start < len(sound):
        for size in sizes:
            found.append(pieces.update(sound[start : start + size]))
            start += size

    whole = TruePeakHops(2, threshold=threshold).update(sound)

    assert whole.tobytes() == np.concatenate(found).tobytes()


def test_hop_is_known_after_latency():
    """A hop is answered as soon as ``latency`` frames have followed its beginning."""
    meter = TruePeakHops(1)

    assert 0 == len(meter.update(np.ones((meter.latency - 1, 1), np.float32)))
    assert 1 == len(meter.update(np.ones((1, 1), np.float32)))


def test_peak_lies_in_its_hop():
    """An impulse in frame 100 is the peak of hop 6."""
    impulse = np.zeros((400, 1), np.float32)
    impulse[100] = 0.7

    found = all_peaks(impulse)

    assert 100 // HOP_FRAMES == found.argmax()
    assert 0.7 == pytest.approx(found.max(), rel=1e-6)


def test_silence_has_no_peak():
    """Silence is exactly 0, without a threshold too."""
    assert not all_peaks(np.zeros((1_000, 2), np.float32)).any()


def test_channels_are_one():
    """The peak of a hop is that of its loudest channel."""
    sound = music(3_000)
    alone = [all_peaks(sound[:, [channel]]) for channel in (0, 1)]

    np.testing.assert_array_equal(np.maximum(*alone), all_peaks(sound))


def test_reset_is_rebirth():
    """After a reset a meter equals a new one."""
    used = TruePeakHops(2)
    used.update(music(1_003, seed=9))
    used.reset()

    assert TruePeakHops(2).update(music(3_000)).tobytes() == used.update(music(3_000)).tobytes()
