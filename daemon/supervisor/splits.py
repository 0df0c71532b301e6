"""Jobs that have split: what their parts and later rounds are given, and what is shown of them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from daemon.clock import rfc3339
from daemon.errors import BadInput
from daemon.jobs.job import FINAL, Ending, Job, Outcome, State
from daemon.layout import settings_beside
from daemon.outbox.status_document import Live
from daemon.pool.interface import Pool
from daemon.pool.parts import endings
from daemon.supervisor.folders import make_durably
from daemon.supervisor.startup import Opened

_FORGOTTEN = 8
"""Parts of earlier rounds that go with the end of each part."""
_LISTED = 20
"""Parts that a status names."""


class Splits:
    """What is known of split jobs besides their rows.

    Parameters
    ----------
    live : mapping of Live
        How far each running attempt is, by job; the dispatcher's.
    """

    def __init__(self, opened: Opened, pool: Pool, live: Mapping[str, Live]) -> None:
        self._opened = opened
        self._store, self._spool, self._files = opened.store, opened.spool, opened.files
        self._events, self._outage, self._clock = opened.events, opened.outage, opened.clock
        self._pool, self._live = pool, live

    def whole(self, job: Job) -> Job:
        """Return the job that a part belongs to; any other is its own."""
        return (self._store.get(job.parent) if job.parent else None) or job

    def clear(self, job: Job) -> None:
        """Remove what parts of a queue that was lost have left: those of this one begin anew."""
        folder = self._spool.job(job.inbox, job.id) / "parts"
        if not job.round and os.path.lexists(folder):
            self._files.remove_tree("discard parts", folder)

    def forget(self, part: Job) -> None:
        """Remove a few parts of earlier rounds; of many at once the loop would stand still."""
        for old in self._store.forget_parts(part, _FORGOTTEN):
            self._discard(self._spool.job(part.inbox, old))

    def _discard(self, folder: Path) -> None:
        """Remove what nobody will ask for; what stays goes with the job's own folder."""
        with suppress(OSError):
            self._files.remove_tree("discard round", folder, later=set())

    def follow(self, job: Job, ending: Ending) -> Job | None:
        """Say that a job waits for its parts, or goes on; return one whose parts are to stop."""
        split = ending.outcome is Outcome.SPLIT and job.parent is None
        whole = self._store.get(job.root) if split or job.parent else None
        if whole is None:
            return None
        if split:
            self._discard_plans(whole)
        if whole.state is State.QUEUED and whole.split == split:
            kind, subject = "job.split" if split else "job.resumed", f"{whole.inbox}/{whole.label}"
            said = {"job": whole.id, "round": whole.round}
            self._outage.guard(
                f"event of {whole.id}", lambda: self._events.emit(kind, subject, said)
            )
        return whole if whole.stopping else None

    def _discard_plans(self, whole: Job) -> None:
        """Remove what earlier plans left: only the last one's is carried on."""
        for folder in self._spool.job(whole.inbox, whole.id).glob("out.*"):
            number = folder.name.removeprefix("out.")
            if number.isdigit() and int(number) < whole.attempts:
                self._discard(folder)

    def surroundings(self, job: Job, whole: Job) -> dict[str, Any]:
        """Return the fields of an order that say what its worker is given besides the drop.

        Raises
        ------
        BadInput
            A part asks for what does not lie in its drop or in what its plan left.
        """
        drop = self._spool.drop(job.inbox, job.id, job.name)
        beside, found = settings_beside(drop), self._pool.handlers.get(job.handler)
        # A worker names the lines of the settings file in a complaint.
        read, write = [beside] if beside else [], list[Path]()
        said: dict[str, Any] = {}
        alone = self._opened.config.inboxes[job.inbox].keeps
        # After a start an attempt may begin before a worker has told what its handlers are.
        if alone or found is None or found.keeps:
            kept = self._spool.kept(job.inbox)
            make_durably(kept, mode=0o700)
            # What one job alone may write, its parts, which run side by side, may only read.
            (read if alone and job.parent is not None else write).append(kept)
            said["kept"] = str(kept)
        plan = self._store.plan_attempt(whole.id) if whole.round else None
        if plan is not None:
            carried = self._spool.result(whole.inbox, whole.id, plan)
            said["carried"] = str(carried)
            if job.parent is None:
                said["parts"] = str(self._write_endings(job))
                read += [carried, carried.parent / "parts", carried.parent / "parts.json"]
            elif job.reads:
                said["reads"] = tuple(_inside(name, drop, carried) for name in job.reads)
            else:
                read.append(carried)
        paths = {"read_paths": read, "write_paths": write}
        return said | {name: tuple(map(str, listed)) for name, listed in paths.items()}

    def _write_endings(self, job: Job) -> Path:
        """Say what became of the parts in a file; written anew before each attempt."""
        path = self._spool.job(job.inbox, job.id) / "parts.json"
        told = [
            (part, self._spool.result(part.inbox, part.id, part.attempts))
            for part in self._store.parts(job)
        ]
        document = endings(told, path.parent)
        self._files.write("write parts", path, document, durable=False, synced=False)
        return path

    def running(self) -> Iterator[tuple[Job, Live, dict[str, Any]]]:
        """Yield the jobs whose parts are at work, how far they are, and what is shown of them."""
        for job in self._store.split_jobs():
            told = self.shown(job)
            parts = self._store.parts(job, 1) if told else []
            if told and parts:
                gone_s = (self._clock.wall_ms() - parts[0].created_ms) / 1000
                # Of what was done before these parts it is not known how long it took: as long
                # as they would have taken, or the time that is left would be wrong.
                came = told["progress"] - _share_of(job)[0]
                began_s = self._clock.monotonic_s() - gone_s * told["progress"] / (came or 1.0)
                yield job, Live(told["stage"], told["progress"], began_s), told

    def shown(self, job: Job) -> dict[str, Any] | None:
        """Return what a status says of the parts of a job's last round; ``None``: it has none."""
        if not job.round:
            return None
        counts = self._store.part_counts(job)
        notable = self._store.notable_parts(job, _LISTED)
        sums = {state.value: counts.get(state, (0, 0.0))[0] for state in State}
        done = sum(weight for state, (_, weight) in counts.items() if state in FINAL)
        for part in self._store.running_parts(job.id):
            live = self._live.get(part.id)
            done += part.weight * (live.progress if live else 0.0)
        weights = sum(weight for _, weight in counts.values())
        before, after = _share_of(job)
        return {
            "round": job.round,
            "stage": job.result.get("stage") or f"round {job.round}",
            "total": sum(sums.values()),
            **sums,
            "progress": round(before + (after - before) * done / (weights or 1.0), 4),
            "listed": [_listed(part) for part in notable],
        }


def _share_of(job: Job) -> tuple[float, float]:
    """Return the progress of a job before and after the parts of its last round."""
    before, after = job.result.get("share") or (0.0, 1.0)
    return before, after


def _listed(part: Job) -> dict[str, Any]:
    waits = part.state is State.QUEUED
    error = part.error if waits or part.state is State.FAILED else None
    return {
        "name": part.label,
        "state": part.state.value,
        "until": rfc3339(part.not_before_ms) if waits and part.not_before_ms else None,
        "code": error and error.get("code"),
        "message": error and error.get("message"),
    }


def _inside(name: str, *folders: Path) -> str:
    """Return a path that a part may read; a link that a plan has made leads nowhere else."""
    for folder in folders:
        # Of a drop that is one file, the file itself is meant by its name.
        path = folder if folder.is_file() and folder.name == name else folder / name
        if path.exists() and path.resolve().is_relative_to(folder.resolve()):
            return str(path)
    raise BadInput("PART_READS", f"{name} lies neither in the drop nor in what the plan left")
