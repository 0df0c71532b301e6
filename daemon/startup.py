"""From a configuration to an open spool: folders, lock, queue, and what a crash left behind.

Rules
-----
Rule 1: nothing is served before the lock is held: a second daemon on the same spool is
refused in one line.

Rule 2: what start-up mends it mends by the very steps that were interrupted; all of them may
be repeated.
"""

import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from daemon.clock import Clock
from daemon.config import Config
from daemon.descriptors import require_descriptors
from daemon.errors import BadConfig, Unavailable
from daemon.files import Files
from daemon.intake.admit import mend
from daemon.jobs.store import Store, open_store
from daemon.outbox.publish import Spool

MARKER = ".soundspool"
_KINDS = ("inbox", "outbox", "failed", "archive", "work")
_PRIVATE = ("work", "state")


@dataclass
class Opened:
    """A spool that is ours."""

    spool: Spool
    instance: str
    """Names this spool for ever: from the marker in its root."""
    store: Store
    inboxes: dict[str, Path]
    _lock: int

    def furnish(self, config: Config) -> None:
        """Make the folders that another configuration wants, and take its inboxes.

        Raises
        ------
        BadConfig
            See ``open_spool``; nothing has changed then.
        """
        inboxes = inbox_folders(config)
        _prepare(self.spool.root, inboxes)
        self.inboxes = inboxes

    def close(self, *, clean: bool) -> None:
        """Close the queue and let go of the spool."""
        self.store.close(clean=clean)
        os.close(self._lock)


def open_spool(config: Config, *, files: Files, clock: Clock) -> Opened:
    """Make what is missing, take the lock, open the queue, undo half admissions.

    Raises
    ------
    BadConfig
        A folder cannot be made or used, two lie inside each other, or too few files may be open.
    Unavailable
        ``ALREADY_RUNNING``, or the disk will not do.
    """
    require_descriptors(config)
    root = config.root.absolute()
    inboxes = inbox_folders(config)
    _prepare(root, inboxes)
    try:
        instance = _instance(root, files)
        lock = _locked(root / "state" / "lock")
    except OSError as error:
        raise BadConfig("root", f"{error.filename}: {error.strerror}") from error
    store = open_store(root / "state" / "queue.sqlite3", clock, config.budgets)
    mend(files, root / "work", inboxes)
    return Opened(Spool(root), instance, store, inboxes, lock)


def inbox_folders(config: Config) -> dict[str, Path]:
    """Return where each inbox lies."""
    root = config.root.absolute()
    return {name: inbox.path or root / "inbox" / name for name, inbox in config.inboxes.items()}


def _prepare(root: Path, inboxes: dict[str, Path]) -> None:
    try:
        _make_folders(root, inboxes)
        refuse_nesting(root, inboxes)
    except OSError as error:
        raise BadConfig("root", f"{error.filename}: {error.strerror}") from error


def _make_folders(root: Path, inboxes: dict[str, Path]) -> None:
    _make_durably(root)
    for name in _PRIVATE:
        _make_durably(root / name, mode=0o700)
    for inbox, folder in inboxes.items():
        for kind in _KINDS:
            place = folder if kind == "inbox" else root / kind / inbox
            _make_durably(place, mode=0o700 if kind == "work" else 0o777)


def _make_durably(folder: Path, *, mode: int = 0o777) -> None:
    """Make a folder and its parents, each synced: all that will lie in it depends on its name."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for place in missing:
        Files().sync_dir(place.parent)


def refuse_nesting(root: Path, inboxes: dict[str, Path]) -> None:
    """Refuse an inbox that holds another folder of ours, or lies in one.

    Compared by device and inode as well as by real path: bind mounts have two names.
    """
    ours = [root / kind for kind in ("outbox", "failed", "archive", "work", "state")]
    for name, folder in inboxes.items():
        others = [*ours, *(other for inbox, other in inboxes.items() if inbox != name)]
        for other in others:
            if _holds(folder, other) or _holds(other, folder):
                raise BadConfig(
                    f"inboxes.{name}.path", f"{folder} and {other} must not lie in each other"
                )
        if _holds(folder, root):
            raise BadConfig(f"inboxes.{name}.path", f"{folder} must not hold the spool {root}")


def _holds(outer: Path, inner: Path) -> bool:
    found = outer.stat()
    real = inner.resolve()
    return any(
        (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
        for there in (place.stat() for place in (real, *real.parents) if place.exists())
    )


def _instance(root: Path, files: Files) -> str:
    """Return the spool's own name, made on the first start."""
    marker = root / MARKER
    if not marker.exists():
        files.write("write marker", marker, f"{secrets.token_hex(8)}\n".encode(), durable=True)
    return marker.read_text("ascii", errors="replace").strip()[:64] or "unnamed"


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise Unavailable(
            "ALREADY_RUNNING",
            f"another soundspool (process {holder}) serves {path.parent.parent}",
            "Stop it first, or give this one another root.",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
