"""What a crash left of admissions: found in ``work/``, undone in the inbox.

Rule: a job directory without a drop in ``in/`` is no job; ``mend`` undoes it.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from daemon.files import Files
from daemon.intake.filenames import kind_of
from daemon.layout import CLAIMED, JOB_ID, MARKER_BESIDE, Place, with_ending
from daemon.text import spellings


def find_admitted(work: Path) -> list[Place]:
    """Return every drop that lies in the work directory, oldest job first."""
    job_dirs = (job_dir for job_dir in work.glob("*/*") if JOB_ID.fullmatch(job_dir.name))
    places: list[Place] = []
    for job in sorted(job_dirs, key=lambda job: job.name):
        drops = (path for path in _entries(job / "in") if kind_of(path.name) != "settings")
        places += [Place(job.parent.name, job.name, path.name, path) for path in sorted(drops)]
    return places


@dataclass(frozen=True)
class CutShort:
    """What the last run left of one inbox's admissions, as ``work/`` alone tells it."""

    admitted: Sequence[Path]
    """Drops that are in."""
    abandoned: Sequence[Path]
    """Job directories that never got theirs."""


def find_cut_short(work: Path, inbox: str, has_row: Callable[[str], bool]) -> CutShort:
    """Look for admissions that a crash may have cut short; call before any admission or attempt.

    A directory whose job has a row is none: its drop was there, and has gone where it belongs.
    """
    jobs = [path for path in sorted(_entries(work / inbox)) if JOB_ID.fullmatch(path.name)]
    return CutShort(
        [drop for job in jobs for drop in _entries(job / "in")],
        [job for job in jobs if _is_abandoned(job) and not has_row(job.name)],
    )


def mend(files: Files, found: CutShort, folder: Path) -> list[Path]:
    """Undo in the inbox `folder` what was cut short; call before its first scan.

    A job directory without a drop goes, and gives back a settings file that had gone ahead.
    What was moved aside for copying goes when the copy is in place, else back into the inbox.
    A marker goes whose drop is in.

    Returns
    -------
    list of Path
        What should go and cannot be removed now: to be tried again later.

    Raises
    ------
    OSError
        The inbox is missing, or a drop cannot be put back into it now; may be repeated.
    """
    arrived = {drop.parent.parent.name for drop in found.admitted}
    going: list[tuple[str, Path]] = []
    for aside in sorted(folder.iterdir()):
        job = aside.name.removeprefix(CLAIMED)
        if job == aside.name or not JOB_ID.fullmatch(job):
            continue
        if job not in arrived:
            _move_back(files, "mend.back", aside, folder)
        going.append(("mend.back.done" if job not in arrived else "mend.original", aside))
    for job_dir in filter(Path.is_dir, found.abandoned):
        _move_back(files, "mend.back", job_dir / "in", folder)
        going.append(("mend.job_dir", job_dir))
    for place in (folder / drop.name for drop in found.admitted):
        if not os.path.lexists(place):
            going += [("mend.marker", mark) for mark in markers_of(place)]
    return [path for step, path in going if not _removed(files, step, path)]


def _removed(files: Files, step: str, path: Path) -> bool:
    try:
        files.remove_tree(step, path)
    except OSError:
        return False
    return True


def give_back(files: Files, step: str, taken: Path, folder: Path) -> None:
    """Move what lies in `taken` back into the inbox, and remove `taken`."""
    _move_back(files, step, taken, folder)
    if os.path.lexists(taken):  # else a read-only inbox would refuse the removal of nothing
        files.remove_tree(f"{step}.done", taken)


def _move_back(files: Files, step: str, taken: Path, folder: Path) -> None:
    # The drop first: between the two renames a crash must not leave it admitted without its
    # settings. The inbox is not scanned meanwhile, and mend brings the settings after it.
    for path in sorted(_entries(taken), key=lambda path: kind_of(path.name) == "settings"):
        _rename_to_free(files, step, path, folder / path.name)


def markers_of(drop: Path) -> list[Path]:
    """Return what marks a drop as whole, and would mark the next one of that name."""
    marks = (drop.with_name(each + MARKER_BESIDE) for each in spellings(drop.name))
    return [mark for mark in marks if os.path.lexists(mark)]


def _is_abandoned(job_dir: Path) -> bool:
    """Tell whether a job directory holds neither a drop nor anything of an attempt."""
    if any(path.name not in ("in", "arriving") for path in _entries(job_dir)):
        return False
    return all(kind_of(path.name) == "settings" for path in _entries(job_dir / "in"))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _rename_to_free(files: Files, step: str, source: Path, target: Path) -> None:
    """Rename to `target`, or to `target` with `` (2)`` and so on when the name is taken."""
    endings = (f" ({number}){target.suffix}" for number in count(2))
    names = (with_ending(target.stem, ending) for ending in endings)
    for name in chain([target.name], names):
        with suppress(FileExistsError):
            files.rename(step, source, target.with_name(name))
            return
