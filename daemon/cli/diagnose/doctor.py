"""``soundspool doctor``: whether the daemon can work here, and which guarantees hold.

With ``--quick``, which is what ``soundspool check`` does, it asks whether the daemon can work:
configuration, folders, permissions, limits. Without, it also asks whether the daemon can keep
its word: it hangs workers, crashes them, fills their memory, opens a second queue, takes a name
twice. It does so in a folder of its own inside the spool, since what holds depends on the file
system. A daemon may run meanwhile. What is created has a hidden name and is removed again.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from daemon.cli.diagnose import machine_checks
from daemon.cli.diagnose.findings import Finding, probe_file, write
from daemon.cli.diagnose.inbox_checks import inbox_findings
from daemon.cli.diagnose.node_checks import node_findings
from daemon.cli.diagnose.worker_trials import worker_findings
from daemon.cli.spool_reader import pulse_of
from daemon.config.file import find
from daemon.config.models import Config, load
from daemon.errors import BadConfig, SpoolError
from daemon.layout import refuse_nesting
from daemon.supervisor.startup import inbox_folders

EX_OK, EX_UNSOUND, EX_CONFIG = 0, 1, 78
_PRIVATE = ("work", "state")


def run_doctor(config: Path | None, *, quick: bool, as_json: bool) -> int:
    """Check everything and print it.

    Returns
    -------
    int
        0; 78 when the daemon could not work; 1 when it could not keep its word.
    """
    found = list(findings(config, quick=quick))
    write(found, "usable" if quick else "sound", as_json=as_json)
    if all(one.verdict != "problem" for one in found):
        return EX_OK
    return EX_CONFIG if quick else EX_UNSOUND


def findings(named: Path | None, *, quick: bool) -> Iterator[Finding]:
    """Check everything; what depends on something broken is left out."""
    yield machine_checks.sqlite_version(sqlite3.sqlite_version_info)
    yield machine_checks.kernels()
    try:
        config = load(named)
    except BadConfig as error:
        yield Finding("configuration", "problem", str(error))
        return
    yield Finding("configuration", "ok", str(find(named).path))
    yield machine_checks.open_files(config)
    yield from machine_checks.resources(config)
    made: list[Path] = []
    folders = _folders(config)
    try:
        yield from (_folder(what, folder, made) for what, folder in folders.items())
        if all(folder.is_dir() for folder in folders.values()):
            yield from _spool(config)
            yield from () if quick else _trials(config)
    finally:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()


def _spool(config: Config) -> Iterator[Finding]:
    """Check a spool whose folders exist."""
    yield _layout(config)
    yield machine_checks.queue_disk(config.root)
    yield machine_checks.disk_space(config)
    for name, folder in inbox_folders(config).items():
        try:
            yield from inbox_findings(config, name, folder)
        except OSError as error:
            yield Finding(f"inbox {name}", "problem", f"{error.filename}: {error.strerror}")
    yield _daemon(config.root)


def _trials(config: Config) -> Iterator[Finding]:
    """Try the guarantees, in a folder inside the spool."""
    yield machine_checks.watches(len(config.inboxes))
    yield machine_checks.clock()
    with tempfile.TemporaryDirectory(prefix=".soundspool-doctor-", dir=config.root) as scratch:
        folder = Path(scratch)
        for trial in (
            machine_checks.durability,
            machine_checks.exclusive_rename,
            machine_checks.queue_lock,
        ):
            yield _tried(trial, folder)
        yield from worker_findings(folder, confine=config.pool.confine)
    yield from node_findings(config)


def _tried(trial: Callable[[Path], Finding], folder: Path) -> Finding:
    """Return what a trial found, or what kept it from finding anything."""
    try:
        return trial(folder)
    except (OSError, SpoolError, sqlite3.Error) as error:
        return Finding(trial.__name__.replace("_", " "), "problem", str(error))


def _folders(config: Config) -> dict[str, Path]:
    root = config.root
    kinds = {kind: root / kind for kind in ("outbox", "failed", "archive", *_PRIVATE)}
    inboxes = {f"inbox {name}": folder for name, folder in inbox_folders(config).items()}
    return {"root": root, **kinds, **inboxes}


def _folder(what: str, folder: Path, made: list[Path]) -> Finding:
    """Check one folder; a missing one is created, as the daemon would, and noted in `made`."""
    try:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(mode=0o700 if what in _PRIVATE else 0o777)
            made.append(one)
        with probe_file(folder):
            pass
    except OSError as error:
        return Finding(what, "problem", f"{error.filename or folder}: {error.strerror}")
    if folder in made:
        return Finding(what, "ok", f"{folder}, will be made")
    return _permissions(what, folder)


def _permissions(what: str, folder: Path) -> Finding:
    mode = folder.stat().st_mode & 0o7777
    if what in _PRIVATE and mode & 0o077:
        return Finding(what, "warning", f"{folder} is open to others ({mode:o}); chmod 700 it")
    if what == "root" and mode & 0o002 and not mode & 0o1000:
        text = f"{folder} is writable for all users ({mode:o}): each could replace its folders"
        return Finding(what, "warning", text)
    return Finding(what, "ok", f"{folder} ({mode:o})")


def _layout(config: Config) -> Finding:
    try:
        refuse_nesting(config.root, inbox_folders(config))
    except BadConfig as error:
        return Finding("layout", "problem", str(error))
    return Finding("layout", "ok", "no folder lies in another")


def _daemon(root: Path) -> Finding:
    pulse = pulse_of(root)
    text = {
        "alive": f"runs, process {pulse.document.get('pid')}",
        "stopped": "does not run; it was stopped",
        "absent": "does not run; it never has on this spool",
        "down": "does not run; its last heartbeat is old, so it was killed",
    }
    return Finding("daemon", "ok", text[pulse.life])
