"""A real pool with real workers, and a supervisor small enough to see through."""

import select
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Pool as Settings
from daemon.pool.interface import Ended, Order, Progress
from daemon.pool.local import LocalPool

HANDLER = "tests.support.misbehaving"
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Crew:
    """Runs orders through a pool; waits on its descriptors, never sleeps."""

    folder: Path
    settings: Settings
    handlers: tuple[str, ...] = (HANDLER,)
    python: str = sys.executable
    clock: Clock = field(default_factory=Clock)
    pool: LocalPool = field(init=False)
    ended: dict[str, Ended] = field(default_factory=dict)
    progress: list[Progress] = field(default_factory=list)
    rounds: int = 0

    def __post_init__(self) -> None:
        self.pool = LocalPool(
            self.settings,
            self.clock,
            handlers=self.handlers,
            handler_paths=[ROOT],
            python=self.python,
        )

    def order(self, job: str, how: str = "well", **limits: object) -> Order:
        """Return an order with a drop and an empty work directory of its own."""
        place = self.folder / job
        workdir = place / "out.1"
        workdir.mkdir(parents=True)
        (place / "drop.txt").write_text("a drop\n")
        more = limits.pop("more", {})
        return Order(
            job=job,
            attempt=1,
            handler=str(limits.pop("handler", HANDLER)),
            name=job,
            source=str(place / "drop.txt"),
            workdir=str(workdir),
            options={"how": how, "more": more},
            **limits,
        )

    def until(self, condition, patience_s: float = 30.0) -> None:
        """Do rounds until `condition` holds."""
        give_up = time.monotonic() + patience_s
        self.round()
        while not condition():
            assert time.monotonic() < give_up, self.pool.describe()
            self.wait()
            self.round()

    def round(self) -> None:
        self.rounds += 1
        for event in self.pool.collect():
            if isinstance(event, Ended):
                assert event.job not in self.ended, "ended twice"
                self.ended[event.job] = event
            else:
                self.progress.append(event)

    def wait(self) -> None:
        """Sleep until the pool has something to do."""
        poll = select.poll()
        for fd in self.pool.descriptors():
            poll.register(fd, select.POLLIN)
        wait_s = self.pool.next_deadline_s()
        poll.poll(5_000 if wait_s is None else wait_s * 1000 + 1)

    def run(self, orders: Iterable[Order], patience_s: float = 30.0) -> dict[str, Ended]:
        """Run all orders, as slots become free; return how they ended."""
        waiting = list(orders)
        jobs = {order.job for order in waiting}

        def done() -> bool:
            while waiting and self.pool.free_slots():
                self.pool.start(waiting.pop(0))
            return jobs <= self.ended.keys()

        self.until(done, patience_s)
        return {job: self.ended[job] for job in jobs}

    def run_one(self, how: str, **limits: object) -> Ended:
        """Run one order."""
        return self.run([self.order("job", how, **limits)])["job"]
