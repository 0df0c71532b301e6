"""The end of a run: what moved, what is removed, and what is told of it.

Rules
-----
A file is *here*, *missing*, or *removed*; only what is removed leaves the default view.

1. Its folder was listed to the end in this run, and so was every folder above it; a folder that
   is gone from its parent counts as listed, and empty.
2. The root is the one that was scanned before (``runs``): otherwise no scan takes place.
3. It was missing in two runs, ``removed_after_ms`` apart.
4. If more than ``most_removed`` of a root, and more than 20 files, would go, none goes.
5. What is removed is kept for 90 days, and all that is known of it.

Somebody may say that what is gone is gone: then rules 3 and 4 do not hold.
"""

# ruff: noqa: S608 - what is put together are constants of ours

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daemon.handlers.library.catalogue import PATH, PLACED, Catalogue
from daemon.handlers.library.moves import moves_in, write_merged, write_moves
from daemon.handlers.library.tree import Tree

_MISSING = "state <> 'here' AND state = 'missing'"
"""The first half lets SQLite use its index of what is not here."""
_FEW = 20
_KEPT_MS = 90 * 86_400_000


@dataclass(frozen=True)
class RemovalRules:
    """When a file that is missing is removed."""

    removed_after_ms: int = 24 * 3_600_000
    most_removed: float = 0.1
    """Share of a root."""


def end_run(
    catalogue: Catalogue,
    gen: int,
    trees: dict[int, Tree],
    rules: RemovalRules,
    *,
    now_ms: int,
    whole: bool,
    accept: bool,
) -> list[tuple[str, str]]:
    """Draw what follows from a scan that came to its end; return codes and messages.

    Parameters
    ----------
    catalogue : Catalogue
    gen : int
        The run.
    trees : dict
        The roots that were scanned, open, by their ids.
    rules : RemovalRules
    now_ms : int
    whole : bool
        All of these roots was to be listed: only such a run removes.
    accept : bool
        Somebody said that what is gone is gone.
    """
    pairs = moves_in(catalogue, trees)
    notes: list[tuple[str, str]] = []
    with catalogue.transaction():
        write_moves(catalogue, pairs, gen)
        write_merged(catalogue, gen)
        for root in trees if whole else ():
            notes += _remove(catalogue, gen, root, rules, now_ms=now_ms, accept=accept)
        _tell(catalogue, gen)
        if whole:
            catalogue.executemany(
                """UPDATE root SET gen = ?1, first_gen = iif(first_gen = 0, ?1, first_gen)
                WHERE id = ?2""",
                [(gen, root) for root in trees],
            )
            _forget(catalogue, now_ms)
        catalogue.execute("UPDATE run SET ended_ms = ? WHERE id = ?", (now_ms, gen))
    return notes


def _remove(
    catalogue: Catalogue, gen: int, root: int, rules: RemovalRules, *, now_ms: int, accept: bool
) -> Sequence[tuple[str, str]]:
    ready = catalogue.execute(
        f"""SELECT file.id, {PATH} AS path FROM {PLACED} WHERE root.id = ? AND {_MISSING}
        AND folder.seen_gen = ? AND (? OR (missing_gen < ? AND missing_ms <= ?))""",
        (root, gen, accept, gen, now_ms - rules.removed_after_ms),
    ).fetchall()
    if not accept and (shrunk := _shrunk(catalogue, root, len(ready), rules)):
        return [("LIBRARY_SHRANK", shrunk)]
    catalogue.executemany(
        "UPDATE file SET state = 'removed', due = NULL WHERE id = ?", [(row[0],) for row in ready]
    )
    _events(catalogue, gen, "removed", ready)
    return []


def _shrunk(catalogue: Catalogue, root: int, ready: int, rules: RemovalRules) -> str:
    """Return what there is to say of a root of which too much is missing."""
    missing = catalogue.number(
        f"SELECT count(*) FROM {PLACED} WHERE root.id = ? AND {_MISSING}", root
    )
    if max(missing, ready) <= _FEW:
        return ""
    known = catalogue.number(
        f"SELECT count(*) FROM {PLACED} WHERE root.id = ? AND state <> 'removed'", root
    )
    if missing <= rules.most_removed * known:
        return ""
    name = catalogue.execute("SELECT name FROM root WHERE id = ?", (root,)).fetchone()[0]
    return f"{missing} of the {known} files of {name} are missing; none is taken for removed"


def _tell(catalogue: Catalogue, gen: int) -> None:
    """Write what is new and what is missing to the feed; not the first scan of a root."""
    for kind, where in (
        ("added", "born_gen = ? AND state = 'here' AND root.first_gen > 0"),
        ("missing", f"missing_gen = ? AND {_MISSING}"),
    ):
        rows = catalogue.execute(
            f"""SELECT file.id, {PATH} AS path FROM {PLACED} WHERE {where}
            ORDER BY path""",
            (gen,),
        )
        _events(catalogue, gen, kind, rows.fetchall())


def _events(catalogue: Catalogue, gen: int, kind: str, rows: Sequence[Any]) -> None:
    side = '"to"' if kind == "added" else '"from"'
    catalogue.executemany(
        f"INSERT INTO change (run, kind, file, {side}) VALUES (?, ?, ?, ?)",
        [(gen, kind, row["id"], row["path"]) for row in rows],
    )


def _forget(catalogue: Catalogue, now_ms: int) -> None:
    """Delete what was removed long ago, and what nothing refers to any more."""
    old_ms = now_ms - _KEPT_MS
    catalogue.execute(
        "DELETE FROM file WHERE state <> 'here' AND state = 'removed' AND missing_ms < ?", (old_ms,)
    )
    catalogue.execute(
        "DELETE FROM change WHERE run IN (SELECT id FROM run WHERE ended_ms < ?)", (old_ms,)
    )
    while catalogue.execute(
        """DELETE FROM folder WHERE trouble = 'gone'
        AND NOT EXISTS (SELECT 1 FROM file WHERE folder = folder.id)
        AND NOT EXISTS (SELECT 1 FROM folder AS below WHERE below.parent = folder.id)"""
    ).rowcount:
        pass
    unused = "content NOT IN (SELECT content FROM file WHERE content IS NOT NULL)"
    catalogue.execute(f"DELETE FROM meta WHERE {unused}")
    catalogue.execute(f"DELETE FROM content WHERE {unused.replace('content', 'id', 1)}")
