"""Whole lives of a daemon in this process, one after the other on the same spool.

Theory of operation
-------------------
A ``Life`` is a whole ``Supervisor`` on a real spool: watchers, queue, outbox. Its ``Files`` see
each step, in whichever thread it is, and may refuse it or keep a copy of the spool there.
Commits of the queue are steps too, named after the method that commits.

The pool is real. Its warm workers outlive the daemons, because a start costs more than all
else here. A life that fails, and its test with it, lets go of what its process would lose.
"""

import os
import select
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from daemon.config.models import Budgets, Config, Disk, Inbox, Settling
from daemon.config.models import Pool as PoolSettings
from daemon.files import Files
from daemon.intake import watcher
from daemon.jobs import store
from daemon.jobs.database import Database
from daemon.jobs.job import State
from daemon.pool.local import LocalPool
from daemon.supervisor import folders, supervisor
from daemon.supervisor.supervisor import Supervisor

HANDLER = "tests.support.counting"
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


def config_for(root: Path, **changes: object) -> Config:
    """Return a configuration in which nothing waits longer than it must."""
    settling = Settling(**dict.fromkeys(Settling.model_fields.keys() - {"on_truncated"}, 0.02))
    given = {
        "root": root,
        "inboxes": {"mix": Inbox(handler=HANDLER, settling=settling)},
        "handler_paths": [ROOT],
        "pool": PoolSettings(slots=1, confine=False, recycle_jobs=10_000),
        "budgets": Budgets(backoff_s=0.01, backoff_max_s=0.01),
        "disk": Disk(reserve_mb=0),
        "memory_reserve_mb": 0,
        "drain_s": 10.0,
    }
    return Config(**given | changes)


class WarmPool(LocalPool):
    """A pool that many daemons have, one after the other."""

    def close(self) -> None:
        """Kill what runs; keep the idle workers for the next daemon."""
        self.interrupt_all()
        poll_until(self, lambda: not (self._busy() or self._waiting))

    def end(self) -> None:
        """Close it for good."""
        super().close()


def poll_until(pool: LocalPool, condition: Callable[[], bool]) -> None:
    """Let the pool go round, and forget what it says, until `condition` holds."""
    while True:
        pool.collect()
        if condition():
            return
        poll = select.poll()
        for descriptor in pool.descriptors():
            poll.register(descriptor, select.POLLIN)
        wait_s = pool.next_deadline_s()
        poll.poll(1_000 if wait_s is None else wait_s * 1000 + 1)


class NoWatch:
    """A watch that announces nothing, for what is there at the start: stopping costs nothing."""

    builds = 1
    problem = ""

    def __init__(self, folder: Path, wake: Callable[[], None]) -> None:
        pass

    def check(self) -> bool:
        """Say that it works."""
        return True

    def stop(self) -> None:
        """End."""


@dataclass
class Life:
    """One daemon, from its start to its death or its rest."""

    config: Config
    files: Files
    pool: WarmPool
    supervisor: Supervisor = field(init=False)
    _databases: list[Database] = field(default_factory=list)
    _locks: list[int] = field(default_factory=list)

    def live(self, until: Callable[["Life"], bool]) -> None:
        """Start, go round until it is done, and stop cleanly."""
        with self._in_its_world():
            try:
                self._live(until)
            except BaseException:
                self._let_go()
                raise

    def _live(self, until: Callable[["Life"], bool]) -> None:
        self.supervisor = Supervisor(self.config, files=self.files)
        self.supervisor.start()
        give_up_s = time.monotonic() + PATIENCE_S
        while not until(self):
            assert time.monotonic() < give_up_s, f"no rest: {left_over(self.config.root)}"
            self.supervisor.round()
        self.supervisor.close(clean=True)
        for end in (self.supervisor.signals._reader, self.supervisor.signals._writer):
            os.close(end)

    def at_rest(self) -> bool:
        """Tell whether nothing is under way any more."""
        # The inbox first: a drop that leaves it has its room in work/ before.
        inbox, work = (self.config.root / kind / "mix" for kind in ("inbox", "work"))
        queue = self.supervisor._store
        return not (
            any(is_drop(path.name) for path in inbox.iterdir())
            or any(work.iterdir())
            or not self.supervisor._watchers.reports.empty()
            or queue.jobs(State.QUEUED)
            or queue.jobs(State.RUNNING)
            or queue.unpublished()
        )

    def _let_go(self) -> None:
        """Let go of what the kernel takes from a process that ends."""
        alive = getattr(self, "supervisor", None)
        if alive is not None:
            for each in alive._watchers.watchers.values():
                each.stop()
            alive._duplicates._pool.shutdown(wait=True)  # before the pipe that it writes into goes
            for end in (alive.signals._reader, alive.signals._writer):
                with suppress(OSError):
                    os.close(end)
        self.pool.close()
        for database in self._databases:
            database.connection.close()
        for descriptor in self._locks:
            os.close(descriptor)

    @contextmanager
    def _in_its_world(self) -> Iterator[None]:
        life, locked = self, folders._locked

        class Stepping(Database):
            """A database whose commits are steps, named after who commits."""

            def __init__(self, path: Path, migrations: Path) -> None:
                life._databases.append(self)
                super().__init__(path, migrations)

            @contextmanager
            def transaction(self) -> Iterator[sqlite3.Connection]:
                who = sys._getframe(2).f_code.co_name
                with life.files._step(f"commit {who}"), super().transaction() as connection:
                    yield connection

        def remembered(path: Path) -> int:
            self._locks.append(locked(path))
            return self._locks[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "Database", Stepping)
            patch.setattr(folders, "_locked", remembered)
            patch.setattr(supervisor, "open_pool", lambda *_args, **_more: self.pool)
            patch.setattr(watcher, "Watch", NoWatch)
            patch.setattr(watcher, "_LOCAL_S", 0.2)  # what comes later is seen all the same
            patch.setattr(supervisor, "_LONGEST_WAIT_S", 0.05)  # we want to know when it rests
            yield


def is_drop(name: str) -> bool:
    """Tell a drop from what belongs to one that is not here."""
    return not name.startswith(".") and not name.endswith((".done", ".job.yaml"))


def left_over(root: Path) -> list[str]:
    """Return all that lies in the inbox and in work: for the message of a failed test."""
    return [
        str(path.relative_to(root))
        for kind in ("inbox", "work")
        for path in sorted((root / kind).rglob("*"))
    ]
