"""Formulas, curves, names of keys, and tags."""

import numpy as np
import pytest
import soundfile

from dsp.analysis.curves import MOST_POINTS, curves_of
from dsp.analysis.descriptors import danceability_of, energy_of
from dsp.analysis.key import KEYS
from dsp.analysis.music import spelt
from dsp.analysis.tags import tags_of


def test_every_key_has_its_own_place_on_both_wheels():
    """Spellings are one to one."""
    assert 24 == len({spelt(name).camelot for name in KEYS})
    assert 24 == len({spelt(name).open_key for name in KEYS})


@pytest.mark.parametrize(
    ("name", "camelot", "open_key"),
    [("C major", "8B", "1d"), ("A minor", "8A", "1m"), ("F# major", "2B", "7d"),
     ("Ab minor", "1A", "6m"), ("E minor", "9A", "2m"), ("F major", "7B", "12d")],
)  # fmt: skip
def test_keys_are_where_disc_jockeys_expect_them(name, camelot, open_key):
    """Published tables."""
    assert (camelot, open_key) == (spelt(name).camelot, spelt(name).open_key)


def test_energy_rises_with_each_of_its_inputs():
    """Louder, denser and busier songs have more energy, between 0 and 1."""
    middle = energy_of(-18.0, 3.0, 0.2).score.value

    assert all(
        middle < energy_of(*louder).score.value
        for louder in ((-12.0, 3.0, 0.2), (-18.0, 5.0, 0.2), (-18.0, 3.0, 0.25))
    )
    assert 0.0 == energy_of(-70.0, 0.0, 0.0).score.value
    assert 1.0 == energy_of(0.0, 20.0, 1.0).score.value


def test_danceability_needs_beats_that_are_strong_and_steady():
    """Beats on nothing, or anywhere, are not danced to."""
    beats = np.arange(10, 1_000, 43)
    strong = np.zeros(1_000, np.float32)
    strong[beats] = 4.0
    uneven = beats + np.random.default_rng(2).integers(-8, 9, len(beats))
    wanders = np.zeros(1_000, np.float32)
    wanders[uneven] = 4.0
    steady = danceability_of(strong, beats).score.value

    assert 0.9 < steady
    assert 0.0 == danceability_of(np.zeros(1_000, np.float32), beats).score.value
    assert danceability_of(wanders, uneven).score.value < 0.7 * steady


@pytest.mark.parametrize("count", [0, 1, 2_000, 2_001, 100_000])
def test_curves_stay_short_however_long_the_song(count):
    """The loudest of what is drawn as one point is what is drawn."""
    lufs = np.full(count, -30.0)
    lufs[count // 2 :][:1] = -5.0
    curve = curves_of(lufs, 0.0, None).loudness

    assert len(curve.values) <= MOST_POINTS
    assert -5.0 == max(curve.values, default=-5.0)
    assert count * 0.1 <= len(curve.values) * curve.step_s + 1e-9


def test_tags_are_told_as_they_are_written(tmp_path):
    """They are shown beside what was found."""
    path = tmp_path / "song.flac"
    with soundfile.SoundFile(path, "w", 8_000, 1, format="FLAC") as file:
        file.title, file.artist = "Any Song", "Someone"
        file.write(np.zeros(800))
    tags = tags_of(path)

    assert ("Any Song", "Someone", None) == (tags.title, tags.artist, tags.bpm)


@pytest.mark.parametrize("head", [b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"fLaC\xff\xff\xff\xff", b""])
def test_broken_tags_are_none(tmp_path, head):
    """Tags that cannot be read cost nothing else."""
    path = tmp_path / "song.mp3"
    path.write_bytes(head + bytes(range(256)) * 4)

    assert tags_of(path).title is None
