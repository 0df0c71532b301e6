"""What the log says of drops and jobs: which it was, what became of it, and what to do.

Rule 1: each failure is one line above ``info``: ``error`` when the fault is ours, with its
traceback, else ``warning``. So is each attempt that will be repeated.

Rule 2: each line about a job names its drop.

Rule 3: of the drops of an inbox that wait for the same thing, one is named: thousands may wait.
"""

from collections.abc import Mapping
from typing import Any

from daemon.clock import rfc3339
from daemon.codes import fault_of
from daemon.errors import Fault
from daemon.intake.observations import Sighting
from daemon.jobs.job import Ending, Job, Next, Outcome, State
from daemon.logs import log
from daemon.text import display

_WORTH_A_LINE = frozenset({"disk", "memory", "slot"})
_COSTS_NOTHING = frozenset({Outcome.POSTPONED, Outcome.INTERRUPTED})


def about(job: Job) -> dict[str, Any]:
    """Return the fields that every line about a job has."""
    return {"job": job.id, "inbox": job.inbox, "drop": display(job.name)}


def tell_attempt(job: Job, attempt: int, ending: Ending, following: Next) -> None:
    """Say how an attempt ended, and why it will be repeated."""
    fields = {"attempt": attempt, "outcome": ending.outcome.value}
    if following.state is not State.QUEUED or ending.outcome in (Outcome.DONE, Outcome.SPLIT):
        log.info("attempt ended", **about(job), **fields, then=following.state.value)
        return
    say = log.info if ending.outcome in _COSTS_NOTHING else log.warning
    at = rfc3339(following.not_before_ms)
    say("will be tried again", **about(job), **fields, at=at, **_why(ending.error))


def tell_end(job: Job, drop_at: str) -> None:
    """Say how a job ended; `drop_at` is where its drop lies now, below the root."""
    fields = {**about(job), "attempts": job.attempts}
    if job.state is not State.FAILED:
        told = {"same_as": job.duplicate_of or "", "warnings": _warnings(job)}
        found = {key: text for key, text in told.items() if text}
        log.info("ended", **fields, state=job.state.value, **found)
        return
    fault = Fault.read(job.error or {})
    ours = fault.traceback and fault_of(fault.code) == "soundspool"
    say = log.error if ours else log.warning
    trace = {"exception": fault.traceback} if ours else {}
    say("failed", **fields, **_why(job.error), lies_in=drop_at, **trace)


def _why(error: Mapping[str, Any] | None) -> dict[str, str]:
    fault = Fault.read(error or {})
    found = {"code": fault.code, "message": fault.message, "hint": fault.hint, "file": fault.path}
    return {key: text for key, text in found.items() if text}


def _warnings(job: Job) -> str:
    """Return the codes of what is worth knowing, each once."""
    found = (*job.warnings, *job.result.get("notes", ()))
    return " ".join(sorted({str(one.get("code")) for one in found}))


class Waits:
    """Which drop was named for each thing that drops wait for."""

    def __init__(self) -> None:
        self._named: dict[tuple[str, str], str] = {}
        """By inbox and reason."""

    def see(self, sighting: Sighting) -> None:
        """Say that a drop waits, unless another one was named for the same reason."""
        wait, inbox = sighting.wait, sighting.inbox
        reason = wait.reason if wait else ""
        self.over(inbox, sighting.name, but=reason)
        if wait and reason in _WORTH_A_LINE and (inbox, reason) not in self._named:
            self._named[inbox, reason] = sighting.name
            log.warning(
                "not taken yet",
                inbox=inbox,
                drop=display(sighting.name),
                waits_for=reason,
                message=wait.detail,
            )

    def over(self, inbox: str, name: str, *, but: str = "") -> None:
        """Note that a drop waits no more, or only for another reason."""
        for (where, reason), named in list(self._named.items()):
            if (where, named) == (inbox, name) and reason != but:
                del self._named[where, reason]
                log.info("waits no more", inbox=inbox, drop=display(name), waited_for=reason)
