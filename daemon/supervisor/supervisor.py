"""The one loop: *sweep, collect, expire, admit, dispatch, report, wait*.

Theory of operation
-------------------
One thread owns the database, the outbox and the pool. Watchers (a thread per inbox) move
drops into ``work/`` and report; workers (a process per slot) work and report; signals set a
flag. All of them make one descriptor readable, and the loop goes round. No step of a round
waits for anything but the local disk.

::

    watcher ──Admitted──▶ row ──claim──▶ worker ──Ended──▶ row ──close──▶ outbox, archive
             (reception)   ▲             (attempts)         │  (closing)
                           └────────── retry, later ◀───────┘

Rules
-----
Rule 1: a row is final before anything of it is published, and all of it lies in its place
before its status says so.

Rule 2: what the surroundings refuse (disk full, mount gone) is tried again every
``AGAIN_S``; meanwhile nothing is claimed and nothing is lost.

Rule 3: nothing else knows watchers, store, pool and outbox all at once.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daemon import logs
from daemon.clock import Clock
from daemon.config.models import Config, load
from daemon.errors import BadConfig, Unavailable
from daemon.files import Files
from daemon.jobs.job import State
from daemon.logs import log
from daemon.outbox.heartbeat import Heartbeat
from daemon.outbox.metrics import Metrics
from daemon.outbox.page import FrontPage
from daemon.pool.local import LocalPool
from daemon.supervisor import systemd as service
from daemon.supervisor.admissions import Admissions
from daemon.supervisor.context import Context
from daemon.supervisor.dispatcher import Dispatcher
from daemon.supervisor.duplicates import DuplicateFinder
from daemon.supervisor.retention import tidy
from daemon.supervisor.startup import open_spool
from daemon.supervisor.watchers import Watchers

EX_OK, EX_TEMPFAIL, EX_CONFIG = 0, 75, 78
SWEEP_S = 600.0
"""Between prunings of history."""
_LONGEST_WAIT_S = 5.0
_REFUSED_S = 0.25
"""After a round that the surroundings cut short: it must not become a spin."""
_SLOW_S = 1.0
_HEARING_S = 0.05
"""Watchers may report faster than we write it down; workers and readers must not wait for it."""


class Supervisor:
    """One daemon on one spool.

    Raises
    ------
    BadConfig, Unavailable
        The spool cannot be opened; see ``startup``.
    """

    def __init__(
        self,
        config: Config,
        *,
        files: Files | None = None,
        clock: Clock | None = None,
        read_again: Callable[[], Config] | None = None,
    ) -> None:
        self._read_again = read_again or (lambda: config)
        files, clock = files or Files(), clock or Clock()
        self._opened = open_spool(config, files=files, clock=clock)
        self._house = Context.furnish(config, self._opened, files=files, clock=clock)
        self._clock, self._store = clock, self._opened.store
        root = self._opened.spool.root
        common: dict[str, Any] = {"files": files, "clock": clock}
        instance, period_s = self._opened.instance, config.heartbeat_s
        self._heartbeat = Heartbeat(root, **common, instance=instance, period_s=period_s)
        self._metrics, self._front = Metrics(root, **common), FrontPage(root, **common)
        self._pool = LocalPool(
            config.pool,
            clock,
            handlers=[inbox.handler for inbox in config.inboxes.values()],
            handler_paths=config.handler_paths,
        )
        self.signals = service.Signals()
        self._twins = DuplicateFinder(
            self._store, root / "outbox", clock.wall_ms, self.signals.wake
        )
        self._reception = Admissions(self._house, self._twins)
        self._attempts = Dispatcher(self._house, self._pool)
        self._inboxes = Watchers(self._house, self.signals.wake)
        self._sweep_s = 0.0
        self._steps: dict[str, Callable[[], object]] = {
            "hear": lambda: self._hear(for_s=_HEARING_S),
            "collect": self._attempts.collect,
            "try again": self._try_again,
            "measure room": self._measure_room,
            "dispatch": lambda: self._attempts.dispatch(self._closed()),
            "sweep": self._sweep,
            "beat": self._beat,
        }

    # -- the life of the daemon

    def run(self) -> int:
        """Serve until asked to stop; return the exit code."""
        self.signals.install()
        self.start()
        service.notify("READY=1", "STATUS=serving")
        while not self.signals.stop:
            if not self._house.quietly(self.round):
                self.signals.wait((), _REFUSED_S)
            if self.signals.reload:
                self.signals.reload = False
                self._reload_from_file()
        self.drain()
        self.close(clean=True)
        return EX_OK

    def start(self) -> None:
        """Mend what the last run left, then open the inboxes."""
        self._house.statuses.recall()
        self._recover()
        self._house.vitals.phase = "running"
        self._measure_room()
        self._inboxes.open()
        log.info("serving", root=str(self._opened.spool.root), slots=self._pool.size)
        self._beat(now=True)

    def round(self) -> None:
        """Go round once."""
        self._wait()
        for name, step in self._steps.items():
            began_s = self._clock.monotonic_s()
            step()
            if (took_s := self._clock.monotonic_s() - began_s) > _SLOW_S:
                # Who is late with everything should know whom to ask: most often, the disk.
                log.warning("slow step", step=name, took_s=round(took_s, 1))

    def drain(self) -> None:
        """Stop taking, finish what runs, interrupt what does not finish in time."""
        drain_s = self._house.config.drain_s
        service.notify("STOPPING=1", "STATUS=draining")
        self._house.vitals.phase = "draining"
        log.info("draining", running=len(self._attempts.running), drain_s=drain_s)
        self._inboxes.close()
        until_s = self._clock.monotonic_s() + drain_s
        while self._hear(for_s=_HEARING_S) or self._attempts.working:
            if self._clock.monotonic_s() >= until_s:
                self._pool.interrupt_all()
            if not self._house.quietly(lambda: self._drain_round(until_s)):
                self.signals.wait((), _REFUSED_S)

    def _drain_round(self, until_s: float) -> None:
        self._wait(until_s)
        self._attempts.collect()
        self._try_again()
        self._beat()

    def close(self, *, clean: bool) -> None:
        """Let go of everything."""
        self._inboxes.close()
        self._pool.close()
        self._twins.close()
        self._house.vitals.phase = "stopped"
        self._house.quietly(lambda: self._beat(now=True))
        clean = self._house.quietly(lambda: self._opened.close(clean=clean)) and clean
        log.info("stopped", clean=clean)

    def reload(self, config: Config) -> None:
        """Go on with another configuration; drops and jobs do not notice.

        Raises
        ------
        BadConfig
            It asks for what only a restart can change.
        """
        now = self._house.config
        if config.root.absolute() != self._opened.spool.root:
            raise BadConfig("root", "cannot change while the daemon runs; restart it")
        if (config.pool, config.handler_paths) != (now.pool, now.handler_paths):
            raise BadConfig("pool", "cannot change while the daemon runs; restart it")
        missing = {job.inbox for job, _ in self._attempts.running} - set(config.inboxes)
        if missing:
            raise BadConfig("inboxes", f"{', '.join(sorted(missing))} has jobs that run")
        self._opened.furnish(config)  # what cannot be made changes nothing
        self._inboxes.close()
        self._hear()
        self._house.adopt(config)
        self._pool.serve([inbox.handler for inbox in config.inboxes.values()])
        self._inboxes.open()
        self._beat(now=True)
        log.info("reloaded", inboxes=sorted(config.inboxes))

    def _reload_from_file(self) -> None:
        """Answer SIGHUP: a configuration that cannot be used changes nothing."""
        service.notify_reloading()
        try:
            self.reload(self._read_again())
            self._house.vitals.clear("CONFIG_REFUSED")
        except BadConfig as problem:
            self._house.vitals.warn("CONFIG_REFUSED", str(problem))
            log.error("the new configuration is refused", problem=str(problem))
        service.notify("READY=1")

    # -- parts of it

    def _recover(self) -> None:
        """Repeat what is missing: rows, outcomes, publications."""
        house, store = self._house, self._store
        if store.moved_aside is not None:
            log.error("the queue was damaged and is rebuilt", damaged=str(store.moved_aside))
            text = f"rebuilt from the folders; the damaged one lies in {store.moved_aside}"
            house.vitals.warn("QUEUE_REBUILT", text)
        store.interrupt_running()
        self._reception.adopt()
        for job in store.jobs(State.QUEUED):
            house.inboxes_of_rows.add(job.inbox)
            house.held_bytes[job.id] = sum(int(one.get("bytes") or 0) for one in job.inputs)
            self._reception.tell_waiting(job)
        for job in store.unpublished():
            house.show(job.id)

    def _hear(self, *, for_s: float = math.inf) -> bool:
        """Act on what watchers and twin-finder reported; return whether there is more of it."""
        until_s = self._clock.monotonic_s() + for_s
        while self._clock.monotonic_s() < until_s and (report := self._inboxes.next_report()):
            running = self._reception.take(report)
            if running is not None:
                self._attempts.cancel(running)
        self._house.quietly(self._reception.answer_twins)
        self._inboxes.pass_on_wishes()
        return not self._inboxes.reports.empty()

    def _closed(self) -> set[str]:
        """Return the inboxes whose jobs wait: closed, or without a handler that can be had."""
        return self._inboxes.closed() | self._attempts.unserved()

    def _wait(self, until_s: float | None = None) -> None:
        """Sleep until somebody has something to say or something is due."""
        timeouts_s = [_LONGEST_WAIT_S, self._heartbeat.due_in_s()]
        if not self._inboxes.reports.empty():
            timeouts_s.append(0.0)
        if until_s is not None:
            timeouts_s.append(until_s - self._clock.monotonic_s())
        if (deadline_s := self._pool.next_deadline_s()) is not None:
            timeouts_s.append(deadline_s)
        if self._pool.free_slots():
            due_ms = self._store.next_due_ms(self._closed())
            if due_ms is not None and not self._house.again_s:
                timeouts_s.append((due_ms - self._clock.wall_ms()) / 1000)
        self.signals.wait(self._pool.descriptors(), max(0.0, min(timeouts_s)))

    def _measure_room(self) -> None:
        held = self._house.held_bytes
        waiting = len(held) - len(self._attempts.running)
        if self._house.room.measure(waiting, held):
            self._inboxes.wake()

    def _try_again(self) -> None:
        house = self._house
        if not 0.0 < house.again_s <= self._clock.monotonic_s():
            return
        house.again_s = 0.0
        house.vitals.clear("SURROUNDINGS")
        self._attempts.record_late()
        for report in self._reception.late():
            self._inboxes.reports.put(report)
        for job in self._store.unpublished():
            house.show(job.id)

    def _sweep(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s >= self._sweep_s:
            self._sweep_s = now_s + SWEEP_S
            house = self._house
            house.quietly(
                lambda: tidy(
                    house.config, house.spool, house.store, files=house.files, clock=house.clock
                )
            )

    def _beat(self, *, now: bool = False) -> None:
        if not now and self._heartbeat.due_in_s() > 0:
            return
        vitals = self._house.vitals
        state = vitals.state(
            pool=self._pool,
            watchers=self._inboxes.watchers,
            room=self._house.room,
            running=self._attempts.running,
            receiving=self._reception.receiving,
        )
        self._house.quietly(lambda: self._show(state))
        self._house.quietly(self._reception.tell_positions)
        service.notify("WATCHDOG=1", f"STATUS={vitals.sentence(state)}")

    def _show(self, state: dict[str, Any]) -> None:
        """Write the heartbeat, the metrics and the front page."""
        document = self._heartbeat.beat(state)
        self._metrics.write(document)
        self._front.write(document, self._house.statuses.recent())


def run(config_path: Path | None = None) -> int:
    """Run the daemon until it is told to stop; return the exit code."""
    logs.configure()
    try:
        config = load(config_path)
        logs.configure(config.log_level)
        service.keep_capabilities()
        return Supervisor(config, read_again=lambda: load(config_path)).run()
    except BadConfig as problem:
        log.error("the configuration cannot be used", problem=str(problem))
        return EX_CONFIG
    except Unavailable as problem:
        log.error(problem.message, code=problem.code, hint=problem.hint)
        return EX_TEMPFAIL
