"""Nodes on this machine, each started by a plain command instead of ``ssh``.

Run as a program, it is a node that misbehaves: it says what its arguments name, one a step.
"""

import json
import signal
import sys
import time
from functools import partial
from pathlib import Path

from daemon import __version__
from daemon.clock import Clock
from daemon.config.models import Node
from daemon.config.models import Pool as Settings
from daemon.pool.nodes.launcher import Launcher
from daemon.pool.nodes.messages import PROTOCOL
from daemon.pool.nodes.remote import RemotePool, Terms
from tests.support.crew import HANDLER, ROOT

_BOOT = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
COMMAND = [
    sys.executable,
    "-c",
    f"{_BOOT}from daemon.cli.main import main; main()",
    "node",
    "--stdio",
]
"""``soundspool node --stdio`` of this checkout."""
LOST_S = 60.0
"""No busy machine makes a node late by so much."""


class ShiftedClock(Clock):
    """The machine's clock, which a test moves on."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


def node_pool(spool: Path, *, launch: list[str] | None = None, **changes: object) -> RemotePool:
    """Return the pool of a node with two slots, which has yet to join."""
    (spool / "work").mkdir(exist_ok=True)
    clock = changes.pop("clock", None) or Clock()
    fields = {"launch": launch or COMMAND, "slots": 2, "lost_s": LOST_S} | changes
    node = Node(**fields)
    return RemotePool(
        "farm",
        partial(Launcher, node.launch),
        Settings(confine=False),
        clock,
        terms=Terms(node.lost_s, node.root, node.slots),
        root=spool,
        handlers=[HANDLER],
        handler_paths=[ROOT],
    )


def misbehaving(*steps: str) -> list[str]:
    """Return the command of a node that takes these steps, see ``STEPS``."""
    return [
        sys.executable,
        "-c",
        f"{_BOOT}from tests.support.nodes import misbehave; misbehave()",
        *steps,
    ]


def say(**message: object) -> None:
    write(json.dumps(message) + "\n")


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def greet(version: str = __version__, protocol: int = PROTOCOL) -> None:
    say(kind="greeting", version=version, protocol=protocol, host="elsewhere")


def join() -> None:
    """Greet, prove that it sees the spool, and offer one slot."""
    greet()
    path = Path(json.loads(sys.stdin.readline())["proof"])
    path.with_name(path.name + ".answer").write_text(path.read_text())
    say(kind="joined", slots=1, proof=path.read_text())
    say(kind="offer", handlers={HANDLER: {}})


def await_order() -> None:
    while json.loads(sys.stdin.readline())["kind"] != "assign":
        pass


def end(outcome: str = "nothing_to_do", *, job: str = "job") -> None:
    error = {"code": "NOTHING", "kind": "x", "message": "all is silence"}
    say(kind="over", job=job, attempt=1, outcome=outcome, error=error)


def lie() -> None:
    """Name an output that is not there."""
    made = {"path": "out.txt", "role": "data", "bytes": 5, "sha256": "0" * 64}
    say(kind="over", job="job", attempt=1, outcome="done", result={"outputs": [made]})


def flood() -> None:
    write('{"kind":"here","stamp":1.0}\n' * 100_000)  # faster than any busy machine reads


def half_a_line() -> None:
    write('{"kind":"over","job":"job","attempt":1,"outc')
    sys.exit()


STEPS = {
    "join": join,
    "wrong version": lambda: greet(version="99.0.0"),
    "wrong protocol": lambda: greet(protocol=99),
    "await order": await_order,
    "end": end,
    "end another": lambda: end(job="another"),
    "lie": lie,
    "gone": lambda: say(kind="gone", why="enough"),
    "flood": flood,
    "half a line": half_a_line,
    "babble": lambda: write("not for you\n"),
    "hang": lambda: time.sleep(600),
}


def misbehave() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for step in sys.argv[1:]:
        STEPS[step]()
