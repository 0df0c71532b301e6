"""``library.html``: all files of a library, searched, walked by folder and played in the browser.

Rows come one after the other and are forgotten at once; the page holds one short row of JSON of
each, and its script draws those that are looked at. It keeps the rules of ``template``.

The files are not in it. It plays them from where they lie, by ``file:`` addresses: opened from
another machine it shows all the same, and plays nothing.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import quote_from_bytes

from dsp.report.template import embedded, plain, rendered

COLUMNS = ("name", "size", "title", "artist", "album", "seconds", "lufs", "peaks", "trouble", "bpm",
           "key", "address", "said")  # fmt: skip
"""What a row of the page's JSON holds, in this order; shorter where the last are ``null``."""

_GROUPS = '"groups":[]'
"""Where the rows go in the page: by folder, its name and its address first."""


@dataclass(frozen=True)
class Entry:
    """A file, as the page needs it."""

    folder: str
    """For people; the name of the root first."""
    name: str
    address: bytes
    """Its path on this machine."""
    size: int
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    seconds: float | None = None
    lufs: float | None = None
    peaks: bytes | None = None
    """The greatest sample of each stretch; 255 is full scale."""
    trouble: str | None = None
    bpm: float | None = None
    key: str | None = None
    said: str | None = None
    """The first words that are spoken in it."""


@dataclass(frozen=True)
class Summary:
    """What the page says above its rows."""

    title: str
    files: int
    up: str = ""
    """The page above this one."""
    links: Sequence[tuple[str, str, int]] = ()
    """Pages of folders: title, address, files."""


def page_parts(entries: Iterable[Entry], summary: Summary) -> Iterator[str]:
    """Yield the page from its beginning to its end."""
    page = rendered(
        "library.html.j2",
        styles=["report.css", "library.css"],
        scripts=["clock.js", "library.js"],
        media="file:",
        summary=summary,
        embedded=embedded({"columns": COLUMNS, "groups": []}),
    )
    # No text that is escaped holds a quotation mark: the first one is the template's.
    before, here, after = page.partition(_GROUPS)
    yield before + here[:-1]  # nothing, where the page only leads to others
    for number, (folder, rows) in enumerate(groupby(entries, key=lambda one: one.folder)):
        first, told = None, []
        for row in rows:
            first = first or row.address.rpartition(b"/")[0]
            told.append(_row(row))
        address = f"file://{quote_from_bytes(first or b'')}/"
        yield ("," if number else "") + "\n" + embedded([plain(folder), address, told])
    yield here[-1:] + after


def _row(entry: Entry) -> list[Any]:
    """Return a file in the order of ``COLUMNS``."""
    name = entry.address.rpartition(b"/")[2]
    told = {
        "name": plain(entry.name),
        "size": entry.size,
        **{key: plain(getattr(entry, key)) for key in ("title", "artist", "album", "trouble")},
        "seconds": None if entry.seconds is None else round(entry.seconds, 1),
        "lufs": None if entry.lufs is None else round(entry.lufs, 1),
        "peaks": base64.b64encode(entry.peaks).decode() if entry.peaks else None,
        "bpm": None if entry.bpm is None else round(entry.bpm, 1),
        "key": plain(entry.key),
        # A script makes the address from the name; not where the name is shown otherwise.
        "address": None if entry.name.encode() == name else quote_from_bytes(name),
        "said": plain(entry.said),
    }
    row = [told[key] for key in COLUMNS]
    while row[-1] is None:
        row.pop()
    return row


def report_page(
    counts: Mapping[str, int],
    changes: Sequence[tuple[str, str, str]],
    notes: Sequence[tuple[str, str]],
) -> str:
    """Return ``report.html``: what a run found.

    Parameters
    ----------
    counts : mapping
        Files by what became of them.
    changes : sequence
        The first ones: kind, path before, path after.
    notes : sequence
        Codes and messages.
    """
    return rendered(
        "library_report.html.j2",
        styles=["report.css", "library.css"],
        scripts=[],
        media="'none'",
        counts=counts,
        changes=changes,
        more=sum(count for kind, count in counts.items() if kind != "files") - len(changes),
        notes=notes,
    )
