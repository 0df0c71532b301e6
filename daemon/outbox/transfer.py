"""Move what is finished to its place, also when that lies on another file system.

Theory of operation
-------------------
One exclusive rename, where one is possible. An outbox that is a mount of its own, or leads to
another disk, takes none; then

1. the source is copied to a hidden name beside the target, synced and compared;
2. the source is set aside within the job's folder: from here on the copy counts;
3. the copy gets its name by one exclusive rename: now it is there.

Whoever repeats this after a crash goes on where it stopped: what was set aside is never copied
again, so nothing comes twice. It goes with the job's folder.
"""

import errno
import os
from pathlib import Path

from daemon.files import Files


def has_moved(source: Path, aside: Path) -> bool:
    """Tell whether nothing is left to be moved: all was, or there never was anything."""
    return not (os.path.lexists(source) or os.path.lexists(aside))


def move(
    files: Files,
    step: str,
    source: Path,
    target: Path,
    *,
    aside: Path,
    later: set[Path] | None = None,
) -> None:
    """Give `source` the free name `target`; `aside` is a free name in the job's folder.

    With `later`, the target's folder may be left there, to be synced by the caller.

    Raises
    ------
    FileExistsError
        `target` is taken.
    OSError
        The surroundings refused; repeat it later, with another `target` if need be.
    """
    copy = target.with_name(f".{aside.parent.name}.{aside.name}")
    if not os.path.lexists(aside):
        try:
            files.rename(step, source, target, later=later)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return
        files.copy_tree(f"{step}.copy", source, copy)
        files.rename(f"{step}.aside", source, aside)
    if os.path.lexists(copy):
        files.rename(step, copy, target)
