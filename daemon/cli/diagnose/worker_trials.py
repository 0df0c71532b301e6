"""Try what a misbehaving job does here: a real pool, and a handler that hangs, crashes, hoards.

Theory of operation
-------------------
Each trial is given to a pool of two slots together with a job that behaves. The trial must
end as the table says, and the other job must be done all the same.

Rule: nothing reaches beyond the folder that is given.
"""

import select
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from daemon.cli.diagnose.findings import Finding
from daemon.clock import Clock
from daemon.config.models import Pool as Settings
from daemon.pool.interface import Ended, Order
from daemon.pool.local import LocalPool
from daemon.pool.worker.confinement import landlock_version

HANDLER = "daemon.handlers.selftest"
PATIENCE_S = 20.0
_STALL_S = 1.5
_MEMORY_MB = 512
_ROUND_MS = 1_000


@dataclass(frozen=True)
class Trial:
    """A misbehaviour, and how it must end."""

    what: str
    trial: str
    outcome: str
    code: str | None
    holds: str
    """What is true here when it ends so."""
    stall_s: float = 30.0


_TRIALS = (
    Trial("hang in C", "hang", "stalled", "STALLED",
          "a job that hangs and hears nothing is killed in time", _STALL_S),
    Trial("crash", "crash", "crashed", "CRASHED", "a job that kills its worker ends alone"),
    Trial("memory limit", "hoard", "out_of_memory", "OUT_OF_MEMORY",
          "a job that wants too much memory ends alone"),
    Trial("nested pool", "nest", "done", None,
          "pools inside pools run in sequence, instead of waiting for each other"),
)  # fmt: skip
_LEFT_BEHIND = Trial(
    "left processes", "leave behind", "done", None, "what a job leaves running is found and killed"
)
_CONFINEMENT = Trial("confinement", "escape", "done", None, "")
_WELL = Trial("", "well", "done", None, "")


def worker_findings(folder: Path, *, confine: bool) -> Iterator[Finding]:
    """Run every trial with a real pool, below `folder`.

    Parameters
    ----------
    folder : Path
        Empty, and on the spool's own file system.
    confine : bool
        Whether the configuration confines workers.
    """
    with closing(_Trials(folder, confine=confine)) as trials:
        for trial in _TRIALS:
            yield trials.finding(trial)
        yield (
            trials.confinement()
            if confine
            else Finding(_CONFINEMENT.what, "warning", "switched off by pool.confine")
        )
    # A confined worker cannot start a process in the first place.
    with closing(_Trials(folder, confine=False)) as trials:
        yield trials.left_behind()


class _Trials:
    """A pool of two slots that runs one trial after another."""

    def __init__(self, folder: Path, *, confine: bool) -> None:
        self._folder, self._clock = folder, Clock()
        settings = Settings(slots=2, spare=False, memory_mb=_MEMORY_MB, confine=confine)
        self._pool = LocalPool(settings, self._clock, handlers=[HANDLER])

    def close(self) -> None:
        """Kill the workers."""
        self._pool.close()

    def finding(
        self, trial: Trial, more: Callable[[Ended], str] = lambda _: "", **options: str
    ) -> Finding:
        """Run a trial beside a job that behaves; `more` says what else is wrong with its end."""
        began_s = self._clock.monotonic_s()
        ended = self._run([self._order(trial, **options), self._order(_WELL)])
        took_s = self._clock.monotonic_s() - began_s
        if wrong := self._wrong(trial, ended):
            return Finding(trial.what, "problem", wrong)
        if wrong := more(ended[trial.trial]):
            return Finding(trial.what, "problem", wrong)
        return Finding(trial.what, "ok", f"{trial.holds}; {took_s:.1f} s")

    def left_behind(self) -> Finding:
        """See whether a process that left its worker's group is found."""

        def alive(ended: Ended) -> str:
            pid = ended.result["measurements"]["pid"] if ended.result else 0
            return f"process {pid} still runs" if Path(f"/proc/{pid}").exists() else ""

        return self.finding(_LEFT_BEHIND, alive)

    def confinement(self) -> Finding:
        """See what a worker can do that no job needs."""
        secret = self._folder / "secret"
        secret.write_text("not for workers\n")
        ended = self._run([self._order(_CONFINEMENT, secret=str(secret))])
        if wrong := self._wrong(_CONFINEMENT, ended):
            return Finding(_CONFINEMENT.what, "problem", wrong)
        end = ended[_CONFINEMENT.trial]
        through = end.result["measurements"]["let_through"] if end.result else []
        missing = [warning["message"] for warning in end.warnings]
        if through or missing:
            text = "; ".join([*missing, *(f"a worker can {what}" for what in through)])
            meaning = (
                "a file that breaks its decoder may do that too; the service unit forbids much"
            )
            return Finding(_CONFINEMENT.what, "warning", f"{text}\n{meaning}")
        version = landlock_version()
        text = f"Landlock {version} and seccomp deny a worker all but its own job's folders"
        return Finding(_CONFINEMENT.what, "ok", text)

    def _wrong(self, trial: Trial, ended: dict[str, Ended]) -> str:
        if self._pool.degraded:
            return self._pool.degraded
        end, well = ended.get(trial.trial), ended.get(_WELL.trial)
        if end is None:
            return f"did not end within {PATIENCE_S:g} s"
        code = end.error["code"] if end.error else None
        if (end.outcome, code) != (trial.outcome, trial.code):
            message = end.error["message"] if end.error else ""
            return f"ended as {end.outcome}, not as {trial.outcome}: {message}".rstrip(": ")
        if well and well.outcome != "done":
            return f"took the job beside it along, which ended as {well.outcome}"
        return ""

    def _order(self, trial: Trial, **options: str) -> Order:
        place = self._folder / trial.trial
        shutil.rmtree(place, ignore_errors=True)
        workdir = place / "out"
        workdir.mkdir(parents=True)
        (place / "drop").write_text("a drop\n")
        return Order(
            job=trial.trial,
            attempt=1,
            handler=HANDLER,
            name=trial.what,
            source=str(place / "drop"),
            workdir=str(workdir),
            options={"trial": trial.trial, **options},
            stall_s=trial.stall_s,
        )

    def _run(self, orders: Sequence[Order]) -> dict[str, Ended]:
        """Return how orders ended, as far as they did in time."""
        give_up_s = self._clock.monotonic_s() + PATIENCE_S
        waiting, ended = list(orders), dict[str, Ended]()
        while len(ended) < len(orders) and self._clock.monotonic_s() < give_up_s:
            while waiting and self._pool.free_slots():
                self._pool.start(waiting.pop(0))
            self._wait()
            for event in self._pool.collect():
                if isinstance(event, Ended):
                    ended[event.job] = event
            if self._pool.degraded:
                break
        return ended

    def _wait(self) -> None:
        """Sleep until the pool has something to do, for a second at most."""
        poll = select.poll()
        for descriptor in self._pool.descriptors():
            poll.register(descriptor, select.POLLIN)
        wait_s = self._pool.next_deadline_s()
        poll.poll(_ROUND_MS if wait_s is None else min(_ROUND_MS, wait_s * 1000 + 1))
