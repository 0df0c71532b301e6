"""Which files that are gone are those that are new: moved, not removed and added.

First by inode, size and time; then by quick id, where it is the only one on both sides; then by
full hash. Of several that are alike, those go together whose paths have the longest common end.
A file that moved keeps its row, and what is known of it.

A file may be renamed while a scan runs, and be seen at both places or at none. So one that was
seen for the first time in the last run that saw the other may be it, too. A row that is left and
has the inode, size and time of a file that is here was of the same file: the older row stays.
"""

# ruff: noqa: S608 - what is put together are constants of ours

import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from daemon.handlers.library.catalogue import PATH, PLACED, Catalogue
from daemon.handlers.library.tree import Tree, quick_id, sha256_of

Row: TypeAlias = Any
"""A row of SQLite."""
Pair: TypeAlias = tuple[Row, Row, bool]
"""The one that is gone, the one that is new, and whether their inode is the same."""

_COLUMNS = f"""SELECT file.*, folder.dev, folder.root, folder.path AS folder_path, root.inodes,
    {PATH} AS path FROM {PLACED}"""


def moves_in(catalogue: Catalogue, trees: dict[int, Tree]) -> list[Pair]:
    """Return which files are the same."""
    gone = list(catalogue.rows(f"{_COLUMNS} WHERE state <> 'here'"))
    if not gone:
        return []
    oldest = min(row["last_gen"] for row in gone)
    sizes = {row["size"] for row in gone}
    query = f"{_COLUMNS} WHERE state = 'here' AND born_gen >= ? AND kind <> 'link'"
    new = [row for row in catalogue.rows(query, oldest) if row["size"] in sizes]
    found: list[Pair] = []
    taken: set[int] = set()

    def pair(key: Callable[[Row], Hashable | None], *, alone: bool, same_inode: bool) -> None:
        left = [row for row in gone if row["id"] not in taken]
        free = [row for row in new if row["id"] not in taken]
        for old, now in _paired(left, free, key, alone=alone):
            taken.update((old["id"], now["id"]))
            found.append((old, now, same_inode))

    pair(inode_of, alone=False, same_inode=True)
    quick = _Read(trees, gone, "quick", quick_id)
    pair(quick.key, alone=True, same_inode=False)
    sha256 = _Read(trees, gone, "sha256", lambda fd, _: sha256_of(fd), quick)
    pair(sha256.key, alone=False, same_inode=False)
    return found


def inode_of(row: Row) -> Hashable | None:
    """Return what a file has as long as it is neither copied nor written."""
    if not row["inodes"]:
        return None
    return row["dev"], row["ino"], row["size"], row["mtime_ns"]


class _Read:
    """A hash of files, read where a file that is gone could have it."""

    def __init__(
        self,
        trees: dict[int, Tree],
        gone: Sequence[Row],
        column: str,
        read: Callable[[int, int], bytes],
        before: "_Read | None" = None,
    ) -> None:
        self._trees, self._column, self._read, self._before = trees, column, read, before
        self._known: dict[int, Hashable | None] = {}
        self._possible = {self._group(row) for row in gone if row[column] is not None}

    def _group(self, row: Row) -> Hashable:
        return self._before.key(row) if self._before else row["size"]

    def key(self, row: Row) -> Hashable | None:
        """Return the hash of a file, with its size."""
        if row["id"] not in self._known:
            self._known[row["id"]] = self._found(row)
        return self._known[row["id"]]

    def _found(self, row: Row) -> Hashable | None:
        known = row[self._column]
        if row["size"] == 0 or row["kind"] != "audio":
            return None
        if known is None and row["state"] == "here" and self._group(row) in self._possible:
            tree = self._trees.get(row["root"])
            with suppress(OSError):
                if tree is not None:
                    with tree.opened(row["folder_path"], row["name"]) as fd:
                        if os.fstat(fd).st_size == row["size"]:
                            known = self._read(fd, row["size"])
        return None if known is None else (row["size"], known)


def _paired(
    gone: Sequence[Row], new: Sequence[Row], key: Callable[[Row], Hashable | None], *, alone: bool
) -> Iterator[tuple[Row, Row]]:
    """Yield pairs with the same key; ``alone``: only where there is one on each side."""
    by_key: dict[Hashable, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for row in gone:
        if (found := key(row)) is not None:
            by_key[found][0].append(row)
    for row in new:
        if (found := key(row)) in by_key:
            by_key[found][1].append(row)
    for old, now in by_key.values():
        if len(old) == len(now) == 1:
            if _fits(old[0], now[0]):
                yield old[0], now[0]
        elif not alone and now:
            oldest = sorted(old, key=lambda row: (row["born_gen"], row["id"]))
            yield from _by_path_end(oldest[: len(now)], now)


def _fits(gone: Row, new: Row) -> bool:
    """Tell whether one came when the other went: a copy that was there before is no move.

    One that came in the run that saw the other last may be the same file, renamed in between.
    """
    if new["born_gen"] != gone["last_gen"]:
        return bool(new["born_gen"] > gone["last_gen"])
    one_name = new["links"] == gone["links"] == 1
    return one_name and inode_of(new) is not None and inode_of(new) == inode_of(gone)


def _by_path_end(gone: Sequence[Row], new: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Pair files that are alike by the longest common end of their paths."""
    left, free = list(gone), list(new)
    deepest = max(row["path"].count(b"/") + 1 for row in (*gone, *new))
    for depth in range(deepest, -1, -1):
        by_end: dict[bytes, list[Row]] = defaultdict(list)
        for row in free:
            by_end[_end(row, depth)].append(row)
        kept = []
        for row in left:
            same = by_end[_end(row, depth)]
            fit = next((one for one in same if _fits(row, one)), None)
            if fit is None:
                kept.append(row)
                continue
            same.remove(fit)
            free.remove(fit)
            yield row, fit
        left = kept


def _end(row: Row, depth: int) -> bytes:
    return b"/".join(row["path"].split(b"/")[-depth:]) if depth else b""


def write_moves(catalogue: Catalogue, pairs: Sequence[Pair], gen: int) -> None:
    """Give each row that is gone the place of the one that is new, which goes.

    What was found of the new one since counts; else what was known, to be hashed again unless
    the inode says enough.
    """
    for old, now, same_inode in pairs:
        catalogue.execute("DELETE FROM file WHERE id = ?", (now["id"],))
        source = old if now["content"] is None else now
        due, due_gen = source["due"], source["due_gen"]
        sha256 = source["sha256"] if same_inode or source is now else None
        if source["content"] is None and now["kind"] == "audio":
            due, due_gen = "tags", gen
        elif source is old and sha256 is None:
            due, due_gen = due or "decode", gen
        catalogue.execute(
            """UPDATE file SET folder = ?, name = ?, kind = ?, size = ?, mtime_ns = ?, ctime_ns = ?,
            ino = ?, links = ?, quick = ?, sha256 = ?, audio_md5 = ?, content = ?, due = ?,
            due_gen = ?, state = 'here', last_gen = NULL, missing_gen = NULL, missing_ms = NULL
            WHERE id = ?""",
            (
                *(now[name] for name in ("folder", "name", "kind", "size", "mtime_ns")),
                *(now[name] for name in ("ctime_ns", "ino", "links")),
                *(source["quick"], sha256, source["audio_md5"], source["content"]),
                *(due, due_gen, old["id"]),
            ),
        )
        if now["born_gen"] < gen:  # it was told as added
            catalogue.event(gen, "merged", now["id"], now["path"], now["path"])
        catalogue.event(gen, "moved", old["id"], old["path"], now["path"])


def write_merged(catalogue: Catalogue, gen: int) -> None:
    """Make one of two rows where one is missing, and the other has its inode.

    The older row stays, unless the file had several names: then one of them is gone.
    """
    missing = f"{_COLUMNS} WHERE state <> 'here' AND state = 'missing' ORDER BY born_gen, file.id"
    gone = list(catalogue.rows(missing))
    keys = {inode_of(row) for row in gone} - {None}
    if not keys:
        return
    here = catalogue.rows(
        f"SELECT file.id, inodes, dev, ino, size, mtime_ns FROM {PLACED} WHERE state = 'here'"
    )
    found = {key: row["id"] for row in here if (key := inode_of(row)) in keys}
    for row in gone:
        if (file := found.get(inode_of(row))) is None:
            continue
        other = next(catalogue.rows(f"{_COLUMNS} WHERE file.id = ?", file))
        if row["links"] == 1 and row["born_gen"] < other["born_gen"]:
            write_moves(catalogue, [(row, other, True)], gen)
            found[inode_of(row)] = row["id"]
        else:
            catalogue.execute("DELETE FROM file WHERE id = ?", (row["id"],))
            catalogue.event(gen, "merged", row["id"], row["path"], other["path"])
