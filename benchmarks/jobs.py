"""The queue beside its peers: durable cycles on one disk, and claims with a long history.

    pip install huey litequeue                    peers; those that are absent are left out
    python benchmarks/jobs.py                     cycles, then claims, with a history and a queue
    python benchmarks/jobs.py --history ''        cycles alone
    python benchmarks/jobs.py --folder DIR        on the disk that DIR lies on

A *cycle* is a job that is enqueued, claimed and finished, each of which survives a power cut:
three commits, so a third of what the disk can do at best. *Raw* is that disk: 4 KiB written and
``fdatasync``-ed, one after the other, round and round in 4 MiB, as a write-ahead log is.

What the peers do less
----------------------
huey (``SqliteHuey``, durable as shipped) deletes a task before it is worked on, so a crash
loses it; it counts no attempts. litequeue is durable against a crash of the program only
(``synchronous=NORMAL``); here it is measured so and with ``FULL``. It has no retries and no
attempts either. Neither checks what may follow what, or keeps a history of how attempts ended.
"""

import argparse
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Budgets
from daemon.jobs.job import Ending, NewJob, Outcome, OutputFile, State
from daemon.jobs.resources import Resources
from daemon.jobs.row_mapping import columns_of
from daemon.jobs.store import Store, open_store

Cycle = Callable[[], None]

_LOG_PAGE, _LOG_PAGES = b"\xa5" * 4096, 1024
_COMMITS, _TOGETHER = 3, 8
OUTPUTS = (OutputFile("Song.wav", "master", 1_000, "5a" * 32, {"integrated_lufs": -14.0}),)


def main() -> None:
    """Measure and print."""
    args = _arguments()
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="soundspool-benchmark-") as name:
        _show_cycles(_cycles(Path(name), args.rounds, args.cycles))
        for rows in [int(each) for each in args.history.split(",") if each]:
            path = Path(name) / f"{rows}.sqlite3"
            _show("claim", f"{rows:,} rows of history", _claims_ms(path, rows, args.claims))
            for what, took_ms in _beside_waiting_ms(path, rows, args.claims).items():
                _show(what, f"{rows:,} jobs wait for a gpu", took_ms)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--rounds", type=int, default=7, help="in each, everybody has a turn")
    parser.add_argument("--cycles", type=int, default=200, help="of one turn")
    parser.add_argument("--history", default="1000,100000,1000000", help="rows, with commas")
    parser.add_argument("--claims", type=int, default=500)
    return parser.parse_args()


# -- cycles


def _cycles(folder: Path, rounds: int, cycles: int) -> dict[str, float]:
    """Return how many cycles each does in a second: the median over the rounds."""
    with _raw(folder) as raw, _ours(folder) as ours, _ours_together(folder) as together:
        own = {"soundspool": ours, f"soundspool, {_TOGETHER} together": together}
        contestants = {"raw fdatasync": raw, **own, **_peers(folder)}
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        order, chance = list(contestants), random.Random(1)  # noqa: S311 - no secret
        for _ in range(rounds):
            chance.shuffle(order)  # a disk has moods: nobody always comes after the same one
            for name in order:
                rates[name].append(_rate(contestants[name], cycles))
    return {name: statistics.median(found) for name, found in rates.items()}


def _rate(cycle: Cycle, times: int) -> float:
    began_s = time.perf_counter()
    for _ in range(times):
        cycle()
    return times / (time.perf_counter() - began_s)


@contextmanager
def _raw(folder: Path) -> Iterator[Cycle]:
    log = os.open(folder / "log", os.O_RDWR | os.O_CREAT)
    os.write(log, _LOG_PAGE * _LOG_PAGES)
    os.fsync(log)  # from here on, no write changes its size
    page = 0

    def sync() -> None:
        nonlocal page
        os.pwrite(log, _LOG_PAGE, page * len(_LOG_PAGE))
        os.fdatasync(log)
        page = (page + 1) % _LOG_PAGES

    yield sync
    os.close(log)


@contextmanager
def _ours(folder: Path) -> Iterator[Cycle]:
    store, number = open_store(folder / "ours.sqlite3", Clock(), Budgets()), 0

    def cycle() -> None:
        nonlocal number
        number += 1
        store.adopt(job_of(number))
        _finish_next(store)

    yield cycle
    store.close()


@contextmanager
def _ours_together(folder: Path) -> Iterator[Cycle]:
    """Cycle as the loop does in a burst: one commit for each step of several jobs."""
    store, number = open_store(folder / "together.sqlite3", Clock(), Budgets()), 0

    def cycle() -> None:
        nonlocal number
        number += 1
        if number % _TOGETHER:
            return
        with store.together():
            for each in range(number, number + _TOGETHER):
                store.adopt(job_of(each))
        with store.together():
            claims = [store.claim() for _ in range(_TOGETHER)]
        with store.together():
            for claim in filter(None, claims):
                store.finish(claim.job.id, claim.attempt, Ending(Outcome.DONE, outputs=OUTPUTS))

    yield cycle
    store.close()


def job_of(number: int) -> NewJob:
    """Return a job like all others but for its number."""
    return NewJob(
        id=f"20261120-214501-{number:08x}",
        inbox="mix",
        name="Song",
        label="Song",
        handler="daemon.handlers.mix",
        created_ms=number,
        inputs=[{"path": "kick.wav", "bytes": 1_000, "bytes_expected": None, "ready_by": "marker"}],
    )


def _finish_next(store: Store) -> str:
    claim = store.claim()
    if claim is None:
        raise RuntimeError("a job waits and is not claimed")
    store.finish(claim.job.id, claim.attempt, Ending(Outcome.DONE, outputs=OUTPUTS))
    return claim.job.id


def _peers(folder: Path) -> dict[str, Cycle]:
    found: dict[str, Cycle] = {}
    for add in (_add_huey, _add_litequeue):
        try:
            add(folder, found)
        except ImportError as absent:
            print(f"left out: {absent}")
    return found


def _add_huey(folder: Path, to: dict[str, Cycle]) -> None:
    from huey import SqliteHuey  # noqa: PLC0415 - may be absent

    # With fsync left alone, SQLite's own default counts, which is FULL.
    huey = SqliteHuey("jobs", filename=str(folder / "huey.sqlite3"))

    @huey.task()  # type: ignore[untyped-decorator]
    def nothing(name: str) -> str:
        return name

    def cycle() -> None:
        nothing("Song")
        huey.execute(huey.dequeue())

    to[f"huey {version('huey')}"] = cycle


def _add_litequeue(folder: Path, to: dict[str, Cycle]) -> None:
    from litequeue import LiteQueue  # noqa: PLC0415 - may be absent

    for level in ("NORMAL", "FULL"):
        queue = LiteQueue(folder / f"lite-{level}.sqlite3")
        queue.conn.execute(f"PRAGMA synchronous = {level}")

        def cycle(queue: LiteQueue = queue) -> None:
            queue.put("Song")
            queue.done(queue.pop().message_id)

        to[f"litequeue {version('litequeue')} {level}"] = cycle


def _show_cycles(rates: dict[str, float]) -> None:
    raw, ours = rates["raw fdatasync"], rates["soundspool"]
    print(f"SQLite {sqlite3.sqlite_version}; per second, the median of the rounds")
    print(f"{'':26} {'cycles':>8} {'of the disk':>12} {'soundspool is':>14}")
    for name, rate in rates.items():
        if name == "raw fdatasync":
            print(f"{name:26} {rate:8.0f}   (syncs; a cycle needs {_COMMITS})")
        else:
            print(f"{name:26} {rate:8.0f} {_COMMITS * rate / raw:12.0%} {ours / rate:13.2f}x")


# -- claims


def _claims_ms(path: Path, rows: int, claims: int) -> list[float]:
    """Return what each claim took, with `rows` published jobs in the history."""
    make_history(path, rows)
    store = open_store(path, Clock(), Budgets())
    took = []
    for number in range(rows + 1, rows + claims + 1):
        store.adopt(job_of(number))
    for _ in range(claims):
        began_s = time.perf_counter()
        claim = store.claim()
        took.append((time.perf_counter() - began_s) * 1000)
        if claim is None:
            raise RuntimeError("a job waits and is not claimed")
        store.finish(claim.job.id, claim.attempt, Ending(Outcome.DONE, outputs=OUTPUTS))
        store.mark_published(claim.job.id, drop_at="archive/mix/2026-11/Song")
    store.close()
    path.unlink()
    return took


def make_history(path: Path, rows: int) -> None:
    """Fill a queue with published jobs: one the proper way, the others as its copies."""
    store = open_store(path, Clock(), Budgets())
    store.adopt(job_of(0))
    store.mark_published(_finish_next(store), drop_at="archive/mix/2026-11/Song")
    store.close()
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN")
        for table, key in (("job", "id"), ("attempt", "job"), ("output", "job")):
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            columns = [name for name in columns if (table, name) != ("job", "number")]
            copied = ", ".join(
                "printf('20261120-214501-%08x', n)" if name == key else name for name in columns
            )
            db.execute(
                "WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy LIMIT ?)"  # noqa: S608
                f" INSERT INTO {table} ({', '.join(columns)}) SELECT {copied} FROM {table}, copy",
                (rows - 1,),
            )
        db.execute("COMMIT")
    db.close()


def _beside_waiting_ms(path: Path, rows: int, claims: int) -> dict[str, list[float]]:
    """Return what claims of another inbox took while `rows` jobs wait for a resource."""
    store = open_store(path, Clock(), Budgets())
    store.resources = Resources({"gpu": ("0",)}, {"mix": {"gpu": 1}})
    store.adopt(job_of(0))
    if store.claim(["mix"]) is None:
        raise RuntimeError("the gpu is free and is not given")
    columns = columns_of(job_of(0))
    names, marks = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    with store.together():
        store._db.executemany(  # noqa: SLF001 - a million calls would take minutes
            f"INSERT INTO job ({names}) VALUES ({marks})",  # noqa: S608 - our own names
            (columns | {"id": f"waits-{number}"} for number in range(rows)),
        )
    for number in range(1, claims + 1):
        store.adopt(replace(job_of(number), inbox="other", created_ms=rows + number))
    took: dict[str, list[float]] = {"claim": [], "next due": []}
    for _ in range(claims):
        for what, call in (("claim", store.claim), ("next due", store.next_due_ms)):
            began_s = time.perf_counter()
            call(["mix", "other"])
            took[what].append((time.perf_counter() - began_s) * 1000)
    if len(store.jobs(State.RUNNING)) != claims + 1:
        raise RuntimeError("not all of the other inbox were claimed, or one that waits was")
    store.close()
    path.unlink()
    return took


def _show(what: str, beside: str, took_ms: list[float]) -> None:
    middle, late = statistics.median(took_ms), statistics.quantiles(took_ms, n=20)[-1]
    print(f"{what}, {beside:>32}: median {middle:.2f} ms, 95 % {late:.2f} ms")


if __name__ == "__main__":
    main()
