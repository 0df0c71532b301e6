"""The link to one node: launched, greeted, joined, lost, and launched again.

Theory of operation
-------------------
::

    down ── it is time ──▶ launched ── Greeting ──▶ greeted ── Joined ──▶ joined
      ▲                       │                        │                    │
      └────── nothing of the node runs any more ──── leaving ◀── lost ──────┘

A node is lost when its launcher dies, when it says what is no message, or when it has not been
heard for ``lost_s``. None of that proves that it runs no more: a cut cable kills nothing. So the
link stays *leaving* until the node's lease is over (``messages``), unless its last word was that
every worker has died.

Rules
-----
1. ``lost`` is set once for each node that had joined, and only when nothing of it runs any more.
2. Before a limit is held against a node, what it has said is read: a daemon that was itself
   stopped for a minute does not call its nodes lost for it.
3. What is not a message is ignored before the greeting (a login shell may print what it likes),
   and ends the link afterwards.
"""

import math
import os
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from daemon import __version__
from daemon.clock import Clock
from daemon.errors import Fault
from daemon.logs import log
from daemon.pool.interface import Devices
from daemon.pool.nodes.connection import Connection
from daemon.pool.nodes.messages import (
    PROTOCOL,
    Down,
    Gone,
    Greeting,
    Heard,
    Hello,
    Here,
    Joined,
    Up,
    line_down,
    relocated,
    up_of,
)
from daemon.pool.nodes.node import answer_to
from daemon.pool.protocol import BadMessage
from daemon.text import shown

Phase = Literal["down", "launched", "greeted", "joined", "leaving"]

ANSWER_S = 30.0
"""From the launch to the greeting, and from there to the proof."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Between a loss and the next launch."""
_PROVEN_S = 60.0
"""A node that stayed so long is launched again at once."""
SUSPECT_LOSSES, SUSPECT_S = 3, 600.0
"""Losses with work under way within that time set a node aside, for that time."""
_LOOK_S = 0.05
_BURST, _PER_SLOT_S = 5_000, 500
"""Messages: far more than tiny jobs can be the cause of."""
_NOISE_CHARS = 200
_CLOSE_S, _ENDING_S = 5.0, 2.0
"""How long a launcher may take to end before it is killed."""


class Link:
    """What is known of one node, over whatever the connection to it is.

    Parameters
    ----------
    connect : callable
        Opens a connection to the node; ``None``: there is no node now, ask again.
    hello : callable
        Returns what the node is told, but for its proof.
    root, there : Path
        The spool, as the daemon and the node see it; the node may know better.
    lost_s : float
        A node that has not been heard for so long is lost.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection | None],
        clock: Clock,
        *,
        root: Path,
        there: Path,
        lost_s: float,
        hello: Callable[[], Hello],
    ) -> None:
        self.name, self.root, self.there = name, root, there
        self._connect, self._clock, self._hello = connect, clock, hello
        self._lost_s = lost_s
        self.phase: Phase = "down"
        self.slots = 0
        self.host = ""
        self.devices: Devices = {}
        """What it has of named resources, by its greeting."""
        self.problem: Fault | None = None
        """Why it has not joined, when there is something to say."""
        self.lost = False
        """Whether a node that had joined is gone for good; who acts on it takes it back."""
        self._connection: Connection | None = None
        self._ending: Connection | None = None
        """The last one, until nothing of it is left here, and when it is killed."""
        self._kill_s = 0.0
        self._expected = False
        """Whether a node is to come by itself."""
        self._due_s = 0.0
        """When the next launch is due, the answer is overdue, or the lease is over, by phase."""
        self._heard_s = self._joined_s = 0.0
        self._failures = 0
        self._losses: deque[float] = deque(maxlen=SUSPECT_LOSSES)
        self._proof, self._noise = "", ""
        self._proof_path: Path | None = None
        self._tokens, self._counted_s = float(_BURST), 0.0

    @property
    def process_id(self) -> int:
        """The number of the process that keeps it open; 0: there is none."""
        return self._connection.process_id if self._connection else 0

    def send(self, message: Down) -> None:
        """Send a message; when the node is not there, that shows elsewhere."""
        if self._connection:
            self._connection.wire.send(line_down(message))

    def descriptors(self) -> list[int]:
        """Return what becomes readable when ``collect`` has something to do."""
        return self._connection.descriptors() if self._connection else []

    def deadline_s(self) -> float:
        """Return when ``collect`` has something to do even so, on the monotonic clock."""
        if self._ending or (self._connection and self._connection.wire.behind):
            return self._clock.monotonic_s() + _LOOK_S
        if self.phase == "down" and self._expected:
            return math.inf
        return self._heard_s + self._lost_s if self.phase == "joined" else self._due_s

    def collect(self, now_s: float) -> list[Up]:
        """Do one round; return what the node said that is not about the link itself."""
        said: list[Up] = []
        if self.phase == "down" and now_s >= self._due_s and not self._ending:
            self._launch(now_s)  # first: a node that was met has said something already
        if connection := self._connection:
            dead = connection.dead  # asked first, so that its last words are read
            try:
                said = self._read(connection, now_s)
                if self.phase != "leaving" and (dead or connection.wire.ended):
                    self._drop(*self._why_ended(connection), now_s)
                elif self.phase != "leaving":
                    connection.wire.flush()
            except BadMessage as error:
                self._drop("NODE_LOST", f"it said something unintelligible: {error}", now_s)
        if self.phase == "joined" and now_s >= self._heard_s + self._lost_s:
            self._drop("NODE_LOST", f"not heard of for {self._lost_s:g} s", now_s)
        elif self.phase in ("launched", "greeted") and now_s >= self._due_s:
            self._drop("NODE_NOT_STARTED", self._with_noise("it does not answer"), now_s)
        if self.phase == "leaving" and now_s >= self._due_s:
            self._leave(now_s)
        if self._ending and (self._ending.dead or now_s >= self._kill_s):
            self._ending.end()
            self._ending = None
        return said

    def count_loss(self, now_s: float) -> None:
        """Count a loss in which attempts were lost; set the node aside after too many."""
        self._losses.append(now_s)
        if len(self._losses) == SUSPECT_LOSSES and now_s - self._losses[0] < SUSPECT_S:
            self._losses.clear()
            self._due_s = now_s + SUSPECT_S
            text = f"lost {SUSPECT_LOSSES} times at work; not used for {SUSPECT_S / 60:g} min"
            self._tell("NODE_SUSPECT", text)

    def close(self) -> None:
        """Let the node end its workers and go."""
        self._forget_proof()
        if self._ending:
            self._ending.end()
        if self._connection:
            self._connection.end(_CLOSE_S)
        self._ending = None
        self._connection, self.phase, self.slots, self._due_s = None, "down", 0, 0.0

    # From phase to phase

    def _launch(self, now_s: float) -> None:
        try:
            self._connection = self._connect()
        except OSError as error:
            self._tell("NODE_NOT_STARTED", f"{error.filename}: {error.strerror or error}")
            self._back_off(now_s)
            return
        self._expected = self._connection is None
        if self._expected:
            return
        self._noise = ""
        self._tokens, self._counted_s = float(_BURST), now_s
        self.phase, self._due_s = "launched", now_s + ANSWER_S

    def _read(self, connection: Connection, now_s: float) -> list[Up]:
        said: list[Up] = []
        for line in connection.wire.read():
            self._count(now_s)
            try:
                message = up_of(line)
            except BadMessage:
                if self.phase != "launched":
                    raise
                self._noise = shown(line[:_NOISE_CHARS].decode("utf-8", "replace"))
                continue
            match message, self.phase:
                case Greeting(), "launched":
                    self._greet(message, now_s)
                case Joined(), "greeted":
                    self._join(message, now_s)
                case Here(stamp=stamp), "joined":
                    self._heard_s = now_s
                    self.send(Heard(stamp))
                case Gone(why=why), "greeted" | "joined":
                    self._drop("NODE_LOST", f"it left: {why}", now_s, certain=True)
                case _, "joined":
                    said.append(message)
                case _, "leaving" | "down":
                    break
                case _:
                    raise BadMessage(f"{message.kind} while {self.phase}")
        return said

    def _greet(self, greeting: Greeting, now_s: float) -> None:
        if greeting.protocol != PROTOCOL or _series(greeting.version) != _series(__version__):
            text = (
                f"it has version {greeting.version}; {__version__} is wanted, but for the last part"
            )
            self._drop("NODE_VERSION", text, now_s)
            return
        self.host, self.devices = greeting.host, greeting.resources
        if greeting.root:
            self.there = Path(greeting.root)
        try:
            proof = self._write_proof()
        except OSError as error:
            self._drop("NODE_STORAGE", f"the proof cannot be written here: {error}", now_s)
            return
        self.send(replace(self._hello(), proof=proof))
        self.phase, self._due_s = "greeted", now_s + ANSWER_S

    def _join(self, joined: Joined, now_s: float) -> None:
        if wrong := self._disproved(joined.proof):
            self._drop("NODE_STORAGE", wrong, now_s)
            return
        self._forget_proof()
        self.phase, self.slots, self.problem = "joined", joined.slots, None
        self._heard_s = self._joined_s = now_s
        log.info("node joined", node=self.name, host=self.host, slots=self.slots)

    def _drop(self, code: str, why: str, now_s: float, *, certain: bool = False) -> None:
        """Let go of the connection, and wait until nothing of the node can run any more."""
        self._tell(code, why)
        self._forget_proof()
        if self._connection:
            self._connection.hang_up()
            self._ending, self._kill_s = self._connection, now_s + _ENDING_S
            self._connection = None
        joined = self.phase == "joined"
        self._due_s = now_s if certain or not joined else self._heard_s + self._lost_s
        if joined and now_s - self._joined_s >= _PROVEN_S:
            self._failures = 0
        self.phase = "leaving"
        if not joined:
            self.slots = 0

    def _leave(self, now_s: float) -> None:
        self.lost, self.slots = self.slots > 0, 0
        self.phase = "down"
        self._back_off(now_s)

    def _back_off(self, now_s: float) -> None:
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**self._failures)
        self._failures = min(self._failures + 1, 30)
        self._due_s = now_s + wait_s

    # What is wrong

    def _tell(self, code: str, why: str) -> None:
        before, self.problem = self.problem, Fault(code, f"node {self.name}: {why}", kind="node")
        if before != self.problem:
            log.warning("node is not there", node=self.name, code=code, why=why)

    def _why_ended(self, connection: Connection) -> tuple[str, str]:
        code = "NODE_LOST" if self.phase == "joined" else "NODE_NOT_STARTED"
        said = connection.complaint() or self._noise
        return code, f"{connection.how_it_ended()}{f': {shown(said)}' if said else ''}"

    def _with_noise(self, text: str) -> str:
        said = (self._connection and self._connection.complaint()) or self._noise
        return f"{text}; it said: {shown(said)}" if said else text

    def _count(self, now_s: float) -> None:
        more = (now_s - self._counted_s) * _PER_SLOT_S * (self.slots + 1)
        self._tokens, self._counted_s = min(float(_BURST), self._tokens + more) - 1, now_s
        if self._tokens < 0:
            raise BadMessage("more messages than its work can be the cause of")

    # The proof that it sees this spool

    def _write_proof(self) -> str:
        """Write a file that nobody else can know of; return its path there."""
        self._forget_proof()
        self._proof = secrets.token_hex(16)
        self._proof_path = self.root / "work" / f".node-{self.name}-{secrets.token_hex(8)}"
        self._proof_path.write_text(self._proof, "ascii")
        return relocated(str(self._proof_path), self.root, self.there)

    def _disproved(self, said: str) -> str:
        """Return why a node does not see this spool as it must; empty: it does."""
        if said != self._proof or self._proof_path is None:
            return f"it does not see the spool at {self.there}: {said}"
        try:
            with answer_to(self._proof_path).open("rb") as answer:
                owner, copy = os.fstat(answer.fileno()).st_uid, answer.read(len(said) + 1)
        except OSError:
            return f"what it writes at {self.there} is not seen here"
        if os.geteuid() not in (0, owner):
            return f"it writes as user {owner}, the daemon is user {os.geteuid()}"
        return "" if copy == said.encode() else "what it writes is not what is read here"

    def _forget_proof(self) -> None:
        if path := self._proof_path:
            self._proof_path = None
            for each in (path, answer_to(path)):
                with suppress(OSError):
                    each.unlink()


def _series(version: str) -> list[str]:
    return version.split(".")[:2]
