"""``soundspool node --celery``: a Celery worker that keeps a node running on this machine.

Theory of operation
-------------------
The node is the same program that a launcher starts (``soundspool node --stdio``), with the same
slots, workers, confinement, deadlines and lease. Celery's worker brings it orders, each a task
that lasts as long as the attempt does, so that Celery's tools show what runs; a queue beside
brings the daemon's other words, and what the node says is published (``session``).

Rules
-----
1. Nothing is decided here. Whether an attempt may begin, the node decides by its fence; whether
   it may go on, by its lease. So this process may lose or repeat whatever it likes.
2. A node that has left is started again, and greets as another instance, with nothing left of
   the one before.
"""

import logging
import os
import queue
import secrets
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from celery import Task, bootsteps, signals
from celery.worker.request import Request
from kombu import Consumer, Queue

from daemon.errors import Unavailable
from daemon.pool.interface import WELL, Devices
from daemon.pool.nodes.broker.app import TASK, UP, Access, application, orders_of
from daemon.pool.nodes.broker.publisher import Publisher, Wakeup
from daemon.pool.nodes.broker.refusals import Refusal, explained
from daemon.pool.nodes.broker.session import Frame, Session, order_of
from daemon.pool.nodes.launcher import Launcher
from daemon.pool.nodes.messages import Over, up_of
from daemon.pool.protocol import BadMessage
from daemon.pool.slot import most_slots

_TICK_S = 1.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 30.0
"""Between two lives of the node; one that the daemon used is started again at once."""
_STOP_S, _LAST_WORDS_S = 8.0, 2.0
_OVER, _HEARD = b'{"kind":"over"', '{"kind":"heard"'
"""How the end of an attempt begins, and what the daemon says to a node that has joined."""

_ROOT = Path(__file__).resolve().parents[4]
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from daemon.cli.main import main; main()"

Key = tuple[str, int]


class OrderRequest(Request):  # type: ignore[misc]
    """An order in Celery's hands; what it holds, such as a key for a server, is told to nobody."""

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 - as there
        """Return what ``celery inspect`` and Flower show."""
        told: dict[str, Any] = super().info(safe=True)
        return told


class OrderTask(Task):  # type: ignore[misc]
    """The task that carries orders."""

    Request = OrderRequest


class AttemptFailed(Exception):
    """An attempt ended otherwise than well: for those who look at Celery."""


class Runner(threading.Thread):
    """Keeps the node running, and holds its conversation with the daemon.

    Parameters
    ----------
    command : sequence of str
        Starts the node.
    name, host, reply : str
        What the node is called, and where its orders and the daemon's other words go.
    """

    def __init__(
        self, command: Sequence[str], publisher: Publisher, *, name: str, host: str, reply: str
    ) -> None:
        super().__init__(name="runner", daemon=True)
        self._command, self._publisher = command, publisher
        self._name, self._host, self._reply = name, host, reply
        self._wakeup = Wakeup()
        self._frames: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._waiting: dict[Key, queue.SimpleQueue[str]] = {}
        self._lock = threading.Lock()
        self._node: Launcher | None = None
        self._session, self._instance = Session(), ""
        self._stopping = False
        self._wait_s, self._due_s, self._used = _FIRST_WAIT_S, 0.0, False

    # Called by Celery's threads

    def take(self, said: object) -> None:
        """Take a frame of the daemon."""
        try:
            self._frames.put(Frame.of(said))
        except BadMessage as error:
            sys.stderr.write(f"ignored: {error}\n")
        self._wakeup.wake()

    def work(self, said: dict[str, Any]) -> str:
        """Take an order, and return how its attempt ended."""
        frame = Frame.of(said)
        job, attempt, _ = order_of(frame.line)
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        with self._lock:
            if self._stopping or frame.instance != self._instance:
                return "for a node that has left"
            if (job, attempt) in self._waiting or frame.number <= self._session.heard:
                return "sent twice"
            self._waiting[job, attempt] = ended
        self.take(said)
        outcome = ended.get()
        if outcome not in WELL:
            raise AttemptFailed(outcome)
        return outcome

    def stop(self) -> None:
        """Let the node end its workers and leave, and all tasks with it."""
        with self._lock:
            self._stopping = True
        self._wakeup.wake()

    # The loop

    def run(self) -> None:
        """Keep a node running until it is to stop."""
        try:
            self._run()
        finally:
            if not self._stopping:  # a bug of ours: who started this shall start it again
                os.kill(os.getpid(), signal.SIGTERM)

    def _run(self) -> None:
        while not self._stopping:
            if self._node is None and time.monotonic() >= self._due_s:
                self._start()
            self._sleep()
            self._wakeup.clear()
            while not self._frames.empty():
                self._obey(self._frames.get())
            if self._node is not None:
                self._pass_on(self._node)
        self._end()

    def _start(self) -> None:
        with self._lock:
            self._session, self._instance = Session(), secrets.token_hex(8)
        self._used = False
        try:
            self._node = Launcher(self._command)
        except OSError as error:
            sys.stderr.write(f"the node does not start: {error}\n")
            self._end()

    def _sleep(self) -> None:
        poll = select.poll()
        for descriptor in (
            self._wakeup.descriptor,
            *(self._node.descriptors() if self._node else ()),
        ):
            poll.register(descriptor, select.POLLIN)
        poll.poll(_TICK_S * 1000)

    def _obey(self, frame: Frame) -> None:
        if self._node is None or frame.instance != self._instance:
            return
        if frame.over:
            self._end()
            return
        try:
            lines = self._session.take(frame, time.monotonic())
        except BadMessage as error:
            sys.stderr.write(f"the daemon: {error}\n")
            self._end()
            return
        for line in lines:
            self._used |= line.startswith(_HEARD)
            self._node.wire.send(line.encode() + b"\n")

    def _pass_on(self, node: Launcher) -> None:
        dead = node.dead
        try:
            for line in node.wire.read():
                self._publish(**self._session.send(line.decode(), time.monotonic()))
                if line.startswith(_OVER):
                    over = up_of(line)
                    if isinstance(over, Over):
                        self._release((over.job, over.attempt), over.outcome)
            node.wire.flush()
        except (BadMessage, ValueError) as error:
            sys.stderr.write(f"the node: {error}\n")
            dead = True
        if complaint := node.complaint():
            sys.stderr.write(f"the node: {complaint}\n")
        if dead or node.wire.ended:
            self._end()
            return
        if not self._publisher.behind:
            for fields in self._session.due(time.monotonic()):
                self._publish(**fields)

    def _end(self) -> None:
        """End the node, tell the daemon its last words, and let all tasks go."""
        if node := self._node:
            with suppress(BadMessage, ValueError):
                for line in node.last_words(_STOP_S):
                    self._publish(**self._session.send(line.decode(), time.monotonic()))
            node.end()
            self._node = None
        self._publish(over=True)
        with self._lock:
            self._instance = ""
            keys = list(self._waiting)
        for key in keys:
            self._release(key, "the node has left")
        self._wait_s = _FIRST_WAIT_S if self._used else min(_LONGEST_WAIT_S, self._wait_s * 2)
        self._due_s = time.monotonic() + self._wait_s

    def _release(self, key: Key, outcome: str) -> None:
        with self._lock:
            waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.put(outcome)

    def _publish(self, **fields: Any) -> None:  # noqa: ANN401 - those of a frame
        frame = Frame(self._name, self._instance, reply=self._reply, host=self._host, **fields)
        self._publisher.frame(asdict(frame), UP)


def serve(access: Access, *, name: str, root: Path, slots: int, resources: Devices) -> None:
    """Be a node of the daemon at the other end of the broker, until a signal.

    Raises
    ------
    Unavailable
        The broker refuses it.
    """
    app, slots = application(access), most_slots(slots)
    host = f"soundspool@{name}"
    reply = f"soundspool.node.{name}.{secrets.token_hex(4)}"
    command = [sys.executable, "-c", _BOOT, str(_ROOT), "node", "--stdio"]
    command += ["--root", str(root), "--slots", str(slots)]
    for resource, members in resources.items():
        command += ["--resource", f"{resource}={','.join(members)}"]
    publisher = Publisher(access.connection)
    runner = Runner(command, publisher, name=name, host=host, reply=reply)

    @app.task(name=TASK, base=OrderTask, throws=(AttemptFailed,), shared=False)  # type: ignore[untyped-decorator]
    def order(frame: dict[str, Any]) -> str:
        return runner.work(frame)

    class Control(bootsteps.ConsumerStep):  # type: ignore[misc]
        """Celery's worker hears what else the daemon says."""

        def get_consumers(self, channel: Any) -> list[Consumer]:  # noqa: ANN401 - has no type
            mine = Queue(reply, exclusive=True, auto_delete=True, durable=False)

            def take(body: object, _: object) -> None:
                runner.take(body)

            return [Consumer(channel, [mine], callbacks=[take], accept=["json"], no_ack=True)]

    app.steps["consumer"].add(Control)
    app.conf.task_queues = [orders_of(host)]
    signals.worker_shutting_down.connect(lambda **_: runner.stop(), weak=False)
    signals.worker_ready.connect(lambda **_: runner.start(), weak=False)
    worker = app.Worker(
        hostname=host,
        pool="threads",
        concurrency=slots,
        task_events=True,
        without_gossip=True,  # workers have nothing to say to each other
        without_mingle=True,
        loglevel="WARNING",
    )
    refusal = Refusal()
    logging.getLogger("celery.worker").addFilter(refusal)
    try:
        worker.start()
    finally:
        runner.stop()
        if runner.ident is not None:
            runner.join(_STOP_S + _LAST_WORDS_S)
        publisher.close(_LAST_WORDS_S)
    if refusal.error is not None:
        what, hint = explained(refusal.error)
        raise Unavailable("BROKER_LOST", f"node {name}: {what}", hint)
