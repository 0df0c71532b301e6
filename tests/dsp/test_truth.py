"""Truth beside songs: how it is read, and how results are held against it."""

import pytest

from dsp.analysis.truth import (
    Found,
    Truth,
    TruthError,
    error_rows,
    key_named,
    key_relation,
    ratio_class,
    read_truth,
    scores,
)

NAMES = ["Disc 1/One.flac", "Disc 2/One.flac", "Two.wav", "Three, or 3.mp3"]


def found(bpm=120.0, *, candidates=(120.0, 60.0), key="C major", meter=4, **scalars):
    given = {"energy": 0.5, "danceability": 0.5, "loudness_lufs": -9.0} | scalars
    return Found(bpm, 0.9, candidates, key, 0.8, meter, given)


@pytest.mark.parametrize("separator", [";", ","])
def test_truth_names_songs_by_path_name_or_stem(separator):
    """What a person writes is understood; a name that two songs share is not guessed at."""
    rows = [
        ["file", "bpm", "key"],
        ["Disc 1/One.flac", "120", "Am"],
        ["Two", "90.5", ""],
        ['"Three, or 3.mp3"', "", "Bb"],
        ["One.flac", "1", ""],
        ["Nobody", "100", ""],
    ]
    data = "\r\n".join(separator.join(row) for row in rows).encode("utf-8-sig")
    truth, unmatched = read_truth(data, NAMES)

    assert {
        "Disc 1/One.flac": Truth(bpm=120, key="A minor"),
        "Two.wav": Truth(bpm=90.5),
        "Three, or 3.mp3": Truth(key="Bb major"),
    } == truth
    assert ["One.flac", "Nobody"] == unmatched


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("name,bpm\nTwo,1\n", 1),
        ("file,tempo\nTwo,1\n", 1),
        ("file,bpm\nTwo,fast\n", 2),
        ("file,bpm\nTwo,1\n\nTwo,nan\n", 4),
        ("file,bpm\nTwo\n", 2),
        ("file,key\nTwo,H dur\n", 2),
        ("file,bpm\n,120\n", 2),
        ("file,bpm\nTwo,1\xff\n", 2),
    ],
)
def test_truth_that_cannot_be_read_says_where(text, line):
    """A person finds the line."""
    with pytest.raises(TruthError) as refused:
        read_truth(text.encode("latin-1"), NAMES)

    assert line == refused.value.line


@pytest.mark.parametrize(
    ("bpm", "relation"),
    [(120, "1"), (124, "1"), (240, "2"), (60, "1/2"), (180, "3/2"), (80, "2/3"), (100, "other")],
)
def test_tempo_stands_to_truth_as_musicians_say(bpm, relation):
    """Octaves and thirds have names."""
    assert relation == ratio_class(bpm, 120.0)


@pytest.mark.parametrize(
    ("key", "relation"),
    [("C major", "same"), ("G major", "fifth"), ("F major", "fifth"), ("A minor", "relative"),
     ("C minor", "parallel"), ("E minor", "other"), ("D major", "other")],
)  # fmt: skip
def test_key_stands_to_truth_as_mirex_has_it(key, relation):
    """Of C major."""
    assert relation == key_relation(key, "C major")


def test_relative_major_of_a_minor_key_is_a_minor_third_above():
    """The other way round."""
    assert "relative" == key_relation("C major", "A minor")
    assert "other" == key_relation("F# major", "A minor")


@pytest.mark.parametrize("text", ["Am", "a minor", "A min"])
def test_key_is_read_in_many_spellings(text):
    """One key, as people write it."""
    assert "A minor" == key_named(text)
    assert key_named("C#") == key_named("D♭ maj")


def test_scores_count_songs_and_give_intervals():
    """Each number says of how many songs it is; the interval is Wilson's."""
    pairs = [(Truth(bpm=120, key="C major"), found())] * 8
    pairs += [(Truth(bpm=60, key="A minor", energy=0.3), found())]
    pairs += [(Truth(bpm=100), found(None, candidates=(), key=None))]
    said = scores(pairs)

    assert {"value": 0.8, "low": 0.4902, "high": 0.9433, "n": 10} == said["acc1"]
    assert 0.9 == said["acc2"]["value"] == said["top2"]["value"]
    assert pytest.approx(8.3 / 9, abs=1e-4) == said["key_mirex"]["value"]
    assert 1.0 == said["key_mirex"]["high"]  # 1.06 is no share
    assert pytest.approx(8 / 9, abs=1e-4) == said["key_exact"]["value"]
    assert {"value": 0.2, "low": None, "high": None, "n": 1} == said["energy_bias"]
    assert "loudness_lufs_mae" not in said


def test_errors_of_a_song_stand_in_rows():
    """One row for each thing that is known."""
    rows = error_rows("Two.wav", Truth(bpm=60, key="A minor", meter=3, energy=0.4), found())

    assert [
        ("bpm", 60.0, "2"),
        ("key", None, "relative"),
        ("meter", 1.0, ""),
        ("energy", 0.1, ""),
    ] == [(row["field"], row["difference"], row["relation"]) for row in rows]
