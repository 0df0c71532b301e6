"""The limiter: under its ceiling by a method that shares nothing with it, and gentle."""

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

from dsp.audio import HOP_FRAMES, Block
from dsp.errors import ParameterError
from dsp.processors.limiter import Limiter, LimiterGains, modelled_gains, needs_of
from dsp.processors.limiter_peaks import LimiterPeaks
from dsp.units import db_of, dbs_of, ratio_of
from tests.support.tones import faded, in_blocks, noise, sine, tone

RATES = (44_100, 48_000, 96_000)
RATE_HZ = 48_000
CEILING_DBTP = -1.0

TOLERANCE_DB = 0.05
"""A gain that moves while the samples around a peak pass is not quite the gain at the peak."""

DENSE = 16
_SINC = firwin(256 * DENSE + 1, 1 / DENSE, window=("kaiser", 12.0))


def true_peak_db(sound: Block) -> float:
    """Return the highest of 16 points per frame, by a windowed sinc of 256 frames."""
    dense = [resample_poly(side.astype(np.float64), DENSE, 1, window=_SINC) for side in sound.T]
    return db_of(float(np.abs(dense).max()))


def limited(sound: Block, *, rate_hz=RATE_HZ, **changes) -> Block:
    """Return the sound after a limiter, its latency taken out."""
    limiter = Limiter(
        **{"ceiling_dbtp": CEILING_DBTP, **changes}, rate_hz=rate_hz, channels=sound.shape[1]
    )
    return out_of(limiter, sound)


def out_of(limiter: Limiter, sound: Block) -> Block:
    tail = np.zeros((limiter.latency, sound.shape[1]), np.float32)
    return limiter.process(np.concatenate([sound, tail]))[limiter.latency :]


def low_passed(sound: Block) -> Block:
    """Return what lies below 0.45 of the rate: what converters and resamplers leave."""
    lines = np.fft.rfft(sound, axis=0)
    lines[int(0.9 * len(lines)) :] = 0.0
    return np.fft.irfft(lines, len(sound), axis=0).astype(np.float32)


def between(rate_hz: int, divisor: int, phase_deg: float) -> Block:
    """Return a tone whose peaks lie between the samples, faded in and out."""
    hz = rate_hz / divisor
    sound = sine(rate_hz, 0.2, hz=hz, level_dbfs=3.0, phase_deg=phase_deg)
    return faded(sound, rate_hz // 100)


def clicks(rate_hz: int) -> Block:
    sound = np.zeros((rate_hz // 5, 2), np.float32)
    rng = np.random.default_rng(5)
    sound[rng.integers(0, len(sound), 80)] = rng.uniform(-4.0, 4.0, (80, 2))
    return sound


def bursts(rate_hz: int) -> Block:
    """Return tones of 30 ms that begin at once, 12 dB over full scale."""
    return low_passed(tone(rate_hz, [(0.03, 12.0), (0.07, -40.0)] * 2, hz=997.0))


def double_clicks(rate_hz: int) -> Block:
    """Return pairs of equal samples: between them the sound is 2 dB higher."""
    sound = np.zeros((rate_hz // 5, 2), np.float32)
    sound[1_000::777] = sound[1_001::777] = 1.5
    return sound


LOUD = {
    "noise": lambda r: low_passed(noise(r, 0.2, rms_dbfs=0.0, seed=1)),
    "fs/4 at 45 degrees": lambda r: between(r, 4, 45.0),
    "fs/6 at 60 degrees": lambda r: between(r, 6, 60.0),
    "fs/8 at 67.5 degrees": lambda r: between(r, 8, 67.5),
    "fs/3": lambda r: between(r, 3, 0.0),
    "a square": lambda r: low_passed(np.sign(sine(r, 0.2, hz=997.0)) * np.float32(1.4)),
    "random signs": lambda r: low_passed(np.sign(noise(r, 0.2, rms_dbfs=0.0, seed=2))),
    "clicks": clicks,
    "double clicks": double_clicks,
    "bursts": bursts,
    "a sine": lambda r: faded(sine(r, 0.2, hz=60.0, level_dbfs=6.0), r // 100),
    "white noise": lambda r: noise(r, 0.2, rms_dbfs=-6.0, seed=3),
    "white, even": lambda r: np.random.default_rng(4).uniform(-1, 1, (r // 5, 2)).astype("f4"),
    "signs": lambda r: np.sign(noise(r, 0.2, rms_dbfs=0.0, seed=5)),
    "a raw square": lambda r: np.sign(sine(r, 0.2, hz=5_000.0, phase_deg=7.0)),
}


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("make", LOUD.values(), ids=LOUD.keys())
def test_true_peak_never_exceeds_the_ceiling(make, rate_hz):
    """Of 16 points per frame none is above, for music and for what only arithmetic makes."""
    sound = make(rate_hz)

    assert true_peak_db(sound) > CEILING_DBTP + 1.0
    assert true_peak_db(limited(sound, rate_hz=rate_hz)) < CEILING_DBTP + TOLERANCE_DB


@pytest.mark.parametrize("make", LOUD.values(), ids=LOUD.keys())
def test_ceiling_holds_with_make_up(make):
    """12 dB more into the limiter change nothing."""
    out = limited(make(RATE_HZ), gain=4.0)

    assert true_peak_db(out) < CEILING_DBTP + TOLERANCE_DB


@pytest.mark.parametrize("look_ahead_ms", [0.1, 1.5, 5.0])
def test_ceiling_holds_for_any_look_ahead(look_ahead_ms):
    """A short one is harsher, not higher; the samples are exact."""
    out = limited(LOUD["bursts"](RATE_HZ), look_ahead_ms=look_ahead_ms)

    assert np.abs(out).max() <= ratio_of(CEILING_DBTP) * (1.0 + 1e-6)


@pytest.mark.parametrize("gain", [1.0, 1.7])
def test_below_the_ceiling_the_sound_is_what_it_was(gain):
    """Times the make-up, exactly, after the latency."""
    sound = noise(RATE_HZ, 1.0, rms_dbfs=-30.0, seed=6)

    np.testing.assert_array_equal(sound * np.float32(gain), limited(sound, gain=gain))


@pytest.mark.parametrize("place", [0, 1, 15, 16, 500, 999])
def test_click_stays_where_it_was(place):
    """And no other frame sounds."""
    sound = np.zeros((1_000, 2), np.float32)
    sound[place] = 3.0

    assert [place] == np.flatnonzero(limited(sound)[:, 0]).tolist()


def test_click_comes_out_at_the_ceiling():
    """Less 0.16 dB, what the edge of its spectrum adds to the peak to be expected."""
    sound = np.zeros((1_000, 2), np.float32)
    sound[500] = 3.0

    assert CEILING_DBTP - 0.16 == pytest.approx(db_of(limited(sound).max()), abs=0.01)


@pytest.mark.parametrize("hz", [60.0, 997.0, 9_970.0, 15_000.0])
def test_tone_comes_out_at_the_ceiling(hz):
    """Within the band nothing is given away: 0.05 dB at most."""
    sound = faded(sine(RATE_HZ, 0.3, hz=hz, level_dbfs=6.0), 480)

    assert CEILING_DBTP == pytest.approx(true_peak_db(limited(sound)), abs=0.05)


def test_channels_are_reduced_alike():
    """A peak on the left moves the right by the same gain: the picture stands still."""
    left, right = noise(RATE_HZ, 0.5, rms_dbfs=0.0, seed=7)[:, 0], sine(RATE_HZ, 0.5)[:, 0] * 0.1
    sound = np.stack([left, right], axis=1)

    out = limited(sound)

    heard = np.abs(sound) > 1e-3
    gains = np.where(heard, out / np.where(heard, sound, 1.0), np.nan)
    both = heard.all(axis=1)
    np.testing.assert_allclose(gains[both, 0], gains[both, 1], rtol=1e-5)


def test_gain_is_down_one_hop_before_the_peak():
    """It begins to fall a look-ahead earlier, and no sooner."""
    limiter = Limiter(ceiling_dbtp=CEILING_DBTP, rate_hz=RATE_HZ, channels=1, look_ahead_ms=3.0)
    sound = np.full((4_800, 1), 0.01, np.float32)
    sound[2_400] = 4.0

    gains = out_of(limiter, sound)[:, 0] / sound[:, 0]

    falls = np.flatnonzero(gains < 0.9999)[0]
    assert 144 <= 2_400 - falls <= 144 + 3 * HOP_FRAMES
    np.testing.assert_allclose(gains[2_400], gains[2_384:2_400], rtol=1e-6)


@pytest.mark.parametrize("release_ms", [50.0, 200.0])
def test_release_is_the_time_until_63_percent_are_gone(release_ms):
    """Of the reduction in dB; the smoothing adds half of its own length."""
    sound = np.full((RATE_HZ, 1), 0.01, np.float32)
    sound[4_800] = 4.0
    reduction_db = -dbs_of((limited(sound, release_ms=release_ms) / sound)[:, 0])

    took = np.argmax(reduction_db[4_800:] < reduction_db[4_800] / np.e)

    wanted = release_ms * 0.001 * RATE_HZ
    assert wanted <= took <= wanted + 144


def test_gain_does_not_pump():
    """Peaks every 20 ms under a release of 100 ms: between them it comes back by a fifth."""
    sound = np.full((RATE_HZ, 1), 0.01, np.float32)
    sound[4_800::960] = 4.0

    reduction_db = -dbs_of((limited(sound, release_ms=100.0) / sound)[:, 0])[9_600:-9_600]

    assert reduction_db.min() > 0.8 * reduction_db.max()


def test_reduction_is_reported():
    """A steady tone 6 dB over: mean, maximum and curve say so."""
    limiter = Limiter(ceiling_dbtp=CEILING_DBTP, rate_hz=RATE_HZ, channels=2, gain=ratio_of(5.0))
    limiter.process(sine(RATE_HZ, 2.0, hz=997.0))

    assert 6.0 == pytest.approx(limiter.reduction.mean_db, abs=0.1)
    assert 6.0 == pytest.approx(limiter.reduction.max_db, abs=0.2)
    assert 6.0 == pytest.approx(limiter.reduction.curve_db()[10], abs=0.1)


def plain_gains(needs, delay):
    """Return the gain per border by the definition: hold, then mean, no release to speak of."""
    padded = np.concatenate([np.ones(3 * delay), needs, np.ones(3 * delay)])
    hold = [padded[k - 2 : k + delay + 1].min() for k in range(2, len(padded) - delay)]
    short = delay // 2
    weights = np.convolve(np.ones(short) / short, np.ones(delay + 1 - short) / (delay + 1 - short))
    smooth = np.convolve(hold, weights)
    first = 3 * delay - 2
    return smooth[first : first + len(needs)]


def test_gains_are_those_of_the_definition():
    """With a release that lets go at once; the look-ahead comes out as a delay."""
    needs = needs_of(np.random.default_rng(8).exponential(0.5, 500), 0.9)
    gains = LimiterGains(look_ahead_ms=3.0, release_ms=1e-3, rate_hz=RATE_HZ)
    found = gains.follow(np.concatenate([needs, np.ones(gains.delay)]))[gains.delay :]

    np.testing.assert_allclose(plain_gains(needs, gains.delay), found, atol=1e-12)


def test_gain_is_never_above_the_need_of_a_hop_nor_of_its_neighbours():
    """The sentence that the rest stands on."""
    needs = needs_of(np.random.default_rng(9).exponential(0.5, 3_000), 0.9)
    gains = LimiterGains(look_ahead_ms=3.0, release_ms=30.0, rate_hz=RATE_HZ)
    borders = gains.follow(np.concatenate([needs, np.ones(gains.delay)]))[gains.delay :]

    for hops_on in (-2, -1, 0, 1):
        shifted = np.roll(needs, -hops_on)
        assert (borders[2:-2] <= shifted[2:-2] * (1.0 + 1e-12)).all()


def modelled(peaks, parts, *, gain):
    """Return the model's gains, all parts together."""
    gains = modelled_gains(
        lambda start, stop: peaks[start:stop],
        parts,
        gain=gain,
        ceiling_dbtp=CEILING_DBTP,
        rate_hz=RATE_HZ,
    )
    return np.concatenate(list(gains))


@pytest.mark.parametrize("gain", [1.5, 6.0])
def test_model_says_what_the_limiter_does(gain):
    """Given the same peaks, the model's gain is the limiter's mean gain per hop."""
    sound = np.full((RATE_HZ, 1), 0.01, np.float32)
    sound[np.random.default_rng(10).integers(0, RATE_HZ, 60)] = 0.8
    meter = LimiterPeaks(1, limit=ratio_of(CEILING_DBTP) / gain)
    peaks = meter.update(np.concatenate([sound, np.zeros((meter.latency, 1), np.float32)]))
    peaks = peaks[: RATE_HZ // HOP_FRAMES]
    wanted = (limited(sound, gain=gain) / (sound * gain)).reshape(-1, HOP_FRAMES).mean(axis=1)

    found = modelled(peaks, [0, len(peaks)], gain=gain)

    np.testing.assert_allclose(dbs_of(wanted), dbs_of(found), atol=0.1)


@pytest.mark.parametrize("parts", [[0, 0], [0, 1], [0, 70_000], [0, 3, 50_000, 70_000]])
def test_model_has_one_gain_per_hop(parts):
    """Whatever the length and the parts; quiet hops keep theirs at 1."""
    peaks = np.full(parts[-1], 0.1, np.float32)

    found = modelled(peaks, parts, gain=2.0)

    np.testing.assert_array_equal(np.ones(len(peaks), np.float32), found)


def test_model_does_not_show_its_parts():
    """Cut anywhere, even into parts shorter than the look-ahead: the same gains, bit for bit."""
    peaks = np.random.default_rng(12).exponential(0.4, 9_000).astype(np.float32)
    whole = modelled(peaks, [0, 9_000], gain=2.0)

    found = modelled(peaks, [0, 1, 5, 4_096, 4_100, 8_999, 9_000], gain=2.0)

    np.testing.assert_array_equal(whole, found)


@pytest.mark.parametrize("size", [65_536, 7_777])
def test_long_streams_do_not_show_how_they_were_cut(size):
    """Law 1 beyond the ends of the release's segments: loud, rest, loud."""
    loud = noise(RATE_HZ, 2.0, rms_dbfs=-6.0, seed=11)
    sound = np.concatenate([loud, np.zeros((50_000, 2), np.float32), loud[::-1]])
    whole, pieces = (
        Limiter(ceiling_dbtp=CEILING_DBTP, rate_hz=RATE_HZ, channels=2) for _ in range(2)
    )

    out = np.concatenate([pieces.process(block) for block in in_blocks(sound, size)])

    assert whole.process(sound).tobytes() == out.tobytes()


@pytest.mark.parametrize(
    "changes", [{"gain": 0.0}, {"look_ahead_ms": 0.0}, {"release_ms": 0.0}], ids=str
)
def test_limiter_refuses_what_makes_no_sense(changes):
    """With the name, the value and the range."""
    with pytest.raises(ParameterError, match=f"{next(iter(changes))} must be above 0, got 0"):
        Limiter(**{"ceiling_dbtp": -1.0, **changes}, rate_hz=RATE_HZ, channels=2)
