"""What holds of one inbox: drops can be moved out, writers and changes are noticed."""

import errno
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from daemon.cli.diagnose.findings import Finding, probe_file
from daemon.config.drop_settings import for_handler
from daemon.config.models import Config, Inbox
from daemon.config.validation import validate
from daemon.config.yaml_reader import Document
from daemon.errors import BadInput, Postponed
from daemon.handlers.contract import Declaration
from daemon.intake.mounts import is_network, kind_of_mount, read_mountinfo
from daemon.intake.writer_probe import ignore_lease_signals, writer_of
from daemon.layout import SCAN
from daemon.pool.worker.confinement import WITH_NETWORK as NETWORK_VERSION
from daemon.pool.worker.confinement import landlock_version
from daemon.pool.worker.roots import opened
from daemon.supervisor.grants import programs_of, refusal, ungranted
from daemon.supervisor.wants import wants_of

_ROOT_S = 10.0
EVENT_S = 2.0
"""How long a change in an inbox may take to be announced."""


def inbox_findings(config: Config, name: str, folder: Path) -> Iterator[Finding]:
    """Check one inbox, whose folder exists."""
    yield moves(name, folder, config.root / "work")
    yield writers(name, folder)
    yield events(name, folder)
    yield handler(name, config.inboxes[name], config.handler_paths)
    yield from grants(name, config.inboxes[name], confine=config.pool.confine)
    yield from roots(name, config.inboxes[name], config.root, confine=config.pool.confine)


def moves(name: str, inbox: Path, work: Path) -> Finding:
    """Try the rename that takes a drop in."""
    what = f"take {name}"
    try:
        with probe_file(inbox) as path:
            target = work / path.name
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
    with probe_file(inbox) as path:
        idle = _writer(path)
        with path.open("ab"):
            busy = _writer(path)
    if (idle, busy) == ("none", "busy"):
        return Finding(what, "ok", "noticed while they write")
    text = "not noticed here; quiet times alone decide, and reserved files wait longer"
    return Finding(what, "warning", text)


def _writer(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return writer_of(fd)
    finally:
        os.close(fd)


def events(name: str, inbox: Path) -> Finding:
    """See whether a change in the inbox is announced."""
    what, mounts = f"events in {name}", read_mountinfo()
    if is_network(inbox, mounts):
        kind = kind_of_mount(inbox, mounts)
        return Finding(what, "ok", f"{kind} announces nothing; the inbox is polled every 5 s")
    heard = threading.Event()
    try:
        observer = Observer()
        observer.schedule(_Listener(heard.set), str(inbox), recursive=False)
        observer.start()
    except OSError as error:
        text = f"cannot watch the folder ({error.strerror}): raise fs.inotify.max_user_*"
        return Finding(what, "warning", text)
    try:
        with probe_file(inbox):
            arrived = heard.wait(EVENT_S)
    finally:
        observer.stop()
        observer.join()
    if arrived:
        return Finding(what, "ok", "announced")
    return Finding(what, "warning", "not announced; the inbox is polled, so drops wait seconds")


class _Listener(FileSystemEventHandler):
    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - any event will do
        self._heard()


def handler(name: str, inbox: Inbox, paths: list[Path]) -> Finding:
    """Import the handler, as a worker would, and validate the inbox's options with it."""
    what = f"handler of {name}"
    sys.path += [str(path) for path in paths]
    try:
        module = importlib.import_module(inbox.handler)
        document = Document.of(dict(inbox.options), name=f"inboxes.{name}.options")
        validate(module.Options, for_handler(document, module.Options))
        declared = Declaration.of(module)
        if missing := sorted(ungranted(wants_of(inbox.handler, inbox.options, name), inbox)):
            return Finding(what, "problem", refusal(inbox, missing))
    except BadInput as error:
        return Finding(what, "problem", error.message)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything
        return Finding(what, "problem", f"{inbox.handler} cannot be used: {error!r}")
    if inbox.every_s and SCAN not in declared.accepts:
        text = f"every_s drops {SCAN} files, and {inbox.handler} takes none"
        return Finding(what, "problem", text)
    return Finding(what, "ok", inbox.handler)


def grants(name: str, inbox: Inbox, *, confine: bool) -> Iterator[Finding]:
    """Say what the inbox grants its handler, and what holds the handler to it."""
    what, there = f"grants of {name}", programs_of(inbox)
    if missing := [one for one in inbox.allow.programs if one not in there]:
        text = f"not installed, or not in PATH: {', '.join(missing)}"
        yield Finding(what, "problem", text)
    parts = [*inbox.allow.network, *there.values()]
    if not parts:
        return
    text = ", ".join(parts)
    if not confine:
        text += "\npool.confine is off: a worker reaches any host and starts any program"
        yield Finding(what, "warning", text)
    elif inbox.allow.network and landlock_version() < NETWORK_VERSION:
        text += (
            f"\nthis kernel's Landlock ({landlock_version()}) knows no ports: a worker reaches any"
        )
        yield Finding(what, "warning", text)
    else:
        yield Finding(what, "ok", f"{text}; a worker reaches no other port and starts nothing else")


def roots(name: str, inbox: Inbox, spool: Path, *, confine: bool) -> Iterator[Finding]:
    """Open each folder that the inbox reads, as a worker would."""
    for root, path in inbox.reads.items():
        what = f"root {root} of {name}"
        try:
            with opened({root: str(path)}, str(spool), _ROOT_S):
                pass
        except Postponed as error:
            yield Finding(what, "warning", f"{error.message}; jobs wait for it")
            continue
        if confine:
            yield Finding(what, "ok", f"{path}; a worker reads it and cannot change it")
        else:
            text = f"{path}\npool.confine is off: a worker that is taken over may change it"
            yield Finding(what, "warning", text)
