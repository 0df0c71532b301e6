"""Take a settled drop in: one rename out of the inbox, after which no scan can see it.

Theory of operation
-------------------
``work/<inbox>/<job>/in/<name>``: this path alone says which inbox a drop came from, which job
it is and what it was called, so that its row can be made again after a crash. The order:

1. sync what is in the drop: those who copy files do not, and what is admitted must survive a
   power cut. It is done first, so that ``work/`` never holds a drop that a cut hollows out;
2. make ``work/<inbox>/<job>/`` and ``in/``; nothing has happened yet;
3. rename the settings file beside the drop, if there is one, into ``in/``;
4. **rename the drop into ``in/``: now it is admitted** (S0 → S1);
5. compare it with the look by which it had settled; if it changed or is open for writing, a
   writer followed it through the rename: put it back;
6. remove the marker beside it.

When the inbox lies on another file system, step 4 is: move it aside to a hidden
``.claimed-<job>/`` in the inbox, compare, copy to ``arriving/``, verify, and rename
``arriving`` to ``in``; then the original goes.

Rules
-----
1. A job directory without a drop in ``in/`` is no job; ``mend`` undoes it after a crash.
2. What is refused or cancelled goes the same way, for its row must have its drop.
3. Once the drop is in, nothing undoes that: what cannot be removed then is removed later.

References
----------
Postfix's pickup(8) and qmail's INTERNALS: a message exists from one rename on.
"""

import errno
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Limits
from daemon.files import Files
from daemon.intake.drop import Drop, look
from daemon.intake.filenames import (
    CLAIMED,
    MARKER_BESIDE,
    SETTINGS,
    SETTINGS_BESIDE,
    kind_of,
)
from daemon.intake.writer_probe import open_beneath, writer_of

_JOB = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_THROWS = 0x10000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Place:
    """Where an admitted drop lies; all of it can be read off the path."""

    inbox: str
    job: str
    name: str
    """The drop's own name, which may not be decodable; see ``names.display``."""
    path: Path

    @property
    def settings(self) -> Path | None:
        """The settings file that came with the drop, if one did."""
        inside = self.path / SETTINGS
        beside = self.path.with_name(self.name + SETTINGS_BESIDE)
        # Not Path.is_file(), which raises when the longer name is too long to exist.
        return next((path for path in (inside, beside) if os.path.isfile(path)), None)  # noqa: PTH113


@dataclass(frozen=True)
class Door:
    """The way from one inbox into the daemon's work directory."""

    inbox: str
    folder: Path
    """The inbox itself."""
    work: Path
    """The work directory of all inboxes."""
    limits: Limits
    accepts: frozenset[str]
    files: Files
    clock: Clock
    leftovers: list[Path] = field(default_factory=list)
    """Of admitted drops, in the inbox: markers, and originals of copies."""

    def admit(self, drop: Drop, *, whole: bool) -> Place | None:
        """Take the drop in; ``None`` when it moved on under our hands and was put back.

        With `whole`, it must still be what it was when it settled. A refused or cancelled drop
        is taken as it is.

        Raises
        ------
        OSError
            The surroundings failed; the drop is in the inbox as before, or will be after
            ``mend``.
        """
        self._sync(drop)
        room = self._make_room()
        try:
            taken = self._take(drop, room, whole=whole)
        except OSError as error:
            if error.errno != errno.EXDEV:
                self._put_back(room / "in", room)
                raise
            taken = self._take_across(drop, room, whole=whole)
        if not taken:
            return None
        if os.path.lexists(mark := self.folder / (drop.name + MARKER_BESIDE)):
            self.leftovers.append(mark)
        self.tidy()
        return Place(self.inbox, room.name, drop.name, room / "in" / drop.name)

    def tidy(self) -> str:
        """Remove what admitted drops left in the inbox; return what is in the way of that."""
        trouble = ""
        for path in self.leftovers[:]:
            try:
                self.files.remove_tree("admit.tidy", path)
                self.leftovers.remove(path)
            except OSError as error:  # the drop is in, and its report must not be lost
                trouble = f"cannot remove {path}: {error.strerror}"
        return trouble

    def _make_room(self) -> Path:
        shelf = self.work / self.inbox
        if not shelf.is_dir():
            self.files.make_dir("admit.shelf", shelf)
        wall_ms, chance = self.clock.wall_ms(), self.clock.chance()
        # When two come in one second and the dice agree, the next number is taken.
        for room in (shelf / job_id(wall_ms, chance + step / _THROWS) for step in range(_THROWS)):
            with suppress(FileExistsError):
                self.files.make_dir("admit.room", room)
                self._furnish(room)
                return room
        raise FileExistsError(errno.EEXIST, "every job id of this second is taken", str(shelf))

    def _furnish(self, room: Path) -> None:
        try:
            self.files.make_dir("admit.in", room / "in")
        except OSError:
            self.files.remove_tree("admit.no_room", room)
            raise

    def _sync(self, drop: Drop) -> None:
        top = self.folder / drop.name
        files = [top / file.path if drop.kind == "folder" else top for file in drop.files]
        if drop.settings:
            beside = drop.kind != "folder" or drop.settings.path != SETTINGS
            files.append((self.folder if beside else top) / drop.settings.path)
        holders = {
            folder for file in files for folder in file.parents if folder.is_relative_to(top)
        }
        self.files.sync("admit.sync", [*files, *sorted(holders)])

    def _take(self, drop: Drop, room: Path, *, whole: bool) -> bool:
        self._move("admit", drop, room / "in")
        if whole and not self._is_still(drop, room / "in"):
            self._put_back(room / "in", room)
            return False
        return True

    def _take_across(self, drop: Drop, room: Path, *, whole: bool) -> bool:
        aside = self.folder / f"{CLAIMED}{room.name}"
        try:
            self.files.remove_tree("admit.no_in", room / "in")
            self.files.make_dir("admit.aside", aside)
            self._move("admit.aside", drop, aside)
            still = not whole or self._is_still(drop, aside)
            if still:
                self.files.copy_tree("admit.copy", aside, room / "arriving")
                still = not whole or self._is_still(drop, aside)
            if still:
                self.files.rename("admit.arrived", room / "arriving", room / "in")
        except OSError:
            self._put_back(aside, room)
            raise
        if not still:
            self._put_back(aside, room)
            return False
        self.leftovers.append(aside)
        return True

    def _move(self, step: str, drop: Drop, target: Path) -> None:
        beside = self.folder / (drop.name + SETTINGS_BESIDE)
        if drop.settings and drop.settings.path == beside.name:
            self.files.rename(f"{step}.settings", beside, target / beside.name)
        self.files.rename(f"{step}.drop", self.folder / drop.name, target / drop.name)

    def _is_still(self, drop: Drop, folder: Path) -> bool:
        """Tell whether the drop in `folder` is what it was, and nobody writes into it."""
        fd = os.open(folder, _FOLDER)
        try:
            now = look(fd, drop.name, self.limits, self.accepts)
            same = now is not None and _across_rename(now) == _across_rename(drop)
            return same and not any(_is_written(fd, drop, file.path) for file in drop.audio)
        finally:
            os.close(fd)

    def _put_back(self, taken: Path, room: Path) -> None:
        _give_back(self.files, "admit.back", taken, self.folder)
        self.files.remove_tree("admit.no_room", room)


def job_id(wall_ms: int, chance: float) -> str:
    """Return an id that sorts by time: ``20261120-214501-3f9a``, UTC; `chance` counts modulo 1."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{int(chance * _THROWS) % _THROWS:04x}"


def renumber(files: Files, place: Place, clock: Clock) -> Place:
    """Give the job directory of a drop that has no row yet another id; return the new place."""
    room = place.path.parent.parent
    while True:
        other = room.with_name(job_id(clock.wall_ms(), clock.chance()))
        with suppress(FileExistsError):
            files.rename("admit.renumber", room, other)
            return Place(place.inbox, other.name, place.name, other / "in" / place.name)


def find_admitted(work: Path) -> list[Place]:
    """Return every drop that lies in the work directory, oldest job first."""
    rooms = (room for room in work.glob("*/*") if _JOB.fullmatch(room.name))
    places: list[Place] = []
    for room in sorted(rooms, key=lambda room: room.name):
        drops = (path for path in _entries(room / "in") if kind_of(path.name) != "settings")
        places += [Place(room.parent.name, room.name, path.name, path) for path in sorted(drops)]
    return places


@dataclass(frozen=True)
class CutShort:
    """What the last run left of one inbox's admissions, as ``work/`` alone tells it."""

    admitted: Sequence[Path]
    """Drops that are in."""
    abandoned: Sequence[Path]
    """Job directories that never got theirs."""


def find_cut_short(work: Path, inbox: str, has_row: Callable[[str], bool]) -> CutShort:
    """Look for admissions that a crash may have cut short; call before anybody admits or works.

    A directory whose job has a row is none: its drop was there, and has gone where it belongs.
    """
    rooms = [room for room in sorted(_entries(work / inbox)) if _JOB.fullmatch(room.name)]
    return CutShort(
        [drop for room in rooms for drop in _entries(room / "in")],
        [room for room in rooms if _is_abandoned(room) and not has_row(room.name)],
    )


def mend(files: Files, found: CutShort, folder: Path) -> None:
    """Undo in the inbox `folder` what was cut short; call before its first scan.

    A job directory without a drop goes, and gives back a settings file that had gone ahead.
    What was moved aside for copying goes when the copy is in place, else back into the inbox.
    A marker goes whose drop is in.

    Raises
    ------
    OSError
        The inbox is missing or does not do it now; may be repeated.
    """
    arrived = {drop.parent.parent.name for drop in found.admitted}
    for aside in sorted(folder.iterdir()):
        if not aside.name.startswith(CLAIMED):
            continue
        if aside.name.removeprefix(CLAIMED) in arrived:
            files.remove_tree("mend.original", aside)
        else:
            _give_back(files, "mend.back", aside, folder)
    for room in filter(Path.is_dir, found.abandoned):
        _give_back(files, "mend.back", room / "in", folder)
        files.remove_tree("mend.room", room)
    for drop in found.admitted:
        _remove_marker_left_behind(files, drop.name, folder)


def _give_back(files: Files, step: str, taken: Path, folder: Path) -> None:
    """Move what lies in `taken` back into the inbox, and remove `taken`."""
    # The drop first: between the two renames a crash must not leave it admitted without its
    # settings. The inbox is not scanned meanwhile, and mend brings the settings after it.
    for path in sorted(_entries(taken), key=lambda path: kind_of(path.name) == "settings"):
        _rename_to_free(files, step, path, folder / path.name)
    if os.path.lexists(taken):  # else a read-only inbox would refuse the removal of nothing
        files.remove_tree(f"{step}.done", taken)


def _remove_marker_left_behind(files: Files, name: str, folder: Path) -> None:
    """Remove what marked an admitted drop: it would call the next one of that name whole."""
    mark = folder / (name + MARKER_BESIDE)
    if os.path.lexists(mark) and not os.path.lexists(folder / name):
        files.remove("mend.marker", mark)


def _is_abandoned(room: Path) -> bool:
    """Tell whether a job directory holds neither a drop nor anything of an attempt."""
    if any(path.name not in ("in", "arriving") for path in _entries(room)):
        return False
    return all(kind_of(path.name) == "settings" for path in _entries(room / "in"))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _rename_to_free(files: Files, step: str, source: Path, target: Path) -> None:
    """Rename to `target`, or to `target` with `` (2)`` and so on when somebody took the name."""
    names = (f"{target.stem} ({number}){target.suffix}" for number in count(2))
    for name in chain([target.name], names):
        with suppress(FileExistsError):
            files.rename(step, source, target.with_name(name))
            return


def _across_rename(drop: Drop) -> list[tuple[str, object]]:
    return [(path, signature.across_rename()) for path, signature in drop.signature]


def _is_written(folder: int, drop: Drop, path: str) -> bool:
    inside = f"{drop.name}/{path}" if drop.kind == "folder" else path
    try:
        fd = open_beneath(folder, inside)
    except OSError:
        return False  # unreadable, and known to be: the attempt will say so
    try:
        return writer_of(fd) == "busy"
    finally:
        os.close(fd)
