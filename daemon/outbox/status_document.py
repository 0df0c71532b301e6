"""From a row to a status: what is known of a job, in the words that readers see.

Pure: rows and live progress in, a ``Report`` out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from daemon.clock import rfc3339
from daemon.errors import Fault
from daemon.intake.observations import Sighting
from daemon.jobs.job import Attempt, Job, OutputFile, State
from daemon.outbox.status_writer import Report
from daemon.text import base64_of, display


@dataclass(frozen=True)
class Live:
    """How far a running attempt is."""

    stage: str
    progress: float
    began_s: float
    """Monotonic."""


def status_of_sighting(sighting: Sighting, *, handler: str) -> Report:
    """Return the report of a drop that is still in its inbox."""
    wait = None
    if sighting.wait is not None:
        wait = {**asdict(sighting.wait), "position": None}
    return Report(
        name=display(sighting.name),
        name_base64=base64_of(sighting.name),
        inbox=sighting.inbox,
        state="receiving",
        handler=handler,
        first_seen_ms=sighting.first_seen_ms,
        inputs=sighting.inputs,
        wait=wait,
    )


def status_of_job(
    job: Job,
    attempts: Sequence[Attempt],
    outputs: Sequence[OutputFile],
    *,
    live: Live | None = None,
    now_s: float = 0.0,
    folder: str | None = None,
    position: int | None = None,
    waits_for: tuple[str, str] | None = None,
) -> Report:
    """Return the report of a job, running, waiting or ended.

    ``folder`` is where its result lies in the outbox: its own, or that of its twin;
    ``position`` its place among those that wait, 1 for the next; ``waits_for`` reason and detail
    of what keeps it waiting besides a slot.
    """
    done = job.state is State.DONE
    return Report(
        name=display(job.name),
        name_base64=base64_of(job.name),
        inbox=job.inbox,
        state=job.state.value,
        handler=job.handler,
        job=job.id,
        first_seen_ms=job.first_seen_ms,
        created_ms=job.created_ms,
        started_ms=job.started_ms,
        finished_ms=job.finished_ms,
        stage=live.stage if live else ("complete" if done else None),
        progress=live.progress if live else float(done),
        eta_s=eta_s(live, now_s),
        wait=_wait(job, position, waits_for) if job.state is State.QUEUED else None,
        attempts=[_attempt(attempt) for attempt in attempts],
        inputs=_inputs(job),
        outputs=[_output(output) for output in outputs],
        output_folder=folder,
        measurements=dict(job.result.get("measurements", {})),
        duplicate_of=job.duplicate_of,
        warnings=_each_once([*job.warnings, *job.result.get("notes", ())]),
        error=Fault.read(job.error or {}).public() if job.state is State.FAILED else None,
    )


def eta_s(live: Live | None, now_s: float) -> float | None:
    """Return how long an attempt will take yet, when enough of it is known to say."""
    if live is None or live.progress < 0.15:  # noqa: PLR2004 - the first stages say too little
        return None
    return round((now_s - live.began_s) * (1.0 - live.progress) / live.progress, 1)


def _wait(job: Job, position: int | None, waits_for: tuple[str, str] | None) -> dict[str, Any]:
    reason, detail = waits_for or ("slot", "waiting for a free slot")
    until = None
    if job.attempts and job.not_before_ms and waits_for is None:
        error = job.error or {}
        reason, until = "retry", rfc3339(job.not_before_ms)
        detail = f"attempt {job.attempts} ended: {error.get('message', 'interrupted')}"
    return {"reason": reason, "until": until, "detail": detail, "position": position}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    ended = attempt.ended_ms
    return {
        "number": attempt.number,
        "started": rfc3339(attempt.started_ms),
        "ended": None if ended is None else rfc3339(ended),
        "outcome": None if attempt.outcome is None else attempt.outcome.value,
        "error": None if attempt.error is None else Fault.read(attempt.error).public(),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "max_rss_mb": attempt.max_rss_mb,
    }


def _inputs(job: Job) -> list[dict[str, Any]]:
    """Return the inputs as received, with what the handler learned of each."""
    read = {one.get("path"): one for one in job.result.get("inputs", ())}
    return [{**one, **read.get(one.get("path"), {})} for one in job.inputs]


def _output(output: OutputFile) -> dict[str, Any]:
    return {
        **output.measurements,  # first: a handler must not overrule what was checked
        "path": output.path,
        "role": output.role,
        "bytes": output.bytes,
        "sha256": output.sha256,
    }


def _each_once(warnings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out what the inbox and the handler both found."""
    return list({(one.get("code"), one.get("message")): one for one in warnings}.values())
