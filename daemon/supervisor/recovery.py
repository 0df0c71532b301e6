"""Start-up: what the last run left is brought to where it would have come.

Rule 1: every step is one that might have been taken, and may be repeated.

Rule 2: each job has a guard of its own. A job of which the last daemon died while it handled it
pays for that (``jobs.job``); one that has spent its budget so is not touched again, but set aside.
"""

import os
from functools import partial

from daemon.errors import Fault
from daemon.jobs.job import Ending, Job, Outcome, OutputFile, State
from daemon.logs import log
from daemon.outbox.status_document import status_of_lost
from daemon.outbox.status_reader import SUFFIX, TERMINAL, drop_in, read_status
from daemon.supervisor.admissions import Admissions
from daemon.supervisor.completion import Completion
from daemon.supervisor.daemon_document import DaemonDocument
from daemon.supervisor.sightings import says
from daemon.supervisor.startup import Opened

_GONE = Fault("DROP_GONE", "the drop is no longer in work/, where the daemon had put it").document()


def recover(
    opened: Opened,
    *,
    admissions: Admissions,
    completion: Completion,
    document: DaemonDocument,
) -> None:
    """Repeat what is missing: rows, outcomes, publications."""
    store, outage, culprit = opened.store, opened.outage, opened.folders.culprit
    if store.moved_aside is not None:
        log.error("the queue was damaged and is rebuilt", damaged=str(store.moved_aside))
        text = f"rebuilt from the folders; the damaged one lies in {store.moved_aside}"
        document.warn("QUEUE_REBUILT", text)
    if culprit:
        log.error("the daemon died while it was handling a job", job=culprit)
    store.interrupt_running(culprit)
    admissions.adopt()
    for job in store.jobs(State.QUEUED):
        outage.guard(
            f"recovery of {job.id}",
            partial(_take_up, job, opened, admissions),
            job=job.id,
            inbox=job.inbox,
        )
    for inbox in opened.inboxes:
        outage.guard(
            f"search for lost jobs of {inbox}",
            partial(_end_lost, inbox, opened),
            inbox=inbox,
        )
    for job in store.unpublished():
        if job.id == culprit and job.tally.interruptions >= store.budgets.interruptions:
            log.error("left alone: the daemon died of it again and again", job=job.id)
            text = f"{job.label} of {job.inbox} ({job.id}) is left in work/: the daemon dies of it"
            document.warn("DAEMON_DIED", text)
        else:
            completion.after(job.id, job.inbox)
    completion.settle()


def _take_up(job: Job, opened: Opened, admissions: Admissions) -> None:
    """Go on with a job that waits; one whose drop has left has ended, and the row forgot it."""
    drop = opened.spool.drop(job.inbox, job.id, job.name)
    if os.path.lexists(drop):
        admissions.show_waiting(job)
        return
    told = read_status(opened.statuses.path(job.inbox, job.label)) or {}
    if told.get("job") == job.id and told.get("state") in TERMINAL:
        log.warning("the row was older than its result", job=job.id, state=told["state"])
        state = State(told["state"])
        opened.store.restore(job.id, state, _ending_of(told))
    else:
        opened.store.fail(job.id, _GONE)


def _end_lost(inbox: str, opened: Opened) -> None:
    """End the statuses of jobs that have neither a row nor a drop any more."""
    for path in opened.spool.folder("outbox", inbox).glob(f"*{SUFFIX}"):
        if not (says(path, "state", "queued") or says(path, "state", "running")):
            continue
        told = read_status(path) or {}
        job, drop = str(told.get("job")), drop_in(told)
        lost = told.get("state") in ("queued", "running") and opened.store.get(job) is None
        if lost and not os.path.lexists(opened.spool.drop(inbox, job, drop)):
            log.warning("the queue has lost a job, and its drop is gone", job=job, inbox=inbox)
            label = path.name.removesuffix(SUFFIX)
            ended = status_of_lost(told, inbox, _GONE, opened.clock.wall_ms())
            opened.statuses.write(label, ended)
            opened.statuses.forget(inbox, label)


def _ending_of(told: dict[str, object]) -> Ending:
    """Return how a job ended, as its status tells it."""
    outputs = [
        OutputFile(
            path=one.pop("path"),
            role=one.pop("role"),
            bytes=one.pop("bytes"),
            sha256=one.pop("sha256"),
            measurements=one,
        )
        for one in told.get("outputs", ())  # type: ignore[attr-defined]
    ]
    return Ending(
        Outcome.DONE if told["state"] == "done" else Outcome.INTERRUPTED,
        error=told.get("error") or (_GONE if told["state"] == "failed" else None),  # type: ignore[arg-type]
        outputs=outputs,
        result={"measurements": told.get("measurements", {})},
    )
