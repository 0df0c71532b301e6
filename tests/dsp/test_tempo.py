"""Tempo, beats and bars of songs of which everything is known."""

import tracemalloc
from functools import cache

import numpy as np
import pytest

from dsp.analysis import beats as beats_module
from dsp.analysis.beats import track
from dsp.analysis.features import FRAMES_PER_S
from dsp.analysis.onsets import beat_strength, envelopes
from tests.support.known_songs import RATE_HZ, evidence_of, rhythm, song


@cache
def steady():
    return song(120.0).mono


@pytest.mark.parametrize(("bpm", "meter"), [(87.3, 3), (120.0, 4), (141.7, 4), (174.0, 4)])
def test_song_is_counted_as_it_was_made(bpm, meter):
    """Tempo, beats, meter and downbeats of a steady song come out."""
    made = song(bpm, meter=meter)
    found = rhythm(made.mono)

    assert bpm == pytest.approx(found.bpm, rel=5e-3)
    assert meter == found.meter
    assert found.stable
    assert _apart_s(made.beats_s, found.beats_s) < 0.025
    assert _apart_s(made.beats_s[::meter], found.downbeats_s) < 0.025


def test_short_song_is_not_doubled():
    """Ten seconds hold too few beats of the right tempo to tell how often chords change."""
    assert 80.0 == pytest.approx(rhythm(song(80.0, seconds=12.0).mono).bpm, rel=5e-3)


def test_syllables_have_no_sure_tempo():
    """Ten seconds of bursts of uneven lengths, some with a pause behind: no tempo stands out."""
    rng, mono, start = np.random.default_rng(5), np.zeros(10 * RATE_HZ), RATE_HZ // 5
    while (stop := start + int(RATE_HZ * rng.uniform(0.08, 0.3))) < len(mono):
        burst = rng.standard_normal(stop - start) * np.hanning(stop - start)
        mono[start:stop] = burst * rng.uniform(0.03, 0.1)
        start = stop + (int(RATE_HZ * rng.uniform(0.2, 0.6)) if rng.random() < 0.15 else 0)
    found = rhythm(mono.astype(np.float32))

    assert found is None or found.candidates[0].p < 0.5


def test_tempo_that_steps_is_followed():
    """A song that is a sixth faster from its middle on has the mean of both, and is not stable."""
    made = song(lambda second: 105.0 if second < 30 else 122.5, seconds=60.0)
    found = rhythm(made.mono)

    assert made.bpm == pytest.approx(found.bpm, rel=0.01)
    assert not found.stable
    assert (105.0, 122.5) == pytest.approx(found.range_bpm, rel=0.015)
    # Both tempi are the first candidate's: the others say what else a beat may be.
    assert all(abs(np.log2(one.bpm / found.bpm)) > 0.3 for one in found.candidates[1:])


def test_tempo_that_ramps_is_followed():
    """A song that grows faster all the way has the mean of its beats."""
    made = song(lambda second: 100.0 + second / 2, seconds=50.0)
    found = rhythm(made.mono)

    assert made.bpm == pytest.approx(found.bpm, rel=0.01)
    assert not found.stable
    assert _apart_s(made.beats_s, found.beats_s) < 0.035


def test_gain_changes_no_figure():
    """A song that is 17 dB softer is the same song; probabilities move by millionths."""
    expected, found = rhythm(steady()), rhythm(steady() * np.float32(0.14))

    assert expected.beats_s == found.beats_s
    assert expected.downbeats_s == found.downbeats_s
    assert expected.curve == found.curve
    assert expected.meter_p == pytest.approx(found.meter_p, abs=1e-4)
    assert [one.p for one in expected.candidates] == pytest.approx(
        [one.p for one in found.candidates], abs=1e-4
    )


@pytest.mark.parametrize("rate_hz", [22_050, 44_100])
def test_silence_in_front_shifts_the_beats_and_nothing_else(rate_hz):
    """1.5 s of it move every beat by 1.5 s, to the millisecond."""
    mono = song(120.0, seconds=20.0, rate_hz=rate_hz).mono
    late = np.concatenate([np.zeros(round(1.5 * rate_hz), np.float32), mono])
    expected, found = rhythm(mono, rate_hz), rhythm(late, rate_hz)

    assert expected.candidates == found.candidates
    assert [round(second + 1.5, 3) for second in expected.beats_s] == found.beats_s
    assert expected.first_downbeat == found.first_downbeat


def test_speed_moves_the_tempo_alike():
    """Played 1.1 times as fast, a song has 1.1 times the BPM."""
    fast = rhythm(song(120.0, seconds=40.0, rate_hz=20_045).mono)

    assert 1.1 * 120.0 == pytest.approx(fast.bpm, rel=2e-3)


@pytest.mark.parametrize("block", [1, 777, 10**9])
def test_blocks_do_not_show(block):
    """Whatever the sizes of the blocks, the evidence has the same bytes."""
    mono = steady()[: 4_000 if block == 1 else 70_000]
    expected, found = evidence_of(mono), evidence_of(mono, block=block)

    assert np.array_equal(expected.rises, found.rises)
    assert np.array_equal(expected.pitch, found.pitch)
    assert np.array_equal(expected.cents, found.cents)


def test_level_is_learnt_from_as_much_of_a_long_song_whatever_the_blocks(monkeypatch):
    """Where learning ends in the middle of a block, the blocks do not show either."""
    monkeypatch.setattr("dsp.analysis.features.LEVEL_S", 1.0)
    expected, found = (
        evidence_of(steady()[:70_000]),
        evidence_of(steady()[:70_000], block=777),
    )

    assert np.array_equal(expected.rises, found.rises)


@pytest.mark.parametrize("bpm_range", [(45.0, 95.0), (86.0, 172.0), (122.0, 245.0)])
def test_range_halves_or_doubles_into_it(bpm_range):
    """The first candidate lies in the range that was asked for, and is a multiple of the beat."""
    found = rhythm(steady(), bpm_range=bpm_range).candidates

    assert bpm_range[0] <= found[0].bpm <= bpm_range[1]
    assert np.log2(found[0].bpm / 120) == pytest.approx(
        round(np.log2(found[0].bpm / 120)), abs=0.03
    )


def test_candidates_are_named_by_the_first():
    """Halves and doubles are called so; probabilities fall, and are no more than one in all."""
    first, *others = rhythm(steady()).candidates
    names = {one.relation: one.bpm / first.bpm for one in others}

    assert first.relation is None
    assert names["half"] == pytest.approx(0.5)
    assert sorted((one.p for one in others), reverse=True) == [one.p for one in others]
    assert first.p + sum(one.p for one in others) <= 1 + 1e-9


@pytest.mark.parametrize(
    "made",
    [lambda: np.zeros(0), lambda: np.zeros(10 * RATE_HZ), lambda: steady()[: 5 * RATE_HZ]],
    ids=["empty", "silent", "short"],
)
def test_no_rhythm_is_made_up(made):
    """Silence and five seconds have none."""
    assert rhythm(np.asarray(made(), np.float32)) is None


def test_settled_stretches_join_without_a_seam(monkeypatch):
    """A track that is settled piece by piece is the track that is searched at once."""
    strength = beat_strength(envelopes(evidence_of(song(120.0, seconds=90.0).mono).rises))
    whole = track(strength, 120.0)
    monkeypatch.setattr(beats_module, "_STRETCH", int(10 * FRAMES_PER_S))
    monkeypatch.setattr(beats_module, "_SETTLED", int(10 * FRAMES_PER_S))

    assert np.array_equal(whole, track(strength, 120.0))


def test_search_keeps_a_bounded_stretch(monkeypatch):
    """Of half an hour no more is kept than is not settled: all of it would be 4 MiB, twice."""
    monkeypatch.setattr(beats_module, "_STRETCH", int(60 * FRAMES_PER_S))
    strength = np.zeros(int(1_800 * FRAMES_PER_S), np.float32)
    strength[::43] = 1.0
    tracemalloc.start()
    found = track(strength, 120.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(strength) // 43 == pytest.approx(len(found), abs=2)
    assert peak < 2 * 2**20


def _apart_s(made, found):
    """Return how far the farthest of what was made is from what was found."""
    return max(np.abs(np.asarray(found) - second).min() for second in made)
