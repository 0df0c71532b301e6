"""The daemon's own folders and its lock: there, the same as at the start, and writable.

Rules
-----
Rule 1: what is missing is made again. A folder that leads to another one of ours, or lies on
another file system than before, is not used: its inbox waits until that is undone, or until
the daemon is restarted or told to reload.

Rule 2: a lost lock ends the daemon: another one may serve the spool already.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from daemon.errors import Unavailable
from daemon.files import Files
from daemon.logs import log
from daemon.outbox.heartbeat import boot_id

KINDS = ("outbox", "failed", "archive", "work")
PRIVATE = ("work", "state")
_PROBE = ".probe"
_PROBE_BYTES = bytes(4096)
_PID_BYTES, _HANDLED_BYTES = 32, 128

Identity = tuple[int, int]
"""Device and inode."""


class FoundationLost(Exception):
    """The daemon cannot go on: its lock is gone, or another process has it."""

    def __init__(self, reason: Unavailable) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Folders:
    """The folders of one spool, and the lock that makes it ours.

    Raises
    ------
    Unavailable
        ``ALREADY_RUNNING``.
    OSError
        The lock cannot be opened.
    """

    def __init__(self, root: Path, files: Files) -> None:
        self._root, self._files = root, files
        self._lock_path = root / "state" / "lock"
        self._lock = _locked(self._lock_path)
        self._boot = boot_id()
        self.culprit = self._died_of()
        """The job that the last daemon was handling when its process died, if it died of one."""
        self._handled = ""
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        self._identities: dict[Path, Identity] = {}
        self._inbox_of: dict[Path, str] = {}
        self.wrong: dict[str, str] = {}
        """Inboxes of which a folder is not what it was, and in which way."""

    def know(self, inboxes: list[str]) -> None:
        """Take the folders as they are now for right; make what is missing.

        Raises
        ------
        OSError
            One cannot be made.
        """
        make_folders(self._root, inboxes)
        self._inbox_of = {self._root / kind / inbox: inbox for inbox in inboxes for kind in KINDS}
        self._identities = {path: identity for path in self._inbox_of
                            if (identity := _identity(path))}  # fmt: skip
        self.wrong = {}

    def check(self) -> None:
        """Compare the lock and every folder with what they were.

        Raises
        ------
        FoundationLost
            The lock is not ours any more.
        OSError
            A missing folder cannot be made again.
        """
        held = os.fstat(self._lock)
        if _identity(self._lock_path) != (held.st_dev, held.st_ino):
            text = f"{self._lock_path} was removed or replaced while the daemon ran"
            raise FoundationLost(Unavailable("LOCK_LOST", text))
        missing = [path for path in self._inbox_of if not os.path.lexists(path)]
        if missing:
            log.warning("folders are made again", folders=[str(path) for path in missing])
            make_folders(self._root, sorted(set(self._inbox_of.values())))
        wrong: dict[str, str] = {}
        for path, inbox in self._inbox_of.items():
            if why := self._changed(path):
                wrong[inbox] = why
        self.wrong = wrong

    def require(self, inbox: str) -> None:
        """Look once more at the folders of an inbox, before something is moved into them.

        Raises
        ------
        OSError
            One leads elsewhere. A missing one is made again, by whoever needs it or at a beat.
        """
        for path, owner in self._inbox_of.items():
            if owner == inbox and os.path.lexists(path) and (why := self._changed(path)):
                self.wrong[inbox] = why
                raise OSError(errno.ELOOP, why, str(path))

    def probe(self, inbox: str) -> str:
        """Return which folder of an inbox cannot be written, and why; ``""`` asks for the disk."""
        places = [self._root / kind / inbox for kind in KINDS] if inbox else [self._root / "work"]
        for place in places:
            try:
                self._files.write("probe", place / _PROBE, _PROBE_BYTES, durable=True)
                self._files.remove("probe", place / _PROBE)
            except OSError as error:
                return f"{place.relative_to(self._root)}: {error.strerror or error}"
        return ""

    def note_handled(self, job: str) -> None:
        """Note in the lock file which job is handled: a dead daemon cannot say it any more.

        Not synced: after a power cut it must say nothing, since no job is to blame for that.
        """
        if job != self._handled:
            self._handled = job
            note = f"{self._boot} {job}" if job else ""
            with suppress(OSError):  # it is a help; what cannot be noted must not stop the job
                os.pwrite(self._lock, note.encode().ljust(_HANDLED_BYTES), _PID_BYTES)

    def close(self) -> None:
        """Let go of the spool."""
        os.close(self._lock)

    def _died_of(self) -> str:
        note = os.pread(self._lock, _HANDLED_BYTES, _PID_BYTES).decode("ascii", "replace").split()
        return note[1] if len(note) == 2 and note[0] == self._boot else ""  # noqa: PLR2004

    def _changed(self, path: Path) -> str:
        """Return in which way a folder is not what it was; one that was made anew is well."""
        now, before = _identity(path), self._identities.get(path)
        if now == before:
            return ""
        if now is None:
            return f"{path} is no folder"
        if now in self._identities.values() or self._leads_astray(path):
            return f"{path} leads to {path.resolve()}, which has another use"
        if before is not None and now[0] != before[0]:
            return f"{path} lies on another file system than before; mount that again, or restart"
        self._identities[path] = now
        return ""

    def _leads_astray(self, path: Path) -> bool:
        return path.is_symlink() and path.resolve().is_relative_to(self._root.resolve())


def make_folders(root: Path, inboxes: list[str]) -> None:
    """Make the folders of a spool that are missing."""
    make_durably(root)
    for name in PRIVATE:
        make_durably(root / name, mode=0o700)
    for inbox in inboxes:
        for kind in KINDS:
            make_durably(root / kind / inbox, mode=0o700 if kind == "work" else 0o777)


def make_durably(folder: Path, *, mode: int = 0o777) -> None:
    """Make a folder and its parents, each synced: all that will lie in it depends on its name."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for place in missing:
        Files().sync_dir(place.parent)


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, _PID_BYTES, 0).decode("ascii", "replace").split("\n")[0].strip()
        os.close(lock)
        raise Unavailable(
            "ALREADY_RUNNING",
            f"another soundspool (process {holder or 'unknown'}) serves {path.parent.parent}",
            "Stop it first, or give this one another root.",
        ) from None
    return lock
