"""The file below the store: opening, migrating, checking, closing one SQLite database.

Theory of operation
-------------------
WAL with ``synchronous=FULL``: a commit that returned survives a power cut, for one
``fdatasync``. One connection in one process: SQLite 3.7.0 to 3.51.2 can lose a commit when
two connections write and checkpoint at once, so ``locking_mode=EXCLUSIVE`` is set before
WAL, and SQLite itself refuses a second opener.

A row in ``control`` says whether the last stop was clean. If it was not, ``quick_check``
runs before anything else does. A file that is damaged is moved aside, never deleted,
together with its ``-wal``: either without the other is worth less than both.

Rules
-----
Rule 1: every change is in ``transaction``; ``BEGIN IMMEDIATE``, so that reading first and
writing then cannot fail in between.

Rule 2: a migration and its ``user_version`` are one transaction; released ones are never
edited.

Failures
--------
``QueueDamaged``: the file, or what stands in it, cannot be understood. ``Unavailable``: disk
full (``DISK_FULL``), the disk fails (``DISK_TROUBLE``), another process has the file
(``SPOOL_IN_USE``). Nothing was changed. ``BadConfig``: the file is not ours, or of
a newer version; SQLite is too old.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from daemon.errors import BadConfig, Unavailable

APPLICATION_ID = 0x53_50_4F_4C  # "SPOL"; `file` and sqlite3 show it
MIGRATIONS = Path(__file__).parent / "migrations"
OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables."""

_WAL_LIMIT_BYTES = 64 * 1024 * 1024
_PRIMARY_CODE = 0xFF
"""SQLite's extended result codes carry the plain one in their low byte."""


class QueueDamaged(Exception):
    """The file is damaged: it is moved aside, and the queue is built anew from the folders."""


class Database:
    """One open database."""

    def __init__(self, path: Path, migrations: Path = MIGRATIONS) -> None:
        """Open the file, made when absent, checked when needed, migrated to the newest form.

        Raises
        ------
        BadConfig, QueueDamaged, Unavailable
            See the module.
        """
        self._path, self._closed = path, False
        with translated():
            # Another program may look into the file meanwhile; once it is ours, none can open it.
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        self.connection.row_factory = sqlite3.Row
        try:
            self._prepare(migrations)
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self, migrations: Path) -> None:
        with translated():
            self.connection.executescript(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA foreign_keys = ON;"
                f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES};"
            )
            self._refuse_what_is_not_ours()
            if self._has_tables() and self._number("PRAGMA user_version") < 1:
                raise QueueDamaged("the number of its form is lost")
            if not self._stopped_cleanly():
                self._check()
            self._migrate(migrations)
            with self.transaction():
                self.connection.execute("UPDATE control SET stopped_cleanly = 0")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or none of it; within another transaction, as a part of that."""
        with translated():
            if self.connection.in_transaction:
                yield self.connection
                return
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # SQLite may have rolled back itself
                    self.connection.execute("ROLLBACK")
                raise

    def close(self, *, clean: bool = True) -> None:
        """Close the file; `clean` says that no check is needed when it is opened next."""
        if self._closed:
            return
        self._closed = True
        try:
            if clean:
                with self.transaction():
                    self.connection.execute("UPDATE control SET stopped_cleanly = 1")
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            self.connection.close()

    def _refuse_what_is_not_ours(self) -> None:
        owner = self._number("PRAGMA application_id")
        if owner not in (0, APPLICATION_ID) or (owner == 0 and self._has_tables()):
            raise BadConfig("root", f"{self._path} is a database of another program")

    def _has_tables(self) -> bool:
        return self._number("SELECT count(*) FROM sqlite_schema") > 0

    def _stopped_cleanly(self) -> bool:
        """Return whether the last stop was clean; there was none when there is no table."""
        return not self._has_tables() or bool(self._number("SELECT stopped_cleanly FROM control"))

    def _check(self) -> None:
        found = self.connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok" or self.connection.execute("PRAGMA foreign_key_check").fetchone():
            raise QueueDamaged(f"quick_check: {found}")

    def _migrate(self, migrations: Path) -> None:
        version = self._number("PRAGMA user_version")
        steps = _steps(migrations)
        if version > len(steps):
            raise BadConfig(
                "root", f"{self._path} has form {version}; this version knows {len(steps)}"
            )
        if 0 < version < len(steps):
            self._keep_copy(version)
        for number, sql in enumerate(steps[version:], start=version + 1):
            self._take_step(number, sql)

    def _take_step(self, number: int, sql: str) -> None:
        try:
            self.connection.executescript(
                f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {number}; COMMIT;"
            )
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def _keep_copy(self, version: int) -> None:
        """Keep the database as it was before a migration, for whoever wants to go back."""
        copy = self._path.with_name(f"{self._path.name}.form-{version}")
        copy.unlink(missing_ok=True)
        self.connection.execute("VACUUM INTO ?", (str(copy),))

    def _number(self, query: str) -> int:
        return int(self.connection.execute(query).fetchone()[0])


def move_aside(path: Path, stamp: str) -> Path:
    """Move a damaged database and what belongs to it to ``corrupt-<stamp>/``; return where."""
    folder = path.parent / f"corrupt-{stamp}"
    folder.mkdir()
    for part in sorted(path.parent.glob(f"{path.name}*")):
        if part.name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            part.rename(folder / part.name)
    return folder


def refuse_old_sqlite(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> None:
    """Raise ``BadConfig`` when SQLite is older than the tables need."""
    if version < OLDEST_SQLITE:
        needed, found = (".".join(map(str, v)) for v in (OLDEST_SQLITE, version))
        raise BadConfig("sqlite", f"version {needed} is needed, Python has {found}")


def _steps(folder: Path) -> list[str]:
    """Return the migrations in order; their numbers have no gap."""
    files = sorted(folder.glob("*.sql"))
    numbers = [int(file.name.partition("_")[0]) for file in files]
    if numbers != list(range(1, len(files) + 1)):
        raise ValueError(f"migrations must be numbered without a gap, found {numbers}")
    return [file.read_text("utf-8") for file in files]


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE


@contextmanager
def translated() -> Iterator[None]:
    """Raise ``Unavailable`` for what the surroundings did, ``QueueDamaged`` for what they broke."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        translate(error)


def translate(error: sqlite3.DatabaseError) -> NoReturn:
    """Raise in its place ``Unavailable`` or ``QueueDamaged``; itself where it is a bug of ours."""
    match _code(error):
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            raise QueueDamaged(str(error)) from error
        case sqlite3.SQLITE_FULL:
            raise Unavailable("DISK_FULL", f"no room for the queue: {error}") from error
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            raise Unavailable("DISK_TROUBLE", f"the queue's disk: {error}") from error
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            raise Unavailable("SPOOL_IN_USE", f"the queue is open elsewhere: {error}") from error
        case sqlite3.SQLITE_ERROR if str(error).startswith("no such table"):
            raise QueueDamaged(str(error)) from error
        case sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_PROTOCOL | sqlite3.SQLITE_INTERRUPT:
            raise Unavailable("QUEUE_WRITE", f"the queue: {error}") from error
        case _:
            raise error
