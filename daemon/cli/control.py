"""What a person may ask of a spool, done with files alone.

Whatever can be done with a file manager is done here in the same way: a request is an empty file
beside the drop, a failed drop is moved back. So every command works while the daemon is down,
and takes effect when it comes up.

Rule: nothing is overwritten; each name that is given was free.
"""

import errno
import os
from contextlib import suppress
from pathlib import Path

from daemon.cli.spool_reader import Failed, SpoolReader, find_status, lying_in
from daemon.errors import BadInput, Unavailable
from daemon.files import Files
from daemon.layout import CANCEL, MARKER_BESIDE, PAUSE, SETTINGS_BESIDE
from daemon.text import shown


def retry(board: SpoolReader, failed: Failed, files: Files) -> Path:
    """Move a failed drop back into its inbox, under its name; return where it is now.

    It starts as soon as it is seen: a marker beside it says that nothing more will come.

    Raises
    ------
    BadInput
        Its inbox is no longer configured.
    Unavailable
        The inbox holds a drop of this name already.
    """
    _, folder = board.inbox(failed.inbox)
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


def cancel(board: SpoolReader, name: str, inbox: str | None = None) -> Path:
    """Ask for a drop or its job to be cancelled; return the file that asks.

    Raises
    ------
    BadInput
        No drop and no unfinished job goes by this name.
    """
    folder, drop = _cancellable(board, name, inbox)
    request = folder / f"{drop}{CANCEL}"
    _touch(request)
    return request


def pause(folder: Path) -> bool:
    """Pause an inbox; return whether that changed anything."""
    return _touch(folder / PAUSE)


def resume(folder: Path) -> bool:
    """Let a paused inbox go on; return whether that changed anything."""
    try:
        (folder / PAUSE).unlink()
    except FileNotFoundError:
        return False
    return True


def mark_whole(drop: Path) -> None:
    """Say beside a drop that is about to appear that nothing more of it will come.

    A name too long for a marker goes without: the drop then settles by itself.
    """
    try:
        _touch(drop.with_name(drop.name + MARKER_BESIDE))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise


def unmark(drop: Path) -> None:
    """Take back ``mark_whole``: the drop did not appear."""
    with suppress(OSError):
        drop.with_name(drop.name + MARKER_BESIDE).unlink()


def refuse_taken(target: Path) -> None:
    """Raise ``Unavailable`` when an inbox holds this name already."""
    if os.path.lexists(target):
        message = f"{shown(target.name)!r} lies in the inbox already"
        raise Unavailable("NAME_TAKEN", message, "Wait until it was taken, or rename yours.")


def _cancellable(board: SpoolReader, name: str, inbox: str | None) -> tuple[Path, str]:
    """Return the inbox folder and the name under which to ask."""
    told = find_status(board, name, inbox)
    if told is not None and not told.terminal and told.inbox in board.inboxes:
        # A drop is called by its name on disk, a job by its label, which is its own.
        receiving = told.document.get("state") == "receiving"
        return board.inboxes[told.inbox], told.drop if receiving else told.label
    for folder in board.inboxes.values() if inbox is None else [board.inbox(inbox)[1]]:
        if (found := lying_in(folder, name)) is not None:
            return folder, found
    ended = "" if told is None else f"; it is {told.document.get('state')}"
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
