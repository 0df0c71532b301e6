"""``index.html`` of a folder of songs: one row a song, sorted, filtered and played in the browser.

Songs come one after the other and are forgotten at once, so that 5,000 analyses are never in
memory together; what the page shows of each is one short row of JSON, and its script draws the
rows that are looked at.

The songs are not in it, and nothing outside the folder is pointed at: whoever wants to hear them
shows the page the folder they lie in, and it finds them by name and size.

It keeps the rules of ``template``.
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from dsp.report.svg import clock
from dsp.report.template import embedded, plain, rendered

Data = Mapping[str, Any]

COLUMNS = ("file", "title", "page", "bytes", "seconds", "bpm", "bpm_p", "candidates", "stable",
           "tag_bpm", "key", "camelot", "open_key", "key_p", "tag_key", "lufs", "peak", "energy",
           "dance", "evidence", "notes", "same_as", "error", "truth_bpm", "ratio", "truth_key",
           "relation")  # fmt: skip
"""What a row of the page's JSON holds, in this order; shorter where the last are ``null``."""

_ROWS = '"rows":[]'
"""Where the rows go in the page."""


@dataclass(frozen=True)
class Song:
    """A song of the batch, as the page needs it."""

    file: str
    """Its path in the folder that was dropped."""
    folder: str | None = None
    """Where its ``analysis.html`` lies, from the page; ``None``: there is none."""
    analysis: Data | None = None
    """As in ``analysis.json``; ``None``: it failed."""
    error: tuple[str, str] | None = None
    """Code and message."""
    same_as: str = ""
    """The song before it that has the same bytes."""
    truth: Data = field(default_factory=dict)
    """``bpm`` and ``key`` as given, ``ratio`` and ``relation`` as in ``errors.csv``."""


@dataclass(frozen=True)
class Score:
    """How right the results are, against the truth that was given."""

    title: str
    value: str
    low: str
    high: str
    """The 95 % interval."""
    songs: int


@dataclass(frozen=True)
class Summary:
    """What the page says above its rows."""

    title: str
    songs: int
    failed: int
    seconds: float
    cached: int = 0
    scores: Sequence[Score] = ()
    table: str = ""
    """The address of the same rows as a table, if there is one."""
    key_names: str = "classic"
    """Which spelling stands first: ``classic``, ``camelot`` or ``open_key``."""


def page_parts(songs: Iterable[Song], summary: Summary) -> Iterator[str]:
    """Yield the page from its beginning to its end."""
    page = rendered(
        "batch.html.j2",
        styles=["report.css", "batch.css"],
        scripts=["clock.js", "batch.js"],
        media="blob:",
        summary=summary,
        length=_long_clock(summary.seconds),
        embedded=embedded({"columns": COLUMNS, "key_names": summary.key_names, "rows": []}),
    )
    # No text that is escaped holds a quotation mark: the first one is the template's.
    before, here, after = page.partition(_ROWS)
    yield before + here[:-1]
    for number, song in enumerate(songs):
        yield ("," if number else "") + "\n" + embedded(_row(song))
    yield here[-1] + after


def _row(song: Song) -> list[Any]:
    """Return a song in the order of ``COLUMNS``."""
    told = {
        "file": plain(song.file),
        "page": _address(song.folder) if song.folder is not None else None,
        "same_as": plain(song.same_as) if song.same_as else None,
        "error": [plain(text) for text in song.error] if song.error else None,
        "truth_bpm": song.truth.get("bpm"),
        "ratio": song.truth.get("ratio"),
        "truth_key": plain(song.truth.get("key")),
        "relation": song.truth.get("relation"),
    }
    if song.analysis:
        told |= _told(song.analysis)
        told["notes"] = [warning["code"] for warning in song.analysis["warnings"]]
    row = [told.get(name) for name in COLUMNS]
    while row[-1] is None:
        row.pop()
    return row


def _told(analysis: Data) -> dict[str, Any]:
    """Return what the page shows of an analysis."""
    tempo, key, tags = analysis["tempo"], analysis["key"], analysis["tags"]
    loudness = analysis["loudness"]
    names = (plain(tags[name]) for name in ("artist", "title") if tags[name])
    return {
        "title": " – ".join(map(str, names)) or None,
        "bytes": analysis["file"]["bytes"],
        "seconds": round(analysis["file"]["duration_s"], 1),
        "bpm": tempo["bpm"]["value"],
        "bpm_p": _p(tempo["bpm"]),
        "candidates": [round(one["bpm"], 1) for one in tempo["candidates"][1:]],
        "stable": tempo["stable"]["value"],
        "tag_bpm": _number(tags["bpm"]),
        "key": key["name"]["value"],
        "camelot": key["camelot"]["value"],
        "open_key": key["open_key"]["value"],
        "key_p": _p(key["name"]),
        "tag_key": plain(tags["key"]),
        "lufs": loudness["integrated_lufs"]["value"],
        "peak": loudness["true_peak_dbtp"]["value"],
        "energy": _short(analysis["energy"]["score"]["value"]),
        "dance": _short(analysis["danceability"]["score"]["value"]),
        "evidence": analysis["bandwidth"]["evidence"]["value"],
    }


def _p(figure: Data) -> float | None:
    return _short(figure["p"])


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _number(tag: str | None) -> float | None:
    """Return the tempo that a tag names; ``None`` where it is no number."""
    try:
        value = float((tag or "").strip().replace(",", "."))
    except ValueError:
        return None
    return round(value, 2) if math.isfinite(value) and value > 0.0 else None


def _address(folder: str) -> str:
    """Return the address of a song's page; no name can make it anything but a path below."""
    return "./" + quote(os.fsencode(folder)).removesuffix("/") + "/analysis.html"


def _long_clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{clock(rest)} min"
