"""A library of files, scanned as the handler scans it, by a clock that is set."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

from daemon.handlers.library.catalogue import Catalogue
from daemon.handlers.library.ends import RemovalRules
from daemon.handlers.library.runs import Look, Scope
from daemon.handlers.library.tree import Tree, quick_id, sha256_of

HOUR_MS = 3_600_000


class Shelf:
    """A root and its catalogue.

    Its clock begins an hour ahead: what a test has just written is not young, and not of the
    future either.
    """

    def __init__(self, folder, name="music", rules=None):
        self.root = folder / "root"
        self.root.mkdir(exist_ok=True)
        self.path = folder / "catalogue.sqlite3"
        self.name = name
        self.rules = rules or RemovalRules()
        self.now_ms = time.time_ns() // 1_000_000 + HOUR_MS
        self.exclude = ()

    def write(self, path, data=b"sound", mtime_s=1_700_000_000):
        """Put a file there, of a time that is not now."""
        where = self.root / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
        os.utime(where, (mtime_s, mtime_s))
        return where

    @contextmanager
    def look(self, scope=None, after_commit=lambda: None, batch_entries=1, job=""):
        with Catalogue(self.path, after_commit) as catalogue:
            look = Look(
                catalogue,
                {self.name: self.root},
                scope or Scope(),
                exclude=self.exclude,
                now_ms=self.now_ms,
                batch_entries=batch_entries,
                job=job,
            )
            look.begin()
            yield look

    def scan(self, hours=1, **scope):
        """Let time pass, and scan to the end; return codes and messages."""
        self.now_ms += round(hours * HOUR_MS)
        with self.look(Scope(**scope)) as look:
            assert look.go(1 << 40, self.rules)
            return look.told.notes

    def query(self, text, *values):
        with Catalogue(self.path) as catalogue:
            return [tuple(row) for row in catalogue.execute(text, values)]

    def files(self, state="here"):
        """Return the paths of a state, below the root."""
        rows = self.query(
            """SELECT folder.path, name FROM file JOIN folder ON folder.id = folder
            WHERE state = ?""",
            state,
        )
        return sorted(os.fsdecode(b"/".join(row).lstrip(b"/")) for row in rows)

    def identities(self):
        """Return the path of each file by its id."""
        rows = self.query(
            "SELECT file.id, folder.path, name FROM file JOIN folder ON folder.id = folder"
        )
        return {file: os.fsdecode(b"/".join(path).lstrip(b"/")) for file, *path in rows}

    def there(self):
        """Return the paths that a scan should find."""
        return sorted(
            str(Path(where, name).relative_to(self.root))
            for where, _, names in os.walk(self.root)
            for name in names
        )

    def changes(self):
        """Return the feed of the last run: kinds, and paths without the name of the root."""
        rows = self.query(
            """SELECT kind, "from", "to" FROM change WHERE run = (SELECT max(id) FROM run)
            ORDER BY id"""
        )
        cut = len(self.name) + 1
        return [
            (kind, *(os.fsdecode(path)[cut:] if path else None for path in paths))
            for kind, *paths in rows
        ]

    def analysed(self):
        """Give every file its quick id and its hash, as the parts of a run do."""
        with Catalogue(self.path) as catalogue, Tree(self.root) as tree:
            rows = catalogue.execute(
                """SELECT file.id, folder.path, name, size FROM file
                JOIN folder ON folder.id = folder WHERE state = 'here'"""
            ).fetchall()
            with catalogue.transaction():
                for file, folder, name, size in rows:
                    with tree.opened(folder, name) as fd:
                        values = quick_id(fd, size), sha256_of(fd), file
                    catalogue.execute(
                        "UPDATE file SET quick = ?, sha256 = ?, due = NULL WHERE id = ?", values
                    )
