"""``daemon.json``: whether the daemon lives, and how it fares.

Rewritten every ``heartbeat_s`` from the supervisor's own tick, never by a timer of its own:
a loop that hangs must look dead. Readers take a heartbeat older than three periods as
"daemon down", which is why the period is in the file.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.clock import Clock, rfc3339
from daemon.files import Files
from daemon.outbox.status_reader import SCHEMA
from daemon.outbox.status_writer import encoded

NAME = "daemon.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return the kernel's name for this boot, empty where there is none."""
    try:
        return BOOT_ID.read_text("ascii").strip()[:64]
    except (OSError, ValueError):
        return ""


class Heartbeat:
    """The writer of ``daemon.json``."""

    def __init__(
        self, root: Path, *, files: Files, clock: Clock, instance: str, period_s: float
    ) -> None:
        self._path, self._files, self._clock = root / NAME, files, clock
        self._period_s, self._written_s = period_s, -1e9
        self._seq = 0
        self._fixed = {
            "schema": SCHEMA,
            "instance": instance,
            "pid": os.getpid(),
            "boot_id": boot_id(),
            "started": rfc3339(clock.wall_ms()),
            "period_s": period_s,
        }

    def due_in_s(self) -> float:
        """Return the seconds until the next beat."""
        return max(0.0, self._written_s + self._period_s - self._clock.monotonic_s())

    def beat(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Write the file; return what it says."""
        self._seq += 1
        body = {
            **self._fixed,
            "seq": self._seq,
            "heartbeat": rfc3339(self._clock.wall_ms()),
            **state,
        }
        # Noted first: what the disk refuses now is due again in a period, not in a busy loop.
        self._written_s = self._clock.monotonic_s()
        self._files.write("write heartbeat", self._path, encoded(body), durable=False)
        return body
