"""The catalogue: what a library holds, in one SQLite file that one job at a time writes.

Rules
-----
1. WAL with ``synchronous=FULL``: what was committed survives a power cut. The file is locked
   while it is open.
2. Every change is in ``transaction``, and can be repeated: a job may be killed at any commit.
3. Names and paths are bytes, as the system gives them.
4. A file that is damaged is moved aside, never deleted; the next scan fills a new one.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from daemon.errors import Unavailable

APPLICATION_ID = 0x53_50_4C_42  # "SPLB"
VERSION = 1
_SCHEMA = files(__package__).joinpath("schema.sql").read_text("utf-8")
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()


def as_bytes(name: str) -> bytes:
    """Return a name as the system has it."""
    return name.encode(_ENCODING, _ERRORS)


def as_text(name: bytes) -> str:
    """Return a name as Python has it."""
    return name.decode(_ENCODING, _ERRORS)


def joined(folder: bytes, name: bytes) -> bytes:
    """Return the path of an entry of a folder."""
    return b"%b/%b" % (folder, name) if folder else name


PATH = """CAST(CAST(root.name AS BLOB) || x'2f' || folder.path
    || CASE folder.path WHEN x'' THEN x'' ELSE x'2f' END || file.name AS BLOB)"""
"""SQL: the path of a file, the name of its root first."""

PLACED = "file JOIN folder ON folder.id = file.folder JOIN root ON root.id = folder.root"
"""SQL: files with their folders and roots."""


class Catalogue:
    """An open catalogue."""

    def __init__(self, path: Path, after_commit: Callable[[], None] = lambda: None) -> None:
        """Open the file; make it when it is absent, or cannot be understood.

        Raises
        ------
        Unavailable
            Another process has it open, or the disk fails.
        """
        self.path = path
        self._after_commit = after_commit
        try:
            self.connection = _connected(path)
        except sqlite3.OperationalError as error:
            raise Unavailable(
                "DISK_TROUBLE", f"the catalogue cannot be opened: {error}", path=str(path)
            ) from error
        except sqlite3.DatabaseError:
            _move_aside(path)
            self.connection = _connected(path)
        self.execute = self.connection.execute
        self.executemany = self.connection.executemany

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()
        if isinstance(error, sqlite3.OperationalError):
            told = f"the catalogue cannot be used: {error}"
            raise Unavailable("DISK_TROUBLE", told, path=str(self.path)) from error
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.DataError):
            _move_aside(self.path)
            told = "the catalogue was damaged; it was moved aside, and the next attempt makes one"
            raise Unavailable("CATALOGUE_DAMAGED", told, path=str(self.path)) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of it or none of it; within another transaction, as a part of that."""
        if self.connection.in_transaction:
            yield
            return
        self.begin()
        try:
            yield
        except BaseException:
            self.roll_back()
            raise
        self.commit()

    def begin(self) -> None:
        """Begin what ``commit`` ends."""
        if not self.connection.in_transaction:
            self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Keep what was done, if anything was."""
        if self.connection.in_transaction:
            self.execute("COMMIT")
            self._after_commit()

    def roll_back(self) -> None:
        """Undo what was not committed."""
        if self.connection.in_transaction:  # SQLite may have done it itself
            self.execute("ROLLBACK")

    def number(self, query: str, *values: object) -> int:
        """Return the one number that a query gives; 0 when there is none."""
        row = self.execute(query, values).fetchone()
        return int(row[0] or 0) if row else 0

    def rows(self, query: str, *values: object) -> Iterator[Any]:
        """Yield the rows of a query, on a cursor of its own."""
        yield from self.execute(query, values)

    def event(
        self, gen: int, kind: str, file: int, before: bytes | None, after: bytes | None
    ) -> None:
        """Write a line of the feed."""
        self.execute(
            'INSERT INTO change (run, kind, file, "from", "to") VALUES (?, ?, ?, ?, ?)',
            (gen, kind, file, before, after),
        )

    def copy_to(self, path: Path) -> None:
        """Write a copy for readers: one file, without a log."""
        self.execute("VACUUM INTO ?", (os.fspath(path),))


def _move_aside(path: Path) -> None:
    for suffix in ("", "-wal", "-journal"):
        if (old := Path(f"{path}{suffix}")).exists():
            old.rename(f"{path}.damaged-{time.time_ns()}{suffix}")


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
    try:
        connection.row_factory = sqlite3.Row
        connection.executescript(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
            # A large sort would go into a file, in folders where a confined worker may not write.
            f"PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = {64 << 20};"
        )
        if _version(connection, path) < VERSION:
            connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {VERSION}; COMMIT;"
            )
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        told = f"the catalogue has version {version}, and this program knows {VERSION}"
        raise Unavailable("CATALOGUE_NEWER", told, path=str(path))
    return version
