"""Lows that are over give way alone; what sounds beside them stays."""

import numpy as np
import pytest
import soundfile as sf
from scipy.signal import firwin, oaconvolve

from dsp.mixing.mix import mix
from dsp.mixing.recall_sheet import Settings
from dsp.mixing.source import Resources
from dsp.processors.low_limiter import LowLimiter
from dsp.units import db_of
from tests.support.tones import noise, sine

RATE_HZ = 48_000


def low_limiter(**other):
    values = {"hz": 200.0, "limit_db": -6.0, "range_db": 12.0, "look_ahead_ms": 3.0}
    values |= {"release_ms": 80.0, "rate_hz": RATE_HZ, "channels": 2} | other
    return LowLimiter(**values)


def envelope_db(sound, hz):
    """Return the level of one sine in a sound, per millisecond, the ends left out."""
    turned = sound * np.exp(-2j * np.pi * hz * np.arange(len(sound)) / RATE_HZ)
    level = np.abs(oaconvolve(turned, firwin(4_801, 12.0, fs=RATE_HZ), "same"))
    return 20.0 * np.log10(level[2 * RATE_HZ : -2 * RATE_HZ : 48])


def kicks(seconds, beats_per_minute):
    time_s = np.arange(round(0.35 * RATE_HZ)) / RATE_HZ
    sweep = 55.0 * time_s + 2.7 * (1.0 - np.exp(-time_s / 0.03))
    one = np.exp(-time_s / 0.09) * np.sin(2.0 * np.pi * sweep)
    one += 0.04 * np.exp(-time_s / 0.003) * np.random.default_rng(1).standard_normal(len(one))
    sound = np.zeros(round(seconds * RATE_HZ))
    for start in range(0, len(sound) - len(one), round(60.0 / beats_per_minute * RATE_HZ)):
        sound[start : start + len(one)] += one
    return sound


@pytest.mark.parametrize("beats_per_minute", [120, 150])
def test_held_note_does_not_move_while_a_kick_beats(tmp_path, beats_per_minute):
    """It moved by 4.1 and 1.6 dB: limiter and glue turned it down with each kick."""
    stems, out = tmp_path / "stems", tmp_path / "out"
    stems.mkdir()
    out.mkdir()
    held = 0.25 * np.sin(2.0 * np.pi * 997.0 * np.arange(8 * RATE_HZ) / RATE_HZ)
    sf.write(stems / "lead.wav", held, RATE_HZ, "PCM_24")
    sf.write(stems / "kick.wav", 0.7 * kicks(8.0, beats_per_minute), RATE_HZ, "PCM_24")

    mix(stems, out, Settings(), report=lambda *_: None, resources=Resources(threads=2))

    level_db = envelope_db(sf.read(out / "final_mix.wav")[0][:, 0], 997.0)
    assert np.ptp(level_db) <= 1.0


def test_below_its_limit_nothing_is_touched():
    """It is late, and that is all."""
    limiter, sound = low_limiter(), noise(RATE_HZ, 1.0, rms_dbfs=-24.0, seed=3)

    done = limiter.process(sound)

    assert np.array_equal(sound[: -limiter.latency], done[limiter.latency :])


@pytest.mark.parametrize(("hz", "least_db", "most_db"), [(50.0, -5.5, -3.0), (2_000.0, -0.2, 0.1)])
def test_only_lows_give_way(hz, least_db, most_db):
    """A low tone 4 dB over comes near the limit; a high one is left to the limiter."""
    sound = sine(RATE_HZ, 2.0, hz=hz, level_dbfs=-2.0)

    done = low_limiter().process(sound)[RATE_HZ:]

    assert least_db <= db_of(float(np.abs(done).max())) - -2.0 <= most_db


def test_lows_are_reduced_within_a_bound():
    """However far they are over: a range of 6 dB is not exceeded."""
    sound = sine(RATE_HZ, 1.0, hz=30.0, level_dbfs=20.0)
    limiter = low_limiter(range_db=6.0)

    limiter.process(sound)

    assert limiter.reduction.max_db == pytest.approx(6.0, abs=0.01)
