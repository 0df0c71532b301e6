"""Lines between the daemon and one node over a broker that may lose, repeat and reorder them.

Theory of operation
-------------------
A node talks to its daemon as over a pipe (``messages``): in order, nothing missing, nothing
twice. A broker promises none of that: one that is killed forgets what it held, one that comes
back is told again, and orders take another queue than the words around them. So each side numbers
its lines from 1, says in each frame which number of the other it has come to, and sends again
what the other has not confirmed. What arrives early waits; what arrives again is dropped.

Rule: this module reads no clock and does no I/O.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from daemon.pool.nodes.messages import NODE_LINE_BYTES
from daemon.pool.protocol import BadMessage

AGAIN_S = 2.0
"""After so long without a confirmation a line is sent again."""
_AT_ONCE = 100
_EARLY, _UNHEARD_BYTES = 10_000, 16 << 20


@dataclass(frozen=True)
class Frame:
    """What the broker carries."""

    node: str
    """The node's name."""
    instance: str
    """One life of a node: its conversation with the daemon."""
    number: int = 0
    """Of the line; 0: there is none."""
    heard: int = 0
    """Up to which number the sender has heard the other."""
    line: str = ""
    over: bool = False
    """The conversation is over."""
    reply: str = ""
    """Where the daemon's words to the node go."""
    host: str = ""
    """What Celery calls the worker: where orders go."""

    @classmethod
    def of(cls, said: object) -> Self:
        """Return a frame out of JSON; ``BadMessage`` when it is none."""
        if not isinstance(said, Mapping):
            raise BadMessage("no frame")
        try:
            frame = cls(**said)
        except TypeError as error:
            raise BadMessage(f"no frame: {error}") from None
        for name, value in asdict(frame).items():
            if type(value) is not type(getattr(_EMPTY, name)):
                raise BadMessage(f"no frame: {name}")
        # The daemon reads the name and the instance as words of a line.
        if not (_is_word(frame.instance) and _is_word(frame.node)):
            raise BadMessage("no frame: an empty name")
        if "\n" in frame.line or len(frame.line) > NODE_LINE_BYTES:
            raise BadMessage("no frame: more than a line")
        return frame


_EMPTY = Frame("", "")


class Session:
    """One side of a conversation: what it has sent and not been told of, and what came early."""

    def __init__(self) -> None:
        self._number = 0
        self._unheard: deque[tuple[int, str]] = deque()
        self._bytes, self._sent_s = 0, 0.0
        self._early: dict[int, str] = {}
        self.heard, self._told = 0, 0

    def send(self, line: str, now_s: float) -> dict[str, Any]:
        """Return the fields of the frame that carries a line."""
        self._number += 1
        if not self._unheard:
            self._sent_s = now_s
        self._unheard.append((self._number, line))
        self._bytes += len(line)
        if self._bytes > _UNHEARD_BYTES:
            raise BadMessage("the other side confirms nothing")
        return self._fields(self._number, line)

    def take(self, frame: Frame, now_s: float) -> list[str]:
        """Return the lines whose turn it is, now that a frame has come."""
        while self._unheard and self._unheard[0][0] <= frame.heard:
            self._bytes -= len(self._unheard.popleft()[1])
            self._sent_s = now_s
        if frame.number > self.heard:
            self._early[frame.number] = frame.line
        elif frame.number:
            self._told = -1  # it was not told that this has come: tell it again
        if len(self._early) > _EARLY:
            raise BadMessage("a line that does not come")
        lines = []
        while (line := self._early.pop(self.heard + 1, None)) is not None:
            self.heard += 1
            lines.append(line)
        return lines

    def due(self, now_s: float) -> list[dict[str, Any]]:
        """Return the fields of the frames to send again, or of one that confirms; or nothing."""
        if self._unheard and now_s >= self._sent_s + AGAIN_S:
            self._sent_s = now_s
            again = list(self._unheard)[:_AT_ONCE]
            return [self._fields(number, line) for number, line in again]
        return [self._fields(0, "")] if self._told != self.heard else []

    def _fields(self, number: int, line: str) -> dict[str, Any]:
        self._told = self.heard
        return {"number": number, "heard": self.heard, "line": line}


def is_order(line: str) -> bool:
    """Return whether a line of the daemon is an order: these go as tasks of Celery."""
    return line.startswith('{"kind":"assign"')


def order_of(line: str) -> tuple[str, int, str]:
    """Return job, attempt and the drop's name of an order."""
    order = json.loads(line)["order"]
    return str(order["job"]), int(order["attempt"]), str(order["name"])


def _is_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and bool(text) and " " not in text
