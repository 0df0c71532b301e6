"""What people and programs read of a library: live views, and the changes of a run."""

import csv
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from daemon.errors import NothingToDo
from daemon.handlers.contract import Output, Result, Task
from daemon.handlers.library.catalogue import PATH, PLACED, Catalogue
from daemon.handlers.library.rounds import Rounds
from daemon.text import count, shown
from dsp.report.library_page import Entry, Summary, page_parts, report_page

# ruff: noqa: S608 - what is put together are constants of ours

CATALOGUE = "catalogue.sqlite3"
VIEW = "catalogue.sqlite"
PAGE = "library.html"
_DUPLICATES, _CHANGES, _REPORT = "duplicates.csv", "changes.jsonl", "report.html"

MOST_ROWS = 20_000
"""Of a page; a larger library has one for each top folder."""
_MOST_PAGES = 2_000
_REPORTED = 500
_SAID_CHARACTERS = 300
"""Of a transcript on the page; the catalogue has all of it."""

_ENTRIES = f"""SELECT {PATH} AS path, root.path AS place, root.name AS root, folder.path AS folder,
    file.name, file.size, title, artist, album, coalesce(duration_s, declared_s) AS seconds,
    integrated_lufs, peaks, meta.trouble, follow, transcript, file.state FROM {PLACED}
    LEFT JOIN meta ON meta.content = file.content
    WHERE file.kind = 'audio' AND state <> 'removed'"""


def published(task: Task, rounds: Rounds, catalogue: Catalogue) -> Result:
    """Write the views.

    Raises
    ------
    NothingToDo
        Nothing changed since the last run.
    """
    task.report("publish", 0.0)
    gen = rounds.state.gen
    kinds: dict[str, int] = dict(
        catalogue.execute("SELECT kind, count(*) FROM change WHERE run = ? GROUP BY kind", (gen,))
        .fetchall()
    )  # fmt: skip
    first = "born_gen = ? AND root.first_gen = born_gen"
    new = catalogue.number(f"SELECT count(*) FROM {PLACED} WHERE {first}", gen)
    files = catalogue.number("SELECT count(*) FROM file WHERE state = 'here'")
    notes = rounds.notes()
    if not kinds and not new and not rounds.state.written:
        said = f"nothing changed among {count(files, 'file')}"
        if notes:
            raise NothingToDo(notes[0].code, f"{said}; {notes[0].message}")
        raise NothingToDo("LIBRARY_UNCHANGED", said)
    counts = {
        "files": files,
        "added": kinds.get("added", 0) + new,
        **{kind: kinds.get(kind, 0) for kind in ("changed", "moved", "missing", "removed")},
    }
    outputs = [Output(name, "live") for name in _write_pages(task, catalogue)]
    task.report("publish", 0.5)
    if task.kept is not None:
        catalogue.copy_to(task.workdir / VIEW)
        outputs.append(Output(VIEW, "live"))
    else:
        outputs.append(Output(CATALOGUE, "data"))
    _write_duplicates(catalogue, task.workdir / _DUPLICATES)
    outputs.append(Output(_DUPLICATES, "live"))
    changes = list(_write_changes(catalogue, gen, task.workdir / _CHANGES))
    page = report_page(counts, changes, [(note.code, note.message) for note in notes])
    (task.workdir / _REPORT).write_text(page, "utf-8")
    outputs += [Output(_REPORT, "report"), Output(_CHANGES, "data")]
    return Result(tuple(outputs), counts, notes)


def _shown(path: bytes) -> str:
    return shown(path.decode("utf-8", "replace"))


def _write_changes(catalogue: Catalogue, gen: int, path: Path) -> Iterator[tuple[str, str, str]]:
    """Write the feed of a run, a line each; yield the first ones for people."""
    told = 0
    with path.open("w", encoding="utf-8") as out:
        rows = catalogue.rows(
            f"""SELECT kind, file, "from", "to" FROM change WHERE run = ?1 UNION ALL
            SELECT 'added', file.id, NULL, {PATH} FROM {PLACED}
            WHERE born_gen = ?1 AND root.first_gen = born_gen""",
            gen,
        )
        for kind, file, before, after in rows:
            line: dict[str, Any] = {"run": gen, "kind": kind, "file": file}
            for side, raw in (("from", before), ("to", after)):
                if raw is not None:
                    text = raw.decode("utf-8", "surrogateescape")
                    line[side] = text.encode("utf-8", "replace").decode()
                    if text != line[side]:
                        line[f"{side}_bytes"] = raw.hex()
            out.write(json.dumps(line) + "\n")
            if (told := told + 1) <= _REPORTED:
                yield kind, _shown(before or b""), _shown(after or b"")


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
                told = [number, same, row["size"], row["sha256"].hex(), _cell(_shown(row["path"]))]
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
        title = _shown(b"/".join(filter(None, (row["root"].encode(), row["top"]))))
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
        folder=_shown(b"/".join(filter(None, (row["root"].encode(), row["folder"])))),
        name=_shown(row["name"]),
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
