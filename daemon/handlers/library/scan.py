"""Walk a root and hold it against the catalogue, folder by folder.

Theory of operation
-------------------
A folder is listed, its entries are compared with its rows, and what differs is written together
with ``folder.seen_gen``, the number of the run: that is the cursor. Subfolders that were found
get the number as ``found_gen``; those with it that are not yet seen are what a run that was
killed has left to do. Several folders share a commit.

Rules
-----
1. What was not listed to its end says nothing of what is missing.
2. A mounted file system that is not the one of before says nothing of its subtree, nor does one
   whose folder is gone: a disk that was pulled out took nothing away. Whether it is the one of
   before is asked by its identity, and where that differs, of a sample of its files.
3. Times and size decide whether a file changed; a new inode or a new ctime alone make its quick
   id be compared, where it is known. What was touched around the time of its reading is looked at
   again in the next run.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from daemon.handlers.library.catalogue import as_text
from daemon.handlers.library.differences import Differences
from daemon.handlers.library.patterns import Ignored
from daemon.handlers.library.sight import Folder, Sight
from daemon.handlers.library.subfolders import folder_of, list_in
from daemon.handlers.library.tree import Identity, Loop

BATCH_ENTRIES = 4_000
"""Entries and folders of a commit, at the least."""

_SAMPLE = 64
_CTIMES_SURE = 64
_TOP = b""


class _Strange(OSError):
    """What is mounted on a folder is not what was."""


class Scan:
    """The walk over one root.

    Parameters
    ----------
    sight : Sight
    everywhere : Ignored
        The patterns of the inbox.
    batch_entries : int
        See ``BATCH_ENTRIES``.
    """

    def __init__(
        self, sight: Sight, everywhere: Ignored, *, batch_entries: int = BATCH_ENTRIES
    ) -> None:
        self._sight, self._everywhere, self._batch_entries = sight, everywhere, batch_entries
        self._catalogue, self._tree = sight.catalogue, sight.tree
        self._asked = frozenset[bytes]()

    def look(self, most_new: int, advance: Callable[[], None], under: Iterable[bytes] = ()) -> bool:
        """List folders until so many new files were found; return whether none is left.

        Parameters
        ----------
        most_new : int
        advance : function
            Called for each folder.
        under : iterable of bytes
            Only these folders and what lies below them.
        """
        told, self._asked = self._sight.told, frozenset(under)
        since = 0
        try:
            self._catalogue.begin()
            stack = [*self._left(), *self._entrances()]
            while stack and told.new < most_new:
                self._catalogue.begin()
                before = told.files
                stack += self._listed(stack.pop())
                since += 1 + told.files - before
                if since >= self._batch_entries:
                    since = 0
                    self._sight.commit()
                advance()
            if not stack and self._sight.ctimes >= _CTIMES_SURE:
                self._say_of_times()
            self._sight.commit()
        except BaseException:
            self._catalogue.roll_back()
            self._sight.unchanged.clear()
            raise
        return not stack

    def _left(self) -> Iterator[Folder]:
        """Yield what a run that was killed, or paused, has left to list."""
        rows = self._catalogue.execute(
            """SELECT * FROM folder WHERE root = ? AND found_gen = ? AND seen_gen < ?
            ORDER BY path DESC""",
            (self._sight.root, self._sight.gen, self._sight.gen),
        )
        for row in rows.fetchall():
            yield folder_of(row, self._above(row["path"]))

    def _entrances(self) -> Iterator[Folder]:
        """Yield the folders that the walk begins with, unless it has begun."""
        root, gen = self._sight.root, self._sight.gen
        for path in sorted(self._asked or [_TOP], reverse=True):
            parent = None
            for above in [*_above(path), path]:
                self._catalogue.execute(
                    """INSERT INTO folder (root, parent, path, found_gen, seen_gen)
                    VALUES (?, ?, ?, 0, 0) ON CONFLICT DO NOTHING""",
                    (root, parent, above),
                )
                row = self._catalogue.execute(
                    "SELECT * FROM folder WHERE root = ? AND path = ?", (root, above)
                ).fetchone()
                parent = row["id"]
            if row["found_gen"] < gen:
                self._catalogue.execute(
                    "UPDATE folder SET found_gen = ? WHERE id = ?", (gen, row["id"])
                )
                yield folder_of(row, self._above(path))

    def _above(self, path: bytes) -> Ignored:
        """Return the lists that hold in a folder, without its own."""
        ignored = self._everywhere
        for folder in _above(path):
            with suppress(OSError):
                fd, _, _ = self._tree.enter(folder)
                ignored = ignored.with_list(as_text(folder), list_in(fd))
        return ignored

    def _listed(self, folder: Folder) -> list[Folder]:
        """List a folder and write what differs; return its subfolders, the first one last."""
        try:
            fd, told, device_above = self._tree.enter(folder.path)
            mount = str(Identity.of(fd)) if told.st_dev != device_above else None
            if mount or folder.mount:
                if self._is_strange(folder, fd, mount):
                    raise _Strange
                fd, _, _ = self._tree.enter(folder.path)  # a sample may have led far below
            differences = Differences(self._sight, folder, fd)
            differences.find()
        except OSError as error:
            self._say_trouble(folder, error)
            return []
        self._sight.told.folders += 1
        return differences.write(mount, told.st_dev)[::-1]

    def _is_strange(self, folder: Folder, fd: int, mount: str | None) -> bool:
        """Tell whether what is mounted on a folder, or not any more, is not what was (rule 2)."""
        if not folder.seen_gen or self._sight.accept:
            return False
        return is_emptied(self._sight, fd, folder.path) or (
            mount != folder.mount and not is_familiar(self._sight, folder.path)
        )

    def _say_trouble(self, folder: Folder, error: OSError) -> None:
        where = f"{self._sight.name}/{as_text(folder.path)}".rstrip("/")
        code, why = "FOLDER_UNREADABLE", error.strerror or "it cannot be read"
        if isinstance(error, Loop):
            code = "LOOP_SKIPPED"
        elif isinstance(error, _Strange):
            code, why = "ROOT_CHANGED", "another file system was mounted there, or none"
        # A folder that was renamed meanwhile is nobody's fault.
        if not isinstance(error, FileNotFoundError) or folder.path in self._asked:
            message = f"{where}: {why}; of what lies in it nothing is said"
            self._sight.told.note(code, message)
        self._catalogue.execute("UPDATE folder SET trouble = ? WHERE id = ?", (why, folder.id))

    def _say_of_times(self) -> None:
        """Say whether the root's file system counts time in seconds."""
        sight = self._sight
        coarse = sight.whole_seconds == sight.ctimes
        if coarse:
            message = (
                f"{sight.name} keeps times in whole seconds: of two changes within one second,"
                " the later one may be seen in the next run only"
            )
            sight.told.note("TIMES_COARSE", message)
        self._catalogue.execute(
            "UPDATE root SET times = ? WHERE id = ?", ("coarse" if coarse else "fine", sight.root)
        )


def is_emptied(sight: Sight, fd: int, path: bytes) -> bool:
    """Tell whether a folder, in which or below which files were, has no entry any more."""
    with os.scandir(fd) as entries:
        if next(entries, None) is not None:
            return False
    return bool(_known_below(sight, path, 1))


def is_familiar(sight: Sight, path: bytes = _TOP) -> bool:
    """Tell whether half of a sample of the files that were below a folder are there."""
    sample = _known_below(sight, path, _SAMPLE)
    if not sample:
        return not _known_below(sight, path, 1, "missing")
    there = 0
    for folder, name, size in sample:
        with suppress(OSError):
            fd, _, _ = sight.tree.enter(folder)
            there += os.stat(name, dir_fd=fd, follow_symlinks=False).st_size == size
    return 2 * there >= len(sample)


def _known_below(
    sight: Sight, path: bytes, most: int, state: str = "here"
) -> list[tuple[bytes, bytes, int]]:
    order = "ORDER BY (file.id * 2654435761) % 4294967296" if most > 1 else ""
    rows = sight.catalogue.execute(
        f"""SELECT folder.path, name, size FROM file JOIN folder ON folder.id = folder
        WHERE root = ? AND state = ? AND (path = ? OR ? = x'' OR path >= ? AND path < ?)
        {order} LIMIT ?""",  # noqa: S608 - no value stands in it
        (sight.root, state, path, path, path + b"/", path + b"0", most),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def _above(path: bytes) -> list[bytes]:
    """Return the folders above one, the root's top first."""
    places = [place for place, letter in enumerate(path) if letter == ord("/")]
    return [_TOP, *(path[:place] for place in places)] if path else []
