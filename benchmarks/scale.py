"""How far one daemon reaches: its scheduler over many nodes, in simulated time.

    python benchmarks/scale.py
    python benchmarks/scale.py --nodes 200 --jobs 100000 --cut 0.25

The queue, obstacles, the pool that joins all machines, links, leases and messages are the daemon's
own; only the clock and the nodes are made up. A node takes an order, and ends it after a time
drawn at random; nodes fall silent at random and come back, and once a share of them together.
What is not in it is what follows a job on the disk (checks, publication, status): see
``benchmarks/jobs.py`` for that.

Printed are the daemon's CPU per job, by where it goes, and what a user would feel: waits by lane
and inbox, what the deaths cost, and how long the queue took to catch up.
"""

import argparse
import heapq
import random
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean, quantiles
from types import SimpleNamespace

from simulated_node import HANDLER, NoSlots, SimulatedClock, SimulatedNode

from daemon.config.lanes import ALLOWANCE_MS
from daemon.config.models import Config, Inbox
from daemon.config.models import Pool as Settings
from daemon.files import Files
from daemon.jobs.claims import Claim
from daemon.jobs.job import Ending, NewJob, Outcome, OutputFile
from daemon.logs import configure
from daemon.pool.interface import Ended, Order
from daemon.pool.nodes.joined import JoinedPool
from daemon.pool.nodes.remote import RemotePool, Terms
from daemon.supervisor.obstacles import Obstacles
from daemon.supervisor.signals import Signals
from daemon.supervisor.startup import open_spool

ROUND_S = 0.01
"""How long a round takes, at least: what comes meanwhile is taken in together by the next."""
CUT_S = 600.0
"""How long the nodes that are cut off together stay away."""
INBOXES = {"rush": "rush", "one": "normal", "two": "normal", "three": "bulk"}
MASTER = OutputFile("Song.wav", "master", 1_000, "5a" * 32, {})


class World:
    """The daemon's scheduler, and nodes that are made up."""

    def __init__(self, folder: Path, *, nodes: int, slots: int, seed: int, lost_s: float) -> None:
        self.clock, self.slots, self.lost_s = SimulatedClock(), slots, lost_s
        self.chance = random.Random(seed)  # noqa: S311 - a draw
        config = Config(root=folder, inboxes={inbox: Inbox(handler=HANDLER) for inbox in INBOXES})
        self.opened = open_spool(config, files=Files(), clock=self.clock)
        self.store = self.opened.store
        self.alive: dict[int, SimulatedNode] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.cpu_s, self.counts = Counter[str](), Counter[str]()
        self._own_s = 0.0
        """CPU of the simulation itself, within what is measured."""
        self.begun: Counter[tuple[str, int]] = Counter()
        self.lost_at_s: dict[str, float] = {}
        """When the attempts of jobs that have not begun again were lost."""
        self.again_s: list[float] = []
        self.mean_s, self.away_until_s = 60.0, {}
        settings = Settings(confine=False)
        nodes_pools = [
            RemotePool(
                f"node-{number}",
                lambda number=number: self._connect(number),
                settings,
                self.clock,
                terms=Terms(lost_s=lost_s),
                root=folder,
                handlers=[HANDLER],
            )
            for number in range(nodes)
        ]
        self.nodes, self.pool = nodes, JoinedPool(NoSlots(), nodes_pools, self.clock)
        watchers = SimpleNamespace(closed=lambda _: "")
        self.obstacles, self._signals = Obstacles(self.opened, watchers, self.pool), Signals()

    def _connect(self, number: int) -> SimulatedNode:
        if self.clock.now_s < self.away_until_s.get(number, 0.0):
            raise OSError(113, "no route to it")
        self.alive[number] = SimulatedNode(self, number)
        return self.alive[number]

    @contextmanager
    def measured(self, what: str) -> Iterator[None]:
        """Count the CPU of what is done meanwhile."""
        own_s, began_s = self._own_s, time.process_time()
        yield
        self.cpu_s[what] += time.process_time() - began_s - (self._own_s - own_s)

    @contextmanager
    def unmeasured(self) -> Iterator[None]:
        """Do not count it, for it is a node's."""
        began_s = time.process_time()
        yield
        self._own_s += time.process_time() - began_s

    def later(self, wait_s: float, deed: Callable[[], None]) -> None:
        """Have something done so many seconds from now."""
        self._number += 1
        heapq.heappush(self._agenda, (self.clock.now_s + wait_s, self._number, deed))

    def begin(self, node: SimulatedNode, key: tuple[str, int]) -> None:
        """Let an attempt run at a node for a while."""
        self.begun[key] += 1
        node.runs[key] = None
        if (lost_s := self.lost_at_s.pop(key[0], None)) is not None:
            self.again_s.append(self.clock.now_s - lost_s)
        self.later(self.chance.expovariate(1 / self.mean_s), lambda: node.end_one(key))

    def kill(self, share: float = 0.0, away_s: float = 0.0) -> None:
        """Let nodes fall silent, one or a share, as dead machines do; they come back later."""
        living = [number for number, node in self.alive.items() if not node.silent]
        for number in self.chance.sample(living, min(len(living), round(share * self.nodes) or 1)):
            node = self.alive[number]
            node.silent = True
            self.away_until_s[number] = self.clock.now_s + away_s
            self.counts["nodes died"] += 1
            self.counts["attempts lost"] += len(node.runs)
            self.lost_at_s.update((job, self.clock.now_s) for job, _ in node.runs)

    def step(self) -> list[Ended]:
        """Let time pass until something happens, and go round; return the ends it tells."""
        with self.measured("wait"):
            descriptors, wait_s = self.pool.descriptors(), self.pool.next_deadline_s()
            if room := self.obstacles.room():
                self.store.next_due_ms(room.inboxes, self.obstacles.alone(), room.places)
            self._signals.wait(descriptors, 0.0)
        waits_s = [self._agenda[0][0] - self.clock.now_s, 5.0 if wait_s is None else wait_s]
        self.clock.now_s += max(ROUND_S, min(waits_s))
        while self._agenda and self._agenda[0][0] <= self.clock.now_s:
            heapq.heappop(self._agenda)[2]()
        self.counts["rounds"] += 1
        with self.measured("collect"):
            ends = [event for event in self.pool.collect() if isinstance(event, Ended)]
            self.store.resources = self.store.resources.with_nodes(self.pool.devices())
        return ends

    def record(self, ends: list[Ended]) -> None:
        with self.measured("queue: ends"), self.store.together():
            for end in ends:
                made = (MASTER,) if end.outcome is Outcome.DONE else ()
                ending = Ending(end.outcome, outputs=made, error=end.error)
                self.store.finish(end.job, end.attempt, ending)

    def dispatch(self) -> Iterator[str]:
        """Claim for all free slots, and start, as ``Dispatcher`` does; return the jobs."""
        while True:
            with self.measured("room"):
                room = self.obstacles.room()
            if not room:
                return
            with self.measured("queue: claims"), self.store.together():
                claim = partial(self.store.claim, room.inboxes, (), room.places)
                claims = list(islice(iter(claim, None), room.jobs))
            with self.measured("start"):
                for each in claims:
                    self._start(each)
            yield from (each.job.id for each in claims)
            if len(claims) < room.jobs:
                return

    def _start(self, claim: Claim) -> None:
        job = claim.job
        place = f"/srv/spool/work/{job.inbox}/{job.id}"
        order = Order(job.id, claim.attempt, HANDLER, job.name, f"{place}/in", f"{place}/out.1")
        self.pool.start(order)
        self.pool.place_of(job.id)

    def close(self) -> None:
        self.pool.close()
        self.opened.close(clean=True)


class Felt:
    """What a user would feel of it."""

    def __init__(self) -> None:
        self.came_s: dict[str, float] = {}
        self.inbox_of: dict[str, str] = {}
        """Of jobs that have not begun yet."""
        self.waits_s: dict[str, list[float]] = defaultdict(list)
        """By inbox."""
        self.done, self.deepest, self.caught_up_s = 0, 0, 0.0
        self.memory_mb: list[float] = []

    def begun(self, job: str, now_s: float) -> None:
        """Take notice of an attempt; only a job's first one ends its wait."""
        if inbox := self.inbox_of.pop(job, None):
            self.waits_s[inbox].append(now_s - self.came_s.pop(job))


def run(world: World, jobs: int, *, deaths: int, load: float, cut: float) -> None:
    """Let so many jobs come and go while nodes die."""
    every_s = world.mean_s / (load * world.nodes * world.slots)
    felt, names, first_s = Felt(), list(INBOXES), world.lost_s
    came = 0

    def arrive(due_s: float) -> None:
        nonlocal came
        inbox = names[came % len(names)] if came % 10 else "rush"
        name = f"job-{came}"
        new = NewJob(
            id=name,
            inbox=inbox,
            name=name,
            label=name,
            handler=HANDLER,
            created_ms=world.clock.wall_ms(),
            lane=INBOXES[inbox],
        )
        with world.measured("queue: admissions"):
            world.store.adopt(new)
        came, felt.came_s[name], felt.inbox_of[name] = came + 1, due_s, inbox
        if came < jobs:
            next_s = due_s + every_s  # which may be before the end of this round
            world.later(next_s - world.clock.now_s, partial(arrive, next_s))

    world.later(first_s, partial(arrive, first_s))
    span_s = jobs * every_s
    for _ in range(deaths):
        world.later(world.chance.uniform(first_s, span_s), world.kill)
    back_s = first_s + span_s / 3 + CUT_S
    if cut:
        world.later(back_s - CUT_S, partial(world.kill, cut, CUT_S))
    while felt.done < jobs:
        ends = world.step()
        world.record(ends)
        felt.done += sum(end.outcome == "done" for end in ends)
        for name in world.dispatch():
            felt.begun(name, world.clock.now_s)
        felt.deepest = max(felt.deepest, len(felt.inbox_of))
        if not felt.caught_up_s and world.clock.now_s > back_s and not felt.inbox_of:
            felt.caught_up_s = world.clock.now_s - back_s
        if 10 * felt.done >= jobs * (len(felt.memory_mb) + 1):
            felt.memory_mb.append(_memory_mb())
            spent_s = sum(world.cpu_s.values())
            told = f"{1e3 * spent_s / felt.done:.2f} ms CPU each, {felt.memory_mb[-1]:.0f} MB"
            print(f"{felt.done} jobs are done: {told}", flush=True)
    tell(world, jobs, felt, late_s=world.clock.now_s - span_s - first_s, cut=cut)


def tell(world: World, jobs: int, felt: Felt, *, late_s: float, cut: float) -> None:
    """Print what was found."""
    whole_s, rounds = sum(world.cpu_s.values()), world.counts["rounds"]
    print(f"{world.nodes} nodes of {world.slots} slots, {jobs} jobs in {world.clock.now_s:.0f} s")
    for what, spent_s in world.cpu_s.most_common():
        print(f"  {what:18} {1e6 * spent_s / jobs:7.0f} us CPU per job")
    share = whole_s / world.clock.now_s
    print(f"  all {1e3 * whole_s / jobs:.2f} ms per job; one core is busy for {share:.1%}")
    print(f"  {rounds / jobs:.1f} rounds per job")
    memory = f"{felt.memory_mb[0]:.0f}, {felt.memory_mb[-1]:.0f} MB"
    print(f"  memory after a tenth of the jobs, and all: {memory}; of this process and its nodes")
    for inbox in sorted(felt.waits_s, key=lambda inbox: list(ALLOWANCE_MS).index(INBOXES[inbox])):
        found = felt.waits_s[inbox]
        waited = f"waited {fmean(found):.2f} s on average, 99% less than"
        most = f"{quantiles(found, n=100)[98]:.1f} s, none over {max(found):.1f} s"
        print(f"  {inbox:6} ({INBOXES[inbox]}): {len(found)} jobs {waited} {most}")
    counts, twice = world.counts, sum(count > 1 for count in world.begun.values())
    print(f"  {counts['nodes died']} nodes died, {counts['attempts lost']} attempts with them")
    if again_s := world.again_s:
        print(
            f"  they began again {fmean(again_s):.1f} s later on average, "
            f"{max(again_s):.1f} s at most; lost_s is {world.lost_s:g}"
        )
    print(f"  {sum(world.begun.values())} attempts began, {twice} twice; {felt.done} jobs are done")
    print(f"  at most {felt.deepest} waited; the last ended {late_s:.0f} s after the last came")
    if cut:
        print(
            f"  {cut:.0%} of the nodes were away for {CUT_S:g} s; "
            f"{felt.caught_up_s:.0f} s after they were back, nothing waited"
        )


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--deaths", type=int, help="of nodes; else one for each")
    parser.add_argument("--cut", type=float, default=0.0, help="share of nodes that die together")
    parser.add_argument("--load", type=float, default=0.9, help="of what all slots can do")
    parser.add_argument("--lost-s", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    configure("error")
    deaths = args.nodes if args.deaths is None else args.deaths
    with tempfile.TemporaryDirectory(prefix="soundspool-benchmark-") as folder:
        world = World(
            Path(folder), nodes=args.nodes, slots=args.slots, seed=args.seed, lost_s=args.lost_s
        )
        run(world, args.jobs, deaths=deaths, load=args.load, cut=args.cut)
        world.close()


if __name__ == "__main__":
    main()
