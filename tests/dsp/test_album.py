"""The loudness of an album is that of its songs in a row."""

import numpy as np
import pytest

from dsp.measure.album import added, block_counts, lufs_of_blocks
from dsp.measure.loudness import FLOOR_LUFS, STEP_S, LoudnessMeter

RATE_HZ = 48_000


def song(gain_db, seconds, seed):
    """Noise that swells, after a second of silence."""
    rng = np.random.default_rng(seed)
    swell = np.repeat(10 ** (rng.uniform(-12, 0, seconds * 5) / 20), RATE_HZ // 5)
    sound = rng.standard_normal((len(swell), 2)) * swell[:, np.newaxis] * 0.1
    return (np.pad(sound, ((RATE_HZ, 0), (0, 0))) * 10 ** (gain_db / 20)).astype(np.float32)


def heard(sound):
    meter = LoudnessMeter(RATE_HZ, 2)
    meter.update(sound)
    return meter


@pytest.mark.parametrize("gains_db", [(0, 0), (0, -9), (0, -20), (0, -30, -3), (-40, -40)])
def test_album_is_as_loud_as_its_songs_in_a_row(gains_db):
    """What is soft beside the rest of the album is gated out, as in one long song."""
    songs = [song(gain, 50 + place, place) for place, gain in enumerate(gains_db)]
    together = np.zeros(0, np.int64)
    for each in songs:
        together = added(together, block_counts(heard(each).energy(), step_s=STEP_S))

    whole = heard(np.concatenate(songs)).integrated_lufs()
    assert whole == pytest.approx(lufs_of_blocks(together), abs=0.03)


def test_silent_album_reads_the_floor():
    """There is nothing to be measured."""
    silence = heard(np.zeros((RATE_HZ, 2), np.float32)).energy()

    assert FLOOR_LUFS == lufs_of_blocks(block_counts(silence, step_s=STEP_S))
