"""Tempo, beats and bars of songs of which everything is known."""

import numpy as np
import pytest

from dsp.analysis.features import Features
from dsp.analysis.rhythm import rhythm_of
from dsp.analysis.tuning import tuning_of
from tests.support.known_songs import RATE_HZ, song


def evidence_of(mono, rate_hz=RATE_HZ, block=65_536):
    features = Features(rate_hz)
    for start in range(0, len(mono), block):
        features.feed(mono[start : start + block])
    return features.close()


def rhythm(mono, rate_hz=RATE_HZ, **options):
    evidence = evidence_of(mono, rate_hz)
    return rhythm_of(evidence, tuning_of(evidence.cents).cents, **options)


@pytest.mark.parametrize("bpm", [87.3, 120.0, 141.7, 174.0])
def test_tempo_of_a_steady_song_is_found(bpm):
    """What the beats say is right within half a percent."""
    assert bpm == pytest.approx(rhythm(song(bpm).mono).bpm, rel=5e-3)


@pytest.mark.parametrize("block", [1, 777, 10**9])
def test_blocks_do_not_show(block):
    """Whatever the sizes of the blocks, the evidence has the same bytes."""
    mono = song(120.0, seconds=3.0).mono[: 4_000 if block == 1 else None]
    expected, found = evidence_of(mono), evidence_of(mono, block=block)

    assert np.array_equal(expected.rises, found.rises)
    assert np.array_equal(expected.pitch, found.pitch)
