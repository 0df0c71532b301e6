"""What a scanner remembers of a drop between its first sighting and its end."""

from dataclasses import dataclass

from daemon.intake.observations import Sighting
from daemon.intake.settle import Settler

HELD_S = 60.0
"""A drop that lacks nothing but room is looked at again after so long."""
_TELL_S = 0.5
"""Between two sightings of one drop that differ only in numbers."""


@dataclass(slots=True)
class Tracked:
    """A drop in its inbox."""

    settler: Settler
    first_seen_ms: int
    seen_s: float
    """Monotonic, likewise."""
    held_s: float | None = None
    """When it was last looked at, while all that it lacks is room."""
    fault: str = ""
    """Of ours, which leaves it in the inbox for now."""
    fault_s: float = 0.0
    _told: int | None = None
    """Hash of what was last told of it: ten thousand drops may wait here."""
    _told_reason: str | None = None
    _told_s: float = 0.0

    def is_held(self, now_s: float) -> bool:
        """Tell whether it lacked nothing but room a moment ago."""
        return self.held_s is not None and now_s - self.held_s < HELD_S

    def is_new(self, sighting: Sighting, reason: str, now_s: float) -> bool:
        """Tell whether a sighting says something new, numbers twice a second at most; note it."""
        told, soon = hash(repr(sighting)), now_s - self._told_s < _TELL_S
        if told == self._told or (reason == self._told_reason and soon):
            return False
        self._told, self._told_reason, self._told_s = told, reason, now_s
        return True
