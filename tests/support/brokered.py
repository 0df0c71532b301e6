"""A node that reports at a broker, and the pool of the daemon at its other end."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Celery, Config
from daemon.config.models import Pool as Settings
from daemon.pool.nodes.broker.pool import BrokeredPool
from tests.support.broker import PASSWORD, Broker
from tests.support.crew import HANDLER, ROOT
from tests.support.nodes import COMMAND

JOURNAL = "tests.support.journal"
LOST_S = 600.0
"""No busy machine starts a broker later than that."""
HANDLERS = [HANDLER, JOURNAL]


def password_file(broker: Broker) -> Path:
    path = broker.folder / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


def brokered_pool(broker: Broker, spool: Path, /, **changes: object) -> BrokeredPool:
    """Return the daemon's end, to which a node has yet to come."""
    fields = {
        "broker": broker.url,
        "password_file": password_file(broker),
        "ca_file": broker.ca_file,
        "lost_s": LOST_S,
    }
    settings = Settings(confine=False, celery=Celery(**fields | changes))
    config = Config(root=spool, handler_paths=[ROOT], pool=settings)
    return BrokeredPool(config, Clock(), handlers=HANDLERS, programs=[])


class CeleryNode:
    """``soundspool node --celery`` of this checkout, in a process group of its own."""

    def __init__(
        self,
        broker: Broker,
        spool: Path,
        *more: str,
        slots: int = 2,
        within: Sequence[str] = (),
    ) -> None:
        (spool / "work").mkdir(exist_ok=True)
        given = {
            "--celery": broker.url,
            "--password-file": str(password_file(broker)),
            "--ca-file": str(broker.ca_file),
            "--root": str(spool),
            "--slots": str(slots),
            "--name": "farm",
        } | dict(zip(more[::2], more[1::2], strict=True))
        words = [word for pair in given.items() for word in pair]
        self.said = broker.folder / f"{given['--name']}.log"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [*within, *COMMAND[:-1], *words],
                env=os.environ | {"PYTHONWARNINGS": "ignore"},
                stdout=said,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def close(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
