"""What a disk may hold after a power cut: replays a recording up to an instant, and forgets.

Theory of operation
-------------------
A recording is a list of events in the order in which they had happened (``recorder.c``). ``Disk``
keeps two pictures while it replays them: what a process sees *now*, and what is *kept*. Between
the two lies what is pending. A cut keeps a random part of it, in one of three ways (``WAYS``).

Rules
-----
1. ``fsync`` of a file keeps its content, and nothing of its name.
2. ``fsync`` of a directory keeps all that happened to its names.
3. A pending write is there in pieces of 512 or 4,096 bytes, each of them or not; a pending
   change of size too; where only the size came, there are zeros.
4. A pending change of a name is there or not, in no order; but a rename is one change, of both
   its directories, as it is on every journaling file system.
5. That was ``reordered``. In the other ways every change of a name holds, synced or not: with
   ``content lost``, no pending write does, and a file has its kept length or, in zeros, its new
   one; with ``pages torn``, each page of 4,096 bytes that changed is the new or the kept one.

References
----------
Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014), whose abstract model this
is, with atomic renames. LazyFS (Ramos et al., VLDB 2024), which shows the other two.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("<B7xQQqII")
_SECTORS = (512, 4096)
_PAGE = 4096
WAYS = ("reordered", "content lost", "pages torn")


class Event(NamedTuple):
    """One call that had happened."""

    op: str
    """Create, Directory, Write, Truncate, Sync, Rename, Unlink."""
    a: int
    """The inode; of the directory, where there is a name."""
    b: int
    """The inode made, or the directory that is renamed into."""
    offset: int
    first: bytes
    """The name, or the data."""
    second: bytes
    """The new name."""


def events_of(log: Path) -> list[Event]:
    """Return the events of a recording."""
    data, place, events = log.read_bytes(), 0, []
    while place < len(data):
        op, a, b, offset, first, second = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        texts = data[place : place + first], data[place + first : place + first + second]
        events.append(Event(chr(op), a, b, offset, *texts))
        place += first + second
    return events


Names = dict[tuple[int, bytes], "int | None"]
"""(directory, name) -> what it names, None for nothing."""


@dataclass
class _File:
    now: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, data), or (size, None)."""

    def change(self, offset: int, data: bytes | None) -> None:
        _apply(self.now, offset, data)
        self.pending.append((offset, data))

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.kept, *change)
        self.pending.clear()

    def after_cut(self, dice: random.Random, share: float) -> bytes:
        content = bytearray(self.kept)
        for offset, data in self.pending:
            if data is None:
                if dice.random() < share:
                    _apply(content, offset, None)
                continue
            for start, piece in _pieces(offset, data, dice.choice(_SECTORS)):
                if dice.random() < share:
                    _apply(content, start, piece)
        if self.pending and dice.random() < share:  # the size came, not all of the data
            content.extend(bytes(max(0, len(self.now) - len(content))))
        return bytes(content)

    def lost(self, dice: random.Random) -> bytes:
        content = self.kept[: len(self.now)]
        return bytes(content.ljust(len(self.now), b"\0") if dice.random() < 0.5 else content)

    def torn(self, dice: random.Random) -> bytes:
        old = self.kept.ljust(len(self.now), b"\0")
        starts = range(0, len(self.now), _PAGE)
        return b"".join(
            dice.choice((old, self.now))[start : min(start + _PAGE, len(self.now))]
            for start in starts
        )


class Disk:
    """The files and directories below one folder."""

    def __init__(self, root_inode: int) -> None:
        self._at = {root_inode: 0}
        """Inode -> our own number; inodes are used again."""
        self._files: dict[int, _File | None] = {0: None}
        """None: a directory."""
        self._now: Names = {}
        self._kept: Names = {}
        self._pending: list[Names] = []

    def apply(self, event: Event) -> None:
        """Let one more event happen."""
        match event.op:
            case "C" | "D":
                number = len(self._files)
                self._files[number] = _File() if event.op == "C" else None
                self._at[event.b] = number
                self._rename({(self._at[event.a], event.first): number})
            case "W":
                self._file(event.a).change(event.offset, event.first)
            case "T":
                self._file(event.a).change(event.offset, None)
            case "S":
                self._sync(self._at[event.a])
            case "U":
                self._rename({(self._at[event.a], event.first): None})
            case "R":
                source = self._at[event.a], event.first
                target = self._at[event.b], event.second
                self._rename({source: None, target: self._now.get(source)})

    def tree_now(self) -> dict[str, bytes | None]:
        """Return what a process sees: path -> content, None for a directory."""
        return dict(self._walk(self._now, lambda file: bytes(file.now)))

    def tree_after_cut(self, dice: random.Random, way: str) -> dict[str, bytes | None]:
        """Return what may be found after a cut at this instant."""
        if way == "content lost":
            return dict(self._walk(self._now, lambda file: file.lost(dice)))
        if way == "pages torn":
            return dict(self._walk(self._now, lambda file: file.torn(dice)))
        share = dice.choice((0.0, 0.2, 0.5, 0.8))
        names = dict(self._kept)
        for change in self._pending:
            if dice.random() < share:
                names.update(change)
        return dict(self._walk(names, lambda file: file.after_cut(dice, share)))

    def _file(self, inode: int) -> _File:
        file = self._files[self._at[inode]]
        assert file is not None
        return file

    def _rename(self, change: Names) -> None:
        self._now.update(change)
        self._pending.append(change)

    def _sync(self, number: int) -> None:
        file = self._files[number]
        if file is not None:
            file.sync()
            return
        waiting: list[Names] = []
        for change in self._pending:
            if not any(folder == number for folder, _ in change):
                waiting.append(change)
                continue
            self._kept.update(change)
            for earlier in waiting:  # what it overtook must not come back
                for place in change:
                    earlier.pop(place, None)
        self._pending = waiting

    def _walk(self, names: Names, content, folder: int = 0, prefix: str = ""):
        for (holder, name), number in names.items():
            if holder != folder or number is None:
                continue
            path, file = prefix + name.decode(), self._files[number]
            yield path, None if file is None else content(file)
            if file is None:
                yield from self._walk(names, content, number, f"{path}/")


def lay_out(tree: dict[str, bytes | None], root: Path) -> None:
    """Make a tree real."""
    root.mkdir()
    for path, content in tree.items():
        if content is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _pieces(offset: int, data: bytes, sector: int) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(data):
        end = min(len(data), start + sector - (offset + start) % sector)
        yield offset + start, data[start:end]
        start = end
