"""Make a result visible, or set a drop aside: the last steps of a job, each repeatable.

Theory of operation
-------------------
A worker has written ``work/<inbox>/<job>/out.<n>/``, the pool has checked and synced what is in
it (``pool.outputs``), and its row says how the job ended. What is left, in this order:

1. *done*: live views move first, each by a rename over its predecessor in ``outbox/<inbox>/``.
   Only those that are still in ``out.<n>`` have not been moved, so this can be repeated; jobs of
   such an inbox are at work one at a time, so no older view takes the place of a newer one.
   Then, unless views were all that the job made, one exclusive rename of ``out.<n>`` to
   ``outbox/<inbox>/<label>``. At that instant the result exists. (``transfer.move`` tells how it
   gets to another file system.) The label was recorded in the row before, so that a repetition
   knows its own result from another one.
2. The drop moves out of ``work/``: to ``archive/<inbox>/<month>/`` after *done* and
   *skipped*, to ``failed/<inbox>/`` with its ``.error.json`` otherwise.
3. What is left of ``work/<inbox>/<job>/`` goes.
4. The final status, and the row says *published*; the caller does both. The row is last: what
   start-up does not find published it repeats, the status included.

Rules
-----
Rule 1: every step looks first whether it was done: start-up calls the same functions.

Rule 2: nothing is archived before its result is in place and durable.

Rule 3: a step that is given ``later`` leaves the sync of its folder to the caller, so that
several jobs share one.

Rule 4: a name that is taken gets `` (2)``, `` (3)``, …; nothing is ever replaced but live views.
"""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from daemon.clock import rfc3339
from daemon.files import Files
from daemon.layout import REASON_SUFFIX, SETTINGS_BESIDE, Spool, reason_beside
from daemon.outbox.transfer import has_moved, move
from daemon.trees import STAYS

_MAX_NAME_BYTES = 255
_READABLE = 0o755
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_SENT_DROP = "sent.drop"


def _beside(drop: Path) -> Path:
    return drop.with_name(drop.name + SETTINGS_BESIDE)


def free_name(
    folder: Path, name: str, suffixes: Sequence[str] = ("",), *, ours: str | None = None
) -> str:
    """Return the first of ``name``, ``name (2)``, … that is not taken with any of the suffixes.

    One that ends in ``ours`` is not free either: the daemon's own files are called so.

    A name is cut where it and its suffix would be longer than a name can be.
    """
    room = _MAX_NAME_BYTES - max(len(suffix) for suffix in suffixes)
    for number in count(1):
        ending = f" ({number})" if number > 1 else ""
        candidate = os.fsdecode(os.fsencode(name)[: room - len(ending)]) + ending
        if ours and candidate.endswith(ours):
            continue
        if not any(os.path.lexists(folder / f"{candidate}{suffix}") for suffix in suffixes):
            break
    return candidate


class Publisher:
    """The steps from *ended* to *published*."""

    def __init__(self, spool: Spool, files: Files) -> None:
        self._spool, self._files = spool, files

    def publish_views(self, inbox: str, job: str, attempt: int, views: Sequence[str]) -> None:
        """Put live views into the outbox, each in the place of its predecessor.

        Raises
        ------
        OSError
            The surroundings refused, or a folder has the name; repeat it later.
        """
        for view in views:
            source = self._spool.result(inbox, job, attempt) / view
            target = self._spool.folder("outbox", inbox) / view
            if os.path.lexists(source):
                self._replace("publish view", source, target, f".{job}.{view}")

    def _replace(self, step: str, source: Path, target: Path, copy: str) -> None:
        """Put a file in the place of another one; `copy` is a free name beside that."""
        try:
            self._files.replace(step, source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._files.copy_tree(f"{step}.copy", source, target.with_name(copy))
            self._files.replace(step, target.with_name(copy), target)
            self._files.remove(f"{step}.original", source)

    def publish_result(
        self,
        inbox: str,
        job: str,
        attempt: int,
        label: str,
        *,
        names: tuple[str, str] | None = None,
        later: set[Path] | None = None,
    ) -> bool:
        """Put the result into the outbox; return ``False`` when the label is taken.

        The first of `names` is an output, the second another name for it: who has twenty files
        called ``final_mix.wav`` has lost nineteen.

        Repeating it after a crash is harmless: when the attempt's folder is gone, this very
        rename has happened before.
        """
        result = self._spool.result(inbox, job, attempt)
        aside = result.with_name("sent.result")
        if has_moved(result, aside):
            return True
        target = self._spool.folder("outbox", inbox) / label
        # Private while it was work, readable from now on; the pool makes it so.
        if result.is_dir() and result.stat().st_mode & 0o777 != _READABLE:
            result.chmod(_READABLE)
            self._files.sync_dir(result)
        if names and not os.path.lexists(target):
            self._name(result / names[0], result / names[1])
        try:
            move(self._files, "publish result", result, target, aside=aside, later=later)
        except FileExistsError:
            return False
        return True

    def _name(self, output: Path, name: Path) -> None:
        try:
            self._files.link("name master", output, name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise

    def archive(
        self, inbox: str, job: str, name: str, finished_ms: int, *, later: set[Path] | None = None
    ) -> Path | None:
        """Move the drop into the archive of its month; return where it went."""
        month = datetime.fromtimestamp(finished_ms / 1000, UTC).strftime("%Y-%m")
        if self._drop_has_left(inbox, job, name):
            return None
        folder = self._spool.folder("archive", inbox) / month
        self._ensure(folder)
        target = folder / self._target(inbox, job, name, folder)
        return self._move_drop("archive drop", inbox, job, name, target, later=later)

    def set_aside(
        self,
        inbox: str,
        job: str,
        name: str,
        error: Mapping[str, Any],
        finished_ms: int,
        *,
        later: set[Path] | None = None,
    ) -> Path | None:
        """Move the drop into ``failed/`` beside the reason; return where it went.

        The reason is written first: a drop in ``failed/`` always has one.
        """
        if self._drop_has_left(inbox, job, name):
            return None
        folder = self._spool.folder("failed", inbox)
        self._ensure(folder)
        # ``Song.error.json`` is where the reason of a drop ``Song`` goes, in place of an older one.
        target = self._target(inbox, job, name, folder, ours=REASON_SUFFIX)
        body = {"schema": 1, "job": job, "inbox": inbox, "finished": rfc3339(finished_ms), **error}
        text = json.dumps(body, indent=1, allow_nan=False).encode("ascii") + b"\n"
        self._files.write("write error", reason_beside(folder / target), text, durable=True)
        return self._move_drop("set drop aside", inbox, job, name, folder / target, later=later)

    def clear(self, inbox: str, job: str, *, later: set[Path] | None = None) -> str:
        """Remove what is left of the job's private folder; return what stays, and why.

        The drop must have left; if it has not, the folder stays as it is.
        """
        folder = self._spool.job(inbox, job)
        inside = folder / "in"
        # Listed, not globbed: glob calls a folder empty that it cannot open.
        if inside.is_dir() and os.listdir(inside):  # noqa: PTH208
            return ""
        try:
            self._files.remove_tree("clear work", folder, later=later)
        except OSError as error:
            if error.errno not in STAYS:
                raise
            return f"{error.filename}: {error.strerror}"
        return ""

    def _target(
        self, inbox: str, job: str, name: str, folder: Path, *, ours: str | None = None
    ) -> str:
        """Return a name that is free for the drop, and for the settings file beside it."""
        drop = self._spool.drop(inbox, job, name)
        suffixes = ("", SETTINGS_BESIDE) if os.path.lexists(_beside(drop)) else ("",)
        return free_name(folder, name, suffixes, ours=ours)

    def _drop_has_left(self, inbox: str, job: str, name: str) -> bool:
        room = self._spool.job(inbox, job)
        return has_moved(self._spool.drop(inbox, job, name), room / _SENT_DROP)

    def _move_drop(
        self, step: str, inbox: str, job: str, name: str, target: Path, *, later: set[Path] | None
    ) -> Path:
        room, drop = self._spool.job(inbox, job), self._spool.drop(inbox, job, name)
        # The settings first: a repetition finds its way by the drop, and the same target.
        beside, sent = _beside(drop), room / "sent.settings"
        if not has_moved(beside, sent):
            move(self._files, f"{step}.settings", beside, _beside(target), aside=sent)
        move(self._files, step, drop, target, aside=room / _SENT_DROP, later=later)
        return target

    def _ensure(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            self._files.sync_dir(folder.parent)
