"""How far one daemon reaches: its scheduler over many nodes, in simulated time.

    python benchmarks/scale.py
    python benchmarks/scale.py --nodes 200 --jobs 100000

The queue, the pool that joins all machines, links, leases and messages are the daemon's own; only
the clock and the nodes are made up. A node takes an order, and ends it after a time drawn at
random; nodes die at random and come back. What is not in it is what follows a job on the disk
(checks, publication, status): see ``benchmarks/jobs.py`` for that.

Printed are the daemon's CPU per job, by where it goes, and what a user would feel: waits by lane,
how evenly inboxes were served, and what the deaths cost.
"""

import argparse
import heapq
import json
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import fmean, quantiles

from daemon import __version__
from daemon.clock import Clock
from daemon.config.lanes import ALLOWANCE_MS
from daemon.config.models import Budgets
from daemon.config.models import Pool as Settings
from daemon.handlers.contract import Declaration
from daemon.jobs.job import Ending, NewJob, Outcome, OutputFile
from daemon.jobs.store import open_store
from daemon.logs import configure
from daemon.pool.interface import Demand, Ended, Order
from daemon.pool.nodes.joined import JoinedPool
from daemon.pool.nodes.messages import PROTOCOL
from daemon.pool.nodes.node import answer_to
from daemon.pool.nodes.remote import RemotePool, Terms

LOST_S = 60.0
HERE_S = LOST_S / 6
ROUND_S = 0.25
"""Ends within that time are taken in together, as a daemon with so much to do would."""
INBOXES = {"rush": "rush", "one": "normal", "two": "normal", "three": "bulk"}
HANDLER = "a.handler"
MASTER = OutputFile("Song.wav", "master", 1_000, "5a" * 32, {})


class SimulatedClock(Clock):
    """Stands still until it is set."""

    now_s = 0.0

    def wall_ms(self) -> int:
        return round(1000 * self.now_s) + 1_795_000_000_000

    def monotonic_s(self) -> float:
        return self.now_s


class SimulatedNode:
    """The other end of a link, and the connection to it; its own ``Lines``, too."""

    process_id, behind = 0, False

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.wire, self.ended, self.dead = self, False, False
        self.runs: dict[tuple[str, int], None] = {}
        self._said: list[bytes] = []
        self.stamp = world.clock.now_s
        self.say(
            kind="greeting", protocol=PROTOCOL, version=__version__, host="x", stamp=self.stamp
        )

    def say(self, **message: object) -> None:
        self._said.append(json.dumps(message).encode())

    def read(self) -> list[bytes]:
        said, self._said = self._said, []
        return said

    def flush(self) -> None:
        pass

    def send(self, line: bytes) -> None:
        if self.dead:
            return
        message = json.loads(line)
        match message["kind"]:
            case "hello":
                proof = Path(message["proof"])
                answer_to(proof).write_text(proof.read_text())
                self.say(kind="joined", slots=self.world.slots, proof=proof.read_text())
                self.say(kind="offer", handlers={HANDLER: {}})
                self.beat()
            case "assign":
                order = message["order"]
                self.world.begin(self, (order["job"], order["attempt"]))

    def beat(self) -> None:
        """Say that it is here, and again later."""
        if not self.dead:
            self.say(kind="here", stamp=self.world.clock.now_s)
            self.world.later(HERE_S, self.beat)

    def end_one(self, key: tuple[str, int]) -> None:
        if not self.dead and key in self.runs:
            del self.runs[key]
            self.say(
                kind="over", job=key[0], attempt=key[1], outcome="done", result={"outputs": []}
            )

    def descriptors(self) -> list[int]:
        return []

    def how_it_ended(self) -> str:
        return "it died"

    def complaint(self) -> str:
        return ""

    def hang_up(self) -> None:
        self.dead = True

    def end(self, patience_s: float = 0.0) -> None:  # noqa: ARG002 - as there
        self.dead = True


class NoSlots:
    """The pool of the daemon's own machine, which runs nothing here."""

    size, degraded = 0, None
    handlers: Mapping[str, Declaration] = {}
    unusable: Mapping[str, str] = {}

    def free_slots(self, _: Demand | None = None) -> int:
        return 0

    def collect(self) -> list[Ended]:
        return []


class World:
    """The daemon's scheduler, and nodes that are made up."""

    def __init__(self, folder: Path, *, nodes: int, slots: int, seed: int) -> None:
        (folder / "work").mkdir()
        self.clock, self.slots, self.chance = SimulatedClock(), slots, random.Random(seed)  # noqa: S311 - a draw
        self.store = open_store(folder / "queue.sqlite3", self.clock, Budgets())
        self.alive: dict[int, SimulatedNode] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.cpu_s, self.counts = Counter[str](), Counter[str]()
        self.begun: Counter[tuple[str, int]] = Counter()
        self.mean_s = 60.0
        settings = Settings(confine=False)
        nodes_pools = [
            RemotePool(
                f"node-{number}",
                lambda number=number: self._connect(number),
                settings,
                self.clock,
                terms=Terms(lost_s=LOST_S),
                root=folder,
                handlers=[HANDLER],
            )
            for number in range(nodes)
        ]
        self.nodes, self.pool = nodes, JoinedPool(NoSlots(), nodes_pools)

    def _connect(self, number: int) -> SimulatedNode:
        self.alive[number] = SimulatedNode(self, number)
        return self.alive[number]

    def later(self, wait_s: float, deed: Callable[[], None]) -> None:
        """Have something done so many seconds from now."""
        self._number += 1
        heapq.heappush(self._agenda, (self.clock.now_s + wait_s, self._number, deed))

    def begin(self, node: SimulatedNode, key: tuple[str, int]) -> None:
        """Let an attempt run at a node for a while."""
        self.begun[key] += 1
        node.runs[key] = None
        self.later(self.chance.expovariate(1 / self.mean_s), lambda: node.end_one(key))

    def kill_one(self) -> None:
        """Let a node die as its machine would; it answers again when the link asks."""
        living = [node for node in self.alive.values() if not node.dead]
        if living:
            node = self.chance.choice(living)
            node.dead = True
            self.counts["nodes died"] += 1
            self.counts["attempts lost"] += len(node.runs)

    def step(self) -> list[Ended]:
        """Let a round's time pass; return the ends that the pools tell."""
        self.clock.now_s += ROUND_S
        while self._agenda and self._agenda[0][0] <= self.clock.now_s:
            heapq.heappop(self._agenda)[2]()
        began_s = time.process_time()
        ends = [event for event in self.pool.collect() if isinstance(event, Ended)]
        self.cpu_s["links"] += time.process_time() - began_s
        return ends

    def record(self, ends: list[Ended]) -> None:
        began_s = time.process_time()
        with self.store.together():
            for end in ends:
                made = (MASTER,) if end.outcome is Outcome.DONE else ()
                ending = Ending(end.outcome, outputs=made, error=end.error)
                self.store.finish(end.job, end.attempt, ending)
        self.cpu_s["queue: ends"] += time.process_time() - began_s

    def dispatch(self) -> list[str]:
        """Claim for all free slots, and start; return the jobs."""
        asked_s = time.process_time()
        free = min(self.pool.free_slots(Demand(HANDLER)) for _ in INBOXES)  # as the daemon asks
        began_s = time.process_time()
        self.cpu_s["links"] += began_s - asked_s
        claims = []
        with self.store.together():
            while len(claims) < free and (claim := self.store.claim(None)):
                claims.append(claim)
        claimed_s = time.process_time()
        self.cpu_s["queue: claims"] += claimed_s - began_s
        for claim in claims:
            job = claim.job
            place = f"/srv/spool/work/{job.inbox}/{job.id}"
            order = Order(job.id, claim.attempt, HANDLER, job.name, f"{place}/in", f"{place}/out.1")
            self.pool.start(order)
        self.cpu_s["links"] += time.process_time() - claimed_s
        return [claim.job.id for claim in claims]


def run(world: World, jobs: int, *, deaths: int, load: float) -> None:
    """Let so many jobs come and go while nodes die."""
    capacity = world.nodes * world.slots / world.mean_s
    every_s = 1 / (load * capacity)
    came_s, waits_s = dict[str, float](), defaultdict[str, list[float]](list)
    lane_of, names = dict[str, str](), list(INBOXES)

    def arrive(due_s: float) -> None:
        number = len(came_s)
        inbox = names[number % len(names)] if number % 10 else "rush"
        name, began_s = f"job-{number}", time.process_time()
        lane = INBOXES[inbox]
        created_ms = world.clock.wall_ms()
        world.store.adopt(
            NewJob(
                id=name,
                inbox=inbox,
                name=name,
                label=name,
                handler=HANDLER,
                created_ms=created_ms,
                lane=lane,
            )
        )
        world.cpu_s["queue: admissions"] += time.process_time() - began_s
        came_s[name], lane_of[name] = due_s, lane
        if len(came_s) < jobs:
            next_s = due_s + every_s  # which may be before the end of this round
            world.later(next_s - world.clock.now_s, partial(arrive, next_s))

    world.later(LOST_S, partial(arrive, LOST_S))
    span_s = jobs * every_s
    for _ in range(deaths):
        world.later(world.chance.uniform(LOST_S, span_s), world.kill_one)
    done, behind_s, deepest = 0, 0.0, 0
    while done < jobs:
        ends = world.step()
        world.record(ends)
        done += sum(end.outcome == "done" for end in ends)
        for name in world.dispatch():
            if name in came_s and lane_of.get(name):
                waits_s[lane_of.pop(name)].append(world.clock.now_s - came_s[name])
        deepest = max(deepest, len(came_s) - done)
        behind_s = world.clock.now_s
    tell(world, jobs, waits_s, deepest=deepest, late_s=behind_s - span_s - LOST_S)


def tell(
    world: World, jobs: int, waits_s: dict[str, list[float]], *, deepest: int, late_s: float
) -> None:
    """Print what was found."""
    whole_s = sum(world.cpu_s.values())
    print(f"{world.nodes} nodes of {world.slots} slots, {jobs} jobs in {world.clock.now_s:.0f} s")
    for what, spent_s in world.cpu_s.most_common():
        print(f"  {what:18} {1e6 * spent_s / jobs:7.0f} us CPU per job")
    share = whole_s / world.clock.now_s
    print(f"  all {1e3 * whole_s / jobs:.2f} ms per job; one core is busy for {share:.1%}")
    for lane in ALLOWANCE_MS:
        if found := waits_s.get(lane):
            worst = quantiles(found, n=100)[98]
            print(
                f"  {lane:8} waited {fmean(found):6.1f} s on average, 99% less than {worst:6.1f} s"
            )
    counts, twice = world.counts, sum(count > 1 for count in world.begun.values())
    print(f"  {counts['nodes died']} nodes died, {counts['attempts lost']} attempts with them")
    print(
        f"  {sum(world.begun.values())} attempts began, {twice} twice; none of {jobs} jobs was lost"
    )
    print(f"  at most {deepest} jobs at once; the last ended {late_s:.0f} s after the last came")


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=5_000)
    parser.add_argument("--deaths", type=int, help="of nodes; else one for each")
    parser.add_argument("--load", type=float, default=0.9, help="of what all slots can do")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    configure("error")
    with tempfile.TemporaryDirectory(prefix="soundspool-benchmark-") as folder:
        world = World(Path(folder), nodes=args.nodes, slots=args.slots, seed=args.seed)
        with closing(world.store):
            run(world, args.jobs, deaths=args.deaths or args.nodes, load=args.load)


if __name__ == "__main__":
    main()
