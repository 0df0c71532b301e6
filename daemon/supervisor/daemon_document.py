"""The state of the daemon as a whole: for ``daemon.json``, the front page and the metrics.

Counts what the database does not keep (outcomes, audio seconds) for the life of the process
and asks the other parts for the rest. Nothing is decided from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon import __version__
from daemon.clock import rfc3339
from daemon.intake.observations import Health
from daemon.jobs.job import Job, Outcome, State
from daemon.logs import log
from daemon.outbox.status_document import Live, eta_s
from daemon.pool.interface import Pool
from daemon.supervisor.capacity import Capacity
from daemon.supervisor.startup import Opened
from daemon.supervisor.watchers import Watchers
from daemon.text import display

_WARNINGS = 20
_SILENT_S = 30.0
"""Rounds come every ten seconds at least, so this is no mere delay."""


class DaemonDocument:
    """What is said about the daemon as a whole."""

    def __init__(
        self, opened: Opened, *, pool: Pool, watchers: Watchers, capacity: Capacity
    ) -> None:
        self._opened, self._store, self._clock = opened, opened.store, opened.clock
        self._pool, self._watchers = pool, watchers
        self._capacity, self._outage = capacity, opened.outage
        self.phase = "starting"
        self._restarts = opened.store.note_start()
        self._warnings: dict[str, str] = {}
        self._outcomes: dict[str, int] = {}
        self._handlers: dict[str, dict[str, float]] = {}
        self._ill: dict[str, str] = {}
        """Inboxes and what is wrong with them, as the log has it."""

    def warn(self, code: str, message: str) -> None:
        """Show a warning until it is cleared or pushed out by newer ones."""
        self._warnings.pop(code, None)
        self._warnings[code] = message
        while len(self._warnings) > _WARNINGS:
            self._warnings.pop(next(iter(self._warnings)))

    def clear(self, code: str) -> None:
        """Take a warning back."""
        self._warnings.pop(code, None)

    def count(self, outcome: Outcome, job: Job, took_s: float) -> None:
        """Count the end of an attempt."""
        self._outcomes[outcome.value] = self._outcomes.get(outcome.value, 0) + 1
        sums = self._handlers.setdefault(
            job.handler, {"attempts": 0, "seconds": 0.0, "audio_seconds": 0.0}
        )
        if outcome is Outcome.DONE:
            sums["attempts"] += 1
            sums["seconds"] += took_s
            sums["audio_seconds"] += job.audio_s

    def state(
        self,
        *,
        running: Sequence[tuple[Job, Live | None, Mapping[str, Any] | None]],
        receiving: int,
    ) -> dict[str, Any]:
        """Return everything ``daemon.json`` says besides whose heartbeat it is."""
        watchers = self._watchers.watchers
        return {
            "version": __version__,
            "phase": self.phase,
            "share": self._opened.config.share,
            "restarts": self._restarts,
            "pool": self._pool.describe(),
            "queue": self._queue(receiving),
            "running": [self._running(*one) for one in running],
            "inboxes": {
                name: self._inbox(each.health) | self._declared(name)
                for name, each in watchers.items()
            },
            "disk": {
                "free_mb": self._capacity.free_mb,
                "reserved_mb": self._capacity.reserved_mb,
                "reserve_mb": self._opened.config.disk.reserve_mb,
            },
            "resources": self._resources(),
            "totals": self._totals(),
            "warnings": [{"code": c, "message": m} for c, m in self._all_warnings()],
        }

    def sentence(self, state: Mapping[str, Any]) -> str:
        """Return the state in one line, for ``systemctl status``."""
        depth = state["queue"]["depth"]
        waiting = sum(depth["queued"].values())
        text = f"{self.phase}: {depth['running']} running, {waiting} waiting"
        return f"{text}; {state['pool']['degraded']}" if state["pool"]["degraded"] else text

    def _all_warnings(self) -> Iterator[tuple[str, str]]:
        pool, asked = self._pool, self._opened.config.pool.slots
        told = pool.describe()
        others = (*told.get("nodes", ()), *filter(None, [told.get("broker")]))
        for problem in filter(None, (one["problem"] for one in others)):
            yield problem["code"], problem["message"]
        yield from self._warnings.items()
        yield from self._outage.warnings()
        yield from self._watchers.timers.warnings()
        if pool.degraded:
            yield "POOL_DEGRADED", pool.degraded
        if (own := told.get("own_slots", pool.size)) < asked:
            yield "SLOTS_CLAMPED", f"{asked} slots were asked for, {own} are served"
        if pool.unusable:
            texts = (f"{handler}: {why}" for handler, why in pool.unusable.items())
            yield "HANDLER_UNUSABLE", "; ".join(texts)

    def _queue(self, receiving: int) -> dict[str, Any]:
        queued, running, oldest = {"rush": 0, "normal": 0, "bulk": 0}, 0, None
        for depth in self._store.depths():
            if depth.state is State.QUEUED:
                queued[depth.lane] += depth.jobs
                oldest = min(oldest or depth.oldest_ms, depth.oldest_ms)
            elif depth.state is State.RUNNING:
                running += depth.jobs
        age_s = None if oldest is None else (self._clock.wall_ms() - oldest) / 1000
        return {
            "depth": {"queued": queued, "running": running, "receiving": receiving},
            "oldest_queued_s": age_s,
            "limit": self._opened.config.queue_limit,
        }

    def _running(
        self, job: Job, live: Live | None, parts: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        return {
            "job": job.id,
            "name": display(job.name),
            "inbox": job.inbox,
            "label": job.label,
            "attempt": job.attempts,
            "node": (live.node if live else "") or None,
            "stage": live.stage if live else None,
            "progress": round(live.progress, 4) if live else 0.0,
            "started": rfc3339(job.started_ms or job.created_ms),
            "eta_s": eta_s(live, self._clock.monotonic_s()),
            "parts": parts,
        }

    def _inbox(self, health: Health) -> dict[str, Any]:
        age_s = self._clock.monotonic_s() - health.last_scan_s
        problem = health.problem or self._outage.of_inbox(health.inbox)
        if age_s > _SILENT_S:
            problem = (
                f"not looked at for {age_s:.0f} s: its file system does not answer,"
                " or a large drop is being copied in"
            )
        self._log_change(health.inbox, problem)
        return {
            "path": str(self._opened.inboxes[health.inbox]),
            "mode": health.mode,
            "polling_because": health.polling_because,
            "paused": health.paused,
            "problem": problem,
            "last_scan_age_s": round(age_s, 1),
            "scans": health.scans,
            "rebuilds": health.rebuilds,
            "missed": health.missed,
            "receiving": health.receiving,
            "left_alone": dict(health.left_alone),
            "left_alone_more": health.left_alone_more,
        }

    def _declared(self, inbox: str) -> dict[str, Any]:
        """Return what the handler of an inbox says of itself; null while none has told."""
        handler = self._opened.config.inboxes[inbox].handler
        known, due_ms = self._pool.handlers.get(handler), self._watchers.timers.due_ms(inbox)
        return {
            "handler": handler,
            "accepts": sorted(known.accepts) if known else None,
            "judge": known.judge if known else None,
            "headline": list(known.headline) if known else None,
            "next_drop": None if due_ms is None else rfc3339(due_ms or self._clock.wall_ms()),
        }

    def _log_change(self, inbox: str, problem: str) -> None:
        """Log when an inbox falls ill and when it is well again, not all the time between."""
        if bool(problem) == (inbox in self._ill):
            return
        if problem:
            self._ill[inbox] = problem
            log.warning("inbox in trouble", inbox=inbox, problem=problem)
        else:
            log.info("inbox well again", inbox=inbox, problem=self._ill.pop(inbox))

    def _resources(self) -> dict[str, Any]:
        """Return how much there is of each named resource, and who holds what."""
        held: dict[str, list[dict[str, str]]] = {}
        for name, member, job in self._store.holders():
            whole = self._store.get(job.root) or job
            one = {"member": member, "job": job.id, "inbox": job.inbox, "label": whole.label}
            held.setdefault(name, []).append(one)
        resources = self._store.resources
        return {
            name: {"size": resources.size(name), "held": held.get(name, [])}
            for name in {**resources.there, **held}
        }

    def _totals(self) -> dict[str, Any]:
        sums = {"done": 0, "failed": 0, "skipped": 0, "cancelled": 0}
        for (_, state), jobs in self._store.totals().items():
            sums[state.value] += jobs
        return {**sums, "attempts": dict(self._outcomes), "handlers": self._handlers}
