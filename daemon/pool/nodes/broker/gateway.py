"""The process beside the daemon that talks to the broker, for all nodes.

Theory of operation
-------------------
The daemon neither imports Celery nor waits for a broker: it starts this, and reads and writes
lines as it does with a launcher. One thread reads the queue of what nodes say, one publishes
(``publisher``), and this module's loop holds the conversations (``session``).

    from the daemon:  the broker's ``Access``, as JSON, once
                      ``line INSTANCE LINE``    to a node
                      ``close INSTANCE``        it is of no use
    to the daemon:    ``broker``                the broker is there
                      ``broker WHY TAB HINT``   it is not
                      ``opened INSTANCE NAME``  a node has begun a conversation
                      ``line INSTANCE LINE``
                      ``closed INSTANCE``       nothing more will come

Rule: when the daemon goes, this goes; nodes then end by their lease.
"""

import json
import os
import queue
import select
import sys
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kombu import Consumer, Queue

from daemon.pool.nodes.broker.app import HEARTBEAT_S, TASK, UP, Access, application, orders_of
from daemon.pool.nodes.broker.publisher import Publisher, Wakeup
from daemon.pool.nodes.broker.refusals import explained
from daemon.pool.nodes.broker.session import Frame, Session, is_order, order_of
from daemon.pool.nodes.messages import NODE_LINE_BYTES
from daemon.pool.protocol import BadMessage, Lines

_TICK_S = 1.0
_AGAIN_S = 1.0
_READ_BYTES = 1 << 16
_ENVELOPE_BYTES = 200
_REMEMBERED = 10_000
_CLOSES_S = 10.0
_LAST_WORDS_S = 2.0


class Listener(threading.Thread):
    """Consumes what nodes say, for as long as the process lives."""

    def __init__(self, access: Access, wakeup: Wakeup) -> None:
        super().__init__(name="listener", daemon=True)
        self._access, self._wakeup = access, wakeup
        self.heard: queue.SimpleQueue[object] = queue.SimpleQueue()
        """Frames; and words about the broker, empty when it is there."""

    def run(self) -> None:
        """Listen; connect again when that ends."""
        while True:
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told and tried again
                self._tell("\t".join(explained(error)))
            time.sleep(_AGAIN_S)

    def _listen(self) -> None:
        with self._access.connection(HEARTBEAT_S) as connection:
            mine = Queue(UP, exclusive=True, auto_delete=True, durable=False)
            with Consumer(connection, [mine], callbacks=[self._take], accept=["json"], no_ack=True):
                self._tell("")
                while True:
                    try:
                        connection.drain_events(timeout=_TICK_S)
                    except TimeoutError:
                        connection.heartbeat_check()

    def _take(self, body: object, _: object) -> None:
        self._tell(body)

    def _tell(self, what: object) -> None:
        self.heard.put(what)
        self._wakeup.wake()


@dataclass
class Peer:
    """One conversation."""

    frame: Frame
    """What it began with: its name, and where it is reached."""
    session: Session = field(default_factory=Session)
    closes_s: float | None = None
    """When it is forgotten, once the daemon has ended it: the node may be dead."""


class Gateway:
    """The conversations, between the daemon's lines and the broker's frames."""

    def __init__(self, access: Access) -> None:
        self._app = application(access)
        self._wakeup = Wakeup()
        self._publisher = Publisher(access.connection)
        self._listener = Listener(access, self._wakeup)
        self._peers: dict[str, Peer] = {}
        self._over: deque[str] = deque(maxlen=_REMEMBERED)
        """Conversations that are not begun again."""

    def run(self, lines: Lines, begun: list[bytes]) -> None:
        """Serve until the daemon goes."""
        self._listener.start()
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._wakeup.descriptor, select.POLLIN)
        due_s = 0.0
        while True:
            for line in begun:
                self._obey(line.decode())
            if (now_s := time.monotonic()) >= due_s:
                due_s = now_s + _TICK_S
                self._send_again(now_s)
            begun = []
            for descriptor, _ in poll.poll(_TICK_S * 1000):
                if descriptor == 0:
                    if not (portion := os.read(0, _READ_BYTES)):
                        self._publisher.close(_LAST_WORDS_S)
                        return
                    begun = lines.feed(portion)
                else:
                    self._wakeup.clear()
                    self._hear()

    def _obey(self, line: str) -> None:
        what, _, rest = line.partition(" ")
        instance, _, text = rest.partition(" ")
        peer = self._peers.get(instance)
        if peer is None:
            return
        if what == "close":
            peer.closes_s = time.monotonic() + _CLOSES_S
            self._send(peer, over=True)
            return
        try:
            fields = peer.session.send(text, time.monotonic())
        except BadMessage:
            self._close(instance)
        else:
            self._send(peer, **fields)

    def _hear(self) -> None:
        while not self._listener.heard.empty():
            said = self._listener.heard.get()
            if isinstance(said, str):
                _tell(f"broker {said}".strip().replace("\n", " "))
                continue
            try:
                self._take(Frame.of(said))
            except BadMessage as error:
                sys.stderr.write(f"ignored: {error}\n")

    def _take(self, frame: Frame) -> None:
        peer, instance = self._peers.get(frame.instance), frame.instance
        if peer is None:
            known = instance in self._over
            if known or frame.number != 1:
                # One that an earlier gateway knew ends by its lease; one that was refused, now.
                if known and not frame.over:
                    self._send(Peer(frame), over=True)
                return
            peer = self._peers[instance] = Peer(replace(frame, line=""))
            _tell(f"opened {instance} {frame.node}")
        try:
            lines = peer.session.take(frame, time.monotonic())
        except BadMessage:
            self._close(instance)
            return
        for line in lines:
            _tell(f"line {instance} {line}")
        if frame.over:
            self._close(instance)

    def _close(self, instance: str) -> None:
        self._over.append(instance)
        del self._peers[instance]
        _tell(f"closed {instance}")

    def _send_again(self, now_s: float) -> None:
        if self._publisher.behind:
            return
        for instance, peer in list(self._peers.items()):
            if peer.closes_s is None:
                for fields in peer.session.due(now_s):
                    self._send(peer, **fields)
            elif now_s < peer.closes_s:
                self._send(peer, over=True)
            else:
                self._close(instance)

    def _send(self, peer: Peer, **fields: Any) -> None:  # noqa: ANN401 - those of a frame
        host = peer.frame.host
        frame = asdict(Frame(peer.frame.node, peer.frame.instance, **fields))
        if not is_order(frame["line"]):
            self._publisher.frame(frame, peer.frame.reply)
            return
        job, attempt, name = order_of(frame["line"])
        orders = orders_of(host)
        self._publisher.task(
            self._app,
            TASK,
            args=[frame],
            task_id=f"{job}.{attempt}",
            argsrepr=f"({name!r}, attempt {attempt})",
            kwargsrepr="{}",
            exchange=orders.exchange,
            routing_key=orders.routing_key,
        )


def _tell(line: str) -> None:
    sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Be the gateway of the daemon that holds standard input and output."""
    lines, first = Lines(NODE_LINE_BYTES + _ENVELOPE_BYTES), list[bytes]()
    while not first:
        if not (portion := os.read(0, _READ_BYTES)):
            return
        first = lines.feed(portion)
    Gateway(Access(**json.loads(first.pop(0)))).run(lines, first)


if __name__ == "__main__":
    main()
