"""The watch on one folder: a wake-up by inotify, built, checked, and built anew."""

import ctypes
import errno
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from watchdog import events
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from daemon.files import ask_for_descriptors

# Its emitter says so, at level error, when it is stopped between two reads: as we always do.
logging.getLogger("watchdog.observers.inotify").addFilter(
    lambda record: "when the thread is inactive" not in str(record.msg)
)

_LIBC = ctypes.CDLL(None, use_errno=True)
_IN_CREATE = 0x100  # linux/inotify.h
_CHANGES: list[type[FileSystemEvent]] = [
    *(events.FileCreatedEvent, events.FileMovedEvent, events.FileDeletedEvent),
    *(events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent),
    *(events.FileModifiedEvent, events.FileClosedEvent),
]
"""Nothing that is opened and closed unchanged: our own looks are, several times a drop."""
_DESCRIPTORS = 8
"""More than a watch takes: an inotify instance and a pipe."""


class _WakeUp(FileSystemEventHandler):
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - any event is the same to us
        with suppress(Exception):
            self._wake()


class Watch:
    """The watch on one folder: built, checked, built anew."""

    def __init__(self, folder: Path, wake: Callable[[], None]) -> None:
        self._folder, self._handler = folder, _WakeUp(wake)
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self.builds = 0
        self.problem = ""
        """Why the folder cannot be watched, when it cannot."""

    def check(self) -> bool:
        """Build the watch where there is none that works; tell whether one works now."""
        found = self._folder.stat()
        identity = found.st_dev, found.st_ino
        if self._works() and identity == self._identity:
            return True
        self.stop()
        try:
            # Half a watch of the library's would leave descriptors behind, each time.
            ask_for_watch(self._folder)
            ask_for_descriptors(_DESCRIPTORS)
            self._observer = Observer()
            self._observer.schedule(
                self._handler, str(self._folder), recursive=False, event_filter=_CHANGES
            )
            self._observer.start()
        except OSError as error:  # scans go on
            self.stop()
            self.problem = f"cannot watch the folder: {error.strerror or error}"
            return False
        self.problem, self._identity = "", identity
        self.builds += 1
        return True

    def stop(self) -> None:
        """End the watch; its threads end by themselves."""
        if self._observer is not None:
            self._observer.stop()
        self._observer = None

    def _works(self) -> bool:
        observer = self._observer
        if observer is None or not observer.is_alive():
            return False
        return bool(observer.emitters) and all(each.is_alive() for each in observer.emitters)


def ask_for_watch(folder: Path) -> None:
    """Raise ``OSError`` unless a folder could be watched now; it names the limit in the way."""
    fd = _LIBC.inotify_init1(os.O_CLOEXEC)
    if fd < 0:
        raise _refusal("fs.inotify.max_user_instances", folder)
    try:
        if _LIBC.inotify_add_watch(fd, os.fsencode(folder), _IN_CREATE) < 0:
            raise _refusal("fs.inotify.max_user_watches", folder)
    finally:
        os.close(fd)


def _refusal(limit: str, folder: Path) -> OSError:
    code = ctypes.get_errno()
    reached = f", {limit} is reached" if code in (errno.EMFILE, errno.ENOSPC) else ""
    return OSError(code, f"{os.strerror(code)}{reached}", str(folder))
