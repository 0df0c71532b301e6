"""``events.jsonl``: what happened, one CloudEvents line per transition.

Each line is one ``O_APPEND`` write, so a reader that follows the file never sees half of
one. The file is rotated by rename when it has grown to ``ROTATE_BYTES``; ``KEEP`` old ones
stay. The history is for tools and people: nothing is ever decided from it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.clock import Clock, rfc3339
from daemon.files import Files

ROTATE_BYTES = 16 * 1024 * 1024
KEEP = 3
TYPE_PREFIX = "soundspool."
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Events:
    """The writer of the history."""

    def __init__(self, path: Path, *, files: Files, clock: Clock, instance: str) -> None:
        self._path, self._files, self._clock = path, files, clock
        self._source = f"/soundspool/{instance}"
        self._count = 0

    def emit(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        """Append one event: ``kind`` is ``job.queued``, ``subject`` the inbox and name."""
        self._count += 1
        now_ms = self._clock.wall_ms()
        line = {
            "specversion": "1.0",
            "id": f"{now_ms}-{self._count}",
            "source": self._source,
            "type": TYPE_PREFIX + kind,
            "time": rfc3339(now_ms),
            "subject": subject,
            "data": dict(data),
        }
        self._rotate_when_full()
        self._files.append("append event", self._path, _encode(line).encode("ascii") + b"\n")

    def _rotate_when_full(self) -> None:
        try:
            if self._path.stat().st_size < ROTATE_BYTES:
                return
        except FileNotFoundError:
            return
        for number in range(KEEP - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                self._files.replace("rotate events", older, self._numbered(number + 1))
        self._files.replace("rotate events", self._path, self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
