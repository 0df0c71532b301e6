"""What holds on this machine, and in this file system, found out by trying."""

import ctypes
import resource
import shutil
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from daemon.cli.diagnose.findings import Finding
from daemon.config.models import Config
from daemon.files import Files
from daemon.intake.mounts import is_network, kind_of_mount, mount_options, read_mountinfo
from daemon.jobs.database import Database
from daemon.supervisor.startup import descriptors_needed
from daemon.text import size
from dsp.kernels import ENGINE

_SQLITE_NEEDED = (3, 37, 0)  # STRICT tables
# A bug in the write-ahead log: two connections can lose a commit. We have one.
_SQLITE_SOUND = (3, 51, 3)
_SYNCS = 20
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
# ext4, xfs; btrfs and others; overlay: what a power cut leaves is then undefined.
_UNSYNCED = frozenset({"nobarrier", "barrier=0", "volatile"})
_INOTIFY = Path("/proc/sys/fs/inotify")
_FILES_OF_A_WORKER = 300  # 256 stems and their neighbours
_TIMEX_BYTES = 256  # struct timex has 208
_TIME_ERROR = 5
_THIS_CODE_S = 1_767_225_600  # 2026-01-01; it was written later


def sqlite_version(version: tuple[int, ...]) -> Finding:
    """Check the version of SQLite."""
    text = ".".join(map(str, version))
    if version < _SQLITE_NEEDED:
        needed = ".".join(map(str, _SQLITE_NEEDED))
        return Finding("sqlite", "problem", f"{text} is too old; at least {needed} is needed")
    note = "" if version >= _SQLITE_SOUND else "; let no other program open the queue (Litestream)"
    return Finding("sqlite", "ok", text + note)


def kernels() -> Finding:
    """Say which kernels the sound engine uses."""
    if ENGINE == "compiled":
        return Finding("kernels", "ok", "compiled")
    text = "NumPy's: mixing is slower; install again, with a C compiler and Python's headers"
    return Finding("kernels", "warning", text)


def queue_disk(root: Path) -> Finding:
    """See whether the queue lies on a disk of this machine."""
    mounts = read_mountinfo()
    kind = kind_of_mount(root / "state", mounts) or "unknown file system"
    if is_network(root / "state", mounts):
        text = f"the queue would lie on {kind}; it needs a disk of this machine: move root"
        return Finding("queue", "problem", text)
    return Finding("queue", "ok", f"on {kind}, of this machine")


def disk_space(config: Config) -> Finding:
    """See whether more is free than is kept back."""
    free_mb, kept_mb = shutil.disk_usage(config.root).free / 2**20, config.disk.reserve_mb
    text = f"{size(free_mb)} free, {size(kept_mb)} kept back"
    return Finding("disk", "ok" if free_mb > kept_mb else "problem", text)


def resources(config: Config) -> Iterator[Finding]:
    """Say of each named resource how much there is, and who needs it."""
    for name, there in config.resources.items():
        text = str(there) if isinstance(there, int) else ", ".join(map(str, there)) or "none here"
        needs = {inbox: one.needs.get(name, 0) for inbox, one in config.inboxes.items()}
        who = [f"{inbox} needs {count}" for inbox, count in needs.items() if count]
        text = f"{text}; {', '.join(who) or 'no inbox needs it'}"
        if name == "gpu" and config.pool.confine and any(needs.values()):
            text += "\nworkers are confined, and cannot open a gpu's device: pool.confine: false"
            yield Finding(f"resource {name}", "warning", text)
        else:
            yield Finding(f"resource {name}", "ok", text)


def open_files(config: Config) -> Finding:
    """Compare the limits on open files with what the daemon and a worker need."""
    needed, (_, hard) = descriptors_needed(config), resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return Finding("open files", "ok", f"{needed} needed by the daemon, any number allowed")
    text = f"{needed} needed by the daemon, {hard} allowed"
    if needed > hard:
        return Finding("open files", "problem", f"{text}: raise LimitNOFILE, or use fewer slots")
    if hard < _FILES_OF_A_WORKER:
        text = f"{text}; a worker may have {hard}\na folder of 256 stems would fail"
        return Finding("open files", "warning", text)
    return Finding("open files", "ok", text)


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
        text += "\nthe inboxes beyond are polled every few seconds; raise fs.inotify.*"
        return Finding("watches", "warning", text)
    return Finding("watches", "ok", text)


def clock() -> Finding:
    """See whether the clock can be right, and whether anything keeps it so."""
    if time.time() < _THIS_CODE_S:
        text = "the clock is years behind: times shown are wrong, waits are not"
        return Finding("clock", "warning", text)
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state in (-1, _TIME_ERROR):
        text = "no time service known to the kernel; only the times shown depend on it"
        return Finding("clock", "ok", text)
    return Finding("clock", "ok", "kept right by a time service")


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


def queue_lock(folder: Path) -> Finding:
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
