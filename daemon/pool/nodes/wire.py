"""Lines over two descriptors, neither of which is ever waited for."""

import os

from daemon.pool.nodes.messages import NODE_LINE_BYTES
from daemon.pool.protocol import Lines

_READ_BYTES = 1 << 16
_READS = 16
"""Portions of one ``read``: a flood must not hold anything up."""
_UNSENT_BYTES = 16 << 20


class Wire:
    """A pair of pipes, or of sockets, that carries messages both ways.

    Parameters
    ----------
    reads, writes : int
        Descriptors; they become non-blocking. Whoever opened them closes them.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self.reads, self.writes = reads, writes
        self.ended = False
        """Whether the other side will never say anything again."""
        self._lines, self._unsent = Lines(NODE_LINE_BYTES), b""
        for descriptor in (reads, writes):
            os.set_blocking(descriptor, False)

    @property
    def behind(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._unsent)

    def read(self) -> list[bytes]:
        """Return the lines that have come; ``BadMessage`` when one is too long."""
        portions = []
        try:
            for _ in range(_READS):
                if not (portion := os.read(self.reads, _READ_BYTES)):
                    self.ended = True
                    break
                portions.append(portion)
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True
        return self._lines.feed(b"".join(portions))

    def send(self, line: bytes) -> None:
        """Send a line, or as much of it as is taken now; ``flush`` sends the rest."""
        self._unsent += line
        self.flush()

    def flush(self) -> None:
        """Send what is left, if the other side is there; only so much is kept for it."""
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self.writes, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it has gone, which the reading end tells
            self._unsent = b""
        if len(self._unsent) > _UNSENT_BYTES:
            self._unsent, self.ended = b"", True
