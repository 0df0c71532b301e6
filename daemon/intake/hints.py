"""Hints that something changed below the roots of an inbox: they bring its scan forward.

Theory of operation
-------------------
One thread for each inbox with ``every_s`` watches the folders below its roots by inotify, the
upper ones first and only so many. It collects in which folders something moved. When nothing has
moved for a minute, or something has for ten, the timer drops a scan of these folders.

Nothing depends on it. Where the kernel tells nothing, a root lies on another machine, a watch is
refused or an event is lost, the scan of ``every_s`` finds what changed.

Rules
-----
1. Only this thread touches a root, and never one of a network file system: what hangs there hangs
   this thread alone.
2. No link is followed and no mount entered below a root.
3. What was moved with its folder is watched under its new name only after ``take``: until then
   the folder above, which was told, stands for it.

References
----------
inotify(7).
"""

import ctypes
import logging
import os
import select
import struct
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from daemon.clock import Clock
from daemon.intake.mounts import is_network, read_mountinfo
from dsp.containers.junk import kind_of

_LOG = logging.getLogger(__name__)
QUIET_S, LONGEST_S = 60.0, 600.0
"""A handler examines what is older than ``settle_s``, so a scan waits for quiet first."""
_REST_S = 0.2
"""Between two reads: the kernel gathers events, and merges equal ones."""
MOST_WATCHES = 20_000
"""Of an inbox; a watch takes a kilobyte in the kernel, and 200 bytes here."""
_SHARE = 4
"""The part of the user's watches that one inbox may take: 1/4."""
_MOST_FOLDERS = 200
"""Of a scan; beyond, the whole root is looked at."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_EVENT = struct.Struct("iIII")
# linux/inotify.h: modify's end, attributes of none, and all that comes and goes
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_UNMOUNT, _OVERFLOW, _IGNORED, _IS_FOLDER = 0x2000, 0x4000, 0x8000, 0x40000000
_ONLY_FOLDERS, _DONT_FOLLOW, _EXCLUDE_UNLINKED = 0x01000000, 0x02000000, 0x04000000
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_HOW = _ONLY_FOLDERS | _DONT_FOLLOW | _EXCLUDE_UNLINKED
_Place = tuple[str, str]
"""The name of a root, and a path below it."""


class Hints:
    """What moved below some roots.

    Parameters
    ----------
    roots : mapping
        Names and places.
    clock : Clock
    most_watches : int
    """

    def __init__(
        self, roots: Mapping[str, Path], clock: Clock, most_watches: int = MOST_WATCHES
    ) -> None:
        self._roots, self._clock = roots, clock
        self._most = min(most_watches, _allowed() // _SHARE)
        self._lock = threading.Lock()
        self._moved: set[_Place] = set()
        self._first_s = self._last_s = 0.0
        self._stale = True
        """The watches are to be set anew."""
        self._tops: dict[str, tuple[int, int] | None] = {}
        self._places: dict[int, _Place] = {}
        self._fd = -1
        self._stopped = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self.watching = 0
        """Folders that are watched; read it from any thread."""

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """End soon; who hangs ends when the root answers."""
        with self._lock:
            if self._stopped >= 0:
                os.eventfd_write(self._stopped, 1)

    def ripe(self) -> bool:
        """Tell whether a scan is due for what moved."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            quiet = now_s - self._last_s >= QUIET_S or now_s - self._first_s >= LONGEST_S
            return bool(self._moved) and quiet

    def postpone(self) -> None:
        """Be ripe again after as long a quiet: now a scan waits or is at work."""
        with self._lock:
            self._first_s = self._last_s = self._clock.monotonic_s()

    def take(self) -> list[str]:
        """Return the folders that moved, the names of their roots first, and forget them."""
        with self._lock:
            moved, self._moved = self._moved, set()
        return _upper(moved)

    # -- the thread

    def _run(self) -> None:
        try:
            roots = {name: path for name, path in self._roots.items() if _tells(path)}
            while roots:
                if self._stale and not self._moved:
                    self._stale = False
                    self._watch_all(roots)
                waited, _, _ = select.select([self._fd, self._stopped], [], [], QUIET_S)
                if self._stopped in waited:
                    break
                if waited:
                    self._hear(os.read(self._fd, 1 << 16))
                    select.select([self._stopped], [], [], _REST_S)
                elif self._tops != {name: _identity(path) for name, path in roots.items()}:
                    self._stale = True  # it was mounted, or something else was
        except OSError as error:
            _LOG.info("hints end, scans go on: %s", error.strerror)
        finally:
            self._close()
            with self._lock:
                os.close(self._stopped)
                self._stopped = -1

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self.watching = -1, 0
        self._places.clear()

    def _watch_all(self, roots: Mapping[str, Path]) -> None:
        self._close()
        self._fd = _LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self._tops = {name: _identity(path) for name, path in roots.items()}
        for name in roots:
            self._watch((name, ""))
        self.watching = len(self._places)
        _LOG.debug("hints roots=%s folders=%d", ",".join(roots), self.watching)

    def _watch(self, top: _Place) -> None:
        """Watch a folder and those below it, the upper ones first."""
        left, device = deque([top]), None
        while left and len(self._places) < self._most:
            root, below = place = left.popleft()
            path = self._roots[root] / below
            with suppress(OSError):  # it is gone, or refuses: the scan will say so
                found = path.stat(follow_symlinks=not below)
                device = found.st_dev if device is None else device
                if found.st_dev != device:
                    continue
                how = _MASK | (_HOW if below else _ONLY_FOLDERS | _EXCLUDE_UNLINKED)
                watch = _LIBC.inotify_add_watch(self._fd, os.fsencode(path), how)
                if watch < 0:
                    return  # the limit is reached
                self._places[watch] = place
                with os.scandir(path) as entries:
                    names = [one.name for one in entries if one.is_dir(follow_symlinks=False)]
                inner = (f"{below}/{name}" if below else name for name in sorted(names))
                left += [(root, one) for one in inner if kind_of(one.rpartition("/")[2]) == "plain"]

    def _hear(self, events: bytes) -> None:
        at, moved = 0, set[_Place]()
        while at < len(events):
            watch, mask, _, length = _EVENT.unpack_from(events, at)
            name = os.fsdecode(events[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0"))
            at += _EVENT.size + length
            if mask & _OVERFLOW:
                moved |= {(root, "") for root in self._roots}
            elif mask & _UNMOUNT:
                self._stale = True
            elif mask & _IGNORED:
                self._places.pop(watch, None)
            elif (place := self._places.get(watch)) and kind_of(name) == "plain":
                moved.add(place)
                if mask & _IS_FOLDER:
                    self._stale = self._stale or bool(mask & _MOVED_FROM)
                    if mask & (_CREATE | _MOVED_TO):
                        self._watch((place[0], f"{place[1]}/{name}".lstrip("/")))
        self.watching = len(self._places)
        if moved:
            now_s = self._clock.monotonic_s()
            with self._lock:
                self._first_s = self._first_s if self._moved else now_s
                self._last_s = now_s
                self._moved |= moved


def _tells(path: Path) -> bool:
    """Tell whether the kernel announces what changes there; asked by its name first (rule 1)."""
    mounts = read_mountinfo()
    return not is_network(path, mounts, resolved=True) and not is_network(path, mounts)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _allowed() -> int:
    try:
        return int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    except (OSError, ValueError):
        return 0


def _upper(moved: set[_Place]) -> list[str]:
    """Return folders without those that lie in others; too many, or no text: those above."""
    found: set[str] = set()
    for root, below in moved:
        path = f"{root}/{below}".rstrip("/")
        while "/" in path and not path.isprintable():  # nor are bytes that are no UTF-8
            path = path.rpartition("/")[0]
        found.add(path)
    kept = [one for one in found if not any(above in found for above in _above(one))]
    return sorted(kept) if len(kept) <= _MOST_FOLDERS else sorted({root for root, _ in moved})


def _above(path: str) -> list[str]:
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]
