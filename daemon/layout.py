"""Where everything of a spool lies, and what the daemon's own files are called.

::

    inbox/<inbox>/              drops; or wherever the configuration says
    work/<inbox>/<job>/         in/<drop>, out.<attempt>/, and parts/<round>.<place>/ with an
                                out.<attempt>/ each: private to the daemon
    outbox/<inbox>/             results and statuses
    failed/<inbox>/             drops that failed, each beside its reason
    archive/<inbox>/<month>/    drops that were handled
    state/                      queue and lock, kept/<inbox>/ of handlers that remember things

Rule: each of these paths and names is written here and nowhere else.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from daemon.errors import BadConfig
from daemon.text import output_name

MARKER = ".soundspool"
SETTINGS = "job.yaml"
SETTINGS_BESIDE = ".job.yaml"
RECALL_SHEET = "mix.yaml"
MARKERS = frozenset({".done", "_ready"})
MARKER_BESIDE = ".done"
CANCEL = ".cancel"
PAUSE = ".pause"
SCAN = ".scan"
CLAIMED = ".claimed-"
REASON_SUFFIX = ".error.json"

JOB_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
JOB_IDS_PER_S = 0x10000
MAX_NAME_BYTES = 255  # of every file system that matters


@lru_cache(512)
def below(root: Path, *parts: str) -> Path:
    """Return a path below another one; made once, and asked for again and again for each drop."""
    return root.joinpath(*parts)


@dataclass(frozen=True)
class Spool:
    """The folders of one spool."""

    root: Path

    def folder(self, kind: str, inbox: str) -> Path:
        """Return ``<root>/<kind>/<inbox>``; kind is outbox, failed, archive or work."""
        return below(self.root, kind, inbox)

    def job(self, inbox: str, job: str) -> Path:
        """Return the private folder of a job; that of a part lies in its job's."""
        whole, _, place = job.partition(".")
        return below(self.root, "work", inbox, whole, *(("parts", place) if place else ()))

    def kept(self, inbox: str) -> Path:
        """Return the folder that the jobs of an inbox share."""
        return self.root / "state" / "kept" / inbox

    def drop(self, inbox: str, job: str, name: str) -> Path:
        """Return where the drop of a job, or of the job of a part, lies while it is worked on."""
        return below(self.root, "work", inbox, job.partition(".")[0], "in", name)

    def result(self, inbox: str, job: str, attempt: int) -> Path:
        """Return where an attempt writes."""
        return self.job(inbox, job) / f"out.{attempt}"


@dataclass(frozen=True)
class Place:
    """Where an admitted drop lies; all of it can be read off the path."""

    inbox: str
    job: str
    name: str
    """The drop's own name, which may not be decodable; see ``text.display``."""
    path: Path


def job_id(wall_ms: int, chance: float) -> str:
    """Return an id that sorts by time: ``20261120-214501-3f9a``, UTC; `chance` counts modulo 1."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{int(chance * JOB_IDS_PER_S) % JOB_IDS_PER_S:04x}"


def scan_name(wall_ms: int) -> str:
    """Return what a drop that asks for a scan is called: ``scan 20261120T214501Z.scan``, UTC."""
    return f"scan {datetime.fromtimestamp(wall_ms / 1000, UTC):%Y%m%dT%H%M%SZ}{SCAN}"


def inbox_folder(root: Path, name: str, own: Path | None) -> Path:
    """Return where an inbox lies: where its settings say, else below the root."""
    return own or root / "inbox" / name


def folders_of(paths: Iterable[str]) -> set[str]:
    """Return the folders that hold these relative paths, the top one, ``""``, among them."""
    found = {""}
    for path in paths:
        while path := path.rpartition("/")[0]:
            found.add(path)
    return found


def settings_beside(drop: Path) -> Path | None:
    """Return the settings file that belongs to a drop, if there is one."""
    inside, beside = drop / SETTINGS, drop.with_name(drop.name + SETTINGS_BESIDE)
    # Not Path.is_file(), which raises when the longer name is too long to exist.
    return next((path for path in (inside, beside) if os.path.isfile(path)), None)  # noqa: PTH113


def with_ending(name: str, ending: str) -> str:
    """Return the name with an ending, cut so that the two together are no longer than a name."""
    room = MAX_NAME_BYTES - len(os.fsencode(ending))
    return os.fsdecode(os.fsencode(name)[:room]) + ending


def reason_beside(drop: Path) -> Path:
    """Return where the reason lies beside a drop in ``failed/``.

    A name so long that nothing can be added to it is shortened, with a hash to tell it apart.
    """
    name = os.fsencode(drop.name)
    if len(name) + len(REASON_SUFFIX) > MAX_NAME_BYTES:
        digest = hashlib.sha256(name).hexdigest()[:16]
        return drop.with_name(f"{output_name(drop.name)}-{digest}{REASON_SUFFIX}")
    return drop.with_name(drop.name + REASON_SUFFIX)


def refuse_nesting(root: Path, inboxes: dict[str, Path]) -> None:
    """Refuse an inbox that holds another folder of ours, or lies in one.

    Compared by device and inode as well as by real path: bind mounts have two names.
    """
    ours = _ours(root)
    for name, folder in inboxes.items():
        others = [*ours, *(other for inbox, other in inboxes.items() if inbox != name)]
        for other in others:
            if _holds(folder, other) or _holds(other, folder):
                raise BadConfig(
                    f"inboxes.{name}.path", f"{folder} and {other} must not lie in each other"
                )
        if _holds(folder, root):
            raise BadConfig(f"inboxes.{name}.path", f"{folder} must not hold the spool {root}")


def is_ours(root: Path, folder: Path) -> bool:
    """Tell whether a folder is, lies in or holds one of the daemon's own, under whatever name."""
    ours = [own for own in _ours(root) if own.exists()]
    return _holds(folder, root) or any(_holds(own, folder) or _holds(folder, own) for own in ours)


def touches(root: Path, folder: Path) -> bool:
    """Tell whether a folder lies in the spool, inboxes included, or holds anything of it."""
    return _holds(root, folder) or is_ours(root, folder)


def _ours(root: Path) -> list[Path]:
    return [root / kind for kind in ("outbox", "failed", "archive", "work", "state")]


def _holds(outer: Path, inner: Path) -> bool:
    found = outer.stat()
    real = inner.resolve()
    return any(
        (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
        for there in (place.stat() for place in (real, *real.parents) if place.exists())
    )
