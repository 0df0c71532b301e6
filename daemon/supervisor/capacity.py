"""Whether there is room for one more drop: the inbox is the overflow.

The loop measures; the watchers' threads ask before each admission and thereby take room. What
they took counts until the loop has the drop's row, or hears that it was put back: so no burst
between two measurements can overrun the queue or the disk.
"""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.config.models import Config
from daemon.intake.drop import Drop

MEMINFO = Path("/proc/meminfo")
_MIB = 1024 * 1024


@dataclass
class _Left:
    jobs: int
    bytes: float
    memory: bool


class Capacity:
    """What is left of the queue, the disk and the memory."""

    def __init__(self, config: Config, root: Path) -> None:
        self.config, self._root = config, root
        self._lock = threading.Lock()
        self._left = _Left(0, 0.0, memory=True)
        self._coming: dict[tuple[str, str], int] = {}
        """Bytes of each drop on its way from an inbox to its row."""
        self.free_mb = 0
        self.reserved_mb = 0

    def measure(self, waiting_jobs: int, held_bytes: Mapping[str, int]) -> bool:
        """Measure anew; return whether there is room where there was none.

        ``held_bytes`` are the inputs of the jobs that are not finished: their results are
        still to be written.
        """
        disk = self.config.disk
        found = os.statvfs(self._root)
        free = found.f_bavail * found.f_frsize
        memory = _memory_free_mb() >= self.config.memory_reserve_mb
        with self._lock:
            held = sum(held_bytes.values()) + sum(self._coming.values())
            reserved = disk.per_input_byte * held
            self.free_mb, self.reserved_mb = free // _MIB, round(reserved / _MIB)
            left = _Left(
                self.config.queue_limit - waiting_jobs - len(self._coming),
                free - reserved - disk.reserve_mb * _MIB,
                memory=memory,
            )
            before, self._left = self._left, left
        return _open(left) and not _open(before)

    def came(self, inbox: str, name: str) -> None:
        """Count a drop no more: it has its row, or is in its inbox after all."""
        with self._lock:
            self._coming.pop((inbox, name), None)

    def gate(self, inbox: str, drop: Drop) -> str | None:
        """Return why a drop must wait, or ``None``: it is admitted, and its room is taken."""
        wanted = self.config.disk.per_input_byte * drop.bytes
        with self._lock:
            if self._left.jobs <= 0:
                return "slot"
            if self._left.bytes < wanted:
                return "disk"
            if not self._left.memory:
                return "memory"
            self._left.jobs -= 1
            self._left.bytes -= wanted
            self._coming[inbox, drop.name] = drop.bytes
        return None


def _open(left: _Left) -> bool:
    return left.jobs > 0 and left.bytes > 0 and left.memory


def _memory_free_mb() -> float:
    """Return what the kernel calls available, without bound where it does not say."""
    try:
        text = MEMINFO.read_text("ascii")
        lines = (line.split() for line in text.splitlines())
        return next(int(words[1]) for words in lines if words[:1] == ["MemAvailable:"]) / 1024
    except (OSError, ValueError, LookupError, StopIteration):  # systemd's ProcSubset=pid hides it
        return float("inf")
