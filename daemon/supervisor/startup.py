"""From a configuration to an open spool: folders, lock, queue, and what a crash left behind.

Rules
-----
Rule 1: nothing is served before the lock is held: a second daemon on the same spool is
refused in one line.

Rule 2: what start-up mends it mends by the very steps that were interrupted; all of them may
be repeated.

Rule 3: an inbox whose file system does not answer, or has gone away, does not delay the others:
they are served, and its own thread goes on asking.
"""

import errno
import os
import resource
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.clock import Clock
from daemon.config.models import Config
from daemon.errors import BadConfig
from daemon.files import Files
from daemon.intake.recovery import CutShort, find_cut_short
from daemon.jobs.resources import Resources
from daemon.jobs.store import Store, open_store
from daemon.layout import MARKER, Spool, inbox_folder, refuse_nesting
from daemon.outbox.events import Events
from daemon.outbox.status_writer import Statuses
from daemon.supervisor.folders import Folders, make_durably, make_folders
from daemon.supervisor.outage import Outage

QUEUE = Path("state") / "queue.sqlite3"
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


_FIXED, _PER_INBOX, _PER_WORKER, _PER_NODE = 32, 16, 4, 8
"""Counted in ``/proc/pid/fd``: a daemon at rest has 11 open, and 3 for each worker. An inbox takes
up to 6 to look into its folders and 8 to sync what it takes, and all inboxes may do so at once."""
_BROKERED = 400
"""For some hundred nodes, and the process that talks to the broker."""


@dataclass
class Opened:
    """A spool that is ours, and what its parts are written with."""

    files: Files
    clock: Clock
    config: Config
    spool: Spool
    instance: str
    """The spool's own name, from the marker in its root."""
    folders: Folders
    store: Store
    inboxes: dict[str, Path] = field(default_factory=dict)
    cut_short: dict[str, CutShort] = field(default_factory=dict)
    """What the last run left to be mended in each inbox that has not been looked at."""

    def __post_init__(self) -> None:
        root = self.spool.root
        own: dict[str, Any] = {"files": self.files, "clock": self.clock, "instance": self.instance}
        self.statuses = Statuses(root / "outbox", **own)
        self.events = Events(root / "events.jsonl", **own)
        self.outage = Outage(self.folders, self.clock)

    def prepare(self, config: Config) -> None:
        """Make the folders that another configuration wants.

        Raises
        ------
        BadConfig
            See ``open_spool``.
        """
        _prepare(self.spool.root, inbox_folders(config))

    def take(self, config: Config) -> None:
        """Serve these inboxes; what was cut short is looked for in those that are new."""
        inboxes = inbox_folders(config)
        self.folders.know(list(inboxes))
        for inbox in inboxes.keys() - self.inboxes.keys():
            self.cut_short[inbox] = find_cut_short(
                self.spool.root / "work", inbox, self.store.knows
            )
        self.config, self.inboxes, self.store.budgets = config, inboxes, config.budgets
        self.store.resources = Resources.of(config)

    def close(self, *, clean: bool) -> None:
        """Close the queue and let go of the spool."""
        self.store.close(clean=clean)
        self.folders.close()


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
    _prepare(root, inbox_folders(config))
    try:
        instance = _instance(root, files)
        folders = Folders(root, files)
    except OSError as error:
        raise BadConfig("root", f"{error.filename}: {error.strerror}") from error
    store = None
    try:
        store = open_store(root / QUEUE, clock, config.budgets)
        opened = Opened(files, clock, config, Spool(root), instance, folders, store)
        opened.take(config)
    except Exception:
        if store is not None:
            store.close(clean=False)
        folders.close()
        raise
    return opened


def inbox_folders(config: Config) -> dict[str, Path]:
    """Return where each inbox lies."""
    root = config.root.absolute()
    return {name: inbox_folder(root, name, inbox.path) for name, inbox in config.inboxes.items()}


def _prepare(root: Path, inboxes: dict[str, Path]) -> None:
    try:
        make_folders(root, list(inboxes))
        refuse_nesting(root, _answering(inboxes))
    except OSError as error:
        raise BadConfig("root", f"{error.filename}: {error.strerror}") from error


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
            make_durably(folder)
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


def _instance(root: Path, files: Files) -> str:
    """Return the spool's own name, made on the first start."""
    marker = root / MARKER
    if not marker.exists():
        files.write("write marker", marker, f"{secrets.token_hex(8)}\n".encode(), durable=True)
    return marker.read_text("ascii", errors="replace").strip()[:64] or "unnamed"


def descriptors_needed(config: Config) -> int:
    """Return how many files the daemon may have to keep open."""
    workers = (config.pool.slots or len(os.sched_getaffinity(0))) + config.pool.spare
    nodes = _PER_NODE * len(config.pool.nodes) + (_BROKERED if config.pool.celery else 0)
    return _FIXED + _PER_INBOX * len(config.inboxes) + _PER_WORKER * workers + nodes


def require_descriptors(config: Config) -> None:
    """Raise the limit on open files to what the configuration needs.

    Raises
    ------
    BadConfig
        The hard limit is lower.
    """
    needed = descriptors_needed(config)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        text = f"{needed} open files are needed, {hard} allowed: raise LimitNOFILE, or ulimit -n"
        raise BadConfig("pool.slots", text)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
