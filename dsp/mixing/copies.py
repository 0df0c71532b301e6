"""Decoded sound kept on the disk: a mix hears each stem twice, and some take long to decode.

Rules
-----
Rule 1: a copy holds what the decoder gave, every bit of it, folded to two channels.

Rule 2: a copy is a saving and never a need: where the disk does not take it, the stem is decoded
again.
"""

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock

import numpy as np

from dsp.audio import Block
from dsp.formats.reader import Probe

MOST_BYTES = 512 << 20
"""Of all copies of a mix: 25 minutes of stereo. What is longer is decoded twice."""

_PLAIN = frozenset({"wav", "w64", "aiff"})
"""Their samples are read as fast as a copy's."""
_FREE_SHARE = 0.25
"""Of the free space: the mix itself needs more."""
_SAMPLE_BYTES = 4


class CopyReader:
    """The frames of a copy, from the first to the last, once."""

    def __init__(self, path: Path, channels: int) -> None:
        self._file, self._channels = path.open("rb"), channels

    def read(self, frames: int) -> Block:
        """Return the next ``(frames, channels)``, fewer only at the end, then none."""
        samples = np.fromfile(self._file, np.float32, frames * self._channels)
        return samples.reshape(-1, self._channels)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._file.close()


class CopyWriter:
    """A copy on its way: given up when the disk refuses, or when there is more than was said."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path, self._left = path, most_bytes
        self._fd = -1
        with suppress(OSError):
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def put(self, block: Block) -> None:
        """Add the next ``(frames, channels)``."""
        data = np.ascontiguousarray(block).data.cast("B")
        self._left -= len(data)
        written = 0
        with suppress(OSError):
            written = os.write(self._fd, data) if self._fd >= 0 and self._left >= 0 else 0
        if written < len(data):
            self.close(keep=False)

    def close(self, *, keep: bool) -> bool:
        """Close the file; return whether all of it is there and kept."""
        keep = keep and self._fd >= 0
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if not keep:
                self.path.unlink(missing_ok=True)
        return keep


class Copies:
    """The copies of one mix; several threads may ask."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
        self._left, self._begun = MOST_BYTES, 0
        self._there: dict[str, Path] = {}

    def begin(self, probe: Probe) -> CopyWriter | None:
        """Return a writer of a stem's copy, if one saves time and there is room for it."""
        if probe.frames is None or {one.container for one in probe.files} <= _PLAIN:
            return None
        size = probe.frames * min(probe.channels, 2) * _SAMPLE_BYTES
        with self._lock:
            disk = os.statvfs(self._folder)
            if size > min(self._left, _FREE_SHARE * disk.f_bavail * disk.f_frsize):
                return None
            self._left -= size
            self._begun += 1
            return CopyWriter(self._folder / f"decoded.{self._begun}.f32", size)

    def keep(self, probe: Probe, copy: CopyWriter) -> None:
        """Read the stem from its copy from now on, if the disk has taken it."""
        if copy.close(keep=True):
            self._there[probe.name] = copy.path

    def reader(self, probe: Probe) -> CopyReader | None:
        """Return a reader of a stem's copy, if there is one."""
        path = self._there.get(probe.name)
        return CopyReader(path, min(probe.channels, 2)) if path else None

    def close(self) -> None:
        """Remove all copies."""
        for path in self._there.values():
            path.unlink(missing_ok=True)
        self._there.clear()
