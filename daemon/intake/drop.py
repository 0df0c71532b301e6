"""What lies in an inbox: the drops, and what each of them holds. One look, no judgement.

Theory of operation
-------------------
``list_inbox`` sorts the top level by name and kind. ``look`` takes a picture of one drop:
every file with its *signature*, by which a later picture tells what changed. Both read
directories and ``lstat``; neither opens a file.

Rules
-----
1. No symbolic link is followed, at any depth; folders are entered by descriptor.
2. Links, pipes, devices, sockets and files with a second name (hard links, through which the
   bytes could change after every check) make the drop unusable, whatever their names.
   Hidden folders and junk are not entered, here or by any handler.
3. A look is bounded by the limits of the inbox, whatever was dropped.
"""

import heapq
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from daemon.archives import archive_suffix
from daemon.config.models import Limits
from daemon.errors import BadInput
from daemon.intake.filenames import kind_of, suffix_of
from daemon.layout import CANCEL, MARKER_BESIDE, PAUSE, SETTINGS, SETTINGS_BESIDE
from daemon.text import display, spellings
from dsp.containers.junk import composed, stands_for, waits_for

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LEFT_ALONE_NAMED = 50
"""More is of no use to a reader, and would be written into every heartbeat."""
_NAMES_LOOKED_AT = 1 << 16
"""Names of any kind in one drop; junk is not endless. 60,000 take a tenth of a second."""
_LONGEST_PATH_BYTES = 3000
"""Within a drop. With the folders above it, a path of 4096 cannot be opened, by handlers either."""


Accepts = frozenset[str] | None
"""Lower-case suffixes of the files that a handler works on; ``None``: of any."""


class Signature(NamedTuple):
    """By which two looks at a file are compared. Times are never compared with a clock."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Signature":
        """Return the signature in a stat result."""
        times = found.st_mtime_ns, found.st_ctime_ns
        return cls(found.st_dev, found.st_ino, found.st_size, *times)

    def across_rename(self) -> "Signature":
        """Return what a rename leaves alone: all but the ctime."""
        return self._replace(ctime_ns=0)


@dataclass(frozen=True, slots=True)
class Found:
    """One file of a drop."""

    path: str
    """Relative to the drop; the drop's own name when it is a file."""
    signature: Signature
    accepted: bool = False
    """By its name, it is of a kind that the handler works on."""

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.signature.size


@dataclass(frozen=True, slots=True)
class Drop:
    """One look at one drop."""

    name: str
    kind: Literal["file", "folder", "other"]
    files: tuple[Found, ...] = ()
    """Sorted by path; without junk, hidden files, markers and settings."""
    settings: Found | None = None
    """``job.yaml`` inside a folder (path ``job.yaml``), else ``NAME.job.yaml`` beside the drop."""
    marks: tuple[Found, ...] = ()
    """Markers: ``.done`` … of the drop (path empty) or of one file (its path, composed)."""
    arriving: tuple[str, ...] = ()
    """Files whose names say that they are not complete."""
    placeholders: tuple[str, ...] = ()
    """Audio files that a cloud drive has listed and not fetched."""
    problem: BadInput | None = None
    ctime_ns: int = 0
    """Of the top-level entry: when it came under its name."""

    @property
    def bytes(self) -> int:
        """Size of all its files together."""
        return sum(file.bytes for file in self.files)

    @property
    def accepted(self) -> tuple[Found, ...]:
        """The files that the handler works on."""
        return tuple(file for file in self.files if file.accepted)

    @property
    def signature(self) -> tuple[tuple[str, Signature], ...]:
        """All that must stay unchanged while the drop settles."""
        whole = (*self.files, self.settings) if self.settings else self.files
        return tuple((file.path, file.signature) for file in whole)


@dataclass
class Listing:
    """The top level of an inbox, sorted."""

    drops: list[str] = field(default_factory=list)
    cancels: dict[str, str] = field(default_factory=dict)
    """Name -> file that asks for it to be cancelled; a drop's name as it is on disk."""
    paused: bool = False
    left_alone: dict[str, str] = field(default_factory=dict)
    """Name -> why it is no drop; the first ones of many."""
    left_alone_more: int = 0
    """How many further ones there are."""


def list_inbox(
    folder: int, accepts: Accepts = None, *, named: int | None = LEFT_ALONE_NAMED
) -> Listing:
    """Sort what lies in the inbox that is open as `folder`; single files by their suffix.

    Of what is left alone, the first `named` are named: there may be tens of thousands.
    """
    listing = Listing()
    unknown: dict[str, str] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name, kind = entry.name, kind_of(entry.name)
            if name.lower() == PAUSE:
                listing.paused = True
            elif kind == "cancel":
                listing.cancels[name[: -len(CANCEL)]] = name
            elif kind in ("settings", "marker") and _is_orphan(folder, name):
                unknown[name] = "belongs to a drop that is not here"
            elif kind == "plain" and _is_plain_but_unknown(entry, accepts):
                unknown[name] = "not a kind of file that this inbox takes"
            elif kind == "plain":
                listing.drops.append(name)
    listing.drops.sort()
    if listing.cancels:
        there = {composed(name): name for name in listing.drops}
        asked = sorted(listing.cancels.items())
        listing.cancels = {there.get(composed(name), name): file for name, file in asked}
    first = sorted(unknown) if named is None else heapq.nsmallest(named, unknown)
    listing.left_alone = {display(name): unknown[name] for name in first}
    listing.left_alone_more = len(unknown) - len(first)
    return listing


def look(inbox: int, name: str, limits: Limits, accepts: Accepts = None) -> Drop | None:
    """Take a picture of the drop `name` in the directory `inbox`; ``None`` when it has gone."""
    try:
        found = os.lstat(name, dir_fd=inbox)
    except FileNotFoundError:
        return None
    tally = _Tally(limits, accepts)
    if stat.S_ISREG(found.st_mode):
        tally.take(name, name, found, archive=True)
        kind: Literal["file", "folder", "other"] = "file"
    elif stat.S_ISDIR(found.st_mode):
        tally.walk(inbox, name, "", 1)
        kind = "folder"
    else:
        tally.refuse(*_kind_refused(found.st_mode, name))
        kind = "other"
    if tally.settings is None and (beside := _beside(inbox, name, SETTINGS_BESIDE)):
        tally.take_settings(*beside)
    mark = _beside(inbox, name, MARKER_BESIDE)
    if mark and stat.S_ISREG(mark[1].st_mode):
        tally.marks.append(Found("", Signature.of(mark[1])))
    tally.check_size()
    return Drop(
        name,
        kind,
        tuple(sorted(tally.files, key=lambda file: file.path)),
        tally.settings,
        tuple(tally.marks),
        tuple(sorted(tally.arriving)),
        tuple(sorted(tally.placeholders)),
        tally.problem,
        found.st_ctime_ns,
    )


class _Tally:
    """What a walk through one drop has found so far."""

    def __init__(self, limits: Limits, accepts: Accepts) -> None:
        self._limits, self._accepts = limits, accepts
        self._entries = 0
        self.files: list[Found] = []
        self.marks: list[Found] = []
        self.arriving: list[str] = []
        self.placeholders: list[str] = []
        self.settings: Found | None = None
        self.problem: BadInput | None = None

    def refuse(self, code: str, message: str, path: str) -> None:
        """Note the first thing that makes the drop unusable."""
        self.problem = self.problem or BadInput(code, message, path=display(path))

    def check_size(self) -> None:
        """Refuse what is over the limit of bytes."""
        total = sum(file.bytes for file in self.files)
        if total > self._limits.bytes:
            self.refuse("TOO_LARGE", f"{total} bytes, at most {self._limits.bytes} are taken", "")

    def take(self, path: str, name: str, found: os.stat_result, *, archive: bool = False) -> None:
        """Note one plain file."""
        if found.st_nlink > 1:
            self.refuse("REFUSED_KIND", f"{display(path)} has a second name (hard link)", path)
        accepted = _is_accepted(name, self._accepts) or (archive and bool(archive_suffix(name)))
        self.files.append(Found(path, Signature.of(found), accepted))
        if len(self.files) > self._limits.files:
            self.refuse("TOO_MANY_FILES", f"more than {self._limits.files} files", path)

    def take_settings(self, path: str, found: os.stat_result) -> None:
        """Note the settings file; nothing else of that name is passed over in silence."""
        if stat.S_ISREG(found.st_mode):
            self.settings = Found(path, Signature.of(found))
        else:
            self.refuse("SETTINGS_INVALID", f"{display(path)} is not a plain file", path)

    def walk(self, parent: int, name: str, prefix: str, depth: int) -> None:
        """Note all that lies in the folder `name`; what vanishes meanwhile is left out."""
        try:
            fd = os.open(name, _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            return
        except PermissionError:
            folder = display(prefix or name)
            self.refuse("INPUT_UNREADABLE", f"the folder {folder} may not be opened", prefix)
            return
        try:
            with os.scandir(fd) as entries:
                self._note(fd, entries, prefix, depth)
        finally:
            os.close(fd)

    def _note(
        self, fd: int, entries: Iterable["os.DirEntry[str]"], prefix: str, depth: int
    ) -> None:
        for entry in entries:
            self._entries += 1
            if self._entries > max(_NAMES_LOOKED_AT, self._limits.files):
                self.refuse("TOO_MANY_FILES", "too many names of all kinds", prefix)
            if self.problem and self.problem.code == "TOO_MANY_FILES":
                return  # the answer is known, and a look is bounded
            with suppress(FileNotFoundError):
                self._sort(fd, entry, prefix + entry.name, depth)

    def _sort(self, fd: int, entry: "os.DirEntry[str]", path: str, depth: int) -> None:
        kind = kind_of(entry.name)
        if kind in ("junk", "hidden") and _is_harmless(entry):
            real = stands_for(entry.name)
            if real and _is_accepted(real, self._accepts) and not _is_there(fd, real):
                self.placeholders.append(path.removesuffix(entry.name) + real)
            return  # without a stat: there may be many
        found = entry.stat(follow_symlinks=False)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            self.refuse(*_kind_refused(found.st_mode, path))
        elif path == SETTINGS:
            self.take_settings(path, found)
        elif kind == "arriving" and not _is_there(fd, waits_for(entry.name)):
            self.arriving.append(path)
        elif stat.S_ISDIR(found.st_mode) and depth >= self._limits.depth:
            self.refuse("TOO_DEEP", f"{display(path)} lies too deep", path)
        elif len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
            self.refuse("TOO_DEEP", f"the path of {display(entry.name)} is too long", "")
        elif stat.S_ISDIR(found.st_mode):
            self.walk(fd, entry.name, path + "/", depth + 1)
        elif kind == "marker":
            self.marks.append(Found(_marked(path), Signature.of(found)))
        else:
            self.take(path, entry.name, found)


def _is_accepted(name: str, accepts: Accepts) -> bool:
    return accepts is None or suffix_of(name) in accepts


def _is_plain_but_unknown(entry: "os.DirEntry[str]", accepts: Accepts) -> bool:
    known = _is_accepted(entry.name, accepts) or archive_suffix(entry.name)
    with suppress(OSError):  # one bad entry says nothing about the others: its own look will tell
        return not known and entry.is_file(follow_symlinks=False)
    return False


def _is_harmless(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)


def _is_there(folder: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=folder)  # of an empty name: FileNotFoundError
    except OSError:
        return False
    return True


def _is_orphan(folder: int, name: str) -> bool:
    small = name.lower()
    suffix = MARKER_BESIDE if small.endswith(MARKER_BESIDE) else SETTINGS_BESIDE
    names = spellings(name[: -len(suffix)]) if small.endswith(suffix) else ()
    return not any(_is_there(folder, each) for each in names)


def _marked(path: str) -> str:
    """Return which file a marker inside a folder is for, composed; empty: the whole folder."""
    folder, _, name = path.rpartition("/")
    own = name.lower().endswith(MARKER_BESIDE) and name.lower() != MARKER_BESIDE
    if own:
        return composed(path[: -len(MARKER_BESIDE)])
    # A marker in a sub-folder says nothing about the rest; it marks a file that is not there.
    return f"{folder}/" if folder else ""


def _kind_refused(mode: int, path: str) -> tuple[str, str, str]:
    if stat.S_ISLNK(mode):
        return "REFUSED_SYMLINK", f"{display(path)} is a symbolic link", path
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    return "REFUSED_KIND", f"{display(path)} is {kind}", path


def _beside(inbox: int, name: str, suffix: str) -> tuple[str, os.stat_result] | None:
    for each in spellings(name):
        with suppress(OSError):  # gone, or the longer name is too long to exist
            return each + suffix, os.lstat(each + suffix, dir_fd=inbox)
    return None
