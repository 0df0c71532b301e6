"""The folders of a folder: which there are, which are gone, and the lists that lie in them."""

import os
import stat
from collections.abc import Sequence
from typing import Any

from daemon.handlers.library.catalogue import as_text, joined
from daemon.handlers.library.patterns import Ignored, Pattern, patterns_of
from daemon.handlers.library.sight import Folder, Sight
from daemon.handlers.library.tree import FILE, opened_quietly

LIST = ".ndignore"
_LIST_BYTES = 64 << 10


def folder_of(row: Any, ignored: Ignored) -> Folder:  # noqa: ANN401 - a row
    """Return the folder of a row."""
    return Folder(row["id"], row["path"], row["seen_gen"], row["mount"], row["digest"], ignored)


def write_folders(
    sight: Sight, folder: Folder, names: Sequence[bytes], ignored: Ignored
) -> list[Folder]:
    """Write which folders a folder holds, and which are gone; return those it holds."""
    if folder.unknown and not names:
        return []
    rows = sight.catalogue.execute("SELECT * FROM folder WHERE parent = ?", (folder.id,))
    known = {row["path"]: row for row in rows}
    found, again = [], []
    for name in sorted(names):
        path = joined(folder.path, name)
        row = known.pop(path, None)
        if row is None:
            made = sight.catalogue.execute(
                """INSERT INTO folder (root, parent, path, found_gen, seen_gen)
                VALUES (?, ?, ?, ?, 0)""",
                (sight.root, folder.id, path, sight.gen),
            )
            made_id = made.lastrowid or 0
            found.append(Folder(made_id, path, 0, None, None, ignored, unknown=True))
        else:
            found.append(folder_of(row, ignored))
            again.append((sight.gen, row["id"]))
    if again:
        sight.catalogue.executemany("UPDATE folder SET found_gen = ? WHERE id = ?", again)
    for path, row in known.items():
        if row["trouble"] != "gone" or row["seen_gen"] < sight.gen:
            _gone(sight, path)
            # Until they are forgotten, each run is to say again that they are gone.
            sight.catalogue.execute("UPDATE folder SET digest = NULL WHERE id = ?", (folder.id,))
    return found


def _gone(sight: Sight, top: bytes) -> None:
    """Note that a folder is gone, and all below it; but for what was mounted there."""
    rows = sight.catalogue.execute(
        """SELECT id, path, mount, seen_gen FROM folder
        WHERE root = ? AND (path = ? OR path >= ? AND path < ?) ORDER BY path""",
        (sight.root, top, top + b"/", top + b"0"),
    ).fetchall()
    pulled = [row["path"] for row in rows if row["mount"] and not sight.accept]
    for row in rows:
        path = row["path"]
        if any(path == one or path.startswith(one + b"/") for one in pulled):
            continue
        sight.catalogue.execute(
            """UPDATE file SET state = 'missing', last_gen = ?, missing_gen = ?, missing_ms = ?
            WHERE folder = ? AND state = 'here'""",
            (row["seen_gen"], sight.gen, sight.now_ms, row["id"]),
        )
        sight.catalogue.execute(
            "UPDATE folder SET trouble = 'gone', digest = NULL, seen_gen = ? WHERE id = ?",
            (sight.gen, row["id"]),
        )
    for path in pulled:
        where = f"{sight.name}/{as_text(path)}"
        sight.told.note(
            "ROOT_CHANGED",
            f"{where}: the file system that was mounted there is gone;"
            " of what lies in it nothing is said",
        )


def list_in(fd: int) -> tuple[Pattern, ...]:
    """Return the patterns of a folder's own list; an empty list leaves all out, as Navidrome's."""
    try:
        opened = opened_quietly(LIST, FILE, fd)
    except OSError:
        return ()
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return ()
        lines = os.read(opened, _LIST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return ()
    finally:
        os.close(opened)
    return patterns_of(lines if any(line.strip() for line in lines) else ["*"])


def exists(fd: int, name: str) -> bool:
    """Tell whether a folder has an entry."""
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
