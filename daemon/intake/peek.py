"""What a few kilobytes of a file can say about the rest of it.

The answer (``Header``) and the only way in which the walkers look at bytes (``Window``).
"""

import os
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["complete", "unknown", "short", "growing", "empty", "not_audio", "unreadable"]

_MOST_BYTES = 4 << 20
"""All that one look may read, whatever a header claims."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says about the file that it heads.

    ============== =====================================================================
    Verdict        Meaning
    ============== =====================================================================
    ``complete``   all the bytes that the header declares are there
    ``unknown``    audio, or something like it, whose length the header does not tell
    ``short``      fewer bytes than declared, or an end in the middle of something
    ``growing``    the header declares nothing and there is a payload: a writer at work
    ``empty``      no payload, and none declared
    ``not_audio``  nothing that we know
    ``unreadable`` the file could not be opened (said by who tried, not by a walk)
    ============== =====================================================================
    """

    verdict: Verdict
    container: str
    """``wav``, ``flac`` …; ``mp4`` and other strangers are ``unknown``, never refused here."""
    bytes_expected: int | None = None
    """Size of the whole file, where the header tells."""
    seconds: float | None = None
    """Rough length of the audio, for deadlines; ``None`` where the header does not tell."""
    detail: str = ""


class Window:
    """A bounded, read-only look at an open file, at given offsets, with no position."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size
        self._left = _MOST_BYTES

    def at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer at the end or when all is spent."""
        count = min(count, self.size - offset, self._left)
        if offset < 0 or count <= 0:
            return b""
        found = os.pread(self._fd, count, offset)
        self._left -= len(found)
        return found

    def tail(self, count: int) -> bytes:
        """Return the last `count` bytes, or all."""
        return self.at(max(0, self.size - count), count)
