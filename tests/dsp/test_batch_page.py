"""The page of a batch: what it holds of each song, and what it costs."""

import json
import re

import pytest

from dsp.report.batch_page import COLUMNS, Score, Song, Summary, page_parts
from tests.support.analysed import example
from tests.support.pages import HOSTILE, Read

SUMMARY = Summary("Crates", songs=2, failed=1, seconds=400.0)


def analysis(**fields):
    return example(**fields).model_dump(mode="json", by_alias=True)


def made(*songs, summary=SUMMARY):
    return "".join(page_parts(iter(songs), summary))


def rows_of(page):
    told = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert list(COLUMNS) == told["columns"]
    return [dict(zip(COLUMNS, row, strict=False)) for row in told["rows"]]


def test_row_holds_what_was_found_and_what_the_tags_said():
    """Old and new stand beside each other."""
    [row] = rows_of(made(Song("a/Keep On.flac", folder="a/Keep On.flac", analysis=analysis())))

    assert (120.0, 0.91, 60.0) == (row["bpm"], row["bpm_p"], row["tag_bpm"])
    assert ("C major", "8B", "Am") == (row["key"], row["camelot"], row["tag_key"])
    assert "./a/Keep%20On.flac/analysis.html" == row["page"]


def test_failed_song_is_a_row_with_its_code():
    """It is not lost among those that went well."""
    [row] = rows_of(made(Song("cut.wav", error=("INPUT_TRUNCATED", "cut.wav is cut short"))))

    assert ["INPUT_TRUNCATED", "cut.wav is cut short"] == row["error"]


def test_hostile_names_change_no_element_of_the_page():
    """Names, tags, messages and the batch's own name are text."""
    pages = []
    for name in ("song.flac", HOSTILE):
        data = analysis(tags={"title": name, "artist": name, "key": name, "bpm": name})
        told = [Song(name, folder=name, analysis=data, truth={"key": name}),
                Song(name, error=("INPUT_DAMAGED", name))]  # fmt: skip
        pages.append(Read(made(*told, summary=Summary(name, 2, 1, 1.0))).elements)

    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    "folder", ["javascript:alert(1)", "//evil.example", "a b?c#d", "\udcff", "%2e"]
)
def test_address_of_a_song_lies_below_the_page(folder):
    """No name becomes a scheme, a server, a query or another folder."""
    [row] = rows_of(made(Song("x", folder=folder, analysis=analysis())))

    assert re.fullmatch(r"\./[\w.%~/()-]+/analysis\.html", row["page"])


@pytest.mark.parametrize(
    ("tag", "bpm"), [("128", 128.0), ("127,98", 127.98), ("fast", None), ("nan", None), ("0", None)]
)
def test_tempo_of_a_tag_is_a_number_or_nothing(tag, bpm):
    """Tags hold anything."""
    [row] = rows_of(made(Song("x", analysis=analysis(tags={"bpm": tag}))))

    assert bpm == row["tag_bpm"]


def test_songs_are_taken_one_by_one():
    """Before the second is asked for, the first is written."""
    asked = []

    def songs():
        for number in range(3):
            asked.append(number)
            yield Song(f"{number}.wav")

    parts = page_parts(songs(), SUMMARY)
    next(part for part in parts if "0.wav" in part)

    assert [0] == asked


def test_truth_has_columns_only_when_it_is_given():
    """A page without truth has none of its words."""
    score = Score("Tempo right", "84 %", "80 %", "88 %", 106)
    with_truth = made(summary=Summary("x", 0, 0, 0.0, scores=[score]))

    assert "True BPM" in with_truth
    assert "80 % to 88 %, 106 songs" in with_truth
    assert "True BPM" not in made()


def test_page_of_5000_songs_opens():
    """Five megabytes at the most, with long names."""
    data = analysis()
    songs = [Song(f"{'A long name of an artist' * 3} {n}.flac", f"{'x' * 70}{n}", data)
             for n in range(5_000)]  # fmt: skip

    assert len(made(*songs).encode()) < 5_000_000
