"""Joins: the same material once, to the sample; nothing that fits is touched; no click."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.formats.reader import Limits, probe
from dsp.formats.writer import Writer
from dsp.mixing.joining.joins import CROSSFADE_S, FIRST, Seam, join_of, seam_of
from dsp.mixing.joining.overlap import overlap_of
from dsp.mixing.joining.stream import Piece, joined
from dsp.mixing.joining.survey import surveyed

RATE_HZ = 16_000


def voice(seconds, seed=1, rate_hz=RATE_HZ):
    """Return noise in 16 bits whose level and colour move, as those of speech do."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    noise = np.cumsum(rng.normal(size=count))
    noise -= np.convolve(noise, np.ones(200) / 200, "same")
    level = 0.05 + 0.3 * np.abs(np.sin(np.arange(count) * (7.0 / rate_hz)))
    sound = noise / np.abs(noise).max() * level
    return (np.rint(sound * 32_768) / 32_768).astype(np.float32)[:, np.newaxis]


def written(path, sound, rate_hz=RATE_HZ):
    soundfile.write(path, sound, rate_hz, subtype="PCM_16")
    return surveyed(probe(path, name=path.name), Limits())


SOUND = voice(12.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(320, 5 * RATE_HZ), st.integers(5 * RATE_HZ + 1, 7 * RATE_HZ))
def test_an_overlap_is_found_to_the_frame(length, at):
    assert overlap_of(SOUND[:at], SOUND[at - length :], RATE_HZ) == (length, True)


@settings(max_examples=60, deadline=None)
@given(st.integers(RATE_HZ, 11 * RATE_HZ))
def test_what_follows_itself_overlaps_nowhere(at):
    assert overlap_of(SOUND[:at], SOUND[at:], RATE_HZ) == (0, False)


@pytest.mark.parametrize("hz", [50.0, 440.0, 1_000.0])
def test_a_tone_that_goes_on_overlaps_nowhere(hz):
    """It fits after every period, which proves nothing."""
    tone = np.sin(2 * np.pi * hz / RATE_HZ * np.arange(8 * RATE_HZ)).astype(np.float32)
    tone = (np.rint(tone * 16_000) / 32_768).astype(np.float32)[:, np.newaxis]

    assert overlap_of(tone[: 4 * RATE_HZ], tone[4 * RATE_HZ :], RATE_HZ) == (0, False)


def test_an_overlap_that_was_coded_in_between_is_found():
    rng = np.random.default_rng(3)
    again = SOUND[3 * RATE_HZ :] + rng.normal(0, 5e-4, SOUND[3 * RATE_HZ :].shape)

    length, exact = overlap_of(SOUND[: 5 * RATE_HZ], again.astype(np.float32), RATE_HZ)

    assert (2 * RATE_HZ, False) == (length, exact)


def test_silence_overlaps_nothing():
    none = np.zeros((RATE_HZ, 1), np.float32)

    assert overlap_of(none, none, RATE_HZ) == (0, False)
    assert overlap_of(SOUND, none, RATE_HZ) == (0, False)


def test_a_step_between_two_sounds_is_faded_and_continuous_sound_is_not(tmp_path):
    hum = 0.3 * np.cos(2 * np.pi * 100 / RATE_HZ * np.arange(RATE_HZ))[:, np.newaxis]
    first = written(tmp_path / "1.wav", hum[:4_000])
    onward = written(tmp_path / "2.wav", hum[4_000:])
    turned = written(tmp_path / "3.wav", -hum[4_000:])

    assert not seam_of(first, onward).clicks
    assert seam_of(first, turned).clicks


def stepped(sound):
    return np.abs(np.diff(sound[:, 0])).max()


@pytest.mark.parametrize("gap_s", [0.25, 0.0, -0.5])
def test_no_join_clicks_and_lengths_are_to_the_frame(tmp_path, gap_s):
    """Different material beside silence, end to end, and where times say that it overlaps."""
    tone = 0.4 * np.cos(2 * np.pi * 110 / RATE_HZ * np.arange(2 * RATE_HZ))[:, np.newaxis]
    first, second = written(tmp_path / "1.wav", tone), written(tmp_path / "2.wav", -tone)
    seam = seam_of(first, second)
    how = {"rate_hz": RATE_HZ, "used": len(tone), "frames": len(tone)}
    join = join_of(seam, Fraction(gap_s), **how)

    pieces = [Piece(first.probe, join_of(Seam(), Fraction(0), **how)), Piece(second.probe, join)]
    made = np.concatenate(list(joined(pieces, rate_hz=RATE_HZ, channels=1, limits=Limits())))

    between = max(gap_s, -CROSSFADE_S)
    assert 2 * len(tone) + round(between * RATE_HZ) == len(made)
    assert stepped(made) < 2 * stepped(tone) + 2e-3


def test_other_sound_is_crossfaded_and_not_left_out(tmp_path):
    one = written(tmp_path / "1.wav", voice(2.0, 5))
    two = written(tmp_path / "2.wav", voice(2.0, 6))

    join = join_of(
        seam_of(one, two),
        Fraction(-1, 2),
        rate_hz=RATE_HZ,
        used=one.frames,
        frames=two.frames,
    )

    assert "crossfade" == join.kind
    assert (round(CROSSFADE_S * RATE_HZ), 0) == (join.crossfade, join.skip)


def test_the_same_sound_coded_twice_is_crossfaded_where_it_is_joined(tmp_path):
    """To the frame as well, and without the step that two codings leave."""
    rng = np.random.default_rng(3)
    again = SOUND[3 * RATE_HZ : 8 * RATE_HZ] + rng.normal(0, 5e-4, (5 * RATE_HZ, 1))
    one, two = written(tmp_path / "1.wav", SOUND[: 5 * RATE_HZ]), written(tmp_path / "2.wav", again)
    how = {"rate_hz": RATE_HZ, "used": one.frames, "frames": two.frames}

    join = join_of(seam_of(one, two), Fraction(0), **how)
    pieces = [Piece(one.probe, FIRST), Piece(two.probe, join)]
    made = np.concatenate(list(joined(pieces, rate_hz=RATE_HZ, channels=1, limits=Limits())))

    assert ("overlap", round(CROSSFADE_S * RATE_HZ)) == (join.kind, join.crossfade)
    assert 8 * RATE_HZ == len(made)
    assert np.abs(made - SOUND[: 8 * RATE_HZ]).max() < 5e-3


def test_silence_that_is_asked_for_stands_between_the_same_sound_too(tmp_path):
    """What both have is heard once, then comes the silence."""
    one = written(tmp_path / "1.wav", SOUND[: 3 * RATE_HZ])
    two = written(tmp_path / "2.wav", SOUND[2 * RATE_HZ : 5 * RATE_HZ])

    join = join_of(
        seam_of(one, two), Fraction(1, 2), rate_hz=RATE_HZ, used=one.frames, frames=two.frames
    )

    assert ("gap", RATE_HZ // 2, RATE_HZ) == (join.kind, join.silence, join.skip)
    assert join.fade_in


def test_chunks_at_several_rates_join_at_the_highest(tmp_path):
    low, high = voice(1.0, 7, 8_000), voice(1.0, 8)
    one, two = written(tmp_path / "1.wav", low, 8_000), written(tmp_path / "2.wav", high)
    pieces = [
        Piece(each.probe, join_of(Seam(), Fraction(0), rate_hz=RATE_HZ, used=1, frames=RATE_HZ))
        for each in (one, two)
    ]

    made = np.concatenate(list(joined(pieces, rate_hz=RATE_HZ, channels=2, limits=Limits())))

    assert (2 * RATE_HZ, 2) == made.shape
    assert np.array_equal(made[RATE_HZ:], np.repeat(high, 2, axis=1))


@pytest.mark.parametrize(("form", "bits"), [("wav", 16), ("wav", 24), ("flac", 16), ("flac", 24)])
def test_integers_stay_as_they_are_and_the_rest_is_dithered(tmp_path, form, bits):
    rng = np.random.default_rng(4)
    full = 1 << (bits - 1)
    whole = rng.integers(-full, full, (9_000, 3)) / full
    mixed = whole.astype(np.float32)
    mixed[5_000:, 0] = 0.3 + 0.3 / full if bits == 16 else 0.1
    path = tmp_path / f"a.{form}"
    with Writer(path, rate_hz=48_000, channels=3, format=form, bits=bits, integers=True) as out:
        out.write(mixed)

    read, _ = soundfile.read(path, dtype="float64")

    assert np.array_equal(read[:5_000], whole[:5_000])
    assert np.array_equal(read[:, 1:], whole[:, 1:])
    assert 1 < len(np.unique(read[5_000:, 0]))
