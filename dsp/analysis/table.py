"""``table.csv``: one row a song, the same columns whatever was found.

Rule: a cell of text can do nothing in a spreadsheet. One that begins as a formula does gets an
apostrophe before it; every text is quoted; what is no character becomes a question mark.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

COLUMNS = ("file", "title", "artist", "duration_s", "bpm", "bpm_p", "bpm_2", "bpm_2_p", "stable",
           "meter", "key", "camelot", "open_key", "key_p", "tuning_cents", "integrated_lufs",
           "range_lu", "true_peak_dbtp", "track_gain_db", "album_gain_db", "clipped_runs",
           "evidence", "energy", "danceability", "tag_bpm", "tag_key", "source", "same_as",
           "complete", "warnings", "error_code", "error_message", "sha256")  # fmt: skip

# What Excel, LibreOffice and Google Sheets take for the start of a formula; a tab or the end of
# a line may stand before it. OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Cell = str | int | float | bool | None


def row_of(analysis: Mapping[str, Any], same_as: str = "") -> dict[str, Cell]:
    """Return the row of a song, from its document."""
    tempo, key, tags = analysis["tempo"], analysis["key"], analysis["tags"]
    loudness, gain = analysis["loudness"], analysis["replaygain"]
    second = tempo["candidates"][1] if len(tempo["candidates"]) > 1 else {}
    return {
        "file": analysis["file"]["name"],
        "title": tags["title"],
        "artist": tags["artist"],
        "duration_s": analysis["file"]["duration_s"],
        "bpm": tempo["bpm"]["value"],
        "bpm_p": tempo["bpm"]["p"],
        "bpm_2": second.get("bpm"),
        "bpm_2_p": second.get("p"),
        "stable": tempo["stable"]["value"],
        "meter": analysis["meter"]["value"],
        "key": key["name"]["value"],
        "camelot": key["camelot"]["value"],
        "open_key": key["open_key"]["value"],
        "key_p": key["name"]["p"],
        "tuning_cents": analysis["tuning"]["cents"]["value"],
        "integrated_lufs": loudness["integrated_lufs"]["value"],
        "range_lu": loudness["range_lu"]["value"],
        "true_peak_dbtp": loudness["true_peak_dbtp"]["value"],
        "track_gain_db": gain["track_gain_db"]["value"],
        "album_gain_db": gain["album_gain_db"]["value"],
        "clipped_runs": analysis["levels"]["clipped_runs"]["value"],
        "evidence": analysis["bandwidth"]["evidence"]["value"],
        "energy": analysis["energy"]["score"]["value"],
        "danceability": analysis["danceability"]["score"]["value"],
        "tag_bpm": tags["bpm"],
        "tag_key": tags["key"],
        "source": analysis["analysis"]["source"],
        "same_as": same_as,
        "complete": analysis["complete"],
        "warnings": " ".join(note["code"] for note in analysis["warnings"]),
        "sha256": analysis["file"]["sha256"],
    }


def csv_line(columns: Sequence[str], row: Mapping[str, Cell]) -> str:
    """Return a row with its line end; a cell without a value is empty."""
    return _line([_cell(row.get(name)) for name in columns])


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Cell]]) -> str:
    """Return a whole table, its header first."""
    return _line(columns) + "".join(csv_line(columns, row) for row in rows)


def _line(cells: Sequence[str | int | float]) -> str:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_NONNUMERIC).writerow(cells)
    return file.getvalue()


def _cell(value: Cell) -> str | int | float:
    """Return what is written of a value; a number below zero is no text, and stays."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return value
    text = value.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
    return f"'{text}" if text.startswith(_FORMULA) else text
