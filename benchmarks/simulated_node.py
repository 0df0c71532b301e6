"""A node, a clock and a machine without slots, made up for ``scale.py``."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from daemon import __version__
from daemon.clock import Clock
from daemon.handlers.contract import Declaration
from daemon.pool.interface import Demand, Ended
from daemon.pool.nodes.messages import PROTOCOL
from daemon.pool.nodes.node import answer_to

if TYPE_CHECKING:
    from scale import World

HANDLER = "a.handler"


class SimulatedClock(Clock):
    """Stands still until it is set."""

    now_s = 0.0

    def wall_ms(self) -> int:
        return round(1000 * self.now_s) + 1_795_000_000_000

    def monotonic_s(self) -> float:
        return self.now_s


class SimulatedNode:
    """The other end of a link, and the connection to it; its own ``Lines``, too."""

    process_id, behind = 0, False

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.wire, self.ended, self.dead, self.silent = self, False, False, False
        self.runs: dict[tuple[str, int], None] = {}
        self._said: list[bytes] = []
        self._readable = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.say(kind="greeting", protocol=PROTOCOL, version=__version__, host="x")

    def say(self, **message: object) -> None:
        self._said.append(json.dumps(message).encode())
        os.eventfd_write(self._readable, 1)

    def read(self) -> list[bytes]:
        with suppress(BlockingIOError):
            os.eventfd_read(self._readable)
        said, self._said = self._said, []
        return said

    def flush(self) -> None:
        pass

    def send(self, line: bytes) -> None:
        if self.silent:
            return
        with self.world.unmeasured():
            message = json.loads(line)
            match message["kind"]:
                case "hello":
                    proof = Path(message["proof"])
                    answer_to(proof).write_text(proof.read_text())
                    self.say(kind="joined", slots=self.world.slots, proof=proof.read_text())
                    self.say(kind="offer", handlers={HANDLER: {}})
                    self.beat()
                case "assign":
                    order = message["order"]
                    self.world.begin(self, (order["job"], order["attempt"]))

    def beat(self) -> None:
        """Say that it is here, and again later."""
        if not self.silent:
            self.say(kind="here", stamp=self.world.clock.now_s)
            self.world.later(self.world.lost_s / 6, self.beat)

    def end_one(self, key: tuple[str, int]) -> None:
        if not self.silent and key in self.runs:
            del self.runs[key]
            self.say(
                kind="over", job=key[0], attempt=key[1], outcome="done", result={"outputs": []}
            )

    def descriptors(self) -> list[int]:
        return [self._readable]

    def how_it_ended(self) -> str:
        return "it died"

    def complaint(self) -> str:
        return ""

    def hang_up(self) -> None:
        self.silent = self.dead = True

    def end(self, patience_s: float = 0.0) -> None:  # noqa: ARG002 - as there
        self.hang_up()
        os.close(self._readable)


class NoSlots:
    """The pool of the daemon's own machine, which runs nothing here."""

    size, degraded = 0, None
    handlers: Mapping[str, Declaration] = {}
    unusable: Mapping[str, str] = {}

    def free_slots(self, _: Demand | None = None) -> int:
        return 0

    def collect(self) -> list[Ended]:
        return []

    def place_of(self, _: str) -> str:
        return ""

    def descriptors(self) -> list[int]:
        return []

    def next_deadline_s(self) -> None:
        return None

    def close(self) -> None:
        pass
