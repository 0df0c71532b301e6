"""How an attempt ended, from the pool's words to the row's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daemon.config.models import Inbox
from daemon.errors import Fault
from daemon.jobs.job import Ending, Job, Outcome, OutputFile
from daemon.outbox.places import LIVE
from daemon.outbox.status_document import MOST_OUTPUTS
from daemon.outbox.status_reader import SUFFIX
from daemon.pool.interface import Ended

_NOTHING_MADE = Fault("NO_OUTPUT", "the handler ended well and named no output", kind="handler")
_RECORDED = MOST_OUTPUTS + 1
"""Outputs that get rows: those that a status lists, and one that says that there are more. Twenty
thousand rows hold up the loop for a second, and nobody else reads them; live views are copied."""
_LONGEST_NAME = 200
"""Bytes: beside a live view that is copied from another file system its copy has a longer name."""


def ending_of(ended: Ended, job: Job, inbox: Inbox | None, outbox: Path) -> Ending:
    """Return how an attempt at `job` ended; one that says what cannot be done has failed.

    `outbox` is the folder in which live views of its inbox lie.
    """
    made: dict[str, Any] = ended.result or {}
    outputs = [
        OutputFile(one["path"], one["role"], one["bytes"], one["sha256"], one["measurements"])
        for one in made.get("outputs", ()) or (ended.split or {}).get("views", ())
    ]
    outcome, error, plan = ended.outcome, ended.error, ended.plan
    fault = None if outputs or outcome is not Outcome.DONE else _NOTHING_MADE
    if fault := fault or _refusal(outputs, job, inbox, outbox):
        outcome, error, plan, outputs = Outcome.FAILED, fault.document(), None, []
    return Ending(
        outcome=outcome,
        error=None if outcome in (Outcome.DONE, Outcome.SPLIT) else error,
        outputs=[*outputs[:_RECORDED], *(one for one in outputs[_RECORDED:] if one.role == LIVE)],
        plan=plan,
        result={
            "measurements": made.get("measurements", {}),
            "notes": [*made.get("notes", ()), *ended.warnings],
            "inputs": made.get("inputs", ()),
        },
        exit_code=ended.exit_code,
        signal=ended.signal,
        max_rss_mb=ended.max_rss_mb,
    )


def _refusal(
    outputs: Sequence[OutputFile], job: Job, inbox: Inbox | None, outbox: Path
) -> Fault | None:
    """Return why these outputs cannot be published."""
    for view in (one.path for one in outputs if one.role == LIVE):
        why = ""
        if job.parent is not None or inbox is None or not inbox.keeps:
            # Of two jobs at a time, the older one's might take the place of the newer one's.
            why = "needs an inbox with keeps: true, and is made by the job, not by a part of it"
        elif "/" in view or view.startswith(".") or view.lower().endswith(SUFFIX):
            why = "must be a plain name: no folder, no dot before it, none of a status"
        elif len(view.encode()) > _LONGEST_NAME:
            why = f"has a name of more than {_LONGEST_NAME} bytes"
        elif (outbox / view).is_dir():
            why = "is called like a result that lies in the outbox"
        if why:
            return Fault("RESULT_INVALID", f"the live view {view} {why}", kind="handler")
    return None
