"""What of a result goes on into another inbox, and as what: decided before its final status.

Rule: a plan stands once it is written down; what the configuration says later is for later
results.
"""

from collections.abc import Sequence
from itertools import count
from pathlib import PurePath

from daemon.config.models import Forward as Settings
from daemon.intake.filenames import kind_of
from daemon.jobs.forwards import Forward
from daemon.jobs.job import Job, OutputFile, State
from daemon.layout import JOB_IDS_PER_S, SETTINGS, job_id, with_ending
from daemon.logs import log
from daemon.outbox.places import LIVE
from daemon.supervisor.log_lines import about
from daemon.supervisor.startup import Opened
from daemon.text import display


def plan_forwards(opened: Opened, jobs: Sequence[Job]) -> None:
    """Write down of jobs that are done where their results go, if they go anywhere.

    May be repeated: what was planned stays.
    """
    asked = [
        (job, target)
        for job in jobs
        if job.state is State.DONE and (target := _target(opened, job))
    ]
    if not asked:
        return
    with opened.store.together():
        for job, target in asked:
            files = _files(opened.store.outputs(job.duplicate_of or job.id), target)
            if not files:
                log.warning("has nothing that could go on", **about(job))
                continue
            name = _file_name(job, files[0]) if len(files) == 1 else ""
            opened.store.plan_forward(
                Forward(
                    job=job.id,
                    inbox=target.inbox,
                    as_job=_free_id(opened, target.inbox),
                    name=name or job.label,
                    files=files,
                    folder=not name,
                    settings=_asked_lane(opened, job) | target.settings,
                )
            )


def _target(opened: Opened, job: Job) -> Settings | None:
    inbox = opened.config.inboxes.get(job.inbox)
    return inbox.forward if inbox else None


def _files(outputs: Sequence[OutputFile], target: Settings) -> list[str]:
    """Return what goes on: the outputs of some roles, or of that of the first one; no views."""
    outputs = [one for one in outputs if one.role != LIVE]
    roles = target.roles or [one.role for one in outputs[:1]]
    return [one.path for one in outputs if one.role in roles]


def _file_name(job: Job, path: str) -> str:
    """Return the name of a drop that is one file; empty where it would be none.

    It is called after the drop that the result was made of.
    """
    whole_file = [one.get("path") for one in job.inputs] == [display(job.name)]
    stem = PurePath(job.label).stem if whole_file else job.label
    name = with_ending(stem, PurePath(path).suffix)
    return name if kind_of(name) == "plain" and name != SETTINGS else ""


def _asked_lane(opened: Opened, job: Job) -> dict[str, object]:
    """Return the lane that a drop asked for: what it becomes is as urgent."""
    usual = opened.config.inboxes[job.inbox].lane
    return {} if job.lane == usual else {"priority": job.lane}


def _free_id(opened: Opened, inbox: str) -> str:
    wall_ms, chance = opened.clock.wall_ms(), opened.clock.chance()
    ids = (job_id(wall_ms, chance + step / JOB_IDS_PER_S) for step in count())
    return next(
        one for one in ids if not (opened.store.knows(one) or opened.spool.job(inbox, one).exists())
    )
