"""What people and programs read of a library: live views, and the changes of a run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daemon.errors import NothingToDo
from daemon.handlers.contract import Output, Result, Task
from daemon.handlers.library.catalogue import PATH, PLACED, Catalogue
from daemon.handlers.library.rounds import Rounds
from daemon.handlers.library.views import shown_path, write_views
from daemon.text import count
from dsp.report.library_page import report_page

# ruff: noqa: S608 - what is put together are constants of ours

CATALOGUE = "catalogue.sqlite3"
_CHANGES, _REPORT = "changes.jsonl", "report.html"
_REPORTED = 500


def published(task: Task, rounds: Rounds, catalogue: Catalogue) -> Result:
    """Write the views.

    Raises
    ------
    NothingToDo
        Nothing changed since the last run.
    """
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
    outputs = [Output(name, "live") for name in write_views(task, catalogue)]
    if task.kept is None:
        outputs.append(Output(CATALOGUE, "data"))
    changes = list(_write_changes(catalogue, gen, task.workdir / _CHANGES))
    page = report_page(counts, changes, [(note.code, note.message) for note in notes])
    (task.workdir / _REPORT).write_text(page, "utf-8")
    outputs += [Output(_REPORT, "report"), Output(_CHANGES, "data")]
    return Result(tuple(outputs), counts, notes)


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
                yield kind, shown_path(before or b""), shown_path(after or b"")
