"""A job that splits, beside a long history: the split, and what goes on while its parts are open.

    python benchmarks/parts.py
    python benchmarks/parts.py --history 1000 --parts 5000 --folder DIR

Each figure is followed by its ratio to the same step of a job that has no parts, in the same
queue: parts are rows like others, and should cost what those cost.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jobs import OUTPUTS, job_of, make_history

from daemon.clock import Clock
from daemon.config.models import Budgets
from daemon.jobs.job import Ending, NewPart, Outcome, Plan
from daemon.jobs.store import Claim, Store, open_store

_DONE = Ending(Outcome.DONE, outputs=OUTPUTS)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--history", type=int, default=1_000_000, help="published jobs")
    parser.add_argument("--parts", type=int, default=5_000)
    parser.add_argument("--times", type=int, default=300, help="claims, finishes and looks")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="soundspool-benchmark-") as name:
        path = Path(name) / "queue.sqlite3"
        make_history(path, args.history)
        store = open_store(path, Clock(), Budgets())
        for number in range(args.times):
            store.adopt(job_of(args.history + number + 1))
        plain = _steps(store, args.times)
        parts = [NewPart(f"song {place}") for place in range(args.parts)]
        capped_ms = _refused_claim_ms(store, args.history + args.times + 1, parts)
        plan = Plan(parts)
        store.adopt(job_of(args.history + args.times + 2))
        whole = _claimed(store)
        split_ms = _took_ms(lambda: _finish(store, whole, Ending(Outcome.SPLIT, plan=plan)))
        parted = _steps(store, args.times)
        job = store.get(whole.job.id)
        print(f"{args.history} jobs in the history; median milliseconds")
        print(f"split into {args.parts} parts, one commit {split_ms:10.1f}")
        for step, took_ms in parted.items():
            print(f"{step:36} {took_ms:10.3f}   {took_ms / plain[step]:5.2f} x without parts")
        if job is not None:
            looks = {"counts": store.part_counts, "those that are named": _notable(store)}
            for look, ask in looks.items():
                print(f"{look:36} {_took_ms(lambda ask=ask: ask(job)):10.3f}")
        print(f"{'claim refused: at_once':36} {capped_ms:10.3f}")
        print(f"{'cancel all':36} {_took_ms(lambda: store.cancel(whole.job.id)):10.1f}")
        store.close()


def _notable(store: Store) -> Callable[..., object]:
    return lambda job: store.notable_parts(job, 20)


def _steps(store: Store, times: int) -> dict[str, float]:
    """Return the median of each step of so many jobs."""
    took: dict[str, list[float]] = {"claim": [], "finish": [], "next due": []}
    for _ in range(times):
        took["next due"].append(_took_ms(store.next_due_ms))
        began_s = time.perf_counter()
        claim = _claimed(store)
        took["claim"].append((time.perf_counter() - began_s) * 1000)
        took["finish"].append(_took_ms(lambda claim=claim: _finish(store, claim, _DONE)))
    return {step: statistics.median(found) for step, found in took.items()}


def _refused_claim_ms(store: Store, number: int, parts: Sequence[NewPart]) -> float:
    """Return what it takes to see that no part of a job may run beside the one that does."""
    store.adopt(job_of(number))
    whole = _claimed(store)
    _finish(store, whole, Ending(Outcome.SPLIT, plan=Plan(parts, at_once=1)))
    running = _claimed(store)
    took_ms = statistics.median(_took_ms(store.claim) for _ in range(20))
    store.cancel(whole.job.id)
    _finish(store, running, _DONE)
    return took_ms


def _claimed(store: Store) -> Claim:
    claim = store.claim()
    if claim is None:
        raise RuntimeError("a job waits and is not claimed")
    return claim


def _finish(store: Store, claim: Claim, ending: Ending) -> None:
    store.finish(claim.job.id, claim.attempt, ending)


def _took_ms(step: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    step()
    return (time.perf_counter() - began_s) * 1000


if __name__ == "__main__":
    main()
