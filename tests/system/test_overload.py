"""More drops than anybody can work on at once: all of them get their turn, and nobody lies.

The short run is part of every test run; ``-m slow`` has a burst of 10,000 drops and fifty
droppers for five minutes. Each prints what it measured.
"""

import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.daemons import Daemon, read_json, settings_for
from tests.support.daemons import until as wait
from tests.support.truth import drop_folder, statuses

GROWTH_MB = 24.0
TRUTH_EVERY_S = 1.0
QUEUE_LIMIT = 40


@pytest.fixture
def daemon(tmp_path):
    """A daemon whose queue is short, so that drops wait in the inbox."""
    root = tmp_path / "spool"
    settings = settings_for(root, queue_limit=QUEUE_LIMIT)
    with Daemon(root, settings) as made:
        made.start()
        yield made


@dataclass
class Witness:
    """Looks at a spool from outside, again and again, and remembers what it saw."""

    daemon: Daemon
    beats: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)

    def watch(self, until: Callable[[], bool], patience_s: float) -> None:
        """Look until `until` holds: at the heartbeat all the time, at statuses now and then."""
        enough = threading.Event()
        listener = threading.Thread(target=self._listen, args=(enough,))
        listener.start()
        try:
            wait(
                lambda: self._has_read_statuses(until), "all have ended", patience_s, TRUTH_EVERY_S
            )
        finally:
            enough.set()
            listener.join()

    def _has_read_statuses(self, until: Callable[[], bool]) -> bool:
        assert self.daemon.process.poll() is None, "the daemon ended"
        self.lies += lies_in(self.daemon.root)
        return until()

    def _listen(self, enough: threading.Event) -> None:
        while not enough.wait(0.02):
            self._look()

    def _look(self) -> None:
        told = read_json(self.daemon.root / "daemon.json")
        beat = datetime.fromisoformat(told["heartbeat"]).timestamp()
        if not self.beats or beat != self.beats[-1]:
            self.beats.append(beat)
            self.rss_mb.append(rss_mb(self.daemon.process.pid))
            self.queued.append(sum(told["queue"]["depth"]["queued"].values()))

    @property
    def longest_gap_s(self) -> float:
        return max(b - a for a, b in itertools.pairwise(self.beats))

    def growth_mb(self) -> float:
        """Return how much larger the end of the run was than its first fifth."""
        early = self.rss_mb[: max(1, len(self.rss_mb) // 5)]
        return self.rss_mb[-1] - max(early)

    def report(self, what: str, began_s: float) -> None:
        print(  # noqa: T201 - the measurement is wanted
            f"{what}: {time.monotonic() - began_s:.1f} s, heartbeat at most"
            f" {self.longest_gap_s:.2f} s apart, queue at most {max(self.queued)},"
            f" memory {self.rss_mb[0]:.0f} to {max(self.rss_mb):.0f} MB"
        )

    def testify(self) -> None:
        """Hold all that was seen to what is promised."""
        assert [] == self.lies
        assert max(self.queued) <= QUEUE_LIMIT

    def is_no_larger(self) -> None:
        """Hold the daemon to its size, after a run long enough to tell."""
        assert self.growth_mb() < GROWTH_MB, self.rss_mb


def rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def lies_in(root: Path) -> list[str]:
    """Return the statuses that say what is not so, twice: once may have been in between."""
    return [label for label in _doubtful(root) if label in set(_doubtful(root))]


def _doubtful(root: Path) -> list[str]:
    return [label for label, told in statuses(root).items() if not _is_true(root, label, told)]


def _is_true(root: Path, label: str, told: dict) -> bool:
    result = (root / "outbox" / "mix" / label / "count.json").exists()
    if told["state"] == "done":
        return result
    if told["state"] == "receiving":
        return True  # the inbox changes under our eyes
    drop = root / "work" / "mix" / str(told["job"]) / "in" / told["name"]
    return drop.exists() or result


def ended(root: Path) -> list[dict]:
    return [told for told in statuses(root).values() if told["terminal"]]


def turns_missed(told: list[dict]) -> int:
    """Return by how many places a job was started too early or too late, at worst.

    Its right place is that of its arrival in the inbox; what one look found came in one instant.
    """
    by_start = [one["job"] for one in sorted(told, key=lambda one: one["started"])]
    by_age = [one["job"] for one in sorted(told, key=lambda one: (one["first_seen"], one["name"]))]
    place = {job: number for number, job in enumerate(by_age)}
    return max(abs(place[job] - number) for number, job in enumerate(by_start))


def burst(daemon: Daemon, count: int, patience_s: float) -> Witness:
    """Drop `count` folders as fast as can be; watch until all have ended."""
    began_s, witness = time.monotonic(), Witness(daemon)
    dropper = threading.Thread(target=_drop_many, args=(daemon.root, "burst", count))
    dropper.start()
    witness.watch(lambda: len(ended(daemon.root)) >= count, patience_s)
    dropper.join()
    witness.report(f"{count} drops", began_s)
    return witness


def _drop_many(root: Path, who: str, count: int) -> None:
    for number in range(count):
        name = f"{who} {number:05}"
        drop_folder(root, name, {"a.wav": name.encode() * 100})


def test_burst_beyond_the_queue_is_worked_off_in_order(daemon):
    """150 drops, a queue of 40: all done, oldest first, and statuses true."""
    witness = burst(daemon, 150, 240.0)

    told = ended(daemon.root)
    assert ["done"] * 150 == [one["state"] for one in told]
    assert turns_missed(told) <= 4  # two slots, and milliseconds that two jobs share
    witness.testify()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_burst_of_ten_thousand_drops_is_worked_off(daemon):
    """The same with 10,000."""
    witness = burst(daemon, 10_000, 3000.0)

    assert 10_000 == sum(one["state"] == "done" for one in ended(daemon.root))
    witness.testify()
    witness.is_no_larger()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_droppers_for_five_minutes_are_all_served(daemon):
    """Mixed sizes, more than can be worked off: the queue is full, and each gets their turn."""
    enough, counts = threading.Event(), [0] * 50
    began_s, witness = time.monotonic(), Witness(daemon)

    def dropper(who: int) -> None:
        rng = random.Random(who)
        while not enough.is_set():
            name = f"dropper {who:02} {counts[who]:05}"
            drop_folder(daemon.root, name, {"a.wav": name.encode() * rng.choice((50, 500, 50_000))})
            counts[who] += 1
            enough.wait(rng.uniform(0.2, 3.0))

    threads = [threading.Thread(target=dropper, args=(who,)) for who in range(50)]
    for thread in threads:
        thread.start()
    witness.watch(lambda: time.monotonic() - began_s > 300.0, 400.0)
    enough.set()
    for thread in threads:
        thread.join()
    witness.watch(lambda: len(ended(daemon.root)) >= sum(counts), 900.0)
    witness.report(f"{sum(counts)} drops by 50 droppers", began_s)

    told = ended(daemon.root)
    assert {"done"} == {one["state"] for one in told}
    assert sum(counts) == len(told)
    assert max(witness.queued) >= QUEUE_LIMIT - 4  # it was too much
    assert turns_missed(told) <= 4
    witness.testify()
    witness.is_no_larger()
