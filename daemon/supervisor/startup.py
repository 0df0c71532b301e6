"""From a configuration to an open spool: folders, lock, queue, and what a crash left behind.

Rules
-----
Rule 1: nothing is served before the lock is held: a second daemon on the same spool is
refused in one line.

Rule 2: what start-up mends it mends by the very steps that were interrupted; all of them may
be repeated.

Rule 3: an inbox whose file system does not answer, or has gone away, keeps nobody waiting: the
others are served, and its own thread goes on asking.
"""

import errno
import fcntl
import os
import resource
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Config
from daemon.errors import BadConfig, Unavailable
from daemon.files import Files
from daemon.intake.recovery import CutShort, find_cut_short
from daemon.jobs.store import Store, open_store
from daemon.layout import MARKER, Spool, inbox_folder, refuse_nesting

_KINDS = ("outbox", "failed", "archive", "work")
_PRIVATE = ("work", "state")
PATIENCE_S = 5.0
"""With the file systems of all inboxes together."""
_AWAY = frozenset(
    {
        errno.ENOTCONN,
        errno.ESTALE,
        errno.EIO,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENODEV,
    }
)
"""What a mount says whose server has gone: no mistake of the operator's."""


_FIXED, _PER_INBOX, _PER_WORKER = 32, 16, 4
"""Counted in ``/proc/pid/fd``: a daemon at rest has 11 open, and 3 for each worker. An inbox takes
up to 6 to look into its folders and 8 to sync what it takes, and all inboxes may do so at once."""


@dataclass
class Opened:
    """A spool that is ours."""

    spool: Spool
    instance: str
    """Names this spool for ever: from the marker in its root."""
    store: Store
    inboxes: dict[str, Path]
    cut_short: dict[str, CutShort]
    """What the last run left to be mended in each inbox that has not been looked at."""
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
        self.take(inboxes)

    def take(self, inboxes: dict[str, Path]) -> None:
        """Serve these inboxes; what was cut short is looked for in those that are new."""
        work = self.spool.root / "work"
        for inbox in inboxes.keys() - self.inboxes.keys():
            self.cut_short[inbox] = find_cut_short(
                work, inbox, lambda job: self.store.get(job) is not None
            )
        self.inboxes = inboxes

    def close(self, *, clean: bool) -> None:
        """Close the queue and let go of the spool."""
        self.store.close(clean=clean)
        os.close(self._lock)


def open_spool(config: Config, *, files: Files, clock: Clock) -> Opened:
    """Make what is missing, take the lock, open the queue, find what was cut short.

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
    opened = Opened(Spool(root), instance, store, {}, {}, lock)
    opened.take(inboxes)
    return opened


def inbox_folders(config: Config) -> dict[str, Path]:
    """Return where each inbox lies."""
    root = config.root.absolute()
    return {name: inbox_folder(root, name, inbox.path) for name, inbox in config.inboxes.items()}


def _prepare(root: Path, inboxes: dict[str, Path]) -> None:
    try:
        _make_folders(root, inboxes)
        refuse_nesting(root, _answering(inboxes))
    except OSError as error:
        raise BadConfig("root", f"{error.filename}: {error.strerror}") from error


def _make_folders(root: Path, inboxes: dict[str, Path]) -> None:
    _make_durably(root)
    for name in _PRIVATE:
        _make_durably(root / name, mode=0o700)
    for inbox in inboxes:
        for kind in _KINDS:
            _make_durably(root / kind / inbox, mode=0o700 if kind == "work" else 0o777)


def _answering(inboxes: dict[str, Path]) -> dict[str, Path]:
    """Return the inboxes whose file systems answer in time, made where they are missing.

    Raises
    ------
    OSError
        One cannot be made or used, and it is not its file system that has gone away.
    """
    answers: dict[str, OSError | None] = {}

    def ask(name: str, folder: Path) -> None:
        try:
            _make_durably(folder)
            answers[name] = None
        except OSError as error:
            answers[name] = error

    # Not a pool: its threads would be waited for when the process ends.
    threads = [
        threading.Thread(target=ask, args=each, name=f"ask-{each[0]}", daemon=True)
        for each in inboxes.items()
    ]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))
    for error in answers.values():
        if error is not None and error.errno not in _AWAY:
            raise error
    return {name: inboxes[name] for name, error in answers.items() if error is None}


def _make_durably(folder: Path, *, mode: int = 0o777) -> None:
    """Make a folder and its parents, each synced: all that will lie in it depends on its name."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for place in missing:
        Files().sync_dir(place.parent)


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


def require_descriptors(config: Config) -> None:
    """Take as many as the configuration needs.

    Raises
    ------
    BadConfig
        So many are not to be had.
    """
    workers = (config.pool.slots or len(os.sched_getaffinity(0))) + config.pool.spare
    needed = _FIXED + _PER_INBOX * len(config.inboxes) + _PER_WORKER * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        text = f"{needed} open files are needed, {hard} allowed: raise LimitNOFILE, or ulimit -n"
        raise BadConfig("pool.slots", text)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
