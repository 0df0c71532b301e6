"""A clock that moves when it is told to, and dice that are loaded."""

from daemon.clock import Clock


class FakeClock(Clock):
    """Stand still until ``advance``; roll ``next_chance`` for ever.

    Starts at 2026-11-20T21:45:01Z and at 1,000 monotonic seconds.
    """

    def __init__(self) -> None:
        self.now_ms = 1_795_211_101_000
        self.now_s = 1_000.0
        self.next_chance = 0.5

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_s

    def chance(self) -> float:
        return self.next_chance

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self.now_s += seconds
        self.now_ms += round(seconds * 1000)
