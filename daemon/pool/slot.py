"""A slot: one worker, and the attempt it serves.

Theory of operation
-------------------
::

    starting ── Ready ──▶ idle ── order ──▶ busy ── Verdict ──▶ checking ──▶ idle, or
        │                  │                 │                               ending ──▶ reaped
        └── too late, ─────┴── died ─────────┴── too late, ────────────────▶ ending ──▶ reaped
            died                                 died, cancelled

What comes first decides how the attempt ended: the worker's verdict, or our reason for
killing it, or, when there is neither, its death. A worker that may not serve again is
killed, not asked: it owns nothing, and the kill takes along what a handler left running.

Rules
-----
1. ``ended`` is given out once, and only when nothing of the attempt runs any more.
2. Before a deadline is held against a worker, what it has said is read: a daemon that was
   itself stopped for a minute must not kill its workers for it.
3. A worker that dies before ``Begun``, or does not say it in time, has not touched its order;
   the order goes elsewhere, and the limits of an attempt count from ``Begun``.
4. A worker serves again only after an attempt that ended well, whose outputs are what it said,
   and that left nothing behind. A confined worker never does: its confinement names one job's
   folders and cannot be widened.
5. Messages come in their order: Begun, then beats and reports, then one verdict and no more;
   and no faster than ``_MESSAGES_PER_S``, for each costs the daemon time.

Out of memory
-------------
``MemoryError`` in the handler (our limit on address space) is named by the worker itself.
A kill by the kernel looks like any SIGKILL; it is told from other kills by the counter
``oom_kill`` of our control group (of the whole machine, where that cannot be read), which
rises by one for each victim. If it rose during an attempt that SIGKILL ended, we say
``out_of_memory``. Another kill at the moment when some process is a victim is so misread.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from daemon.errors import Fault
from daemon.handlers.contract import Declaration
from daemon.pool.interface import WELL, Ended, Order, Outcome, Progress
from daemon.pool.process import Death, Process
from daemon.pool.protocol import (
    BadMessage,
    Beat,
    Begun,
    Ready,
    Report,
    Said,
    Verdict,
    line_down,
    said,
)

_MOST_PER_CORE = 4
"""Slots: more would only take memory and each other's time."""

Phase = Literal["starting", "idle", "busy", "checking", "ending"]

_MESSAGES, _MESSAGES_PER_S = 1_000, 100  # a worker sends a tenth of that


@dataclass
class _Attempt:
    order: Order
    oom_kills: float
    begin_by_s: float
    began_s: float
    beat_s: float = 0.0
    moved_s: float = 0.0
    begun: bool = False
    messages: int = 0
    at: tuple[str, float] = "", 0.0
    """Stage and fraction."""

    def begin(self, now_s: float) -> None:
        """Note that the worker has read its order."""
        self.begun, self.began_s, self.beat_s, self.moved_s = True, now_s, now_s, now_s

    def count(self, now_s: float) -> None:
        """Count a message; ``BadMessage`` when there are too many of them."""
        self.messages += 1
        if self.messages > _MESSAGES + _MESSAGES_PER_S * (now_s - self.began_s):
            raise BadMessage(f"{self.messages} messages in {now_s - self.began_s:.1f} s")

    def too_late(self, now_s: float) -> tuple[Outcome, str, str] | None:
        """Return outcome, code and sentence when a limit has been passed."""
        order = self.order
        if not self.begun:
            return None
        if now_s - self.began_s >= order.deadline_s:
            return Outcome.TIMED_OUT, "TIMED_OUT", f"not finished after {order.deadline_s:g} s"
        if now_s - self.beat_s >= order.stall_s:
            return Outcome.STALLED, "STALLED", f"no sign of life for {order.stall_s:g} s"
        if now_s - self.moved_s >= order.no_progress_s:
            return Outcome.STALLED, "NO_PROGRESS", f"no progress for {order.no_progress_s:g} s"
        return None

    def deadline_s(self) -> float:
        """Return when the first limit will be passed, unless the worker speaks."""
        order = self.order
        if not self.begun:
            return self.begin_by_s
        return min(
            self.began_s + order.deadline_s,
            self.beat_s + order.stall_s,
            self.moved_s + order.no_progress_s,
        )


class Slot:
    """One worker from its start to its end."""

    def __init__(
        self,
        process: Process,
        *,
        now_s: float,
        start_s: float,
        confined: bool,
        oom_kills: Callable[[], float],
    ) -> None:
        self.process = process
        self.phase: Phase = "starting"
        self.unusable: dict[str, str] = {}
        self.handlers: dict[str, Declaration] = {}
        self.served = 0
        self.ready = False
        self._why = "died"
        self._start_s, self._start_by_s = start_s, now_s + start_s
        self._confined = confined
        self._oom_kills = oom_kills
        self._attempt: _Attempt | None = None
        self._ended: Ended | None = None
        self._reported = False
        """Whether the worker itself said how its attempt ended."""

    @property
    def order(self) -> Order | None:
        """The order it has been given and has not been relieved of."""
        return self._attempt.order if self._attempt else None

    @property
    def deadline_s(self) -> float | None:
        """When ``expire`` will kill it, on the monotonic clock."""
        if self.phase == "starting":
            return self._start_by_s
        return self._attempt.deadline_s() if self.phase == "busy" and self._attempt else None

    def why(self) -> str:
        """Return why it is no more, with the last line it wrote to its standard error."""
        last = self.process.stderr.strip().rpartition("\n")[2]
        return f"{self._why}: {last}" if last else self._why

    def take(self, order: Order, now_s: float) -> None:
        """Give an idle worker an order. If it is not there to take it, its death will show."""
        self._attempt = _Attempt(order, self._oom_kills(), now_s + self._start_s, now_s)
        self.phase = "busy"
        if not self.process.send(line_down(order)):
            self._kill("did not take its order")

    def read(self, now_s: float) -> list[Progress]:
        """Hear what the worker says; kill it when it makes no sense. Return the latest progress."""
        attempt = self._attempt
        before = attempt and attempt.at
        try:
            for line in self.process.read():
                self._hear(said(line), now_s)
        except BadMessage as error:
            text = f"the worker said something unintelligible: {error}"
            if attempt and not attempt.begun:
                self._kill(text)  # left over from what it did before: rule 3
            else:
                self.end(Outcome.CRASHED, "BAD_MESSAGE", text)
        if self.process.silent:
            self._kill("died")  # or is about to; if it only hung up, this is the end of it
        if attempt is None or attempt.at == before:
            return []
        return [Progress(attempt.order.job, attempt.order.attempt, *attempt.at)]

    def _hear(self, message: Said, now_s: float) -> None:
        if self._attempt:
            self._attempt.count(now_s)
        match message, self._attempt:
            case Ready(unusable=unusable, handlers=handlers), None if self.phase == "starting":
                self.phase, self.ready = "idle", True
                self.unusable, self.handlers = unusable, handlers
            case Begun(), _Attempt(begun=False) as attempt:
                attempt.begin(now_s)
            case Beat(), _Attempt(begun=True) as attempt if not self._reported:
                attempt.beat_s = now_s
            case Report(stage=stage, fraction=fraction), _Attempt(begun=True) as attempt if (
                not self._reported
            ):
                attempt.beat_s = now_s
                if attempt.at != (stage, fraction):
                    attempt.at, attempt.moved_s = (stage, fraction), now_s
            case Verdict() as verdict, _Attempt(begun=True) as attempt if not self._reported:
                if self._ended is None:  # else we decided first
                    self._take_verdict(verdict, attempt)
            case _:
                raise BadMessage(f"{message.kind} while {self.phase}")

    def _take_verdict(self, verdict: Verdict, attempt: _Attempt) -> None:
        self._ended = Ended(
            job=attempt.order.job,
            attempt=attempt.order.attempt,
            outcome=verdict.outcome,
            result=verdict.result.model_dump() if verdict.result else None,
            error=verdict.error.fault().document() if verdict.error else None,
            split=verdict.split.model_dump() if verdict.split else None,
            max_rss_mb=verdict.max_rss_mb,
            warnings=tuple(remark.model_dump() for remark in verdict.warnings),
            stderr=self.process.stderr,
        )
        self._reported = True
        self.served += 1
        well = verdict.outcome in WELL
        if self._confined or not (verdict.clean and well):
            self._kill("served its job")

    @property
    def finished(self) -> Ended | None:
        """How the attempt ended, when it has and the worker could serve again."""
        return self._ended if self.phase == "busy" else None

    def hold(self) -> None:
        """Take the finished attempt off the worker; it waits until the outputs are checked."""
        self._ended, self._attempt = None, None
        self.phase, self._reported = "checking", False

    def release(self) -> None:
        """Let the worker serve again."""
        self.phase = "idle"

    def retire(self, why: str) -> None:
        """Let the worker serve no more; what it has finished counts."""
        self._kill(why)

    def expire(self, now_s: float) -> None:
        """Kill the worker when it is too late for what it does."""
        if self.phase == "starting" and now_s >= self._start_by_s:
            self._kill("did not start in time")
        elif self.phase == "busy" and (attempt := self._attempt):
            if late := attempt.too_late(now_s):
                self.end(*late)
            elif not attempt.begun and now_s >= attempt.begin_by_s:
                self._kill("did not begin its order")

    def end(self, outcome: Outcome, code: str, message: str) -> None:
        """Kill the worker and say why, unless how its attempt ended is known already."""
        if self._attempt and self._ended is None:
            self._ended = ending(self._attempt.order, outcome, code, message, self._attempt.at[0])
        self._kill(message)

    def reap(self) -> Ended | None:
        """Reap the dead worker; return how its attempt ended, if it had begun one."""
        self.phase = "ending"
        death = self.process.reap()
        attempt = self._attempt
        if attempt is None or (self._ended is None and not attempt.begun):
            return None
        ended = self._ended or self._crashed(attempt, death)
        if not self._reported:  # else we killed it afterwards, which says nothing of the attempt
            ended = replace(ended, exit_code=death.exit_code, signal=death.signal)
        return replace(ended, max_rss_mb=death.max_rss_mb, stderr=self.process.stderr)

    def _crashed(self, attempt: _Attempt, death: Death) -> Ended:
        order, stage = attempt.order, attempt.at[0]
        if death.signal is None:
            how = f"the worker left with exit code {death.exit_code} and no result"
        else:
            how = f"the worker was killed by {_name(death.signal)}"
        if death.signal == signal.SIGKILL and self._oom_kills() > attempt.oom_kills:
            return ending(order, Outcome.OUT_OF_MEMORY, "OUT_OF_MEMORY", f"{how}: no memory", stage)
        return ending(order, Outcome.CRASHED, "CRASHED", how, stage)

    def _kill(self, why: str) -> None:
        if self.phase != "ending":
            self.phase, self._why = "ending", why
        self.process.kill()


def ending(order: Order, outcome: Outcome, code: str, message: str, stage: str = "") -> Ended:
    """Return the end of an attempt about which no worker can say anything."""
    sentence = f"{message}, in stage {stage}" if stage else message
    fault = Fault(code, sentence, kind="worker", stage=stage)
    return Ended(order.job, order.attempt, outcome, error=fault.document())


def most_slots(asked: int) -> int:
    """Return how many slots this machine gives when so many are asked for; 0: one per core."""
    cores = len(os.sched_getaffinity(0))
    return min(asked or cores, cores * _MOST_PER_CORE)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
