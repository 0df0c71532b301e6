"""The nodes that a broker brings, as one pool: they come and go by themselves.

Theory of operation
-------------------
A process of ours, the *gateway*, talks to the broker. Each conversation that it reports is a
connection for the ``Link`` of the node that began it, as a launcher's pipes would be; so what is
true of nodes over ``ssh`` is true of these: greeting, proof, lease, fence, loss.

Rules
-----
1. A node is known by its name. While one has it, no other gets it.
2. A node that has been away for ``_FORGOTTEN_S`` is forgotten.
3. When the gateway dies, all conversations have ended; it is started again.
"""

import json
import re
import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from daemon.clock import Clock, earliest
from daemon.config.models import NODE_NAME, Config
from daemon.errors import Fault
from daemon.logs import log
from daemon.pool.interface import Ended, Pool, Progress
from daemon.pool.nodes.group import Group
from daemon.pool.nodes.launcher import Launcher
from daemon.pool.nodes.remote import RemotePool, Terms
from daemon.pool.protocol import BadMessage
from daemon.text import shown

_ROOT = Path(__file__).resolve().parents[4]
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); "
_GATEWAY = f"{_BOOT}from daemon.pool.nodes.broker.gateway import main; main()"
_AGAIN_S = 2.0
_FORGOTTEN_S = 600.0
_CLOSE_S = 5.0
_MOST_NODES = 1_000


class Channel:
    """A conversation with one life of a node, as a ``Connection``; its own ``Lines``, too."""

    process_id = 0

    def __init__(self, gateway: Launcher, instance: str, node: str) -> None:
        self._gateway, self._instance, self.node = gateway, instance, node
        self._come: list[bytes] = []
        self.ended = self.dead = False
        self.wire = self

    @property
    def behind(self) -> bool:
        return self._gateway.wire.behind

    def hear(self, line: bytes) -> None:
        """Take a line of the node."""
        self._come.append(line)

    def read(self) -> list[bytes]:
        come, self._come = self._come, []
        return come

    def send(self, line: bytes) -> None:
        if not self.ended:
            self._gateway.wire.send(f"line {self._instance} ".encode() + line)

    def flush(self) -> None:
        self._gateway.wire.flush()

    def descriptors(self) -> list[int]:
        return []  # the gateway's

    def how_it_ended(self) -> str:
        return "it left"

    def complaint(self) -> str:
        return ""

    def hang_up(self) -> None:
        self.end()

    def end(self, patience_s: float = 0.0) -> None:  # noqa: ARG002 - the pool waits for all at once
        if not self.ended:
            self._gateway.wire.send(f"close {self._instance}\n".encode())


class BrokeredPool(Group):
    """All nodes at a broker.

    Parameters
    ----------
    config : Config
        Of which ``pool.celery`` is not ``None``.
    handlers, programs : sequences of str
        What orders may ask for.
    """

    def __init__(
        self, config: Config, clock: Clock, *, handlers: Sequence[str], programs: Sequence[str]
    ) -> None:
        super().__init__(clock)
        assert config.pool.celery  # noqa: S101 - for the type checker
        self._settings, self._config = config.pool.celery, config
        self._serves, self._programs = tuple(handlers), tuple(programs)
        self._nodes: dict[str, RemotePool] = {}
        self._away_s: dict[str, float] = {}
        self._fresh: dict[str, Channel] = {}
        """Conversations that no link has taken up, by the node's name."""
        self._open: dict[str, Channel] = {}
        """All that have not ended, by instance."""
        self._gateway: Launcher | None = None
        self._start_s = self._forget_s = 0.0
        """When the gateway is started, and nodes that are away are looked for, if they are."""
        self.problem: Fault | None = Fault("BROKER_LOST", self._words("not connected yet"))

    @property
    def nodes(self) -> list[RemotePool]:
        """Those that are there, and those that were a moment ago."""
        return list(self._nodes.values())

    # What the supervisor asks for: see ``interface.Pool``

    @property
    def degraded(self) -> str | None:
        if super().degraded is None:
            return None
        return self.problem.message if self.problem else "no node has come to the broker"

    def serve(self, handlers: Sequence[str], programs: Sequence[str] = ()) -> None:
        self._serves, self._programs = tuple(handlers), tuple(programs)
        super().serve(handlers, programs)

    def collect(self) -> list[Progress | Ended]:
        now_s = self._clock.monotonic_s()
        if self._gateway is None and now_s >= self._start_s:
            self._start_gateway(now_s)
        if self._gateway is not None:
            self._hear(self._gateway, now_s)
        events = super().collect()
        self._forget_nodes(now_s)
        return events

    def descriptors(self) -> list[int]:
        own = self._gateway.descriptors() if self._gateway else []
        return [*own, *super().descriptors()]

    def next_deadline_s(self) -> float | None:
        due_s = [super().next_deadline_s()]
        if self._gateway is None:
            due_s.append(max(0.0, self._start_s - self._clock.monotonic_s()))
        return earliest(due_s)

    def _with_room(self) -> list[Pool]:
        """Return the idlest first, so that work spreads over the machines."""
        return sorted(super()._with_room(), key=lambda node: -self._free[node])

    def describe(self) -> dict[str, Any]:
        nodes = [node.describe() for node in self.nodes]
        sums = ("slots", "free", "waiting", "checking")
        return {name: sum(each[name] for each in nodes) for name in sums} | {
            "degraded": self.degraded,
            "unusable_handlers": self.unusable,
            "workers": [],
            "nodes": nodes,
            "broker": {
                "url": without_password(self._settings.broker),
                "problem": self.problem.public() if self.problem else None,
            },
        }

    def close(self) -> None:
        super().close()
        if gateway := self._gateway:
            until_s = self._clock.monotonic_s() + _CLOSE_S
            while self._open and (left_s := until_s - self._clock.monotonic_s()) > 0:
                poll = select.poll()
                poll.register(gateway.wire.reads, select.POLLIN)
                poll.poll(left_s * 1000)
                self._hear(gateway, self._clock.monotonic_s())
                if gateway.wire.ended:
                    break
            gateway.end(_CLOSE_S)
        self._gateway = None

    # The gateway

    def _start_gateway(self, now_s: float) -> None:
        self._start_s = now_s + _AGAIN_S
        password_file, ca_file = self._settings.password_file, self._settings.ca_file
        try:
            password = password_file.read_text().strip() if password_file else ""
            self._gateway = Launcher([sys.executable, "-I", "-c", _GATEWAY, str(_ROOT)])
        except OSError as error:
            self._tell(f"{error.filename}: {error.strerror or error}")
            return
        access = {
            "broker": self._settings.broker,
            "password": password,
            "ca_file": str(ca_file or ""),
        }
        self._gateway.wire.send(json.dumps(access).encode() + b"\n")

    def _hear(self, gateway: Launcher, now_s: float) -> None:
        dead = gateway.dead  # asked first, so that its last words are read
        with suppress(BadMessage):
            for line in gateway.wire.read():
                self._obey(gateway, line)
            gateway.wire.flush()
        said = gateway.complaint()
        if not dead and not gateway.wire.ended:
            return
        self._tell(shown(said) or gateway.how_it_ended())
        for channel in self._open.values():
            channel.ended = channel.dead = True
        for node in self.nodes:
            self.stir(node)
        self._open.clear()
        self._fresh.clear()
        gateway.end()
        self._gateway, self._start_s = None, now_s + _AGAIN_S

    def _obey(self, gateway: Launcher, line: bytes) -> None:
        what, _, rest = line.partition(b" ")
        word, _, text = rest.partition(b" ")
        instance = word.decode()
        match what:
            case b"broker":
                why, _, hint = rest.decode("utf-8", "replace").partition("\t")
                self._tell(shown(why), shown(hint))
            case b"opened":
                self._meet(Channel(gateway, instance, text.decode()), instance)
            case b"line" if channel := self._open.get(instance):
                channel.hear(text)
                self._stir(channel)
            case b"closed" if channel := self._open.pop(instance, None):
                channel.ended = channel.dead = True
                self._stir(channel)

    def _stir(self, channel: Channel) -> None:
        if node := self._nodes.get(channel.node):
            self.stir(node)

    def _meet(self, channel: Channel, instance: str) -> None:
        self._open[instance], name = channel, channel.node
        node = self._nodes.get(name)
        if node is None and len(self._nodes) < _MOST_NODES and re.match(NODE_NAME, name):
            node = self._nodes[name] = self._node(name)
            self.note(node)
        if (
            node is None
            or name in self._fresh
            or name in self._config.pool.nodes
            or node.link.phase in ("launched", "greeted", "joined")
        ):
            why = "another node has this name" if node else "it is no name, or there are too many"
            log.warning("node is refused", node=shown(name), why=why)
            channel.end()
            return
        self._fresh[name] = channel
        self.stir(node)

    def _node(self, name: str) -> RemotePool:
        pool = self._config.pool
        return RemotePool(
            name,
            lambda: self._fresh.pop(name, None),
            pool,
            self._clock,
            terms=Terms(lost_s=self._settings.lost_s),
            root=self._config.root,
            handlers=self._serves,
            programs=self._programs,
            handler_paths=self._config.handler_paths,
        )

    def _forget_nodes(self, now_s: float) -> None:
        if now_s < self._forget_s:
            return
        self._forget_s = now_s + _FORGOTTEN_S / 60
        for name, node in list(self._nodes.items()):
            if node.link.phase != "down" or node.busy:
                self._away_s.pop(name, None)
            elif now_s - self._away_s.setdefault(name, now_s) >= _FORGOTTEN_S:
                self.leave(node)
                node.close()
                del self._nodes[name], self._away_s[name]

    def _tell(self, why: str, hint: str = "") -> None:
        before = self.problem
        self.problem = Fault("BROKER_LOST", self._words(why), hint, kind="node") if why else None
        if before != self.problem:
            if self.problem:
                log.warning("broker is not there", why=why)
            else:
                log.info("broker is there", broker=without_password(self._settings.broker))

    def _words(self, why: str) -> str:
        return f"broker {without_password(self._settings.broker)}: {why}"


def without_password(url: str) -> str:
    """Return a URL that may be shown."""
    parts = urlsplit(url)
    user, at, server = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, user.partition(":")[0] + at + server, parts.path, "", ""))
