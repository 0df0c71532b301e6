"""Gain computer and ballistics: against the paper's formulas, one value at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.errors import ParameterError
from dsp.processors.envelope import Ballistics, reduction_curve_db, static_reduction_db

HOP_S = 16 / 48_000


def static_by_the_paper(level, threshold, ratio, knee):
    """Giannoulis 2012, eq. 4, as it is printed, from output level to reduction."""
    over = level - threshold
    if 2.0 * over < -knee:
        return 0.0
    if 2.0 * abs(over) <= knee and knee > 0.0:
        return -(1.0 / ratio - 1.0) * (over + knee / 2.0) ** 2 / (2.0 * knee)
    return over - over / ratio


def plain_loop(target, attack_ms, release_ms):
    """Giannoulis 2012, eq. 17, as it is printed."""
    attack = math.exp(-HOP_S * 1000.0 / attack_ms) if attack_ms else 0.0
    release = math.exp(-HOP_S * 1000.0 / release_ms)
    held = smooth = 0.0
    out = []
    for x in target:
        held = max(x, release * held + (1.0 - release) * x)
        smooth = attack * smooth + (1.0 - attack) * held
        out.append(smooth)
    return np.asarray(out)


def restless(hops, seed=5):
    """Return targets that jump up, fall, and rest at 0 at times."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.uniform(-15.0, 20.0, hops // 50 + 1), 50)[:hops]
    return np.maximum(levels + rng.normal(0.0, 2.0, hops), 0.0)


@pytest.mark.parametrize("knee_db", [0.0, 6.0, 20.0])
@pytest.mark.parametrize("ratio", [1.0, 1.5, 4.0, math.inf])
def test_static_curve_is_the_papers(ratio, knee_db):
    """The reduction is that of equation 4, for any ratio and knee."""
    levels = np.linspace(-60.0, 20.0, 801)
    wanted = [static_by_the_paper(level, -20.0, ratio, knee_db) for level in levels]

    found = static_reduction_db(levels, threshold_db=-20.0, ratio=ratio, knee_db=knee_db)

    np.testing.assert_allclose(wanted, found, atol=1e-12)


@pytest.mark.parametrize("attack_ms", [0.0, 0.5, 10.0])
@pytest.mark.parametrize("release_ms", [0.1, 5.0, 80.0, 2_000.0])
def test_release_is_that_of_the_plain_loop(attack_ms, release_ms):
    """It equals the loop, to what counts as rest."""
    target = restless(12_345)
    ballistics = Ballistics(attack_ms=attack_ms, release_ms=release_ms, hop_s=HOP_S)

    found = ballistics.follow(target[np.newaxis])[0]

    np.testing.assert_allclose(plain_loop(target, attack_ms, release_ms), found, atol=1e-7)


@given(cuts=st.lists(st.integers(0, 12_000), max_size=12), release_ms=st.sampled_from([5, 300]))
@settings(max_examples=15, deadline=None)
def test_ballistics_do_not_show_how_a_stream_was_cut(cuts, release_ms):
    """Law 1 where it begins: nothing but the state goes from part to part."""
    target = restless(12_000)[np.newaxis]
    times = {"attack_ms": 3.0, "release_ms": float(release_ms), "hop_s": HOP_S}
    pieces = Ballistics(**times)

    parts = [pieces.follow(part) for part in np.split(target, sorted(cuts), axis=1)]

    assert Ballistics(**times).follow(target).tobytes() == np.concatenate(parts, axis=1).tobytes()


def test_rows_are_independent():
    """Two rows at once are two rows one after the other."""
    target = np.stack([restless(900, seed=1), restless(900, seed=2)])
    times = {"attack_ms": 3.0, "release_ms": 50.0, "hop_s": HOP_S}
    alone = [Ballistics(**times).follow(row[np.newaxis])[0] for row in target]

    both = Ballistics(**times, rows=2).follow(target)

    np.testing.assert_array_equal(alone, both)


def test_ballistics_come_to_rest():
    """Some time after the last reduction nothing is computed any more, and the result is 0."""
    ballistics = Ballistics(attack_ms=3.0, release_ms=50.0, hop_s=HOP_S)
    ballistics.follow(np.full((1, 100), 20.0))

    ballistics.follow(np.zeros((1, 8_000)))

    assert ballistics.at_rest
    assert not ballistics.follow(np.zeros((1, 100))).any()


def test_time_at_rest_leaves_no_trace():
    """What rests and what computes zeros are the same afterwards, bit for bit."""
    times = {"attack_ms": 3.0, "release_ms": 50.0, "hop_s": HOP_S}
    sound = restless(5_000)[np.newaxis]
    rested, worked = Ballistics(**times), Ballistics(**times)
    rested.follow(np.zeros((1, 1_234)))

    whole = worked.follow(np.concatenate([np.zeros((1, 1_234)), sound], axis=1))

    assert whole[:, 1_234:].tobytes() == rested.follow(sound).tobytes()


def test_reduction_curve_is_curve_and_ballistics():
    """Planning hears what the compressor will do."""
    level_db = restless(2_000) - 30.0
    wanted = plain_loop(
        [static_by_the_paper(level, -20.0, 3.0, 6.0) for level in level_db], 5.0, 80.0
    )

    found = reduction_curve_db(
        level_db,
        threshold_db=-20.0,
        ratio=3.0,
        knee_db=6.0,
        attack_ms=5.0,
        release_ms=80.0,
        hop_s=HOP_S,
    )

    np.testing.assert_allclose(wanted, found, atol=1e-9)


@pytest.mark.parametrize(("attack_ms", "release_ms"), [(-1.0, 50.0), (1.0, 0.0), (1.0, -2.0)])
def test_times_out_of_range_are_refused(attack_ms, release_ms):
    """A negative attack and a release of nothing are not times."""
    with pytest.raises(ParameterError, match="must be"):
        Ballistics(attack_ms=attack_ms, release_ms=release_ms, hop_s=HOP_S)
