"""Orders for any pool, and rounds until something holds: waits on descriptors, never sleeps."""

import select
import time
from pathlib import Path

from daemon.pool.interface import Ended, Order, Pool, Progress
from tests.support.crew import HANDLER

PATIENCE_S = 60.0


def order(folder: Path, job: str, how: str = "well", **limits: float) -> Order:
    """Return an order with a drop and an empty work directory."""
    workdir = folder / job / "out.1"
    workdir.mkdir(parents=True)
    drop = folder / job / "drop.txt"
    drop.write_text("a drop\n")
    return Order(job, 1, HANDLER, job, str(drop), str(workdir), {"how": how}, **limits)


def events(pool: Pool, until) -> list[Progress | Ended]:
    """Sleep on what the pool says to sleep on, and collect, until that holds of all events."""
    found: list[Progress | Ended] = list(pool.collect())
    give_up_s = time.monotonic() + PATIENCE_S
    while not until(found):
        assert time.monotonic() < give_up_s, pool.describe()
        poll = select.poll()
        for descriptor in pool.descriptors():
            poll.register(descriptor, select.POLLIN)
        wait_s = pool.next_deadline_s()
        poll.poll(5_000 if wait_s is None else wait_s * 1000 + 1)
        found += pool.collect()
    return found


def ends(pool: Pool, count: int) -> dict[str, Ended]:
    """Return how so many attempts ended."""

    def ended(found):
        return [event for event in found if isinstance(event, Ended)]

    found = ended(events(pool, lambda found: len(ended(found)) >= count))
    assert len(found) == len({end.job for end in found}), "ended twice"
    return {end.job: end for end in found}
