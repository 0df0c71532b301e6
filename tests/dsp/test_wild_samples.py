"""Lone samples far above their neighbours, in files of floats."""

import numpy as np
import pytest

from dsp.formats.reader import StemReader, probe
from tests.support.stems import written
from tests.support.tones import noise, sine

RATE_HZ = 48_000
VOICE = noise(RATE_HZ, 1.0, rms_dbfs=-26.0, seed=5, channels=2)


def read(path, size=10**6):
    with StemReader(probe(path, name=path.name)) as reader:
        blocks = []
        while len(block := reader.read(size)):
            blocks.append(block)
        return np.concatenate(blocks), reader.wild


def spoilt(*places, value=15_800.0):
    sound = VOICE.copy()
    for frame, channel in places:
        sound[frame, channel] = value
    return sound


@pytest.mark.parametrize("value", [15_800.0, -15_800.0, 12.0, 1e9])
@pytest.mark.parametrize("places", [[(0, 0)], [(20_000, 1)], [(47_999, 0)], [(500, 0), (503, 1)]])
def test_wild_sample_is_replaced_by_a_straight_line(tmp_path, places, value):
    """Nothing else changes, and what was found is told."""
    path = written(tmp_path / "a.wav", spoilt(*places, value=value), subtype="FLOAT")

    sound, wild = read(path)

    others = np.ones(VOICE.shape, np.bool_)
    for frame, channel in places:
        others[frame, channel] = False
        assert abs(sound[frame, channel]) < 1.0
    np.testing.assert_array_equal(VOICE[others], sound[others])
    assert (len(places), places[0][0]) == (wild.count, wild.first_frame)
    assert np.float32(abs(value)) == wild.highest


def test_neighbours_that_are_wild_too_are_found(tmp_path):
    """Up to four together."""
    path = written(tmp_path / "a.wav", spoilt(*((9_000 + n, 0) for n in range(4))), subtype="FLOAT")

    sound, wild = read(path)

    assert 4 == wild.count
    assert np.abs(sound).max() < 1.0


@pytest.mark.parametrize("size", [1, 7, 33, 1_000])
def test_reading_in_pieces_changes_nothing(tmp_path, size):
    """The same samples, however many are asked for at once."""
    short = spoilt((0, 0), (900, 1), (903, 1), (1_990, 0))[:2_000]
    path = written(tmp_path / "a.wav", short, subtype="FLOAT")

    whole, pieces = read(path)[0], read(path, size)[0]

    assert len(short) == len(whole)
    assert whole.tobytes() == pieces.tobytes()


@pytest.mark.parametrize(
    "sound",
    [
        sine(RATE_HZ, 0.5, hz=997.0, channels=1) * 8.0,
        sine(RATE_HZ, 0.5, hz=15_000.0, channels=1) * 2.0**31,
        noise(RATE_HZ, 0.5, rms_dbfs=12.0, seed=6),
        np.repeat(np.eye(1, 4_000, 2_000, dtype=np.float32).T * 4.0, 8, axis=0),
    ],
    ids=["a hot sine", "integers as floats", "hot noise", "a pulse of eight samples"],
)
def test_loud_sound_is_left_as_it_is(tmp_path, sound):
    """Loudness alone is no fault."""
    path = written(tmp_path / "a.wav", sound, subtype="FLOAT")

    np.testing.assert_array_equal(sound, read(path)[0])


def test_what_no_scale_reaches_is_silenced(tmp_path):
    """A damaged block of floats, up to 10³⁸, cannot overflow what is computed of it."""
    sound = VOICE.copy()
    sound[1_000:1_100] = 1e30
    path = written(tmp_path / "a.wav", sound, subtype="FLOAT")

    with StemReader(probe(path, name="a.wav")) as reader:
        heard = reader.read(10**6)

    assert 200 == reader.nonfinite
    assert np.abs(heard).max() < 1.0
