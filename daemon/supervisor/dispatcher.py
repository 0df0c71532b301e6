"""From a due job to a worker, and from a worker's end to what follows.

Rule 1: the attempt's number is in the database before a worker hears of it, and its outcome
is there before its slot is used again.

Rule 2: an outcome that cannot be written down now (disk full) is kept and written later; no
further job is claimed meanwhile (``Outage.everything``).
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from daemon.errors import Fault, Postponed
from daemon.jobs.claims import Claim
from daemon.jobs.job import Ending, Job, Next, Outcome
from daemon.logs import log
from daemon.outbox.status_document import Live, status_of_job
from daemon.pool.interface import Ended, Order, Pool, Progress
from daemon.supervisor.completion import Completion
from daemon.supervisor.daemon_document import DaemonDocument
from daemon.supervisor.duplicates import key_of_done
from daemon.supervisor.endings import ending_of
from daemon.supervisor.grants import demand_of, surroundings_of
from daemon.supervisor.log_lines import about, tell_attempt
from daemon.supervisor.obstacles import Obstacles, Room
from daemon.supervisor.splits import Splits
from daemon.supervisor.startup import Opened
from daemon.text import display

_STDERR_LOGGED = 2_000
_SHOWN_AT_LAST_S = 0.25


class Dispatcher:
    """What runs."""

    def __init__(
        self,
        opened: Opened,
        pool: Pool,
        *,
        obstacles: Obstacles,
        completion: Completion,
        document: DaemonDocument,
        splits: Splits,
        live: dict[str, Live],
    ) -> None:
        self._opened, self._pool = opened, pool
        self._store, self._spool = opened.store, opened.spool
        self._files, self._clock, self._outage = opened.files, opened.clock, opened.outage
        self._obstacles, self._completion = obstacles, completion
        self._statuses, self._document = opened.statuses, document
        self._splits, self._live = splits, live
        self._jobs: dict[str, Job] = {}
        self.unshown: list[Job] = []
        """What was begun, and no status says so yet: what ends at once needs none."""
        self._finished: dict[tuple[str, int], tuple[Ending, Next]] = {}
        """Ends that are recorded, and what follows."""
        self._claimed: list[Claim] = []
        """Attempts that were recorded with those ends, and have not begun."""
        self._moved: set[str] = set()
        """Jobs whose progress has not been shown yet."""

    @property
    def busy(self) -> int:
        """How many jobs are at work, each with all its parts."""
        return len({job.root for job in self._jobs.values()})

    @property
    def running(self) -> list[tuple[Job, Live | None, Mapping[str, Any] | None]]:
        """What runs, how far it is, and what is known of its parts."""
        whole = [
            (job, self._live.get(job.id), None) for job in self._jobs.values() if not job.parent
        ]
        split = ((job, live, self._told(job, told)) for job, live, told in self._splits.running())
        return [*whole, *split]

    def _told(self, job: Job, parts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add what all parts of a job wait for, if they do."""
        why = None if parts["running"] else self._obstacles.of(job)
        return {**parts, "waits_for": why.detail} if why else parts

    @property
    def working(self) -> bool:
        """Whether anything still runs: an end that the disk does not take is left to a restart."""
        return any(not self._outage.holds(_outcome(job)) for job in self._jobs)

    def next_due_ms(self) -> int | None:
        """Return when a job can be claimed for a free slot, wall clock; ``None``: none can."""
        if not (room := self._obstacles.room()):
            return None
        return self._store.next_due_ms(room.inboxes, self._obstacles.alone(), room.places)

    def dispatch(self) -> None:
        """Claim due jobs for free slots, none of an inbox that is closed."""
        while room := self._obstacles.room():
            with self._store.together():
                found = self._claims(room)
            for each in found:
                self._begin(each)
            if len(found) < room.jobs:
                return

    def _claims(self, room: Room) -> list[Claim]:
        claim = partial(self._store.claim, room.inboxes, self._obstacles.alone(), room.places)
        return list(islice(iter(claim, None), room.jobs))

    def collect(self) -> None:
        """Take in what workers said and how attempts ended."""
        events = self._pool.collect()
        self._store.resources = self._store.resources.with_nodes(self._pool.devices())
        ends = [event for event in events if isinstance(event, Ended) and self._expects(event)]
        if ends:
            self._outage.attempt(lambda: self._finish_together(ends))
        for event in events:
            match event:
                case Progress(job=job, stage=stage, fraction=fraction):
                    if before := self._live.get(job):
                        self._live[job] = replace(before, stage=stage, progress=fraction)
                        self._moved.add(job)
                case Ended():
                    self._end(event)
        begun, self._claimed = self._claimed, []
        for each in begun:
            self._begin(each)
        for moved in tuple(self._moved):  # a job that waits for a server says no more for minutes
            if moved not in self._jobs:
                self._moved.discard(moved)
            else:
                self._show_progress(self._jobs[moved])

    def show_begun(self, *, quiet: bool) -> None:
        """Say of what was begun and has not ended that it runs; in a burst most end before that."""
        began_s = (live.began_s for job in self.unshown if (live := self._live.get(job.id)))
        if not quiet and self._clock.monotonic_s() - min(began_s, default=0.0) < _SHOWN_AT_LAST_S:
            return
        begun, self.unshown = self.unshown, []
        for job in begun:
            if job.id in self._jobs:
                self._show_progress(job, now=True)

    def cancel(self, job: Job) -> None:
        """End a job, or the parts of it that run, because a person asked for it."""
        for each in (job, *self._store.running_parts(job.id)):
            self._pool.cancel(each.id, each.attempts)

    def _begin(self, claim: Claim) -> None:
        job, attempt = claim.job, claim.attempt
        self._jobs[job.id] = job
        self._live[job.id] = Live("starting", 0.0, self._clock.monotonic_s())

        def give_up(outcome: Outcome, fault: Fault) -> None:
            self._end(Ended(job.id, attempt, outcome, error=fault.document()))

        def begin() -> None:
            try:
                workdir = self._make_workdir(job, attempt)
                self._pool.start(self._order(claim, workdir))
                node = self._pool.place_of(job.id)
                self._live[job.id] = replace(self._live[job.id], node=node)
            except (OSError, MemoryError) as error:
                # The attempt has ended, and the row says when the next one is due: the outage
                # does not repeat this, it only learns that something is refused.
                give_up(Outcome.UNAVAILABLE, Fault.of(error, "DISK_TROUBLE"))
                raise
            except Postponed as error:
                give_up(Outcome.POSTPONED, Fault.of(error))

        thing = f"start of {job.id}"
        fail = partial(give_up, Outcome.FAILED)
        if self._outage.guard(thing, begin, job=job.id, inbox=job.inbox, set_aside=fail):
            live = self._live.get(job.id)  # none: it was postponed at once
            where = {"node": live.node} if live and live.node else {}
            log.info("running", **about(job), attempt=attempt, **where)
            self.unshown.append(job)
        self._outage.forget(thing)

    def _make_workdir(self, job: Job, attempt: int) -> Path:
        workdir = self._spool.result(job.inbox, job.id, attempt)
        if job.parent is not None:
            # Synced: what a part has made is counted on, and no plan derives it again.
            for folder in (workdir.parent.parent, workdir.parent):
                if not folder.is_dir():
                    self._files.make_dir("make room for part", folder)
        # After the queue was rebuilt, an attempt of this number may have been here before.
        if os.path.lexists(workdir):
            self._files.remove_tree("discard attempt", workdir)
        # What is made in it is synced with its name before it counts (``pool.outputs``, ``parts``).
        self._files.make_dir("make attempt", workdir, synced=False)
        return workdir

    def _order(self, claim: Claim, workdir: Path) -> Order:
        job = claim.job
        inbox = self._opened.config.inboxes[job.inbox]
        drop = self._spool.drop(job.inbox, job.id, job.name)
        whole = self._splits.whole(job)
        return Order(
            job=job.id,
            attempt=claim.attempt,
            handler=job.handler,
            name=display(job.name),
            source=str(drop),
            workdir=str(workdir),
            options=dict(whole.options),
            round=job.round,
            part=None if job.parent is None else dict(job.options),
            **self._splits.surroundings(job, whole),
            **surroundings_of(inbox, self._spool.root),
            place=self._place(claim),
            limits=inbox.limits.model_dump(exclude={"settings_bytes"}),
            accept_truncated=inbox.settling.on_truncated == "accept",
            sha256=dict(job.sha256),
            environment=self._store.resources.environment(claim.held),
            deadline_s=max(inbox.timeout_s, inbox.timeout_per_audio_s * job.audio_s),
            stall_s=inbox.stall_s,
            no_progress_s=inbox.no_progress_s,
        )

    def _place(self, claim: Claim) -> str | None:
        """Return the machine that must run it: what it holds of devices is there."""
        asked = demand_of(claim.job.inbox, self._opened.config).place
        return self._store.resources.place(claim.held) if asked is None else asked

    def _show_progress(self, job: Job, *, now: bool = False) -> None:
        """Write the status of a running job, unless it was written a moment ago."""
        label = (self._store.label(job.parent) if job.parent else None) or job.label
        if not (now and job.parent is None) and not self._statuses.due(job.inbox, label):
            return
        self._moved.discard(job.id)

        def write() -> None:
            live = self._live.get(job.id)
            if live is None:  # it has ended since this was refused
                return
            if job.parent is not None:
                self._completion.show(job.parent)
                return
            declared = self._pool.handlers.get(job.handler)
            status = status_of_job(
                job,
                self._store.attempts(job.id),
                (),
                live=live,
                stages=declared.stages if declared else (),
                now_s=self._clock.monotonic_s(),
                parts=self._splits.shown(job),
                forwarded=self._store.forwarded(job.id),
            )
            self._statuses.write(job.label, status)

        self._outage.guard(f"status of {job.id}", write, job=job.id, inbox=job.inbox)

    def _end(self, ended: Ended) -> None:
        """Record how an attempt ended, and do what follows."""
        if not self._expects(ended):  # a late report changes nothing
            return
        job = self._jobs[ended.job]
        self._outage.guard(
            _outcome(job.id),
            lambda: self._record(job, ended),
            job=job.id,
            inbox=job.inbox,
            set_aside=lambda bug: self._record(job, ended, Ending(Outcome.FAILED, bug.document())),
        )

    def _expects(self, ended: Ended) -> bool:
        job = self._jobs.get(ended.job)
        return job is not None and job.attempts == ended.attempt

    def _ending(self, ended: Ended) -> Ending:
        job = self._jobs[ended.job]
        inbox = self._opened.config.inboxes.get(job.inbox)
        ending = ending_of(ended, job, inbox, self._spool.folder("outbox", job.inbox))
        live = self._live.get(job.id)
        return replace(ending, node=live.node) if live else ending

    def _finish_together(self, ends: list[Ended]) -> None:
        """Record in one commit how attempts ended, and which ones take their slots."""
        finished: dict[tuple[str, int], tuple[Ending, Next]] = {}
        with self._store.together():
            for ended in ends:
                job, ending = self._jobs[ended.job], self._ending(ended)
                with self._outage.handling(job.id):
                    if following := self._finish(job, ended, ending):
                        finished[ended.job, ended.attempt] = ending, following
                        self._note_content(job, ending)
            # The end of a part may be that of all others, which is seen below.
            whole = not any(self._jobs[ended.job].parent for ended in ends)
            taking = whole and self._document.phase == "running"
            room = self._obstacles.room() if taking else None
            claimed = self._claims(room) if room else []
        self._finished, self._claimed = finished, claimed

    def _finish(self, job: Job, ended: Ended, ending: Ending) -> Next | None:
        if ending.outcome is Outcome.SPLIT:
            self._splits.clear(job)
        elif ending.outcome is not Outcome.DONE:
            self._discard(job, ended.attempt)
        if job.parent is not None:
            self._splits.forget(job)
        return self._store.finish(job.id, ended.attempt, ending)

    def _record(self, job: Job, ended: Ended, ending: Ending | None = None) -> None:
        noted = self._finished.pop((job.id, ended.attempt), None)
        ending = noted[0] if noted else ending or self._ending(ended)
        following = noted[1] if noted else self._finish(job, ended, ending)
        self._jobs.pop(job.id, None)
        live = self._live.pop(job.id, None)
        self._outage.forget(f"status of {job.id}")
        if following is None:  # recorded before; what followed may be missing
            self._completion.after(job.root, job.inbox)
            return
        took_s = self._clock.monotonic_s() - live.began_s if live else 0.0
        self._document.count(ending.outcome, job, took_s)
        if ending.outcome not in _UNREMARKABLE and ended.stderr:
            log.warning("worker said", **about(job), stderr=ended.stderr[-_STDERR_LOGGED:])
        tell_attempt(job, ended.attempt, ending, following)
        if not noted:
            note = partial(self._note_content, job, ending)
            self._outage.guard(f"content of {job.id}", note, job=job.id)
        self._completion.after(job.root, job.inbox)
        if stopped := self._splits.follow(job, ending):
            self.cancel(stopped)

    def _discard(self, job: Job, attempt: int) -> None:
        """Remove what a failed attempt wrote: before its outcome, which may need the room."""
        folder = self._spool.result(job.inbox, job.id, attempt)
        thing = f"attempt {attempt} of {job.id}"
        discard = partial(self._files.remove_tree, "discard attempt", folder)
        self._outage.guard(thing, discard, job=job.id, inbox=job.inbox)
        self._outage.forget(thing)  # what cannot be removed now goes with the job's folder

    def _note_content(self, job: Job, ending: Ending) -> None:
        inbox = self._opened.config.inboxes[job.inbox]
        if ending.outcome is not Outcome.DONE or job.parent or inbox.results_differ:
            return
        if (key := key_of_done(job, ending.result.get("inputs", ()))) is not None:
            self._store.note_content(job.id, key)


_UNREMARKABLE = frozenset({Outcome.DONE, Outcome.BAD_INPUT, Outcome.NOTHING_TO_DO})


def _outcome(job_id: str) -> str:
    return f"outcome of {job_id}"
