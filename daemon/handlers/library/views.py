"""The live views of a library: its page, or pages, a copy of its catalogue, and its duplicates."""

import csv
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from daemon.handlers.contract import Task
from daemon.handlers.library.catalogue import PATH, PLACED, Catalogue
from daemon.text import shown
from dsp.report.library_page import Entry, Summary, page_parts

# ruff: noqa: S608 - what is put together are constants of ours

VIEW = "catalogue.sqlite"
PAGE = "library.html"
_DUPLICATES = "duplicates.csv"

MOST_ROWS = 20_000
"""Of a page; a larger library has one for each top folder."""
_MOST_PAGES = 2_000
_SAID_CHARACTERS = 300
"""Of a transcript on the page; the catalogue has all of it."""

_ENTRIES = f"""SELECT {PATH} AS path, root.path AS place, root.name AS root, folder.path AS folder,
    file.name, file.size, title, artist, album, coalesce(duration_s, declared_s) AS seconds,
    integrated_lufs, peaks, meta.trouble, follow, transcript, file.state FROM {PLACED}
    LEFT JOIN meta ON meta.content = file.content
    WHERE file.kind = 'audio' AND state <> 'removed'"""


def write_views(task: Task, catalogue: Catalogue) -> tuple[str, ...]:
    """Write the views into the work directory; return their names."""
    task.report("publish", 0.0)
    names = _write_pages(task, catalogue)
    task.report("publish", 0.5)
    if task.kept is not None:  # by hand the catalogue itself lies there
        catalogue.copy_to(task.workdir / VIEW)
        names.append(VIEW)
    _write_duplicates(catalogue, task.workdir / _DUPLICATES)
    return (*names, _DUPLICATES)


def shown_path(path: bytes) -> str:
    """Return a path as people read it."""
    return shown(path.decode("utf-8", "replace"))


def _write_duplicates(catalogue: Catalogue, path: Path) -> None:
    """Write groups of files that are equal, or whose sound is; tags may differ."""
    with path.open("w", encoding="utf-8", newline="") as out:
        table = csv.writer(out)
        table.writerow(["group", "same", "bytes", "sha256", "path"])
        rows = catalogue.rows(
            f"""SELECT coalesce(audio_md5, sha256) AS sound, sha256, size, {PATH} AS path
            FROM {PLACED} WHERE state = 'here' AND sha256 IS NOT NULL AND size > 0
            AND coalesce(audio_md5, sha256) IN (SELECT coalesce(audio_md5, sha256) FROM file
            WHERE state = 'here' AND sha256 IS NOT NULL GROUP BY 1 HAVING count(*) > 1)
            ORDER BY sound, path"""
        )
        for number, (_, group) in enumerate(groupby(rows, key=lambda row: row["sound"]), 1):
            files = list(group)
            same = "file" if len({row["sha256"] for row in files}) == 1 else "sound"
            for row in files:
                told = [
                    number,
                    same,
                    row["size"],
                    row["sha256"].hex(),
                    _cell(shown_path(row["path"])),
                ]
                table.writerow(told)


def _cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text


def _write_pages(task: Task, catalogue: Catalogue) -> list[str]:
    """Write the page of the library, or one for each top folder and one that lists those."""
    tops = catalogue.execute(
        f"""SELECT root.name AS root, {_TOP} AS top, count(*) AS files FROM {PLACED}
        WHERE file.kind = 'audio' AND state <> 'removed' GROUP BY 1, 2 ORDER BY 1, 2"""
    ).fetchall()
    whole = sum(row["files"] for row in tops)
    if whole <= MOST_ROWS or len(tops) > _MOST_PAGES:
        summary = Summary("Library", files=whole)
        most = f"{_ENTRIES} ORDER BY path LIMIT {MOST_ROWS}"
        _write_page(task.workdir / PAGE, summary, catalogue.rows(most))
        return [PAGE]
    names, links = [PAGE], []
    for number, row in enumerate(tops, 1):
        name = f"library-{number:04}.html"
        title = shown_path(b"/".join(filter(None, (row["root"].encode(), row["top"]))))
        rows = catalogue.rows(
            f"{_ENTRIES} AND root.name = ? AND {_TOP} = ? ORDER BY path LIMIT {MOST_ROWS}",
            row["root"],
            row["top"],
        )
        _write_page(task.workdir / name, Summary(title, row["files"], up=PAGE), rows)
        names.append(name)
        links.append((title, name, row["files"]))
    _write_page(task.workdir / PAGE, Summary("Library", whole, links=links), iter(()))
    return names


_TOP = """CAST(substr(folder.path, 1, CASE instr(folder.path, x'2f') WHEN 0
    THEN length(folder.path) ELSE instr(folder.path, x'2f') - 1 END) AS BLOB)"""
"""SQL: the first folder of a path below its root."""


def _write_page(path: Path, summary: Summary, rows: Iterator[Any]) -> None:
    with path.open("w", encoding="utf-8") as page:
        page.writelines(page_parts(map(_entry, rows), summary))


def _entry(row: Any) -> Entry:  # noqa: ANN401 - a row
    follow = json.loads(row["follow"]) if row["follow"] else {}
    return Entry(
        folder=shown_path(b"/".join(filter(None, (row["root"].encode(), row["folder"])))),
        name=shown_path(row["name"]),
        address=b"/".join(filter(None, (row["place"], row["folder"], row["name"]))),
        size=row["size"],
        title=row["title"],
        artist=row["artist"],
        album=row["album"],
        seconds=row["seconds"],
        lufs=row["integrated_lufs"],
        peaks=row["peaks"],
        trouble=row["trouble"] or ("missing" if row["state"] == "missing" else None),
        bpm=follow.get("bpm"),
        key=follow.get("key"),
        said=_begin_of(row["transcript"]),
    )


def _begin_of(transcript: str | None) -> str | None:
    """Return the first words of a transcript."""
    said = ""
    for _, _, text in json.loads(transcript or "{}").get("segments", ()):
        said += f" {text}"
        if len(said) > _SAID_CHARACTERS:
            return f"{said[1:_SAID_CHARACTERS]}…"
    return said[1:] or None
