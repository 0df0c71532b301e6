"""What a link talks over, whether that is a process of ours or a conversation at a broker."""

from typing import Protocol


class Lines(Protocol):
    """Lines both ways, neither of which is ever waited for."""

    @property
    def ended(self) -> bool:
        """Whether the other side will never say anything again."""

    @property
    def behind(self) -> bool:
        """Whether something is still to be sent."""

    def read(self) -> list[bytes]:
        """Return the lines that have come; ``BadMessage`` when one is too long."""

    def send(self, line: bytes) -> None:
        """Send a line, or as much of it as is taken now."""

    def flush(self) -> None:
        """Send what is left."""


class Connection(Protocol):
    """One life of a node, as far as it is seen from here."""

    @property
    def wire(self) -> Lines:
        """What is said."""

    @property
    def process_id(self) -> int:
        """The number of the process that keeps it open; 0: none of its own."""

    @property
    def dead(self) -> bool:
        """Whether it has ended."""

    def descriptors(self) -> list[int]:
        """Return what becomes readable when it says something or ends."""

    def how_it_ended(self) -> str:
        """Return how it ended, in words."""

    def complaint(self) -> str:
        """Return what else it said, in a line; empty: nothing."""

    def hang_up(self) -> None:
        """Ask what is left of it here to end, and do not wait for it."""

    def end(self, patience_s: float = 0.0) -> None:
        """Close it, and after so long all that is left of it here."""
