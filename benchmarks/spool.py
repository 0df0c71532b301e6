"""The daemon as a process: from rename to start, at rest, and under a burst of drops.

    python benchmarks/spool.py                    50 drops, then 60 s of rest
    python benchmarks/spool.py --burst 10000      and a burst, workers not confined
    python benchmarks/spool.py --burst 1000 --confine    as shipped: a worker per job

Each drop is a folder with a tenth of a second of audio and ``.done``, made beside the inbox and
renamed into it. The handler does nothing, and loads no library that does.

*Start*: from the rename, by the wall clock, to the attempt's row (``claimed``), to the moment
when a reader of the status sees ``running``, and to the handler's first line. A worker is warm:
between drops we wait until one is.

*Rest* and *burst* look at the daemon's own process, not at its workers: processor time from
``/proc/PID/stat``, memory from ``smaps_rollup``. A *late* heartbeat is the longest time between
two changes of ``daemon.json``, less its period.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

_PATIENCE_S = 30.0
_LOOK_S = 0.0005
_SAMPLE_S = 0.1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_RATE_HZ, _FRAMES = 8_000, 800


def main() -> None:
    """Measure and print."""
    args = _arguments()
    if args.drops:
        with _daemon(args.folder, confine=True, seconds=0.2) as daemon:
            _show_starts(_starts_ms(daemon, args.drops))
    if args.idle:
        with _daemon(args.folder, confine=True, seconds=0.0) as daemon:
            _show_rest(daemon, args.idle)
    if args.burst:
        with _daemon(args.folder, confine=args.confine, seconds=0.0) as daemon:
            _show_burst(daemon, args.burst, args.limit)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--drops", type=int, default=50, help="timed from rename to start")
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--burst", type=int, default=0, metavar="DROPS")
    parser.add_argument("--confine", action="store_true", help="confine the burst's workers")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for the burst")
    return parser.parse_args()


# -- the daemon


@dataclass(frozen=True)
class Daemon:
    """A daemon that serves a spool of its own."""

    pid: int
    root: Path

    @property
    def inbox(self) -> Path:
        """Return where drops go."""
        return self.root / "inbox" / "nothing"

    @property
    def outbox(self) -> Path:
        """Return where statuses and results appear."""
        return self.root / "outbox" / "nothing"

    def state(self) -> dict[str, Any]:
        """Return what ``daemon.json`` says, empty while there is none."""
        return _read(self.root / "daemon.json")

    def status(self, name: str) -> dict[str, Any]:
        """Return the status of a drop, empty while there is none."""
        return _read(self.outbox / f"{name}.status.json")

    def busy_s(self) -> float:
        """Return the processor time it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def memory_mib(self) -> tuple[float, float]:
        """Return its resident set, and its fair share of it (PSS)."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {name: size for name, size, *_ in map(str.split, lines)}
        return int(sizes["Rss:"]) / 1024, int(sizes["Pss:"]) / 1024

    def worker_is_warm(self) -> bool:
        """Return whether a worker waits and nothing runs."""
        phases = [worker["phase"] for worker in self.state().get("pool", {}).get("workers", ())]
        return bool(phases) and set(phases) == {"idle"}


@contextmanager
def _daemon(folder: Path, *, confine: bool, seconds: float) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory(dir=folder, prefix="soundspool-benchmark-") as name:
        root = Path(name) / "spool"
        config = {
            "root": str(root),
            "handler_paths": [str(Path(__file__).parent)],
            "inboxes": {"nothing": {"handler": "idle_handler", "options": {"seconds": seconds}}},
            "pool": {"confine": confine},
        }
        path = Path(name) / "config.yaml"
        path.write_text(json.dumps(config))  # which is YAML too
        command = Path(sys.executable).with_name("soundspool")
        with (Path(name) / "log").open("wb") as log:
            child = subprocess.Popen([command, "run", "--config", path], stderr=log)
        daemon = Daemon(child.pid, root)
        try:
            _wait_until(daemon.worker_is_warm, "the daemon does not start")
            yield daemon
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(_PATIENCE_S)


def _wait_until(
    fact: Callable[[], bool],
    otherwise: str,
    *,
    patience_s: float = _PATIENCE_S,
    look_s: float = 0.05,
) -> float:
    """Return the wall-clock time at which `fact` was seen, in milliseconds."""
    until_s = time.monotonic() + patience_s
    while not fact():
        if time.monotonic() > until_s:
            sys.exit(otherwise)
        time.sleep(look_s)
    return time.time() * 1000


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return found


def _make_drop(folder: Path, number: int) -> Path:
    """Return a drop that is whole and like no other."""
    drop = folder / f"Drop {number:05}"
    drop.mkdir(parents=True)
    with wave.open(str(drop / "stem.wav"), "wb") as stem:
        stem.setparams((1, 2, _RATE_HZ, 0, "NONE", ""))
        stem.writeframes(random.Random(number).randbytes(2 * _FRAMES))  # noqa: S311 - noise
    (drop / ".done").touch()
    return drop


# -- from rename to start


def _starts_ms(daemon: Daemon, drops: int) -> dict[str, list[float]]:
    """Return how long after its rename each drop was claimed, shown and begun."""
    found: dict[str, list[float]] = {"claimed": [], "shown": [], "begun": []}
    chance = random.Random(1)  # noqa: S311 - no secret
    for number in range(drops):
        _wait_until(daemon.worker_is_warm, "no worker becomes warm")
        time.sleep(chance.uniform(0.0, 2.0))  # in step with no scan and no heartbeat
        for what, moment_ms in _start_ms(daemon, number).items():
            found[what].append(moment_ms)
    return found


def _start_ms(daemon: Daemon, number: int) -> dict[str, float]:
    drop = _make_drop(daemon.root.parent / "made", number)
    renamed_ms = time.time() * 1000
    drop.rename(daemon.inbox / drop.name)
    runs = lambda: daemon.status(drop.name).get("state") in ("running", "done")  # noqa: E731
    shown_ms = _wait_until(runs, "the drop does not start", look_s=_LOOK_S)
    ended = lambda: daemon.status(drop.name).get("terminal", False)  # noqa: E731
    _wait_until(ended, "the drop does not end")
    status = daemon.status(drop.name)
    claimed_ms = datetime.fromisoformat(status["attempts"][0]["started"]).timestamp() * 1000
    begun_ms = status["measurements"]["began_ms"]
    return {
        "claimed": claimed_ms - renamed_ms,
        "shown": shown_ms - renamed_ms,
        "begun": begun_ms - renamed_ms,
    }


def _show_starts(starts_ms: dict[str, list[float]]) -> None:
    print(f"from rename to start, {len(starts_ms['claimed'])} drops")
    for what, took_ms in starts_ms.items():
        middle, late = statistics.median(took_ms), statistics.quantiles(took_ms, n=20)[-1]
        print(
            f"  {what:8} median {middle:5.1f} ms, 95 % {late:5.1f} ms, most {max(took_ms):5.1f} ms"
        )


# -- at rest


def _show_rest(daemon: Daemon, seconds: float) -> None:
    time.sleep(10.0)  # the start is over
    before_s, began_s = daemon.busy_s(), time.monotonic()
    time.sleep(seconds)
    share = (daemon.busy_s() - before_s) / (time.monotonic() - began_s)
    resident, fair = daemon.memory_mib()
    print(f"at rest for {seconds:.0f} s: {share:.3%} of a core")
    print(f"  memory {resident:.1f} MiB resident, {fair:.1f} MiB of it its own share")


# -- a burst


@dataclass
class _Seen:
    """What was seen of the daemon while the burst went on."""

    memory_mib: list[float] = field(default_factory=list)
    beats_s: list[float] = field(default_factory=list)
    beat: int = -1

    def look(self, daemon: Daemon) -> dict[str, Any]:
        state = daemon.state()
        self.memory_mib.append(daemon.memory_mib()[0])
        if state["seq"] != self.beat:
            self.beat = state["seq"]
            self.beats_s.append(time.monotonic())
        return state

    def latest_s(self, period_s: float) -> float:
        """Return how late the latest heartbeat was."""
        gaps_s = [after - before for before, after in pairwise(self.beats_s)]
        return max(gaps_s, default=0.0) - period_s


def _show_burst(daemon: Daemon, drops: int, limit_s: float) -> None:
    made = [_make_drop(daemon.root.parent / "made", number) for number in range(drops)]
    rest_mib, busy_before_s = daemon.memory_mib()[0], daemon.busy_s()
    began_s = time.monotonic()
    for drop in made:
        drop.rename(daemon.inbox / drop.name)
    renamed_s = time.monotonic() - began_s
    seen = _Seen()
    state = seen.look(daemon)
    results, took_s = 0, 0.0
    while _ended(state) < drops and time.monotonic() - began_s < limit_s:
        # Counted in the outbox: the totals are written every other second, which is the length of
        # a whole burst of a hundred drops.
        if results < drops:
            results = sum(entry.is_dir() for entry in daemon.outbox.iterdir())
            took_s = time.monotonic() - began_s
        time.sleep(_SAMPLE_S)
        state = seen.look(daemon)
    busy_s = daemon.busy_s() - busy_before_s
    left = sum(not entry.name.startswith(".") for entry in daemon.inbox.iterdir())
    print(f"a burst of {drops:,} drops, renamed in within {renamed_s:.1f} s")
    print(f"  {took_s:.1f} s, {results / took_s:.1f} drops a second; totals {state['totals']}")
    print(f"  {results:,} results in the outbox, {left:,} drops left in the inbox")
    print(f"  the daemon's own time: {busy_s / max(1, results) * 1000:.1f} ms a drop")
    print(
        f"  memory {rest_mib:.1f} MiB before, {max(seen.memory_mib):.1f} at most, "
        f"{seen.memory_mib[-1]:.1f} after"
    )
    print(f"  the latest heartbeat came {seen.latest_s(state['period_s']):.2f} s late")


def _ended(state: dict[str, Any]) -> int:
    return sum(state["totals"][how] for how in ("done", "failed", "skipped", "cancelled"))


if __name__ == "__main__":
    main()
