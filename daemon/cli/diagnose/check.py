"""``soundspool check``: whether the daemon can do its work here.

Every finding names what was looked at and what was found. Problems keep the daemon from
working; warnings keep it from working as well as it could. Nothing is left behind: what the
checks make has a hidden name and goes at once.
"""

import errno
import importlib
import json
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from daemon.cli.spool_reader import pulse_of
from daemon.config.file import find
from daemon.config.models import Config, Inbox, load
from daemon.config.validation import validate
from daemon.config.yaml_reader import Document
from daemon.errors import BadConfig, BadInput
from daemon.intake.mounts import is_network, kind_of_mount, read_mountinfo
from daemon.intake.writer_probe import ignore_lease_signals, writer_of
from daemon.layout import refuse_nesting
from daemon.supervisor.startup import inbox_folders
from daemon.text import shown, size

EX_OK, EX_CONFIG = 0, 78
Verdict = Literal["ok", "warning", "problem"]

EVENT_S = 2.0
"""How long a change in an inbox may take to be announced."""
_SQLITE_NEEDED = (3, 37, 0)  # STRICT tables
# A bug in the write-ahead log: two connections can lose a commit. We have one.
_SQLITE_SOUND = (3, 51, 3)
_PRIVATE = ("work", "state")
_PROBE = ".soundspool-check"


@dataclass(frozen=True)
class Finding:
    """What one look at one thing found."""

    what: str
    verdict: Verdict
    text: str


def run_check(config: Path | None, *, as_json: bool) -> int:
    """Check everything and print it; return 0, or 78 when the daemon could not work."""
    return EX_OK if tell(findings(config), "usable", as_json=as_json) else EX_CONFIG


def tell(findings: Iterable[Finding], good: str, *, as_json: bool) -> bool:
    """Print what was found; return whether it holds no problem, which JSON calls `good`."""
    found = list(findings)
    well = all(one.verdict != "problem" for one in found)
    body = {good: well, "findings": [asdict(one) for one in found]}
    sys.stdout.write((json.dumps(body) if as_json else table(found)) + "\n")
    return well


def table(found: list[Finding]) -> str:
    """Return the findings for people, one a line."""
    width = max(len(one.what) for one in found)
    lines = []
    for one in found:
        first, *more = one.text.split("\n")
        lines.append(f"{one.verdict:<8} {one.what:<{width}}  {shown(first)}".rstrip())
        lines += [f"{'':<{9 + width}}  {shown(line)}" for line in more]
    return "\n".join(lines)


def findings(named: Path | None) -> Iterator[Finding]:
    """Look at everything; what depends on something broken is left out."""
    yield sqlite_version(sqlite3.sqlite_version_info)
    try:
        config = load(named)
        yield Finding("configuration", "ok", str(find(named).path))
    except BadConfig as error:
        yield Finding("configuration", "problem", str(error))
        return
    made: list[Path] = []
    folders = _folders(config)
    try:
        yield from (_folder(what, folder, made) for what, folder in folders.items())
        if all(folder.is_dir() for folder in folders.values()):
            yield from _spool(config)
    finally:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


def _spool(config: Config) -> Iterator[Finding]:
    """Look at a spool whose folders are there."""
    yield _layout(config)
    yield queue_disk(config.root)
    yield room(config)
    for name, folder in inbox_folders(config).items():
        yield _device(name, folder, config.root / "work")
        yield writers(name, folder)
        yield events(name, folder)
        yield _handler(name, config.inboxes[name], config.handler_paths)
    yield _daemon(config.root)


def _folders(config: Config) -> dict[str, Path]:
    root = config.root
    kinds = {kind: root / kind for kind in ("outbox", "failed", "archive", *_PRIVATE)}
    inboxes = {f"inbox {name}": folder for name, folder in inbox_folders(config).items()}
    return {"root": root, **kinds, **inboxes}


def sqlite_version(version: tuple[int, ...]) -> Finding:
    """Look at the version of SQLite."""
    text = ".".join(map(str, version))
    if version < _SQLITE_NEEDED:
        needed = ".".join(map(str, _SQLITE_NEEDED))
        return Finding("sqlite", "problem", f"{text} is too old; at least {needed} is needed")
    if version < _SQLITE_SOUND:
        note = "; nothing but the daemon may open the queue (no Litestream)"
        return Finding("sqlite", "ok", text + note)
    return Finding("sqlite", "ok", text)


def _folder(what: str, folder: Path, made: list[Path]) -> Finding:
    """Look at one folder; one that is missing is made, as the daemon would, and noted."""
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(mode=0o700 if what in _PRIVATE else 0o777)
            made.append(one)
        with _probe_file(folder):
            pass
    except OSError as error:
        return Finding(what, "problem", f"{error.filename or folder}: {error.strerror}")
    if made and folder in made:
        return Finding(what, "ok", f"{folder}, will be made")
    return _permissions(what, folder)


def _permissions(what: str, folder: Path) -> Finding:
    mode = folder.stat().st_mode & 0o7777
    if what in _PRIVATE and mode & 0o077:
        return Finding(what, "warning", f"{folder} is open to others ({mode:o}); chmod 700 it")
    if what == "root" and mode & 0o002 and not mode & 0o1000:
        text = f"{folder} is writable for everybody ({mode:o}): anybody could replace its folders"
        return Finding(what, "warning", text)
    return Finding(what, "ok", f"{folder} ({mode:o})")


def _layout(config: Config) -> Finding:
    try:
        refuse_nesting(config.root, inbox_folders(config))
    except BadConfig as error:
        return Finding("layout", "problem", str(error))
    return Finding("layout", "ok", "no folder lies in another")


def queue_disk(root: Path) -> Finding:
    """See whether the queue lies on a disk of this machine."""
    mounts = read_mountinfo()
    kind = kind_of_mount(root / "state", mounts) or "unknown file system"
    if is_network(root / "state", mounts):
        text = f"the queue would lie on {kind}; it needs a disk of this machine: move root"
        return Finding("queue", "problem", text)
    return Finding("queue", "ok", f"on {kind}, of this machine")


def room(config: Config) -> Finding:
    """See whether more is free than is kept back."""
    free_mb, kept_mb = shutil.disk_usage(config.root).free / 2**20, config.disk.reserve_mb
    text = f"{size(free_mb)} free, {size(kept_mb)} kept back"
    return Finding("disk", "ok" if free_mb > kept_mb else "problem", text)


def _device(name: str, inbox: Path, work: Path) -> Finding:
    """Try the rename that takes a drop in."""
    what, target = f"take {name}", work / _PROBE
    try:
        with _probe_file(inbox) as path:
            path.rename(target)
            target.unlink()
    except OSError as error:
        if error.errno == errno.EXDEV:
            text = "on another file system than work: drops are copied and verified, not renamed"
            return Finding(what, "warning", text)
        return Finding(what, "problem", f"cannot be moved to {work}: {error.strerror}")
    return Finding(what, "ok", "by one rename")


def writers(name: str, inbox: Path) -> Finding:
    """See whether an open writer is noticed."""
    ignore_lease_signals()
    what = f"writers in {name}"
    with _probe_file(inbox) as path:
        idle = _asked(path)
        with path.open("ab"):
            busy = _asked(path)
    if (idle, busy) == ("none", "busy"):
        return Finding(what, "ok", "noticed while they write")
    text = "not noticed here; quiet times alone decide, and reserved files wait longer"
    return Finding(what, "warning", text)


def _asked(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return writer_of(fd)
    finally:
        os.close(fd)


def events(name: str, inbox: Path) -> Finding:
    """See whether a change in the inbox is announced."""
    what = f"events in {name}"
    if is_network(inbox, read_mountinfo()):
        kind = kind_of_mount(inbox, read_mountinfo())
        return Finding(what, "ok", f"{kind} announces nothing; the inbox is looked at every 5 s")
    heard = threading.Event()
    try:
        observer = Observer()
        observer.schedule(_Hearing(heard.set), str(inbox), recursive=False)
        observer.start()
    except OSError as error:
        text = f"no watch to be had ({error.strerror}): raise fs.inotify.max_user_*"
        return Finding(what, "warning", text)
    try:
        with _probe_file(inbox):
            arrived = heard.wait(EVENT_S)
    finally:
        observer.stop()
        observer.join()
    if arrived:
        return Finding(what, "ok", "announced")
    return Finding(what, "warning", "not announced; drops are found by looking, seconds later")


class _Hearing(FileSystemEventHandler):
    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - any event will do
        self._heard()


def _handler(name: str, inbox: Inbox, paths: list[Path]) -> Finding:
    """Import the handler, as a worker would, and hold the inbox's options against it."""
    what = f"handler of {name}"
    sys.path += [str(path) for path in paths]
    try:
        module = importlib.import_module(inbox.handler)
        document = Document.of(dict(inbox.options), name=f"inboxes.{name}.options")
        validate(module.Options, document)
    except BadInput as error:
        return Finding(what, "problem", error.message)
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
        return Finding(what, "problem", f"{inbox.handler} cannot be imported: {error!r}")
    return Finding(what, "ok", inbox.handler)


def _daemon(root: Path) -> Finding:
    pulse = pulse_of(root)
    text = {
        "alive": f"runs, process {pulse.document.get('pid')}",
        "stopped": "does not run; it was stopped",
        "absent": "does not run; it never has on this spool",
        "down": "does not run; its last heartbeat is old, so it was killed",
    }
    return Finding("daemon", "ok", text[pulse.life])


@contextmanager
def _probe_file(folder: Path) -> Iterator[Path]:
    """Make an empty hidden file for a moment; scans do not see it."""
    path = folder / f"{_PROBE}-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
