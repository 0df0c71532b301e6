"""What follows when a job's state has changed: its status, and when it has ended, its rest.

Result out, drop away, status final, row published: in the order of ``outbox.publisher``. Each
step may be repeated, and start-up repeats those that are missing.

Several jobs take each step together, and share the sync that follows it. Should one of them be
in the way, each takes all its steps alone.

Rule 1: what is refused leaves the row unpublished, and is repeated for this job alone.

Rule 2: a job on which we have a bug fails with ``INTERNAL`` and goes to ``failed/``; if even
that cannot be done, it stays unpublished until the next start.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, repeat
from pathlib import Path
from typing import Any

from daemon.errors import Fault, words
from daemon.jobs.job import Job, State
from daemon.layout import with_ending
from daemon.logs import log
from daemon.outbox.places import LIVE
from daemon.outbox.publisher import Publisher
from daemon.outbox.status_document import status_of_job
from daemon.supervisor.capacity import Capacity
from daemon.supervisor.forward_plans import plan_forwards
from daemon.supervisor.log_lines import about, tell_end
from daemon.supervisor.obstacles import Obstacle, Obstacles
from daemon.supervisor.splits import Splits
from daemon.supervisor.startup import Opened
from daemon.supervisor.watchers import Watchers
from daemon.text import display
from dsp.containers.identify import AUDIO_SUFFIXES

_POSITIONS_SHOWN, _AT_ONCE = 50, 10
"""Places in the queue that statuses show, and how many are written at each beat, because each
costs a sync: all of them within five beats."""


_TOGETHER, _GATHERING_S, _LONGEST_S = 8, 0.02, 0.2
"""How many jobs share their syncs, and how long the first of them waits for the others: beyond
eight little is gained, and what is gathered sooner needs no wait. Where the steps themselves
take longer, because the disk is slow or all are busy, it waits as long as they did last."""


def _completion(job_id: str) -> str:
    return f"completion of {job_id}"


class Completion:
    """From an outcome in the row to what readers see of it."""

    def __init__(
        self,
        opened: Opened,
        *,
        capacity: Capacity,
        watchers: Watchers,
        obstacles: Obstacles,
        splits: Splits,
    ) -> None:
        self._opened = opened
        self._spool, self._store, self._clock = opened.spool, opened.store, opened.clock
        self._files, self._publisher = opened.files, Publisher(opened.spool, opened.files)
        self._folders = opened.folders
        self._statuses, self._events, self._outage = opened.statuses, opened.events, opened.outage
        self._capacity, self._watchers, self._obstacles = capacity, watchers, obstacles
        self._splits = splits
        self._due: dict[str, str] = {}
        """Jobs whose state has changed, and their inboxes."""
        self._due_since_s = self._took_s = 0.0
        self._next_position = 0
        self._told: dict[str, Obstacle | None] = {}
        """What stood before each inbox when its statuses were last gone through."""
        self._stale: dict[str, None] = {}
        """Jobs whose status may say otherwise, in order."""

    def after(self, job_id: str, inbox: str) -> None:
        """Note that a job's state has changed, once the row has it."""
        if not self._due:
            self._due_since_s = self._clock.monotonic_s()
        self._due[job_id] = inbox

    def due_in_s(self) -> float | None:
        """Return in how many seconds ``settle`` has something to do, at the latest."""
        if not self._due:
            return None
        wait_s = max(_GATHERING_S, min(self._took_s, _LONGEST_S))
        return max(0.0, self._due_since_s + wait_s - self._clock.monotonic_s())

    def settle(self, *, more_may_come: bool = False) -> None:
        """Do what follows for all that has changed: many share their syncs and one commit.

        While more may come in a moment, few wait for it.
        """
        if more_may_come and len(self._due) < _TOGETHER and self.due_in_s():
            return
        due, self._due, began_s = list(self._due.items()), {}, self._clock.monotonic_s()
        for some in (due[first : first + _TOGETHER] for first in range(0, len(due), _TOGETHER)):
            jobs = [job_id for job_id, _ in some]
            if len(some) > 1 and self._outage.attempt(partial(self._follow, jobs)):
                for job_id in jobs:
                    self._outage.forget(_completion(job_id))
                continue
            for job_id, inbox in some:
                self._outage.guard(
                    _completion(job_id),
                    partial(self._follow_or_tell, job_id),
                    job=job_id,
                    inbox=inbox,
                    set_aside=partial(self._fail, job_id),
                )
        if due:
            self._took_s = self._clock.monotonic_s() - began_s

    def show(self, job_id: str) -> None:
        """Write the status of a job whose parts run."""
        job = self._store.get(job_id)
        if job is not None and job.split:
            self._write_status(job)

    def show_waits(self) -> None:
        """Write into the next few statuses of those that wait what for, and behind how many."""
        first = self._next_position if self._next_position < _POSITIONS_SHOWN else 0
        jobs = self._store.waiting(_AT_ONCE, first)
        if first and not jobs:
            first, jobs = 0, self._store.waiting(_AT_ONCE)
        self._next_position = first + _AT_ONCE
        if not self._outage.attempt(lambda: self._tell("tell waits", jobs, first=first + 1)):
            for position, job in enumerate(jobs, start=first + 1):
                self._show_wait(job, position)
        if (obstacles := self._obstacles.of_all()) != self._told:
            self._told = obstacles
            self._stale |= dict.fromkeys(job.id for job in self._store.jobs(State.QUEUED))
        near = self._store.waiting(_POSITIONS_SHOWN) if self._stale else ()
        shown = {job.id for job in near}
        for job_id in list(self._stale)[:_AT_ONCE]:
            del self._stale[job_id]
            found = self._store.get(job_id)
            if found is None or found.state is not State.QUEUED or job_id in shown:
                continue
            if not (self._statuses.due(found.inbox, found.label) and self._show_wait(found)):
                self._stale[job_id] = None

    def _show_wait(self, job: Job, position: int | None = None) -> bool:
        thing = f"status of {job.id}"
        write = partial(self._write_status, job, position)
        done = self._outage.guard(thing, write, inbox=job.inbox)
        self._outage.forget(thing)  # it is written again with another beat
        return done

    def _write_status(self, job: Job, position: int | None = None) -> None:
        self._statuses.write(job.label, self._status(job, position))

    def _status(self, job: Job, position: int | None = None) -> dict[str, Any]:
        """Return the status of a job that does not run."""
        attempts = self._store.attempts(job.id) if job.attempts else []
        owner = self._store.get(job.duplicate_of) if job.duplicate_of else job
        done = owner is not None and owner.state is State.DONE
        outputs = self._store.outputs(owner.id) if owner and done else []
        obstacle = self._obstacles.of(job) if job.state is State.QUEUED else None
        return status_of_job(
            job,
            attempts,
            outputs,
            folder=owner.label if owner and any(one.role != LIVE for one in outputs) else None,
            position=position,
            waits_for=(obstacle.reason, obstacle.detail) if obstacle else None,
            parts=self._splits.shown(job),
            forwarded=self._store.forwarded(job.id),
            before=self._before(job),
        )

    def _before(self, job: Job) -> Job | None:
        """Return the result before this one, if both are folders of their own."""
        if job.state is not State.DONE or job.duplicate_of or not job.name:
            return None
        before = self._store.done_before(job)
        return (
            before
            if before and (self._spool.folder("outbox", job.inbox) / before.label).is_dir()
            else None
        )

    def _follow_or_tell(self, job_id: str) -> None:
        try:
            self._follow([job_id])
        except (OSError, MemoryError) as error:
            why, delay = words(error), f"delay of {job_id}"
            self._outage.guard(delay, lambda: self._show_delay(job_id, why))
            self._outage.forget(delay)
            raise

    def _show_delay(self, job_id: str, why: str) -> None:
        """Say what keeps the result or the drop of a job that has ended from its place."""
        job = self._store.get(job_id)
        if job is None or job.finished_ms is None or job.published_ms is not None:
            return
        # Not final for readers before all of it lies where the status says.
        running = replace(job, state=State.RUNNING, finished_ms=None)
        status = status_of_job(running, self._store.attempts(job_id), ())
        detail = f"has ended, and cannot be published: {why}"
        wait = {"reason": "disk", "until": None, "detail": detail, "position": None}
        self._statuses.write(job.label, status | {"wait": wait})

    def _follow(self, job_ids: Sequence[str]) -> None:
        found = [job for job_id in job_ids if (job := self._store.get(job_id)) is not None]
        jobs = [job for job in found if job.published_ms is None]
        for job in jobs:
            self._publish_views(job)
        # While one runs, its dispatcher knows more.
        self._tell("tell", [job for job in jobs if job.state is State.QUEUED])
        # Statuses of what is at work are paced: what was too soon for one is told with a beat.
        self._stale |= dict.fromkeys(job.id for job in jobs if job.split)
        if ended := [job for job in jobs if job.finished_ms is not None]:
            self._complete(ended)

    def _tell(
        self, step: str, jobs: Sequence[Job], folders: Iterable[Path] = (), *, first: int = 0
    ) -> None:
        """Write statuses that a power cut must not take back, and sync other folders with them.

        `first` is the place in the queue of the first of these jobs, if they are next to each
        other there.
        """
        later, places = set(folders), count(first) if first else repeat(None)
        statuses = (
            (job.label, self._status(job, at)) for job, at in zip(jobs, places, strict=False)
        )
        self._statuses.write_all(statuses, later=later)
        if later:
            self._files.sync_dirs(step, later)

    def _complete(self, jobs: Sequence[Job]) -> None:
        """Bring final jobs to their rest: each step for all of them, then one sync."""
        published, moved, cleared = set[Path](), set[Path](), set[Path]()
        jobs = [self._with_result(job, published) for job in jobs]
        # Not one sync with the drops': a disk may keep two names in any order, and after a power
        # cut a drop would lie in the archive whose result is not there.
        self._files.sync_dirs("sync results", published)
        drops = {job.id: self._move_drop(job, moved) for job in jobs}
        self._files.sync_dirs("sync drops", moved)
        plan_forwards(self._opened, jobs)
        for job in jobs:
            if left := self._publisher.clear(job.inbox, job.id, later=cleared):
                log.warning("cannot be removed from work/", **about(job), left=left)
        self._tell("sync ends", jobs, cleared)
        for job in jobs:
            self._statuses.forget(job.inbox, job.label)
            self._emit(job)
        # Last: what start-up does not find published it repeats, the final status included.
        with self._store.together():
            for job in jobs:
                self._store.mark_published(job.id, drop_at=display(drops[job.id]))
        for job in jobs:
            self._watchers.finish_cancel(job.id)
            self._watchers.note_end(job, drops[job.id])
            tell_end(job, display(drops[job.id]))

    def _fail(self, job_id: str, fault: Fault) -> None:
        """Fail a job that cannot be completed; a status alone that cannot be written is no end."""
        job = self._store.get(job_id)
        if job is not None and job.finished_ms is not None:
            self._store.fail(job_id, fault.document())
            self._follow([job_id])

    def _emit(self, job: Job) -> None:
        self._events.emit(
            f"job.{job.state.value}",
            f"{job.inbox}/{job.label}",
            {
                "job": job.id,
                "attempts": job.attempts,
                "error": job.error.get("code") if job.error else None,
                "duplicate_of": job.duplicate_of,
            },
        )

    def _with_result(self, job: Job, later: set[Path]) -> Job:
        """Publish the result, under another label when the first one is taken."""
        with self._outage.handling(job.id):
            self._capacity.release(job.id)
            self._folders.require(job.inbox)
            return self._published(job, later)

    def _publish_views(self, job: Job) -> None:
        """Publish what a job that has split knows already."""
        plan = self._store.plan_attempt(job.id) if job.result.get("views") else None
        if plan is not None and job.finished_ms is None:
            self._folders.require(job.inbox)
            self._publisher.publish_views(job.inbox, job.id, plan, job.result["views"])

    def _published(self, job: Job, later: set[Path]) -> Job:
        if job.state is not State.DONE or job.duplicate_of is not None:
            return job
        publish, at = self._publisher.publish_result, (job.inbox, job.id, job.attempts)
        if views := self._store.outputs_of_role(job.id, LIVE):
            self._publisher.publish_views(*at, views)
            if not self._store.has_outputs_beside(job.id, LIVE):
                return job  # nothing is left for a folder of its own
        masters = self._store.outputs_of_role(job.id, "master")
        master = masters[0] if len(masters) == 1 and "/" not in masters[0] else ""
        while not publish(*at, job.label, names=_names(job.label, master), later=later):
            taken = job.label
            self._statuses.remove(job.inbox, taken, job.id)
            self._store.relabel(job.id, self._statuses.label_for(job.inbox, taken, job=job.id))
            job = self._store.get(job.id) or job
        return job

    def _move_drop(self, job: Job, later: set[Path]) -> str:
        """Move the drop out of work; return where it went, empty when it had gone before."""
        publisher, about = self._publisher, (job.inbox, job.id, job.name)
        finished_ms = job.finished_ms or self._clock.wall_ms()
        if job.state in (State.DONE, State.SKIPPED):
            where = publisher.archive(*about, finished_ms, later=later)
        else:
            error = job.error or Fault("CANCELLED", "cancelled on request").document()
            where = publisher.set_aside(*about, error, finished_ms, later=later)
        return "" if where is None else str(where.relative_to(self._spool.root))


def _names(label: str, master: str) -> tuple[str, str] | None:
    """Return the name of a master, and the one that it has after its song: ``Song.wav``."""
    return (master, named_after(label, master)) if master else None


def named_after(label: str, output: str) -> str:
    """Return an output's name after its song: ``Song.wav``."""
    song, suffix = os.path.splitext(label)  # noqa: PTH122 - a string, not a path
    song = song if suffix.lower() in AUDIO_SUFFIXES else label
    return with_ending(song, os.path.splitext(output)[1])  # noqa: PTH122 - likewise
