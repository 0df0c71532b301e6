"""From a row to a status: what is known of a job, in the words that readers see.

Pure: rows and live progress in, a document of schema 1 out, save for what its writer adds:
``seq``, ``updated`` and ``daemon``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from daemon.clock import rfc3339
from daemon.errors import Fault
from daemon.intake.observations import Sighting
from daemon.jobs.job import FINAL, Attempt, Job, OutputFile, State
from daemon.outbox.changes import changes_of
from daemon.outbox.status_reader import SCHEMA
from daemon.text import base64_of, display

NOTHING_KNOWN: Mapping[str, Any] = {
    "schema": SCHEMA,
    "job": None,
    "name": None,
    "name_base64": None,
    "inbox": None,
    "handler": "",
    "state": None,
    "terminal": False,
    "first_seen": None,
    "created": None,
    "started": None,
    "finished": None,
    "stage": None,
    "progress": 0.0,
    "eta_s": None,
    "wait": None,
    "attempt": 0,
    "attempts": [],
    "parts": None,
    "inputs": [],
    "inputs_total": 0,
    "outputs": [],
    "output_folder": None,
    "measurements": {},
    "duplicate_of": None,
    "before": None,
    "forwarded_to": None,
    "forwarded_from": None,
    "warnings": [],
    "error": None,
}
"""The fields of a status in their order, as they are before anything is known of a drop."""

MOST_OUTPUTS = 1_000
"""With paths of any usual length a quarter of a mebibyte; readers take four at the most."""

MOST_INPUTS = 500
"""A batch may have ten times as many, and its status is written twice a second."""

MOST_ATTEMPTS = 100
"""A job that splits again and again has one for each round; the last ones are shown."""


@dataclass(frozen=True)
class Live:
    """How far a running attempt is."""

    stage: str
    progress: float
    began_s: float
    """Monotonic."""
    node: str = ""
    """The other machine that works on it; empty: this one."""


def status_of_sighting(sighting: Sighting, *, handler: str) -> dict[str, Any]:
    """Return the status of a drop that is still in its inbox."""
    wait = sighting.wait
    return {
        **NOTHING_KNOWN,
        "name": display(sighting.name),
        "name_base64": base64_of(sighting.name),
        "inbox": sighting.inbox,
        "handler": handler,
        "state": "receiving",
        "first_seen": rfc3339(sighting.first_seen_ms),
        "wait": None if wait is None else {**asdict(wait), "position": None},
        **_inputs(sighting.inputs, {}),
    }


def status_of_job(
    job: Job,
    attempts: Sequence[Attempt],
    outputs: Sequence[OutputFile],
    *,
    live: Live | None = None,
    stages: Sequence[str] = (),
    now_s: float = 0.0,
    folder: str | None = None,
    position: int | None = None,
    waits_for: tuple[str, str] | None = None,
    parts: Mapping[str, Any] | None = None,
    forwarded: Mapping[str, Any] | None = None,
    before: Job | None = None,
) -> dict[str, Any]:
    """Return the status of a job, running, waiting or ended.

    ``stages`` are those that its handler declares; ``folder`` is where its result lies in the
    outbox: its own, or that of its twin; ``position`` its place among those that wait, 1 for the
    next; ``waits_for`` reason and detail of what keeps it waiting besides a slot; ``parts`` what is
    known of those of its last round; ``forwarded`` where its result goes, and where its drop came
    from; ``before`` the result before it. While parts are at work, so is the job, to its readers.
    """
    done, split = job.state is State.DONE, parts if job.split else None
    stage = live.stage if live else ("complete" if done else None)
    progress = round(live.progress, 4) if live else float(done)
    # The parts of a split job may all wait for the same thing.
    waits = job.state is State.QUEUED and not (split and (split["running"] or not waits_for))
    if split:
        stage, progress = split["stage"], split["progress"]
    return {
        **NOTHING_KNOWN,
        **(forwarded or {}),
        "job": job.id,
        "name": display(job.name),
        "name_base64": base64_of(job.name),
        "inbox": job.inbox,
        "handler": job.handler,
        "state": State.RUNNING.value if split else job.state.value,
        "terminal": job.state in FINAL,
        "first_seen": _time(job.first_seen_ms),
        "created": rfc3339(job.created_ms),
        "started": _time(job.started_ms),
        "finished": _time(job.finished_ms),
        "stage": None if stage is None else _stage(stage, stages),
        "progress": progress,
        "eta_s": eta_s(live, now_s),
        "wait": _wait(job, position, waits_for) if waits else None,
        "attempt": len(attempts),
        "attempts": [_attempt(attempt, live) for attempt in attempts[-MOST_ATTEMPTS:]],
        "parts": parts,
        **_inputs(job.inputs, job.result),
        "outputs": [_output(output) for output in outputs[:MOST_OUTPUTS]],
        "output_folder": folder,
        "measurements": job.result.get("measurements", {}),
        "duplicate_of": job.duplicate_of,
        "before": _before(before, job) if before else None,
        "warnings": _warnings(job, outputs),
        "error": Fault.read(job.error or {}).public() if job.state is State.FAILED else None,
    }


def status_of_lost(
    told: Mapping[str, Any], inbox: str, error: Mapping[str, Any], now_ms: int
) -> dict[str, Any]:
    """Return how the status of a job ends of which nothing but this status is left."""
    return {
        **{key: told.get(key, unknown) for key, unknown in NOTHING_KNOWN.items()},
        **dict.fromkeys(("stage", "eta_s", "wait")),
        "inbox": inbox,
        "state": State.FAILED.value,
        "terminal": True,
        "finished": rfc3339(now_ms),
        "error": Fault.read(error).public(),
    }


def eta_s(live: Live | None, now_s: float) -> float | None:
    """Return how long an attempt will take yet, when enough of it is known to say."""
    if live is None or live.progress < 0.15:  # noqa: PLR2004 - the first stages say too little
        return None
    return round((now_s - live.began_s) * (1.0 - live.progress) / live.progress, 1)


def _before(before: Job, job: Job) -> dict[str, Any]:
    return {
        "job": before.id,
        "output_folder": before.label,
        "changed": changes_of(before, job),
    }


def _time(wall_ms: int | None) -> str | None:
    return None if wall_ms is None else rfc3339(wall_ms)


def _stage(name: str, declared: Sequence[str]) -> dict[str, Any]:
    """Return what is under way; behind a colon a handler says more of it."""
    step = name.partition(": ")[0]
    known = step in declared
    return {
        "name": name,
        "index": declared.index(step) + 1 if known else None,
        "count": len(declared) if known else None,
    }


def _wait(job: Job, position: int | None, waits_for: tuple[str, str] | None) -> dict[str, Any]:
    reason, detail = waits_for or ("slot", "waiting for a free slot")
    until = None
    if job.attempts and job.not_before_ms and waits_for is None:
        error = job.error or {}
        reason, until = "retry", rfc3339(job.not_before_ms)
        detail = f"attempt {job.attempts} ended: {error.get('message', 'interrupted')}"
    return {"reason": reason, "until": until, "detail": detail, "position": position}


def _attempt(attempt: Attempt, live: Live | None) -> dict[str, Any]:
    node = live.node if live and attempt.outcome is None else attempt.node
    return {
        "number": attempt.number,
        "node": node or None,
        "started": rfc3339(attempt.started_ms),
        "ended": _time(attempt.ended_ms),
        "outcome": None if attempt.outcome is None else attempt.outcome.value,
        "error": None if attempt.error is None else Fault.read(attempt.error).public(),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "max_rss_mb": attempt.max_rss_mb,
    }


def _inputs(received: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first inputs as received, with what the handler learned of each; all are counted.

    Those that are awaited stand first where not all are listed.
    """
    listed = list(received)
    if len(listed) > MOST_INPUTS:
        listed = sorted(listed, key=lambda one: one.get("ready_by") is not None)[:MOST_INPUTS]
    read = {one.get("path"): one for one in result.get("inputs", ())}
    inputs = [{**one, **read.get(one.get("path"), {})} for one in listed]
    return {"inputs": inputs, "inputs_total": len(received)}


def _output(output: OutputFile) -> dict[str, Any]:
    return {
        **output.measurements,  # first: a handler must not overrule what was checked
        "path": output.path,
        "role": output.role,
        "bytes": output.bytes,
        "sha256": output.sha256,
    }


def _warnings(job: Job, outputs: Sequence[OutputFile]) -> list[Mapping[str, Any]]:
    """Return what is worth knowing, without what the inbox and the handler both found."""
    found = [*job.warnings, *job.result.get("notes", ()), *_not_listed(outputs)]
    return list({(one.get("code"), one.get("message")): one for one in found}.values())


def _not_listed(outputs: Sequence[OutputFile]) -> list[dict[str, str]]:
    if len(outputs) <= MOST_OUTPUTS:
        return []
    message = f"more outputs lie in the folder than the first {MOST_OUTPUTS}, listed here"
    return [{"code": "OUTPUTS_NOT_LISTED", "message": message}]
