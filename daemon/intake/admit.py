"""Take a settled drop in: one rename out of the inbox, after which no scan can see it.

Theory of operation
-------------------
``work/<inbox>/<job>/in/<name>``: this path alone says which inbox a drop came from, which job
it is and what it was called, so that its row can be made again after a crash. The order:

1. make ``work/<inbox>/<job>/`` and ``in/``; nothing has happened yet;
2. sync them and what is in the drop: those who copy files do not, and what is admitted must
   survive a power cut. It is done first, so that ``work/`` never holds a drop that a cut
   hollows out;
3. rename the settings file beside the drop, if there is one, into ``in/``;
4. **rename the drop into ``in/``: now it is admitted** (S0 → S1);
5. compare it with the look by which it had settled; if it changed or is open for writing, a
   writer followed it through the rename: put it back;
6. remove the marker beside it.

When the inbox lies on another file system, step 4 is: move it aside to a hidden
``.claimed-<job>/`` in the inbox, compare, copy to ``arriving/``, verify, and rename
``arriving`` to ``in``; then the original goes. The same way goes a drop that is joined by files
from elsewhere (``latecomers``), which are copied to ``arriving/`` beside its own.

Several drops that have settled take the steps together, with one sync at step 2, and one of the
folders that step 4 has changed; should one be in the way of that, each goes alone.

Rules
-----
1. A job directory without a drop in ``in/`` is no job; ``recovery`` undoes it after a crash.
2. What is refused or cancelled goes the same way, for its row must have its drop.
3. Once the drop is in, nothing undoes that: what cannot be removed then is removed later.

References
----------
Postfix's pickup(8) and qmail's INTERNALS: a message exists from one rename on.
"""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Limits
from daemon.files import Files
from daemon.intake.drop import Drop, look
from daemon.intake.recovery import give_back, markers_of
from daemon.intake.writer_probe import open_beneath, writer_of
from daemon.layout import (
    CLAIMED,
    JOB_IDS_PER_S,
    SETTINGS,
    SETTINGS_BESIDE,
    Place,
    folders_of,
    job_id,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Admitter:
    """The way from one inbox into the daemon's work directory."""

    inbox: str
    folder: Path
    """The inbox itself."""
    work: Path
    """The work directory of all inboxes."""
    limits: Limits
    files: Files
    clock: Clock
    leftovers: list[Path] = field(default_factory=list)
    """Of admitted drops, in the inbox: markers, and originals of copies."""
    stranded: list[Path] = field(default_factory=list)
    """Hidden folders of drops that were moved aside, not taken in, and could not be put back."""

    def admit(
        self, drop: Drop, *, whole: bool, joined: Iterable[tuple[Path, str]] | None = None
    ) -> Place | None:
        """Take the drop in; ``None`` when it changed meanwhile and was put back.

        With `whole`, it must still be what it was when it settled. A refused or cancelled drop
        is taken as it is. Of `joined`, files from elsewhere with their paths in the folder, copies
        are taken in with it.

        Raises
        ------
        Exception
            The surroundings failed, or we did; the drop is in the inbox as before, or will be
            after ``tidy`` or ``mend``.
        """
        job_dir = self._make_job_dir()
        try:
            self._sync({drop.name: job_dir}, drop)
            taken = (
                self._take(drop, job_dir, whole=whole)
                if joined is None
                else self._take_across(drop, job_dir, whole=whole, joined=joined)
            )
        except Exception as error:
            if not (isinstance(error, OSError) and error.errno == errno.EXDEV):
                self._put_back(job_dir / "in", job_dir)
                raise
            taken = self._take_across(drop, job_dir, whole=whole)
        if not taken:
            return None
        place = self._place(drop, job_dir)
        self.tidy()
        return place

    def admit_together(self, drops: Sequence[Drop]) -> dict[str, Place]:
        """Take settled drops in, with one sync before all their renames and one after.

        Return where those lie that are in, by name. The others are in the inbox as before:
        ``admit`` says what is in the way of each.

        Raises
        ------
        Exception
            As of ``admit``; none is in.
        """
        job_dirs: dict[str, Path] = {}
        taken: list[Drop] = []
        try:
            for drop in drops:
                job_dirs[drop.name] = self._make_job_dir()
            self._sync(job_dirs, *drops)
            for drop in drops:
                job_dir = job_dirs[drop.name]
                try:
                    if self._take(drop, job_dir, whole=True, later=set()):
                        taken.append(drop)
                except OSError:
                    self._put_back(job_dir / "in", job_dir)
            folders = [self.folder, *(job_dirs[drop.name] / "in" for drop in taken)]
            self.files.sync_dirs("admit.names", folders)
        except Exception:
            for job_dir in job_dirs.values():
                self._put_back(job_dir / "in", job_dir)
            raise
        places = {drop.name: self._place(drop, job_dirs[drop.name]) for drop in taken}
        self.tidy()
        return places

    def _place(self, drop: Drop, job_dir: Path) -> Place:
        self.leftovers.extend(markers_of(self.folder / drop.name))
        return Place(self.inbox, job_dir.name, drop.name, job_dir / "in" / drop.name)

    def tidy(self) -> str:
        """Put back what is stranded, remove what admitted drops left; return what is in the way."""
        trouble = ""
        for aside in self.stranded[:]:
            try:
                give_back(self.files, "admit.back", aside, self.folder)
                self.stranded.remove(aside)
            except OSError as error:
                trouble = f"cannot put back what lies in {aside}: {error.strerror}"
        for path in self.leftovers[:]:
            try:
                self.files.remove_tree("admit.tidy", path)
                self.leftovers.remove(path)
            except OSError as error:  # the drop is in, and its report must not be lost
                trouble = f"cannot remove {path}: {error.strerror}"
        return trouble

    def _make_job_dir(self) -> Path:
        inbox_dir = self.work / self.inbox
        if not inbox_dir.is_dir():
            self.files.make_dir("admit.inbox", inbox_dir)
        wall_ms, chance = self.clock.wall_ms(), self.clock.chance()
        # When two drops of one second draw the same number, the next one is taken.
        for step in range(JOB_IDS_PER_S):
            job_dir = inbox_dir / job_id(wall_ms, chance + step / JOB_IDS_PER_S)
            with suppress(FileExistsError):
                self.files.make_dir("admit.job", job_dir, synced=False)
                self._make_in(job_dir)
                return job_dir
        raise FileExistsError(errno.EEXIST, "every job id of this second is taken", str(inbox_dir))

    def _make_in(self, job_dir: Path) -> None:
        try:
            self.files.make_dir("admit.in", job_dir / "in", synced=False)
        except OSError:
            self.files.remove_tree("admit.no_job", job_dir)
            raise

    def _sync(self, job_dirs: Mapping[str, Path], *drops: Drop) -> None:
        paths = [path for drop in drops for path in self._paths_of(drop)]
        self.files.sync("admit.sync", [*paths, *job_dirs.values(), self.work / self.inbox])

    def _paths_of(self, drop: Drop) -> list[Path]:
        top = self.folder / drop.name
        files = [file.path for file in drop.files] if drop.kind == "folder" else []
        paths = [top / path for path in (*files, *sorted(folders_of(files)))]
        if drop.kind == "other":  # a link, a pipe: nothing of it can be synced
            paths = []
        if drop.settings:
            inside = drop.kind == "folder" and drop.settings.path == SETTINGS
            paths.append((top if inside else self.folder) / drop.settings.path)
        return paths

    def _take(
        self, drop: Drop, job_dir: Path, *, whole: bool, later: set[Path] | None = None
    ) -> bool:
        self._move("admit", drop, job_dir / "in", later)
        if whole and not self._is_still(drop, job_dir / "in"):
            self._put_back(job_dir / "in", job_dir)
            return False
        return True

    def _take_across(
        self, drop: Drop, job_dir: Path, *, whole: bool, joined: Iterable[tuple[Path, str]] = ()
    ) -> bool:
        aside = self.folder / f"{CLAIMED}{job_dir.name}"
        try:
            self.files.remove_tree("admit.no_in", job_dir / "in")
            self.files.make_dir("admit.aside", aside)
            self._move("admit.aside", drop, aside)
            still = not whole or self._is_still(drop, aside)
            if still:
                self.files.copy_tree("admit.copy", aside, job_dir / "arriving")
                self._join(joined, job_dir / "arriving" / drop.name)
                still = not whole or self._is_still(drop, aside)
            if still:
                self.files.rename("admit.arrived", job_dir / "arriving", job_dir / "in")
        except Exception:
            self._put_back(aside, job_dir)
            raise
        if not still:
            self._put_back(aside, job_dir)
            return False
        self.leftovers.append(aside)
        return True

    def _join(self, joined: Iterable[tuple[Path, str]], folder: Path) -> None:
        for file, path in joined:
            target = folder / path
            for holder in reversed(target.relative_to(folder).parents):
                if not (folder / holder).is_dir():
                    self.files.make_dir("admit.join", folder / holder)
            self.files.copy_tree("admit.join", file, target)

    def _move(self, step: str, drop: Drop, target: Path, later: set[Path] | None = None) -> None:
        if drop.settings and drop.settings.path != SETTINGS:
            # Its accents may be spelt in another way than the drop's; from here on they are not.
            beside = self.folder / drop.settings.path
            named = target / (drop.name + SETTINGS_BESIDE)
            self.files.rename(f"{step}.settings", beside, named, later=later)
        self.files.rename(f"{step}.drop", self.folder / drop.name, target / drop.name, later=later)

    def _is_still(self, drop: Drop, folder: Path) -> bool:
        """Tell whether the drop in `folder` is what it was, and no writer has it open."""
        fd = os.open(folder, _FOLDER)
        try:
            now = look(fd, drop.name, self.limits)
            same = now is not None and _across_rename(now) == _across_rename(drop)
            return same and not any(_is_written(fd, drop, file.path) for file in drop.accepted)
        finally:
            os.close(fd)

    def _put_back(self, taken: Path, job_dir: Path) -> None:
        try:
            give_back(self.files, "admit.back", taken, self.folder)
        except OSError:
            if taken.parent == self.folder:  # what lies in work/ is adopted by the supervisor
                self.stranded.append(taken)
            raise
        self.files.remove_tree("admit.no_job", job_dir)


def renumber(files: Files, place: Place, clock: Clock) -> Place:
    """Give the job directory of a drop that has no row yet another id; return the new place."""
    job_dir = place.path.parent.parent
    while True:
        other = job_dir.with_name(job_id(clock.wall_ms(), clock.chance()))
        with suppress(FileExistsError):
            files.rename("admit.renumber", job_dir, other)
            return Place(place.inbox, other.name, place.name, other / "in" / place.name)


def _across_rename(drop: Drop) -> tuple[object, ...]:
    files = [(file.path, file.signature.across_rename()) for file in drop.files]
    return files, drop.settings and drop.settings.signature.across_rename()


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
