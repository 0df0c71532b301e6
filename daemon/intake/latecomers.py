"""Files that come after their folder was taken: the rest of a song that is exported stem by stem.

Theory of operation
-------------------
The next stem took longer than the folder waited, so its program makes the folder anew, and the rest
of the song settles in it. Mixed alone it would be a second half of a song. Instead it waits in the
inbox, where still more may join it, until the job of the first files has ended; then it is taken
together with a copy of them, and all are one job.

Rules
-----
1. Folders join only when everything speaks for it: the handler takes many files as one, the first
   folder held one file or grew with pauses, the second one came within ``join_late_s``, no file is
   in both, and nobody said of either that it is whole.
2. What was taken before is copied from where its drop has come to rest, and only if all of it lies
   there. A cancelled one is not joined.
3. What does not join although its name came before is taken alone, with a warning.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.intake.completeness import FileAnswer, Rules
from daemon.intake.drop import Drop, Found, Signature
from daemon.intake.settle import DropStatus
from daemon.text import count

_REMEMBERED_S = 600.0


@dataclass(slots=True)
class Taken:
    """A folder that was taken."""

    at_s: float
    """Monotonic."""
    job: str
    drop: Drop
    answer: DropStatus
    ended: bool = False
    lies: Path | None = None
    """Where it has come to rest, if it may be joined."""

    @property
    def awaited(self) -> str:
        """What its latecomers wait for, for people."""
        return (
            f"{count(len(self.drop.accepted), 'file')} of this folder came before and are being "
            f"worked on as job {self.job}; these join them when that has ended"
        )

    def with_latecomers(self, drop: Drop) -> Drop:
        """Return both as one."""
        return replace(
            drop, files=tuple(sorted((*self.drop.files, *drop.files), key=lambda file: file.path))
        )

    def copies(self, drop: Drop) -> Iterator[tuple[Path, str]]:
        """Yield what joins a drop: the file, and its path in the folder."""
        paths = [file.path for file in self.drop.files]
        if self.drop.settings and not drop.settings and "/" not in self.drop.settings.path:
            paths.append(self.drop.settings.path)
        for path in paths:
            if self.lies is not None:
                yield self.lies / path, path

    def is_there(self) -> bool:
        """Tell whether all of it lies where it should."""
        if self.lies is None:
            return False
        try:
            sizes = [os.lstat(self.lies / file.path).st_size for file in self.drop.files]
        except OSError:
            return False
        return sizes == [file.bytes for file in self.drop.files]


class Latecomers:
    """What one inbox remembers of the folders that it took lately; used by one thread."""

    def __init__(self, join_s: float) -> None:
        self._join_s = join_s
        self._taken: dict[str, Taken] = {}
        """By name; the oldest first."""

    def recall(
        self, name: str, inputs: Sequence[Mapping[str, object]], job: str, at_s: float
    ) -> None:
        """Remember what an earlier run took, by what the row of its job says of it."""
        answers = tuple(
            FileAnswer(str(one.get("path")), int(str(one.get("bytes") or 0)), ready_by="header")
            for one in inputs
        )
        if [one.path for one in answers] == [name]:
            return  # a loose file
        found = (
            Found(one.path, Signature(0, 0, one.bytes, 0, 0), accepted=True) for one in answers
        )
        grew = not any(one.get("ready_by") in ("manifest", "marker") for one in inputs)
        answer = DropStatus(settled=True, files=answers, grew=grew)
        self.note(Drop(name, "folder", tuple(found)), answer, job, at_s)

    def note(self, drop: Drop, answer: DropStatus, job: str, now_s: float) -> None:
        """Remember a folder that was taken."""
        if drop.kind != "folder":
            return
        self._taken.pop(drop.name, None)
        self._taken[drop.name] = Taken(now_s, job, drop, answer)
        while now_s - self._taken[oldest := next(iter(self._taken))].at_s >= _REMEMBERED_S:
            del self._taken[oldest]

    def note_end(self, job: str, lies: Path | None) -> None:
        """Note that a job has ended, and where its drop lies if it may be joined."""
        for taken in self._taken.values():
            if taken.job == job:
                taken.ended, taken.lies = True, lies

    def joined_by(
        self, drop: Drop, answer: DropStatus, seen_s: float, rules: Rules
    ) -> Taken | None:
        """Return the folder that a settled drop is the rest of, if rule 1 says so."""
        before = self._before(drop)
        if before is None or rules.handler.judge != "all" or not before.answer.grew:
            return None
        soon = seen_s - before.at_s < self._join_s
        if not soon or any(
            _said_whole(*one) for one in ((drop, answer), (before.drop, before.answer))
        ):
            return None
        return before if not before.ended or before.is_there() else None

    def warning(self, drop: Drop, joined: Taken | None, now_s: float) -> list[tuple[str, str]]:
        """Return what is to be said of a folder whose name came before so soon."""
        if joined:
            files, first = (
                count(len(drop.accepted), "file"),
                count(len(joined.drop.accepted), "file"),
            )
            text = (
                f"{files} came {now_s - joined.at_s:.0f} s after {first} of this folder had been "
                f"taken; all are used here, those alone in job {joined.job}"
            )
            return [("FILES_JOINED", text)]
        before = self._before(drop)
        if before is None or now_s - before.at_s >= _REMEMBERED_S:
            return []
        text = (
            f"a folder of this name was taken {now_s - before.at_s:.0f} s before, with other "
            "files; if they belong together, put all of them into one folder and drop it"
        )
        return [("POSSIBLE_SPLIT_DROP", text)]

    def _before(self, drop: Drop) -> Taken | None:
        """Return the folder of this name that was taken last, unless this is a version of it."""
        before = self._taken.get(drop.name) if drop.kind == "folder" else None
        if before is None or _names(before.drop) & _names(drop):
            return None
        return before


def _names(drop: Drop) -> set[str]:
    return {file.path for file in drop.accepted}


def _said_whole(drop: Drop, answer: DropStatus) -> bool:
    by_mark = any(not mark.path for mark in drop.marks)
    return by_mark or any(file.ready_by == "manifest" for file in answer.files)
