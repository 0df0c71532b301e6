"""One folder as it is, held against its rows.

Most of a library is as it was. So a folder's row keeps a digest of all that its entries said of
themselves; where it is the same, no file's row is read, and listing the folder is all that the
scan costs. Else each entry is compared with its row.
"""

import hashlib
import marshal
import os
import stat
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, islice
from typing import Any, TypeAlias

from daemon.handlers.library.catalogue import as_bytes, as_text, joined
from daemon.handlers.library.sight import Folder, Sight
from daemon.handlers.library.subfolders import LIST, exists, list_in, write_folders
from daemon.handlers.library.tree import int64, quick_id
from daemon.text import shown
from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.containers.junk import kind_of

_INODES_SURE = 64
_PENDING = 5_000
_TOGETHER = 10_000
"""Entries that are held at a time. A folder with more has no digest."""
_LEFT_OUT = ".nomedia"

_KNOWN = """SELECT name, size, mtime_ns, ctime_ns, ino, state, kind, id FROM file
    WHERE folder = ?"""
_INSERT = """INSERT INTO file (folder, name, kind, size, mtime_ns, ctime_ns, ino, links, born_gen,
    due, due_gen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SEEN = """UPDATE file SET kind = ?, size = ?, mtime_ns = ?, ctime_ns = ?, ino = ?, links = ?,
    state = 'here', last_gen = NULL, missing_gen = NULL, missing_ms = NULL WHERE id = ?"""
_STALE = """UPDATE file SET quick = NULL, sha256 = NULL, audio_md5 = NULL,
    due = iif(kind = 'audio', 'tags', NULL), due_gen = ? WHERE id = ?"""
_ABSENT = """UPDATE file SET state = 'missing', last_gen = ?, missing_gen = ?, missing_ms = ?
    WHERE id = ? AND state = 'here'"""

_Entry: TypeAlias = tuple[str, os.stat_result | None]
"""A name, and what it is; of a folder nothing."""


class Differences:
    """What differs between a folder and its rows."""

    def __init__(self, sight: Sight, folder: Folder, fd: int) -> None:
        self._sight, self._folder, self._fd = sight, folder, fd
        self._catalogue = sight.catalogue
        self._where = as_text(folder.path)
        self._ignored = folder.ignored
        self._fresh: list[tuple[object, ...]] = []
        self._seen: list[tuple[object, ...]] = []
        self._stale: list[int] = []
        self._absent: list[int] = []
        self._events: list[tuple[str, int, bytes]] = []
        self._names: list[bytes] = []
        """Of files that are new, or came back."""
        self._folders: list[bytes] = []
        self._young = False
        self._digest: bytes | None = None
        self._differing = True

    def find(self) -> None:
        """List the folder to its end and compare.

        Raises
        ------
        OSError
            It could not be listed; nothing may be said of what is missing.
        """
        sight = self._sight
        with os.scandir(self._fd) as entries:
            together = _stated(islice(entries, _TOGETHER))
            whole, names = len(together) < _TOGETHER, dict(together)
            # Most folders have neither, and the listing says so without a question more.
            if _LEFT_OUT in names or (not whole and exists(self._fd, _LEFT_OUT)):
                self._compare(())
                return
            if LIST in names or not whole:
                self._ignored = self._ignored.with_list(self._where, list_in(self._fd))
            if whole:
                self._digest = self._digested(together)
                if self._digest == self._folder.digest and not sight.full:
                    self._differing = False
                    self._folders = [as_bytes(name) for name, told in together if told is None]
                    sight.told.files += (same := len(together) - len(self._folders))
                    sight.same += same
                    return
            rest = iter(lambda: _stated(islice(entries, _TOGETHER)), [])
            self._compare(chain(together, chain.from_iterable(rest)))

    def _digested(self, entries: Iterable[_Entry]) -> bytes:
        told = [
            (name, one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino) if one else (name,)
            for name, one in entries
        ]
        told.sort()
        digest = hashlib.blake2b(self._ignored.key, digest_size=16)
        # This version writes equal values alike: it has no references.
        digest.update(marshal.dumps(told, 2))
        return digest.digest()

    def _compare(self, entries: Iterable[_Entry]) -> None:
        sight = self._sight
        rows = self._known()
        known = {row[0]: row for row in rows}
        match_known = bool(self._ignored.lists)
        before, differing, new_before = len(known), 0, sight.told.new
        for text, told in entries:
            name = as_bytes(text)
            if told is None:
                if not self._left_out(text, is_folder=True):
                    self._folders.append(name)
                continue
            row = known.get(name)
            if (row is None or match_known) and self._left_out(text, is_folder=False):
                continue
            known.pop(name, None)
            if (
                row is None
                or row[1] != told.st_size
                or row[2] != told.st_mtime_ns
                or row[3] != told.st_ctime_ns
                or (row[4] != told.st_ino and sight.inodes)
                or row[5] != "here"
            ):
                differing += 1
                self._differs(text, name, row, told)
        sight.told.files += before - len(known) + sight.told.new - new_before
        sight.same += max(0, before - len(known) - differing)
        self._absent += [row[7] for row in known.values() if row[5] == "here"]
        if self._names:
            self._say_collisions([row[0] for row in rows if row[0] not in known])

    def _known(self) -> list[Any]:
        """Return the rows of the folder's files; of one that nobody listed there are none."""
        if self._folder.unknown:
            return []
        return self._catalogue.execute(_KNOWN, (self._folder.id,)).fetchall()

    def _left_out(self, name: str, *, is_folder: bool) -> bool:
        if kind_of(name) != "plain":
            return True
        ignored = self._ignored
        return bool(ignored.lists) and ignored.leaves_out(self._where, name, is_folder=is_folder)

    def _differs(self, text: str, name: bytes, row: Any, told: os.stat_result) -> None:  # noqa: ANN401 - a row
        """Note a file that is new, or not quite what its row says."""
        sight = self._sight
        kind = _kind(text, told.st_mode)
        size, mtime_ns, ino = told.st_size, int64(told.st_mtime_ns), int64(told.st_ino)
        ctime_ns = int64(told.st_ctime_ns)
        sight.ctimes += 1
        sight.whole_seconds += ctime_ns % 1_000_000_000 == 0
        if sight.young(mtime_ns) or sight.young(ctime_ns):
            ctime_ns, self._young = 0, True
        if kind is None:  # a pipe, a socket or a device
            if row is not None and row[5] == "here":
                self._absent.append(row[7])
            return
        values = kind, size, mtime_ns, ctime_ns, ino, told.st_nlink
        if row is None:
            due = ("tags", sight.gen) if kind == "audio" else (None, None)
            self._fresh.append((self._folder.id, name, *values, sight.gen, *due))
            sight.told.new += 1
            self._names.append(name)
            if len(self._fresh) >= _PENDING:
                self._insert()
            return
        file, here = row[7], row[5] == "here"
        equal = (row[1], row[2], row[6]) == (size, mtime_ns, kind)
        if equal and here and row[4] != ino:
            self._other_inode()
        if not equal or self._other_bytes(row, ctime_ns, ino, size):
            self._stale.append(file)
            self._events.append(("changed", file, name))
        elif row[3] == 0:  # it may have been written after it was read
            self._stale.append(file)
        if not here:
            self._events.append(("returned", file, name))
            self._names.append(name)
        self._seen.append((*values, file))

    def _other_inode(self) -> None:
        sight = self._sight
        sight.other_inodes += 1
        if sight.inodes and sight.other_inodes >= max(_INODES_SURE, sight.same):
            sight.lose_inodes()

    def _other_bytes(self, row: Any, ctime_ns: int, ino: int, size: int) -> bool:  # noqa: ANN401
        """Tell whether a file of the same size and time has other bytes, as far as it is known."""
        if row[3] in {0, ctime_ns} and (row[4] == ino or not self._sight.inodes):
            return False
        found = self._catalogue.execute("SELECT quick FROM file WHERE id = ?", (row[7],))
        if (quick := found.fetchone()[0]) is None:
            return False
        with suppress(OSError), self._sight.tree.opened(self._folder.path, row[0]) as fd:
            return bool(quick_id(fd, size) != quick)
        return False

    def _say_collisions(self, names: list[bytes]) -> None:
        """Say which names that came differ from others in case or in the form of accents alone."""
        new = set(self._names)
        together = new.union(names)
        if len(set(map(_folded, together))) == len(together):
            return
        alike: dict[bytes, list[bytes]] = {}
        for name in together:
            alike.setdefault(_folded(name), []).append(name)
        for _, same in sorted(alike.items()):
            if len(same) > 1 and not new.isdisjoint(same):
                listed = ", ".join(repr(shown(as_text(name))) for name in sorted(same))
                where = f"{self._sight.name}/{self._where}".rstrip("/")
                self._sight.told.note("NAME_COLLISION", f"{where} holds {listed}: all are kept")

    def _insert(self) -> None:
        self._catalogue.executemany(_INSERT, self._fresh)
        self._fresh.clear()

    def write(self, mount: str | None, dev: int) -> list[Folder]:
        """Write what was found; return the subfolders."""
        sight, folder = self._sight, self._folder
        if not self._differing:
            sight.unchanged.append((int64(dev), mount, sight.gen, folder.id))
            if not self._folders:
                return []
            # The digest has all names, those that are left out too.
            self._folders = [
                name for name in self._folders if not self._left_out(as_text(name), is_folder=True)
            ]
            return write_folders(sight, folder, self._folders, self._ignored)
        self._insert()
        for query, rows in (
            (_SEEN, self._seen),
            (_STALE, [(sight.gen, file) for file in self._stale]),
            (_ABSENT, [(folder.seen_gen, sight.gen, sight.now_ms, file) for file in self._absent]),
        ):
            if rows:
                self._catalogue.executemany(query, rows)
        for kind, file, name in self._events:
            path = joined(as_bytes(sight.name), joined(folder.path, name))
            before = path if kind == "changed" else None
            self._catalogue.event(sight.gen, kind, file, before, path)
        self._catalogue.execute(
            """UPDATE folder SET dev = ?, mount = ?, seen_gen = ?, digest = ?, trouble = NULL
            WHERE id = ?""",
            (int64(dev), mount, sight.gen, None if self._young else self._digest, folder.id),
        )
        return write_folders(sight, folder, self._folders, self._ignored)


def _stated(entries: Iterable["os.DirEntry[str]"]) -> list[_Entry]:
    """Ask entries what they are; those that are gone meanwhile are left out."""
    found: list[_Entry] = []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            found.append((entry.name, None))
        else:
            try:
                found.append((entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return found


def _kind(name: str, mode: int) -> str | None:
    if stat.S_ISREG(mode):
        _, dot, suffix = name.rpartition(".")
        return "audio" if dot and f".{suffix}".lower() in AUDIO_SUFFIXES else "other"
    return "link" if stat.S_ISLNK(mode) else None


def _folded(name: bytes) -> bytes:
    if name.isascii():
        return name.lower()
    return as_bytes(unicodedata.normalize("NFC", as_text(name)).casefold())
