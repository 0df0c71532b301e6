"""Analyses that are kept: by the bytes of the song, the version, and the options that count.

Rules
-----
Rule 1: an entry appears by one rename, and is held against its type on every reading: a worker
that decoded foreign bytes wrote it. One that is not what it should be is no entry.

Rule 2: only complete analyses are kept. A file that breaks off may be whole the next time.

Rule 3: an entry's mtime is when it was written, its atime when it was last asked for.
"""

import base64
import os
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError

from daemon.handlers.pruning import prune
from dsp.analysis.document import Analysis
from dsp.analysis.figure import Part
from dsp.analysis.options import VERSION, AnalysisOptions
from dsp.analysis.song import Analysed

_MOST_BYTES = 64 << 20
"""Of an entry: four hours of beats, curves and outline are less than a quarter of it."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Entry(Part):
    """What is kept of a song."""

    analysis: Analysis
    outline: str
    """Pairs of 8 bits, in base64."""
    blocks: tuple[Annotated[int, Field(ge=0, le=1 << 40)], ...]
    """See ``dsp.measure.album``."""

    @classmethod
    def of(cls, made: Analysed) -> "Entry":
        """Return the entry of an analysis."""
        return cls(
            analysis=made.analysis,
            outline=base64.b64encode(made.outline.tobytes()).decode(),
            blocks=tuple(made.blocks.tolist()),
        )

    def analysed(self, name: str, *, cached: bool) -> Analysed:
        """Return what was analysed, under the name that the file has now."""
        file, by = self.analysis.file, self.analysis.analysis
        analysis = self.analysis.model_copy(
            update={
                "file": file.model_copy(update={"name": name.encode(errors="replace").decode()}),
                "warnings": tuple(
                    note.model_copy(update={"message": note.message.replace(file.name, name)})
                    for note in self.analysis.warnings
                ),
                "analysis": by.model_copy(update={"source": "cache" if cached else "fresh"}),
            }
        )
        outline = np.frombuffer(base64.b64decode(self.outline), np.int8).reshape(-1, 2)
        return Analysed(analysis, outline, np.array(self.blocks, np.int64))


def entry_at(path: Path, sha256: str) -> Entry | None:
    """Return the entry at a path, ``None`` when there is none for this file.

    Raises
    ------
    ValueError
        What lies there is no entry.
    """
    try:
        opened = os.open(path, _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"cannot be opened: {error.strerror}") from error
    try:
        told = os.fstat(opened)
        if not stat.S_ISREG(told.st_mode) or told.st_size > _MOST_BYTES:
            raise ValueError(f"is no plain file of at most {_MOST_BYTES >> 20} MiB")
        with open(opened, "rb", closefd=False) as file:
            data = file.read(_MOST_BYTES)
    finally:
        os.close(opened)
    try:
        entry = Entry.model_validate_json(data)
        outline = base64.b64decode(entry.outline, validate=True)
    except ValidationError as error:
        raise ValueError(f"is no analysis: {error.error_count()} faults") from error
    if len(outline) % 2 or entry.analysis.file.sha256 != sha256:
        raise ValueError("is the analysis of another file, or damaged")
    return entry


def write_entry(entry: Entry, path: Path) -> None:
    """Write an entry by one rename."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(entry.model_dump_json(by_alias=True).encode())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


@dataclass(frozen=True)
class Cache:
    """The entries of one namespace for one set of options; without a folder it holds nothing."""

    folder: Path | None
    namespace: str
    options: AnalysisOptions

    def find(self, sha256: str, newer_than: float = 0.0) -> Entry | None:
        """Return the entry of a file, when it was written after a time.

        Raises
        ------
        ValueError
            What lies in its place is no entry.
        """
        path = self._path(sha256)
        if path is None or (entry := entry_at(path, sha256)) is None:
            return None
        told = path.lstat()
        if told.st_mtime < newer_than:
            return None
        # A confined worker may set no times; then it is the day that the kernel notes on reading.
        with suppress(OSError):
            os.utime(path, ns=(max(told.st_mtime_ns, time.time_ns()), told.st_mtime_ns))
        return entry

    def put(self, entry: Entry) -> None:
        """Keep an analysis, if it may be kept."""
        path = self._path(entry.analysis.file.sha256)
        if path is not None and entry.analysis.complete:
            with suppress(OSError):  # the song is analysed all the same, and again another time
                write_entry(entry, path)

    def prune(self, most_mb: float) -> None:
        """Remove what was not asked for longest, until all namespaces together fit."""
        if self.folder is None:
            return
        prune(self.folder, most_mb, now_s=time.time(), in_use_s=0.0)

    def _path(self, sha256: str) -> Path | None:
        name = f"{sha256}.{VERSION}.{self.options.digest()}.json"
        return self.folder and self.folder / self.namespace / sha256[:2] / name
