"""What a node costs, what two are worth, and what a death costs: beside this machine's own slots.

    python benchmarks/nodes.py
    python benchmarks/nodes.py --jobs 2000 --deaths 5
    python benchmarks/nodes.py --broker amqp://guest@localhost/%2F --password-file FILE

Tiny jobs through two slots, by turns here, at a node that a plain command starts on this
machine, and at one that a broker brings, when one is named; and how long after ``kill -9`` of a
node its jobs have begun again elsewhere, with the default ``lost_s``. Workers are not confined, so
they serve one job after the other: what is left is the way of an order and of its end.
"""

import argparse
import atexit
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Celery, Config
from daemon.config.models import Pool as Settings
from daemon.pool.interface import Ended, Order, Pool
from daemon.pool.local import LocalPool
from daemon.pool.nodes.group import Group
from daemon.pool.nodes.joined import JoinedPool
from daemon.pool.nodes.launcher import Launcher
from daemon.pool.nodes.remote import RemotePool, Terms

HERE = Path(__file__).resolve().parent
NODE = [sys.executable, "-m", "daemon.cli.main", "node", "--stdio"]
_HANDLER = "idle_handler"
_SLOW_S, _WARM = 0.5, 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--jobs", type=int, default=600, help="tiny jobs in each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--deaths", type=int, default=3)
    parser.add_argument("--broker", help="the URL of a RabbitMQ")
    parser.add_argument("--password-file", type=Path)
    args = parser.parse_args()
    # The node is started in another folder than this one.
    os.environ["PYTHONPATH"] = str(HERE.parent)
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="soundspool-benchmark-") as name:
        spool = Path(name)
        (spool / "work").mkdir()
        orders = _orders(spool)
        places: dict[str, Callable[[], Pool]] = {
            "here": _home,
            "launcher": lambda: _remote(spool),
        }
        if args.broker:
            places["celery"] = lambda: _brokered(spool, args.broker, args.password_file)
            _start_celery_node(spool, args.broker, args.password_file)
        rates: dict[str, list[float]] = {where: [] for where in places}
        for _ in range(args.turns):
            for where, made in places.items():
                with closing(made()) as pool:
                    rates[where].append(_rate(pool, orders, args.jobs))
        for where, found in rates.items():
            share = statistics.median(found) / statistics.median(rates["here"])
            print(f"{where:10} {statistics.median(found):7.0f} tiny jobs/s   {share:5.2f} x here")
        slow = (replace(order, options={"seconds": _SLOW_S}) for order in orders)
        done = []
        for names in ("a", "ab"):
            with closing(Group(Clock(), [_remote(spool, name) for name in names])) as pool:
                done.append(_rate(pool, slow, 4 * _WARM))
        print(f"two nodes do {done[1] / done[0]:.2f} x what one does, of jobs of {_SLOW_S:g} s")
        took_s = [_death_s(spool, orders) for _ in range(args.deaths)]
        if took_s:
            print(f"from a node's death to the end of its job here: {max(took_s):.1f} s at most")


def _home() -> LocalPool:
    return LocalPool(
        Settings(slots=2, confine=False), Clock(), handlers=[_HANDLER], handler_paths=[HERE]
    )


def _remote(spool: Path, name: str = "node") -> RemotePool:
    settings = Settings(confine=False)
    return RemotePool(
        name,
        partial(Launcher, NODE),
        settings,
        Clock(),
        terms=Terms(lost_s=6.0, slots=2),
        root=spool,
        handlers=[_HANDLER],
        handler_paths=[HERE],
    )


def _brokered(spool: Path, broker: str, password_file: Path | None) -> Pool:
    from daemon.pool.nodes.broker.pool import BrokeredPool  # noqa: PLC0415 - needs the extra

    celery = Celery(broker=broker, password_file=password_file)
    settings = Settings(confine=False, celery=celery)
    config = Config(root=spool, handler_paths=[HERE], pool=settings)
    return BrokeredPool(config, Clock(), handlers=[_HANDLER], programs=[])


def _start_celery_node(spool: Path, broker: str, password_file: Path | None) -> None:
    command = [*NODE[:-1], "--celery", broker, "--root", str(spool), "--slots", "2"]
    if password_file:
        command += ["--password-file", str(password_file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(process.terminate)


def _orders(spool: Path, number: int = 0) -> Iterator[Order]:
    while True:
        number += 1
        workdir = spool / "work" / f"{number}" / "out.1"
        workdir.mkdir(parents=True)
        drop = workdir.with_name("drop")
        drop.touch()
        yield Order(f"{number}", 1, _HANDLER, "a drop", str(drop), str(workdir))


def _rounds(pool: Pool) -> Iterator[list[Ended]]:
    """Go round, asleep between; yield the ends of each."""
    while True:
        poll = select.poll()
        for descriptor in pool.descriptors():
            poll.register(descriptor, select.POLLIN)
        wait_s = pool.next_deadline_s()
        poll.poll(1_000 if wait_s is None else min(1_000, wait_s * 1000 + 1))
        yield [event for event in pool.collect() if isinstance(event, Ended)]


def _rate(pool: Pool, orders: Iterator[Order], jobs: int) -> float:
    """Return how many jobs a second pass, once the workers are warm."""
    ended, began_s = 0, 0.0
    for ends in _rounds(pool):
        ended += len(ends)
        if not began_s and ended >= _WARM:
            ended, began_s = 0, time.perf_counter()
        if began_s and ended >= jobs:
            return ended / (time.perf_counter() - began_s)
        while pool.free_slots():
            pool.start(next(orders))
    raise AssertionError


def _death_s(spool: Path, orders: Iterator[Order]) -> float:
    """Return how long after its node's death a job has run again, here."""
    home, node = _home(), _remote(spool)
    with closing(JoinedPool(home, [node], Clock())) as pool:
        rounds = _rounds(pool)
        while not (node.told and home.handlers):
            next(rounds)
        order = replace(next(orders), place=node.name)
        pool.start(order)
        died_s = time.perf_counter()
        os.kill(node.link.process_id, signal.SIGKILL)
        while not any(end.job == order.job for end in next(rounds)):
            pass
        again = next(orders)
        pool.start(again)
        while not any(end.job == again.job for end in next(rounds)):
            pass
        return time.perf_counter() - died_s


if __name__ == "__main__":
    main()
