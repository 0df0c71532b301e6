"""What a person may ask of a spool, done with files alone.

It is done as with a file manager: a request is an empty file beside the drop, a failed drop is
moved back. So every command works while the daemon is down, and takes effect when it starts.

Rule: nothing is overwritten; every new name was free.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from daemon.cli.spool_reader import Failed, SpoolReader, find_status, lying_in
from daemon.clock import Clock, rfc3339
from daemon.errors import BadInput, Unavailable
from daemon.files import Files
from daemon.layout import CANCEL, MARKER_BESIDE, PAUSE, SETTINGS_BESIDE
from daemon.outbox.publisher import free_name
from daemon.text import shown


def retry(reader: SpoolReader, failed: Failed, files: Files) -> Path:
    """Move a failed drop back into its inbox, under its name; return where it is now.

    It starts as soon as it is seen: a marker beside it says that nothing more will come.

    Raises
    ------
    BadInput
        Its inbox is no longer configured.
    Unavailable
        The inbox holds a drop of this name already.
    """
    _, folder = reader.inbox(failed.inbox)
    target = folder / failed.path.name
    settings = failed.path.with_name(failed.path.name + SETTINGS_BESIDE)
    refuse_taken(target)
    if os.path.isfile(settings):  # noqa: PTH113 - Path.is_file() raises for a name too long
        _move(files, settings, folder / settings.name)
    mark_whole(target)
    try:
        _move(files, failed.path, target)
    except BaseException:
        unmark(target)
        raise
    if os.path.lexists(failed.reason):
        files.remove("retry.reason", failed.reason)
    return target


def clear(reader: SpoolReader, failed: Failed, files: Files) -> Path:
    """Move a failed drop into the archive of this month; return where it is now.

    Nothing of it is lost: only the lists of failures and the reason beside it go.
    """
    month = rfc3339(Clock().wall_ms())[: len("2026-11")]
    folder = reader.root / "archive" / failed.inbox / month
    folder.mkdir(parents=True, exist_ok=True)
    settings = failed.path.with_name(failed.path.name + SETTINGS_BESIDE)
    beside = os.path.isfile(settings)  # noqa: PTH113 - Path.is_file() raises for a name too long
    suffixes = ("", SETTINGS_BESIDE) if beside else ("",)
    target = folder / free_name(folder, failed.path.name, suffixes)
    if beside:
        _move(files, settings, target.with_name(target.name + SETTINGS_BESIDE))
    _move(files, failed.path, target)
    if os.path.lexists(failed.reason):
        files.remove("clear.reason", failed.reason)
    return target


def cancel(reader: SpoolReader, name: str, inbox: str | None = None) -> Path:
    """Ask for a drop or its job to be cancelled; return the file that asks.

    Raises
    ------
    BadInput
        No drop and no unfinished job goes by this name.
    """
    folder, drop = _cancellable(reader, name, inbox)
    request = folder / f"{drop}{CANCEL}"
    _touch(request)
    return request


def pause(folder: Path) -> bool:
    """Pause an inbox; return whether that changed anything."""
    return _touch(folder / PAUSE)


def resume(folder: Path) -> bool:
    """Resume a paused inbox; return whether that changed anything."""
    try:
        (folder / PAUSE).unlink()
    except FileNotFoundError:
        return False
    return True


def mark_whole(drop: Path) -> None:
    """Create NAME.done before moving the drop in, so that the daemon takes it without waiting.

    A name too long for a marker gets none: the drop then settles by itself.
    """
    try:
        _touch(drop.with_name(drop.name + MARKER_BESIDE))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise


def unmark(drop: Path) -> None:
    """Undo ``mark_whole``: the drop did not appear."""
    with suppress(OSError):
        drop.with_name(drop.name + MARKER_BESIDE).unlink()


def refuse_taken(target: Path) -> None:
    """Raise ``Unavailable`` when an inbox holds this name already."""
    if os.path.lexists(target):
        message = f"{shown(target.name)!r} is already in the inbox"
        raise Unavailable("NAME_TAKEN", message, "Wait until it was taken, or rename yours.")


def _cancellable(reader: SpoolReader, name: str, inbox: str | None) -> tuple[Path, str]:
    """Return the inbox folder and the name under which to ask."""
    entry = find_status(reader, name, inbox)
    if entry is not None and not entry.terminal and entry.inbox in reader.inboxes:
        # A drop is called by its name on disk, a job by its label, which is its own.
        receiving = entry.document.get("state") == "receiving"
        return reader.inboxes[entry.inbox], entry.drop if receiving else entry.label
    for folder in reader.inboxes.values() if inbox is None else [reader.inbox(inbox)[1]]:
        if (found := lying_in(folder, name)) is not None:
            return folder, found
    ended = "" if entry is None else f"; it is {entry.document.get('state')}"
    message = f"nothing unfinished is called {shown(name)!r}{ended}"
    raise BadInput("NOT_FOUND", message, "See what there is: soundspool status.")


def _move(files: Files, source: Path, target: Path) -> None:
    """Rename, or copy and remove when the inbox lies on another file system."""
    try:
        files.rename("retry.move", source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        aside = target.with_name(f".retry-{os.getpid()}")
        files.copy_tree("retry.copy", source, aside)
        files.rename("retry.arrive", aside, target)
        files.remove_tree("retry.original", source)


def _touch(path: Path) -> bool:
    """Make an empty file; return whether it was not there before."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o644))
    except FileExistsError:
        return False
    return True
