"""Whether there is room for one more drop: the inbox is the overflow.

The loop measures; the watchers' threads ask before each admission and thereby take room. What
they took counts until the loop has the drop's row, or hears that it was put back: so no burst
between two measurements can overrun the queue or the disk. A job holds room until it has ended,
for its result is still to be written.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import classed_words
from daemon.intake.drop import Drop
from daemon.intake.observations import Wait
from daemon.supervisor.startup import Opened
from daemon.text import size

MEMINFO = Path("/proc/meminfo")
_MIB, _MEMINFO_BYTES = 1024 * 1024, 4096


@dataclass
class _Left:
    jobs: int
    bytes: float
    memory: bool


class Capacity:
    """What is left of the queue, the disk and the memory."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._held: dict[str, int] = {}
        """Bytes of each job that has not ended."""
        self._lock = threading.Lock()
        self._left: _Left | None = None
        self._unknown = "nothing has been measured yet"
        self._coming: dict[tuple[str, str], int] = {}
        """Bytes of each drop on its way from an inbox to its row."""
        self.free_mb = 0
        self.reserved_mb = 0

    def hold(self, job: str, input_bytes: int) -> None:
        """Keep room for the result of a job."""
        self._held[job] = input_bytes

    def release(self, job: str) -> None:
        """Give back the room of a job that has ended."""
        self._held.pop(job, None)

    def measure(self, running: int) -> bool:
        """Measure anew; return whether there is room where there was none.

        `running` jobs of those that hold room do not wait. While nothing can be measured, no
        drop is taken.
        """
        try:
            return self._measure(running)
        except Exception as error:
            with self._lock:
                self._left, self._unknown = None, classed_words(error)
            raise

    def _measure(self, running: int) -> bool:
        config, disk = self._opened.config, self._opened.config.disk
        found = os.statvfs(self._opened.spool.root)
        free = found.f_bavail * found.f_frsize
        memory = _memory_free_mb() >= config.memory_reserve_mb
        with self._lock:
            held = sum(self._held.values()) + sum(self._coming.values())
            reserved = disk.per_input_byte * held
            self.free_mb, self.reserved_mb = free // _MIB, round(reserved / _MIB)
            left = _Left(
                config.queue_limit - (len(self._held) - running) - len(self._coming),
                free - reserved - disk.reserve_mb * _MIB,
                memory=memory,
            )
            before, self._left = self._left, left
        return _open(left) and (before is None or not _open(before))

    def came(self, inbox: str, name: str) -> None:
        """Count a drop no more: it has its row, or is in its inbox after all."""
        with self._lock:
            self._coming.pop((inbox, name), None)

    def gate(self, inbox: str, drop: Drop, *, in_place: bool = False) -> Wait | None:
        """Return why a drop must wait, or ``None``: it is admitted, and its room is taken.

        One that is made of a job which has just left the queue takes its place there: `in_place`.
        """
        config = self._opened.config
        wanted = config.disk.per_input_byte * drop.bytes
        with self._lock:
            if self._left is None:
                return Wait("slot", None, f"what room there is is not known: {self._unknown}")
            if self._left.jobs <= 0 and not in_place:
                return Wait("slot", None, f"the queue is full: queue_limit is {config.queue_limit}")
            if self._left.bytes < wanted:
                left_mb = max(0.0, self._left.bytes) / _MIB
                text = f"{size(wanted / _MIB)} needed, {size(left_mb)} free for drops"
                return Wait("disk", None, f"too little room on the disk: {text}")
            if not self._left.memory:
                text = f"less than {size(config.memory_reserve_mb)} are available"
                return Wait("memory", None, f"too little memory: {text}")
            self._left.jobs -= 1
            self._left.bytes -= wanted
            self._coming[inbox, drop.name] = drop.bytes
        return None


def _open(left: _Left) -> bool:
    return left.jobs > 0 and left.bytes > 0 and left.memory


def _memory_free_mb() -> float:
    """Return what the kernel calls available, without bound where it does not say."""
    try:
        with MEMINFO.open("rb", buffering=0) as file:
            after = file.read(_MEMINFO_BYTES).partition(b"MemAvailable:")[2]
        return int(after.split(maxsplit=1)[0]) / 1024
    except (OSError, ValueError, LookupError):  # systemd's ProcSubset=pid hides it
        return float("inf")
