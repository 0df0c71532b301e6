"""The table of a batch, as spreadsheets read it."""

import csv

import pytest

from dsp.analysis.table import COLUMNS, csv_text, row_of
from tests.support.analysed import example


def read(text):
    return list(csv.DictReader(text.splitlines(keepends=True)))


def test_row_holds_what_the_document_says():
    """Fixed columns, empty where there is nothing."""
    row = row_of(example().model_dump(mode="json", by_alias=True))
    (told,) = read(csv_text(COLUMNS, [row]))

    assert set(row) <= set(COLUMNS) == set(told)
    assert ("120.0", "60.0", "true", "8B", "-9.4") == tuple(
        told[name] for name in ("bpm", "bpm_2", "stable", "camelot", "integrated_lufs")
    )
    assert "" == told["error_code"] == told["album_gain_db"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_is_no_formula(start):
    """Whatever a file is called, a spreadsheet computes nothing."""
    (told,) = read(csv_text(COLUMNS, [{"title": f"{start}cmd|' /C calc'!A0", "bpm": -1.0}]))

    assert told["title"].startswith("'")
    assert "-1.0" == told["bpm"]


def test_odd_names_come_back_as_they_are():
    """Commas, quotes and ends of lines are the file's own; what is no character is replaced."""
    name = 'A, "B"\nC; Ä'
    first, second = read(csv_text(COLUMNS, [{"file": name}, {"file": "a\udcff.wav"}]))

    assert name == first["file"]
    assert "a?.wav" == second["file"]
