"""``soundspool doctor``: which of the guarantees hold on this machine, by trying them.

``check`` asks whether the daemon can work with its configuration; ``doctor`` asks whether it
can keep its word: it hangs workers, crashes them, fills their memory, opens a second
queue, takes a name twice. It does so in a folder of its own inside the spool, for what holds
depends on the file system, and takes the folder away again. A daemon may run meanwhile.

``ok``: it holds here. ``warning``: it does not, and this is what follows. ``problem``: the
daemon could not keep its word; the exit code is 1.
"""

import ctypes
import os
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from daemon.cli.diagnose.check import (
    Finding,
    events,
    queue_disk,
    room,
    sqlite_version,
    tell,
    writers,
)
from daemon.cli.diagnose.worker_trials import worker_findings
from daemon.config.models import Config, load
from daemon.errors import SpoolError
from daemon.files import Files
from daemon.intake.mounts import kind_of_mount, mount_options, read_mountinfo
from daemon.jobs.database import Database
from daemon.supervisor.startup import inbox_folders

EX_UNSOUND = 1

_SYNCS = 20
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
# ext4, xfs; btrfs and others; overlay: what a power cut leaves is then anybody's guess.
_UNSYNCED = frozenset({"nobarrier", "barrier=0", "volatile"})
_INOTIFY = Path("/proc/sys/fs/inotify")
# A worker has a socket, a pipe and a descriptor of itself; an inbox its watch, its folder and
# the file that is looked at; the rest is the queue's and the libraries'.
_FILES_PER_WORKER, _FILES_PER_INBOX, _FILES_BESIDE = 4, 8, 64
_FILES_OF_A_WORKER = 300  # 256 stems and their neighbours
_TIMEX_BYTES = 256  # struct timex has 208
_TIME_ERROR = 5
_THIS_CODE_S = 1_767_225_600  # 2026-01-01; it was written later


def run_doctor(config: Path | None, *, as_json: bool) -> int:
    """Try everything and print it; return 0, or 1 when the daemon could not keep its word."""
    return 0 if tell(findings(load(config)), "sound", as_json=as_json) else EX_UNSOUND


def findings(config: Config) -> Iterator[Finding]:
    """Try everything that can be tried without harm."""
    try:
        scratch = _scratch(config.root)
    except OSError as error:
        yield Finding("spool", "problem", f"{error.filename}: {error.strerror}")
        return
    with scratch as name:
        folder = Path(name)
        yield _place(config.root, folder)
        yield queue_disk(folder)
        yield from (_tried(trial, folder) for trial in (durability, exclusive_rename, queue))
        yield room(config.model_copy(update={"root": folder}))
        yield from _inboxes(config, folder)
        yield from (open_files(config), clock())
        yield from worker_findings(folder, confine=config.pool.confine)


def _scratch(root: Path) -> "tempfile.TemporaryDirectory[str]":
    inside = root if root.is_dir() else None
    return tempfile.TemporaryDirectory(prefix=".soundspool-doctor-", dir=inside)


def _place(root: Path, folder: Path) -> Finding:
    if folder.parent == root:
        return Finding("spool", "ok", str(root))
    text = f"{root} is not there yet; all this was tried in {folder.parent} instead"
    return Finding("spool", "warning", text)


def _tried(trial: Callable[[Path], Finding], folder: Path) -> Finding:
    """Return what a trial found, or what kept it from finding anything."""
    try:
        return trial(folder)
    except (OSError, SpoolError, sqlite3.Error) as error:
        return Finding(trial.__name__.replace("_", " "), "problem", str(error))


def durability(folder: Path) -> Finding:
    """Sync files and their names; see whether the mount passes that on to a disk."""
    files, took_ms = Files(), []
    for number in range(_SYNCS):
        began_s = time.monotonic()
        files.write("try", folder / f"synced-{number}", b"x" * 4096, durable=True)
        took_ms.append((time.monotonic() - began_s) * 1000)
    text = f"a file and its name are synced in {statistics.median(took_ms):.1f} ms"
    mounts = read_mountinfo()
    kind = kind_of_mount(folder, mounts)
    if kind in _IN_MEMORY:
        text = f"the spool lies on {kind}, in memory\na power cut takes all of it"
        return Finding("durability", "warning", text)
    if careless := _UNSYNCED & mount_options(folder, mounts):
        text = f"{text}, but the mount says {', '.join(sorted(careless))}"
        text += "\na power cut may take what a status had called queued"
        return Finding("durability", "warning", text)
    return Finding("durability", "ok", text)


def exclusive_rename(folder: Path, files: Files | None = None) -> Finding:
    """Try to take names that are taken, by a file and by an empty folder."""
    what, files = "exclusive rename", files or Files()
    source, taken, empty = (folder / name for name in ("source", "taken", "empty"))
    source.mkdir()
    taken.write_text("mine\n")
    empty.mkdir()
    for target in (taken, empty):
        with suppress(OSError):
            files.rename("try", source, target)
            return Finding(what, "problem", f"a rename replaced {target.name}: results could too")
    files.rename("try", source, folder / "free")
    return Finding(what, "ok", "a name that is taken stays taken, also by an empty folder")


def queue(folder: Path) -> Finding:
    """Open a queue, commit to it, and try to open it a second time."""
    path, took_ms = folder / "queue.sqlite3", []
    with closing(Database(path)) as database:
        for _ in range(_SYNCS):
            began_s = time.monotonic()
            with database.transaction() as connection:
                connection.execute("UPDATE control SET stopped_cleanly = 1 - stopped_cleanly")
            took_ms.append((time.monotonic() - began_s) * 1000)
        refused = _second_opener_is_refused(path)
    text = f"a commit is on disk after {statistics.median(took_ms):.1f} ms"
    if not refused:
        text += "; another program can open the queue meanwhile: file locks do not work here"
        return Finding("queue lock", "problem", text)
    return Finding("queue lock", "ok", f"{text}; no other program can open the queue meanwhile")


def _second_opener_is_refused(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0)) as second:
        try:
            second.execute("SELECT * FROM control").fetchall()
        except sqlite3.OperationalError:
            return True
    return False


def _inboxes(config: Config, folder: Path) -> Iterator[Finding]:
    """See what is noticed of inboxes; of one that is not there yet, in `folder`."""
    yield sqlite_version(sqlite3.sqlite_version_info)
    folders = inbox_folders(config)
    for name, inbox in folders.items():
        place = inbox if inbox.is_dir() else folder
        for look in (writers, events):
            try:
                yield look(name, place)
            except OSError as error:
                yield Finding(f"inbox {name}", "problem", f"{error.filename}: {error.strerror}")
    yield watches(len(folders))


def watches(needed: int) -> Finding:
    """Compare the kernel's limits on watches with what the inboxes need."""
    try:
        most, instances = (
            int((_INOTIFY / name).read_text())
            for name in ("max_user_watches", "max_user_instances")
        )
    except (OSError, ValueError):
        return Finding("watches", "ok", "the kernel's limits cannot be read here")
    text = f"{needed} needed; {most} and {instances} instances allowed to each user"
    if needed > min(most, instances):
        text += "\nthe inboxes beyond are looked at every few seconds; raise fs.inotify.*"
        return Finding("watches", "warning", text)
    return Finding("watches", "ok", text)


def open_files(config: Config) -> Finding:
    """Compare the limits on open files with what the daemon and a worker need."""
    workers = (config.pool.slots or len(os.sched_getaffinity(0))) + config.pool.spare
    needed = _FILES_PER_WORKER * workers + _FILES_PER_INBOX * len(config.inboxes) + _FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{needed} needed by the daemon, {soft} allowed"
    if needed > soft:
        return Finding("open files", "problem", f"{text}: raise LimitNOFILE, or use fewer slots")
    if hard < _FILES_OF_A_WORKER:
        text = f"{text}; a worker may have {hard}\na folder of 256 stems would fail"
        return Finding("open files", "warning", text)
    return Finding("open files", "ok", text)


def clock() -> Finding:
    """See whether the clock can be right, and whether anything keeps it so."""
    if time.time() < _THIS_CODE_S:
        text = (
            "the clock is years behind\nages are measured with another one; times shown are wrong"
        )
        return Finding("clock", "warning", text)
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state in (-1, _TIME_ERROR):
        text = "nothing that the kernel knows of keeps it right; only times shown depend on it"
        return Finding("clock", "ok", text)
    return Finding("clock", "ok", "kept right by a time service")
