"""``soundspool node``: this machine's slots, for a daemon on another one.

Theory of operation
-------------------
A node has no spool of its own, no queue and no configuration. Whatever started it holds the
other ends of its standard input and output, and passes the words of ``messages`` on. It reads
the proof that it sees the daemon's spool, and then runs a ``LocalPool``: the same slots, workers,
confinement and deadlines as at home, the deadlines on this machine's own monotonic clock.

Rules
-----
1. A node whose lease is over (``messages``) ends every worker before it does anything else, above
   all before it reads what has come meanwhile. The lease is measured on a clock that goes on
   while the node is stopped or its machine sleeps, so one that wakes up finds it expired.
2. No (job, attempt) begins twice: what was assigned once is not begun again, whatever is sent.
3. The end of the input ends the node, and with it every worker.
4. Outputs are not checked here: the daemon does, on the disk that it publishes from.
5. A node joins when none of its name and spool is left on this machine. A daemon that was killed
   and starts again may be quicker than its old node is with ending its workers, which still have
   the gpu that the next order is promised.
"""

import errno
import hashlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from daemon import __version__
from daemon.clock import Clock
from daemon.config.models import Pool as Settings
from daemon.handlers.grants import programs_there
from daemon.pool.interface import Devices, Ended, Order, Outcome, Progress
from daemon.pool.local import LocalPool
from daemon.pool.nodes.messages import (
    PROTOCOL,
    Assign,
    Cancel,
    Checked,
    Down,
    Gone,
    Greeting,
    Heard,
    Hello,
    Here,
    Interrupt,
    Joined,
    Moved,
    Offer,
    Over,
    Serve,
    Up,
    down_of,
    line_up,
)
from daemon.pool.nodes.wire import Wire
from daemon.pool.protocol import BadMessage, order_from
from daemon.pool.slot import ending

_HELLO_S = 60.0
_LAST_WORDS_S = 1.0
_PROOF_BYTES = 200
_LONGEST_WAIT_S = 1.0
_TURN_S, _TURN_LOOK_S = 20.0, 0.05
"""How long a node waits to be the only one of its name: less than the daemon waits for it."""
_REMEMBERED = 10_000
"""Assignments: the daemon would have to repeat one that is older than so many."""
EX_OK = 0


def lease_clock_s() -> float:
    """Return seconds on a clock that goes on while this process, or its machine, stands still."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Slots(LocalPool):
    """A pool whose outputs are checked elsewhere; until then their workers serve nobody else."""

    def _finish(self, order: Order | None, ended: Ended, now_s: float) -> None:  # noqa: ARG002 - as there
        self._ended.append(ended)

    def _release(self, ended: Ended) -> None:
        if ended.outcome is not Outcome.DONE and ended.split is None:
            super()._release(ended)  # it has made nothing that could be wrong

    def checked(self, job: str, attempt: int, *, well: bool) -> None:
        """Let the worker of an attempt serve again, or end it, when its outputs are wrong."""
        outcome = Outcome.DONE if well else Outcome.FAILED
        super()._release(Ended(job, attempt, outcome))


class Node:
    """One node, from its greeting to its last word."""

    def __init__(
        self,
        wire: Wire,
        *,
        root: str = "",
        slots: int | None = None,
        resources: Devices | None = None,
    ) -> None:
        self._wire, self._root, self._asked, self._clock = wire, root, slots, Clock()
        self._resources = dict(resources or {})
        self._pool: Slots | None = None
        self._hello: Hello | None = None
        """What was said by the daemon that waits for us to join."""
        self._turn = socket.socket(socket.AF_UNIX)
        """Its address is the name of the node, which one process has at a time."""
        self._programs: dict[str, str] = {}
        self._assigned: dict[tuple[str, int], None] = {}
        self._stamp_s = lease_clock_s()
        """The last stamp that the daemon has sent back, or when it was last waited for."""
        self._dead_s, self._here_s, self._here_at_s = _HELLO_S, _HELLO_S, 0.0
        self._offered: Offer | None = None

    def run(self) -> int:
        """Serve until the daemon goes; return the exit code."""
        host = socket.gethostname() or "unknown"
        greeting = Greeting(protocol=PROTOCOL, version=__version__, host=host)
        more = {"root": self._root, "resources": self._resources}
        self._say(greeting.model_copy(update=more))
        why = ""
        try:
            while not why:
                self._wait()
                why = self._round()
        except BadMessage as error:
            why = str(error)
        except SystemExit:
            why = "the node was stopped"
        finally:
            if self._pool is not None:
                self._pool.close()
        self._say(Gone(why=why))
        self._wait_for(lambda: not self._wire.behind, _LAST_WORDS_S)
        return EX_OK

    def _round(self) -> str:
        """Go round once; return why the node must leave, if it must."""
        silent_s = lease_clock_s() - self._stamp_s
        if self._hello and silent_s >= min(self._dead_s, _TURN_S):
            return "another node of this name and spool has not ended on its machine"
        if silent_s >= self._dead_s:
            return f"not heard of the daemon for {silent_s:.1f} s"
        for line in self._wire.read():
            self._do(down_of(line))
        if self._wire.ended:
            return "the daemon has gone"
        if self._hello and self._is_alone(self._hello):
            self._join(self._hello)
        if self._pool is not None:
            for event in self._pool.collect():
                self._tell(event)
            self._offer(self._pool)
            if (now_s := lease_clock_s()) >= self._here_at_s:
                self._here_at_s = now_s + self._here_s
                self._say(Here(stamp=now_s))
        self._wire.flush()
        return ""

    def _do(self, message: Down) -> None:
        match message, self._pool:
            case Hello(), None if self._hello is None:
                self._hello = message
                self._stamp_s, self._dead_s = lease_clock_s(), message.dead_s
            case Heard(stamp=stamp_s), _:
                self._stamp_s = max(self._stamp_s, stamp_s)
            case Assign(order=fields), Slots() as pool:
                self._begin(order_from(fields), pool)
            case Cancel(job=job, attempt=attempt), Slots() as pool:
                pool.cancel(job, attempt)
            case Interrupt(), Slots() as pool:
                pool.interrupt_all()
            case Checked(job=job, attempt=attempt, well=well), Slots() as pool:
                pool.checked(job, attempt, well=well)
            case Serve(handlers=handlers, programs=programs), Slots() as pool:
                self._programs = programs_there(programs)
                pool.serve(handlers)
            case _:
                raise BadMessage(f"{type(message).__name__} out of place")

    def _is_alone(self, hello: Hello) -> bool:
        """Take the node's name, or tell that another process has it."""
        words = f"{os.getuid()} {hello.name} {Path(hello.proof).parent}"
        name = f"\0soundspool-node-{hashlib.sha256(os.fsencode(words)).hexdigest()}"
        try:
            self._turn.bind(name)  # not in the file system: it goes with the process
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True

    def _join(self, hello: Hello) -> None:
        self._hello, self._here_s = None, hello.here_s
        proof = _prove(Path(hello.proof))
        self._programs = programs_there(hello.programs)
        settings = Settings.model_validate(hello.pool)
        if self._asked is not None:
            settings = settings.model_copy(update={"slots": self._asked})
        self._pool = Slots(
            settings,
            self._clock,
            handlers=hello.handlers,
            handler_paths=[Path(path) for path in hello.handler_paths],
        )
        # Not from the greeting, which a broker keeps for as long as no daemon is there.
        self._stamp_s = lease_clock_s()
        self._say(Joined(slots=self._pool.size, proof=proof))

    def _begin(self, order: Order, pool: Slots) -> None:
        key = order.job, order.attempt
        if key in self._assigned:
            return
        self._assigned[key] = None
        if len(self._assigned) > _REMEMBERED:
            del self._assigned[next(iter(self._assigned))]
        # A program may lie elsewhere here; one that is missing, the daemon was told of.
        own = {name: path for name, path in self._programs.items() if name in order.programs}
        try:
            pool.start(replace(order, programs=own))
        except ValueError as error:
            self._tell(ending(order, Outcome.START_FAILED, "START_FAILED", str(error)))

    def _tell(self, event: Progress | Ended) -> None:
        if isinstance(event, Progress):
            self._say(Moved(**vars(event)))
        else:
            self._say(Over.of(event))

    def _offer(self, pool: Slots) -> None:
        """Say what this machine can do, when that is new."""
        offer = Offer(
            handlers=pool.handlers,
            unusable=pool.unusable,
            programs=sorted(self._programs),
            degraded=pool.degraded,
        )
        if offer != self._offered:
            self._offered = offer
            self._say(offer)

    def _say(self, message: Up) -> None:
        self._wire.send(line_up(message))

    def _wait(self) -> None:
        """Sleep until there is something to do."""
        now_s = lease_clock_s()
        waits_s = [_LONGEST_WAIT_S, self._stamp_s + self._dead_s - now_s]
        poll = select.poll()
        poll.register(self._wire.reads, select.POLLIN)
        if self._wire.behind:
            poll.register(self._wire.writes, select.POLLOUT)
        if self._hello is not None:
            waits_s.append(_TURN_LOOK_S)
        if self._pool is not None:
            for descriptor in self._pool.descriptors():
                poll.register(descriptor, select.POLLIN)
            waits_s.append(self._here_at_s - now_s)
            if (due_s := self._pool.next_deadline_s()) is not None:
                waits_s.append(due_s)
        poll.poll(max(0.0, min(waits_s)) * 1000 + 1)

    def _wait_for(self, condition: Callable[[], bool], patience_s: float) -> None:
        until_s = self._clock.monotonic_s() + patience_s
        while not condition() and (left_s := until_s - self._clock.monotonic_s()) > 0:
            poll = select.poll()
            poll.register(self._wire.writes, select.POLLOUT)
            poll.poll(left_s * 1000)
            self._wire.flush()


def answer_to(proof: Path) -> Path:
    """Return where a node writes what the proof holds."""
    return proof.with_name(proof.name + ".answer")


def _prove(path: Path) -> str:
    """Return what the proof holds and write it beside; or what is in the way."""
    try:
        with path.open("rb") as file:
            proof = file.read(_PROOF_BYTES).decode("ascii", "replace")
        answer_to(path).write_text(proof, "ascii")
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return proof


def main(
    *,
    root: str = "",
    slots: int | None = None,
    resources: Devices | None = None,
) -> int:
    """Be a node over standard input and output; return the exit code.

    Parameters
    ----------
    root, slots : str, int
        Where this machine sees the spool, and how many jobs it runs at once; else the daemon says.
    resources : mapping
        Members of named resources that this machine has.
    """
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to hear
    reads, writes = os.dup(0), os.dup(1)
    # What a library prints must not come between our lines.
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return Node(Wire(reads, writes), root=root, slots=slots, resources=resources).run()


def _leave(*_: Any) -> None:  # noqa: ANN401 - of a signal
    raise SystemExit
