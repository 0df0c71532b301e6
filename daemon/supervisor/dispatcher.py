"""From a due job to a worker, and from a worker's end to what follows.

Rule 1: the attempt's number is in the database before a worker hears of it, and its outcome
is there before its slot is used again.

Rule 2: an outcome that cannot be written down now (disk full) is kept and written later; no
further job is claimed meanwhile.
"""

import sqlite3
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from daemon.config.drop_settings import settings_of
from daemon.errors import Fault, SpoolError, Unavailable
from daemon.jobs.job import Ending, Job, Outcome, OutputFile
from daemon.jobs.store import Claim
from daemon.layout import settings_beside
from daemon.logs import log
from daemon.outbox.status_document import Live, told
from daemon.pool.interface import Ended, Order, Pool, Progress
from daemon.supervisor.context import Context
from daemon.supervisor.duplicates import key_of_done
from daemon.text import display

_STDERR_LOGGED = 2_000
_NOTHING_MADE = Fault("NO_OUTPUT", "the handler ended well and named no output", kind="handler")


class Dispatcher:
    """What runs."""

    def __init__(self, house: Context, pool: Pool) -> None:
        self._house, self._pool = house, pool
        self._jobs: dict[str, Job] = {}
        self._live: dict[str, Live] = {}
        self._unrecorded: list[Ended] = []
        self._doubtful = False
        """Whether the last start was refused."""

    @property
    def running(self) -> list[tuple[Job, Live | None]]:
        """What runs, and how far it is."""
        return [(job, self._live.get(job.id)) for job in self._jobs.values()]

    @property
    def working(self) -> bool:
        """Whether anything still runs: an end that the disk does not take is left to a restart."""
        return len(self._jobs) > len(self._unrecorded)

    def unserved(self) -> set[str]:
        """Return the inboxes whose jobs nobody can handle now: they wait, and cost no attempt.

        Their handler cannot be imported, or the configuration names them no more.
        """
        inboxes, broken = self._house.config.inboxes, self._pool.unusable
        gone = self._house.inboxes_of_rows - inboxes.keys()
        return gone | {name for name, inbox in inboxes.items() if inbox.handler in broken}

    def dispatch(self, closed: Collection[str]) -> None:
        """Claim due jobs for free slots, none of an inbox that is closed."""
        house = self._house
        while self._pool.free_slots() and not house.again_s and not self._unrecorded:
            try:
                self._try_the_ground()
                claim = house.store.claim(closed)
                if claim is None:
                    return
                self._start(claim)
            except (OSError, Unavailable) as error:
                self._doubtful = True
                house.refused(error)

    def collect(self) -> None:
        """Take in what workers said and how attempts ended."""
        for event in self._pool.collect():
            match event:
                case Progress(job=job, stage=stage, fraction=fraction):
                    if began := self._live.get(job):
                        self._live[job] = Live(stage, fraction, began.began_s)
                        self._show(job)
                case Ended():
                    self._ended(event)

    def record_late(self) -> None:
        """Write down the outcomes that could not be written before."""
        late, self._unrecorded = self._unrecorded, []
        for ended in late:
            self._ended(ended)

    def cancel(self, job: Job) -> None:
        """End a running job because a person asked for it."""
        self._pool.cancel(job.id, job.attempts)

    def _try_the_ground(self) -> None:
        """Raise what a start would meet, after one was refused: a claim costs an attempt."""
        if self._doubtful:
            place = self._house.spool.root / "work" / ".try"
            self._house.files.remove_tree("try work", place)
            self._house.files.make_dir("try work", place)
            self._house.files.remove_tree("try work", place)
            self._doubtful = False

    def _start(self, claim: Claim) -> None:
        house, job = self._house, claim.job
        inbox = house.config.inboxes[job.inbox]
        self._jobs[job.id] = job
        self._live[job.id] = Live("starting", 0.0, house.clock.monotonic_s())
        workdir = house.spool.result(job.inbox, job.id, claim.attempt)
        drop = house.spool.drop(job.inbox, job.id, job.name)
        try:
            sha256 = _listed_sha256(drop, inbox.limits.settings_bytes)
            # After the queue was rebuilt, an attempt of this number may have been here before.
            if workdir.exists():
                house.files.remove_tree("discard attempt", workdir)
            house.files.make_dir("make attempt", workdir)
        except OSError as error:
            fault = Fault.of(error, "DISK_TROUBLE")
            self._ended(Ended(job.id, claim.attempt, Outcome.UNAVAILABLE, error=fault.document()))
            raise
        self._pool.start(
            Order(
                job=job.id,
                attempt=claim.attempt,
                handler=job.handler,
                name=display(job.name),
                source=str(drop),
                workdir=str(workdir),
                options=dict(job.options),
                read_paths=_settings_paths(drop),
                limits=inbox.limits.model_dump(exclude={"settings_bytes"}),
                accept_truncated=inbox.settling.on_truncated == "accept",
                sha256=sha256,
                deadline_s=max(inbox.timeout_s, inbox.timeout_per_audio_s * job.audio_s),
                stall_s=inbox.stall_s,
                no_progress_s=inbox.no_progress_s,
            )
        )
        log.info("running", job=job.id, attempt=claim.attempt)
        self._show(job.id)

    def _show(self, job_id: str) -> None:
        house, job, live = self._house, self._jobs[job_id], self._live[job_id]
        declared = self._pool.handlers.get(job.handler)
        stages = declared.stages if declared else ()

        def show() -> None:
            attempts = house.store.attempts(job_id)
            report = told(job, attempts, (), live=live, now_s=house.clock.monotonic_s())
            house.statuses.write(job.label, report, stages=stages)

        house.quietly(show)

    def _ended(self, ended: Ended) -> None:
        """Record how an attempt ended, and do what follows."""
        house = self._house
        self._clear_worthless(ended)
        try:
            following = house.store.finish(ended.job, ended.attempt, _ending_of(ended))
        except (Unavailable, sqlite3.OperationalError) as error:
            self._unrecorded.append(ended)
            house.refused(Unavailable("QUEUE_WRITE", str(error)))
            return
        house.quietly(lambda: self._note_content(ended))
        job, live = self._jobs.pop(ended.job, None), self._live.pop(ended.job, None)
        if following is None or job is None:
            return
        took_s = house.clock.monotonic_s() - live.began_s if live else 0.0
        house.vitals.count(ended, job, took_s)
        if ended.outcome not in ("done", "bad_input", "nothing_to_do") and ended.stderr:
            log.warning("worker said", job=ended.job, stderr=ended.stderr[-_STDERR_LOGGED:])
        log.info(
            "attempt ended",
            job=ended.job,
            attempt=ended.attempt,
            outcome=ended.outcome,
            then=following.state.value,
        )
        house.show(ended.job)

    def _clear_worthless(self, ended: Ended) -> None:
        """Remove what a failed attempt wrote: before its outcome, which may need the room."""
        job = self._jobs.get(ended.job)
        if job is not None and ended.outcome != "done":
            house = self._house
            folder = house.spool.result(job.inbox, job.id, ended.attempt)
            house.quietly(lambda: house.files.remove_tree("discard attempt", folder))

    def _note_content(self, ended: Ended) -> None:
        job = self._jobs.get(ended.job)
        if job is None or ended.outcome != "done" or ended.result is None:
            return
        if key := key_of_done(job, ended.result.get("inputs", ())):
            self._house.store.note_content(ended.job, key)


def _settings_paths(drop: Path) -> tuple[str, ...]:
    """Return the settings file beside a drop: a worker names its lines in a complaint."""
    found = settings_beside(drop)
    return () if found is None else (str(found),)


def _listed_sha256(drop: Path, max_bytes: int) -> dict[str, str]:
    """Return the hashes that a drop's manifest lists, by file."""
    with suppress(SpoolError):  # its settings went, or were changed by hand, while it waited
        return dict(settings_of(drop, {}, max_bytes=max_bytes).sha256)
    return {}


def _ending_of(ended: Ended) -> Ending:
    made: dict[str, Any] = ended.result or {}
    outputs = [
        OutputFile(one["path"], one["role"], one["bytes"], one["sha256"], one["measurements"])
        for one in made.get("outputs", ())
    ]
    outcome, error = ended.outcome, ended.error
    if outcome is Outcome.DONE and not outputs:
        outcome, error = Outcome.FAILED, _NOTHING_MADE.document()
    return Ending(
        outcome=outcome,
        error=None if outcome is Outcome.DONE else error,
        outputs=outputs,
        result={
            "measurements": made.get("measurements", {}),
            "notes": [*made.get("notes", ()), *ended.warnings],
            "inputs": made.get("inputs", ()),
        },
        exit_code=ended.exit_code,
        signal=ended.signal,
        max_rss_mb=ended.max_rss_mb,
    )
