"""Time and chance, as arguments.

``wall_ms`` is what people and files read; ``monotonic_s`` is what deadlines and ages are
measured with, so that a clock that jumps by a day changes neither. Tests pass their own.
"""

import random
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache


class Clock:
    """The machine's clocks and its dice."""

    def wall_ms(self) -> int:
        """Return milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return seconds on a clock that never jumps."""
        return time.monotonic()

    def chance(self) -> float:
        """Return a number in [0, 1)."""
        return random.random()  # noqa: S311 - spreads retries; guards nothing


def earliest(moments_s: Iterable[float | None]) -> float | None:
    """Return the first of some moments; ``None``: nothing is waited for."""
    return min((each for each in moments_s if each is not None), default=None)


def rfc3339(wall_ms: int) -> str:
    """Return a wall time as ``2026-11-20T21:45:01.250Z``."""
    seconds, ms = divmod(wall_ms, 1000)
    return f"{_second(seconds)}.{ms:03}Z"


@lru_cache(64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")[:-6]
