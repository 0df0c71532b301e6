"""Where a spool lies and what its files say, for the commands.

What is known is in the status files, the heartbeat and ``failed/``. Nothing here opens the
database or talks to the daemon, so all of it can be read while the daemon is down.

Rules
-----
Rule 1: no pydantic and no NumPy: ``soundspool status`` must start fast.

Rule 2: names on disk may be hostile. They are matched as they are, and shown through ``shown``
only.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.clock import Clock
from daemon.config import file as config_file
from daemon.errors import BadConfig, BadInput, Unavailable
from daemon.layout import REASON_SUFFIX, SETTINGS_BESIDE, inbox_folder, reason_beside
from daemon.outbox.overview import Life, life
from daemon.outbox.status_reader import SUFFIX, drop_in, read_status
from daemon.text import age_s, display, shown, spellings
from dsp.containers.junk import composed

_PLAINLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LARGEST_BYTES = 1 << 22
RECENT = 200
"""Status files that an overview reads: the newest ones."""


@dataclass(frozen=True)
class SpoolReader:
    """Where a spool and its inboxes lie."""

    root: Path
    inboxes: Mapping[str, Path]

    @classmethod
    def of(cls, config: Path | None = None) -> "SpoolReader":
        """Return the spool that the configuration names, without checking the rest of it.

        Raises
        ------
        BadConfig
            The file cannot be found or read.
        """
        file = config_file.find(config)
        value = config_file.read(file).value
        found = value if isinstance(value, dict) else {}
        root = config_file.absolute(file, Path(str(found.get("root") or config_file.DEFAULT_ROOT)))
        inboxes = found.get("inboxes") or {"mix": None}
        if not isinstance(inboxes, dict):
            raise BadConfig("inboxes", "must hold names and settings", str(file.path))
        return cls(root, {name: _place(file, root, name, inboxes[name]) for name in inboxes})

    def inbox(self, name: str | None) -> tuple[str, Path]:
        """Return the inbox of this name; without one, the only inbox there is, or ``mix``.

        Raises
        ------
        BadInput
            There is no such inbox.
        Unavailable
            Its folder is not there: the daemon never ran, or a disk is not mounted.
        """
        if name is None:
            name = next(iter(self.inboxes)) if len(self.inboxes) == 1 else "mix"
        if name not in self.inboxes:
            known = ", ".join(self.inboxes)
            raise BadInput("UNKNOWN_INBOX", f"there is no inbox {name!r}", f"There are: {known}.")
        folder = self.inboxes[name]
        if not folder.is_dir():
            message = f"there is no folder {shown(folder)}"
            raise Unavailable("INBOX_MISSING", message, "The daemon makes it: soundspool run.")
        return name, folder


@dataclass(frozen=True)
class Pulse:
    """The last state that the daemon wrote."""

    document: Mapping[str, Any]
    """``daemon.json``; empty when there is none."""
    age_s: float | None
    """Since the last heartbeat."""

    life: Life
    """``alive``, ``down``, ``stopped``, ``absent``."""

    @property
    def running(self) -> bool:
        """Whether the daemon runs."""
        return self.life == "alive"


@dataclass(frozen=True)
class StatusFile:
    """One status document and where it lies."""

    path: Path
    document: Mapping[str, Any]

    @property
    def label(self) -> str:
        """The name of the status file, and of the result beside it."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def inbox(self) -> str:
        """The name of the inbox."""
        return self.path.parent.name

    @property
    def drop(self) -> str:
        """The drop's name on disk."""
        return drop_in(self.document)

    @property
    def terminal(self) -> bool:
        """Whether it will never change again."""
        return bool(self.document.get("terminal"))

    def goes_by(self, name: str) -> bool:
        """Tell whether `name`, as a person types it, may mean this one."""
        called = str(self.document.get("name"))
        names = (self.label, self.drop, called, shown(called), str(self.document.get("job")))
        return composed(name) in map(composed, names)


@dataclass(frozen=True)
class Failed:
    """A drop that was set aside, and why."""

    inbox: str
    path: Path

    @property
    def reason(self) -> Path:
        """The ``.error.json`` beside it."""
        return reason_beside(self.path)

    def error(self) -> Mapping[str, Any]:
        """Return the reason, empty when it cannot be read."""
        return _read_json(self.reason)


def pulse_of(root: Path, now_ms: int | None = None) -> Pulse:
    """Return the daemon's last heartbeat, as old as it is at `now_ms`, wall clock."""
    found = read_status(root / "daemon.json", "daemon") or {}
    now_ms = Clock().wall_ms() if now_ms is None else now_ms
    return Pulse(found, age_s(found.get("heartbeat"), now_ms), life(found or None, now_ms))


def until(wait: Mapping[str, Any]) -> str:
    """Return until when a drop waits, in words; empty: nobody knows, or it is over."""
    ago_s = age_s(wait.get("until"), Clock().wall_ms())
    return "" if ago_s is None or ago_s >= 0 else f"until {wait['until']}"


def statuses(reader: SpoolReader, *, most: int | None = RECENT) -> list[StatusFile]:
    """Return the status documents of all inboxes, the last written first."""
    aged = []
    for folder in _folders(reader.root / "outbox"):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
                    with suppress(FileNotFoundError):  # gone since it was listed
                        aged.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path))
    paths = [Path(path) for _, path in sorted(aged, reverse=True)[:most]]
    return [StatusFile(path, found) for path in paths if (found := read_status(path)) is not None]


def find_status(reader: SpoolReader, name: str, inbox: str | None = None) -> StatusFile | None:
    """Return the status that `name` means: a live one before one that ended.

    Of two that differ only in how their accents are spelt, the one that is spelt like `name`.
    """
    found = [
        entry
        for entry in statuses(reader, most=None)
        if entry.goes_by(name) and inbox in (None, entry.inbox)
    ]
    exact = [entry for entry in found if name in (entry.drop, entry.label)] or found
    return min(exact, key=lambda entry: (entry.terminal, entry.label != name), default=None)


def lying_in(folder: Path, name: str) -> str | None:
    """Return the name on disk of the drop in `folder` that `name` means, if there is one."""
    if name in ("", ".", "..") or "/" in name:
        return None
    return next((each for each in spellings(name) if os.path.lexists(folder / each)), None)


def failed_drops(reader: SpoolReader) -> list[Failed]:
    """Return everything that was set aside, in all inboxes, by name."""
    return [
        Failed(folder.name, path)
        for folder in _folders(reader.root / "failed")
        for path in _drops_in(folder)
    ]


def find_failed(reader: SpoolReader, name: str, inbox: str | None = None) -> Failed:
    """Return the failed drop of this name.

    Raises
    ------
    BadInput
        There is none, or several inboxes have one.
    """
    candidates = [one for one in failed_drops(reader) if inbox in (None, one.inbox)]
    found = [one for one in candidates if one.path.name == name] or [
        one
        for one in candidates
        if composed(name) in map(composed, (display(one.path.name), shown(one.path.name)))
    ]
    if not found:
        hint = "See what failed: soundspool status."
        raise BadInput("NOT_FOUND", f"no failed drop is called {shown(name)!r}", hint)
    if len(found) > 1:
        where = ", ".join(one.inbox for one in found)
        message = f"{shown(name)!r} failed in several inboxes: {where}"
        raise BadInput("AMBIGUOUS", message, "Choose one with --inbox.")
    return found[0]


def chosen_failed(
    reader: SpoolReader, names: list[str] | None, inbox: str | None, *, cancelled: bool
) -> list[Failed]:
    """Return the failed drops of these names; without names all, `cancelled` ones or not.

    Raises
    ------
    BadInput
        As ``find_failed``.
    """
    if names:
        return [find_failed(reader, name, inbox) for name in names]
    here = [one for one in failed_drops(reader) if inbox in (None, one.inbox)]
    return [one for one in here if cancelled or one.error().get("code") != "CANCELLED"]


def _place(file: config_file.ConfigFile, root: Path, name: str, settings: object) -> Path:
    own = settings.get("path") if isinstance(settings, dict) else None
    place = config_file.absolute(file, Path(str(own))) if own else None
    return inbox_folder(root, name, place)


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


def _drops_in(folder: Path) -> Iterator[Path]:
    names = {path.name for path in folder.iterdir()}
    for name in sorted(names):
        beside = name.endswith(SETTINGS_BESIDE) and name.removesuffix(SETTINGS_BESIDE) in names
        if not (name.endswith(REASON_SUFFIX) or name.startswith(".") or beside):
            yield folder / name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with open(os.open(path, _PLAINLY), "rb") as file:  # noqa: PTH123 - a descriptor
            value = json.loads(file.read(_LARGEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
