"""The one loop: *hear, collect, repeat, measure, dispatch, settle, sweep, beat, wait*.

Theory of operation
-------------------
One thread owns the database, the outbox and the pool. Watchers (a thread per inbox) move
drops into ``work/`` and report; workers (a process per slot) work and report; signals set a
flag. All of them make one descriptor readable, and the loop goes round. No step of a round
waits for anything but the local disk.

::

    watcher ──Admitted──▶ row ──claim──▶ worker ──Ended──▶ row ──after──▶ outbox, archive
            (admissions)   ▲           (dispatcher)         │ (completion)
                           └────────── retry, later ◀───────┘

Rules
-----
Rule 1: a row is final before anything of it is published, and all of it lies in its place
before its status says so.

Rule 2: each thing is handled inside a guard of its own (``outage``): what it provokes delays or
fails that thing, and the round goes on. Only the daemon's foundations may end it: a damaged
queue (it is built anew, once), a lost lock, a configuration that cannot be used.

Rule 3: nothing else knows watchers, store, pool and outbox all at once.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Config
from daemon.errors import BadConfig
from daemon.files import Files
from daemon.intake.observations import Admitted
from daemon.logs import log
from daemon.outbox.status_document import Live
from daemon.pool.nodes.joined import open_pool
from daemon.supervisor import systemd
from daemon.supervisor.admissions import Admissions
from daemon.supervisor.beat import Beat
from daemon.supervisor.capacity import Capacity
from daemon.supervisor.completion import Completion
from daemon.supervisor.daemon_document import DaemonDocument
from daemon.supervisor.dispatcher import Dispatcher
from daemon.supervisor.duplicates import DuplicateFinder
from daemon.supervisor.forwards import Forwards
from daemon.supervisor.grants import programs_wanted
from daemon.supervisor.obstacles import Obstacles
from daemon.supervisor.recovery import recover
from daemon.supervisor.retention import Sweep
from daemon.supervisor.signals import Signals
from daemon.supervisor.splits import Splits
from daemon.supervisor.startup import open_spool
from daemon.supervisor.watchers import Watchers

EX_OK = 0
_LONGEST_WAIT_S = 5.0
_REFUSED_S = 0.25
"""After a wait that failed: the round must not become a spin."""
_SLOW_S = 1.0
_KILLED_S = 10.0
"""By then an attempt that was killed at the end of a drain has ended, or never will."""
_SHOWN_S = 0.02
"""After so long without any word, the status of what was begun says that it runs."""
_AT_ONCE = 16
"""Drops that get their rows in one commit."""
_HEARING_S = 0.05
"""Watchers may report faster than we write it down; workers and readers must not wait for it."""


class Supervisor:
    """One daemon on one spool.

    Raises
    ------
    BadConfig, QueueDamaged, Unavailable
        The spool cannot be opened; see ``startup``.
    """

    def __init__(
        self,
        config: Config,
        *,
        files: Files | None = None,
        clock: Clock | None = None,
        reload: Callable[[], Config] | None = None,
        moved_aside: Path | None = None,
    ) -> None:
        self._load_config = reload or (lambda: config)
        self._quiet = False
        """Whether nothing came while we waited last."""
        files, clock = files or Files(), clock or Clock()
        self._opened = opened = open_spool(config, files=files, clock=clock)
        root, store = opened.spool.root, opened.store
        store.moved_aside = store.moved_aside or moved_aside
        self._clock, self._store, self._outage = clock, store, opened.outage
        self._pool = open_pool(config, clock, programs_wanted(config))
        self.signals = Signals()
        self._duplicates = DuplicateFinder(store, root / "outbox", clock.wall_ms, self.signals.wake)
        self._capacity = capacity = Capacity(opened)
        self._watchers = watchers = Watchers(opened, capacity, self._pool, wake=self.signals.wake)
        self._document = DaemonDocument(
            opened, pool=self._pool, watchers=watchers, capacity=capacity
        )
        self._join()

    def _join(self) -> None:
        """Make the parts that turn drops into jobs and jobs into results."""
        opened, watchers, capacity = self._opened, self._watchers, self._capacity
        obstacles = Obstacles(opened, watchers, self._pool)
        live: dict[str, Live] = {}
        splits = Splits(opened, self._pool, live)
        self._completion = Completion(
            opened, capacity=capacity, watchers=watchers, obstacles=obstacles, splits=splits
        )
        self._dispatcher = Dispatcher(
            opened,
            self._pool,
            obstacles=obstacles,
            completion=self._completion,
            document=self._document,
            splits=splits,
            live=live,
        )
        self._admissions = Admissions(
            opened,
            capacity=capacity,
            watchers=watchers,
            completion=self._completion,
            duplicates=self._duplicates,
            cancel=self._dispatcher.cancel,
        )
        self._beat = Beat(
            opened,
            document=self._document,
            dispatcher=self._dispatcher,
            admissions=self._admissions,
            completion=self._completion,
        )
        self._forwards = Forwards(
            opened,
            admissions=self._admissions,
            capacity=capacity,
            document=self._document,
            wake=self.signals.wake,
        )
        self._steps: dict[str, Callable[[], object]] = {
            "hear": lambda: self._hear(for_s=_HEARING_S),
            "duplicates": self._admissions.answer_duplicates,
            "collect": self._dispatcher.collect,
            "show": lambda: self._dispatcher.show_begun(quiet=self._quiet),
            "tend": self._watchers.tend,
            "repeat": self._outage.repeat,
            "measure capacity": self._measure,
            "dispatch": self._dispatcher.dispatch,
            "settle": self._settle,
            "forward": self._forwards.tick,
            "sweep": Sweep(opened).when_due,
            "beat": self._beat.when_due,
        }

    # -- the life of the daemon

    def run(self) -> int:
        """Serve until asked to stop; return the exit code."""
        self.signals.install()
        self.start()
        systemd.notify("READY=1", "STATUS=serving")
        while not self.signals.stop:
            self.round()
            if self.signals.reload:
                self.signals.reload = False
                self._reload_from_file()
        self.drain()
        self.close(clean=True)
        return EX_OK

    def start(self) -> None:
        """Mend what the last run left, then open the inboxes."""
        self._step("recall statuses", self._opened.statuses.recall)
        recover(
            self._opened,
            admissions=self._admissions,
            completion=self._completion,
            document=self._document,
        )
        self._document.phase = "running"
        self._step("measure capacity", self._measure)
        self._watchers.open()
        log.info("serving", root=str(self._opened.spool.root), slots=self._pool.size)
        self._beat.now()

    def round(self) -> None:
        """Go round once."""
        self._wait()
        for name, step in self._steps.items():
            self._step(name, step)

    def _step(self, name: str, step: Callable[[], object]) -> bool:
        """Take a step of the round, unless it failed a moment ago; return whether it was done."""
        if self._outage.holds(name):
            return False
        began_s = self._clock.monotonic_s()
        done = self._outage.guard(name, step)
        if (took_s := self._clock.monotonic_s() - began_s) > _SLOW_S:
            # Most often it is the disk; the log must say which step to look at.
            log.warning("slow step", step=name, took_s=round(took_s, 1))
        return done

    def drain(self) -> None:
        """Stop taking, finish what runs, interrupt what does not finish in time."""
        drain_s = self._opened.config.drain_s
        systemd.notify("STOPPING=1", "STATUS=draining")
        self._document.phase = "draining"
        log.info("draining", running=len(self._dispatcher.running), drain_s=drain_s)
        self._watchers.close()
        until_s = self._clock.monotonic_s() + drain_s
        steps = {
            name: self._steps[name] for name in ("hear", "collect", "repeat", "settle", "beat")
        }
        while self._more_may_come() or self._completion.due_in_s() is not None:
            now_s = self._clock.monotonic_s()
            if now_s >= until_s + _KILLED_S:
                log.error("not all has ended", running=len(self._dispatcher.running))
                break  # the next start calls it interrupted
            if now_s >= until_s:
                self._step("interrupt", self._pool.interrupt_all)
            self._wait(until_s)
            for name, step in steps.items():
                self._step(name, step)

    def close(self, *, clean: bool) -> None:
        """Let go of everything."""
        self._end_threads_and_workers()
        self._document.phase = "stopped"
        self._beat.now()
        clean = self._outage.guard("close", lambda: self._opened.close(clean=clean)) and clean
        log.info("stopped", clean=clean)

    def abandon(self) -> None:
        """Let go of a spool that is not ours any more, or whose queue is damaged: write nothing."""
        self._end_threads_and_workers()
        self._opened.close(clean=False)

    def _end_threads_and_workers(self) -> None:
        for part in (self._watchers, self._pool, self._duplicates, self._forwards):
            self._outage.guard(f"end of {type(part).__name__}", part.close)

    def reload(self, config: Config) -> None:
        """Go on with another configuration; drops and jobs do not notice.

        Raises
        ------
        BadConfig
            It asks for what only a restart can change.
        """
        now = self._opened.config
        if config.root.absolute() != self._opened.spool.root:
            raise BadConfig("root", "cannot change while the daemon runs; restart it")
        if (config.pool, config.handler_paths) != (now.pool, now.handler_paths):
            raise BadConfig("pool", "cannot change while the daemon runs; restart it")
        missing = {job.inbox for job, *_ in self._dispatcher.running} - set(config.inboxes)
        if missing:
            raise BadConfig("inboxes", f"{', '.join(sorted(missing))} has jobs that run")
        self._opened.prepare(config)  # what cannot be made changes nothing
        self._watchers.close()
        self._hear()
        self._opened.take(config)
        handlers = [inbox.handler for inbox in config.inboxes.values()]
        self._pool.serve(handlers, programs_wanted(config))
        self._watchers.open()
        self._beat.now()
        log.info("reloaded", inboxes=sorted(config.inboxes))

    def _reload_from_file(self) -> None:
        """Answer SIGHUP: a configuration that cannot be used changes nothing."""
        systemd.notify_reloading()

        def reload() -> None:
            try:
                self.reload(self._load_config())
                self._document.clear("CONFIG_REFUSED")
            except BadConfig as problem:
                self._document.warn("CONFIG_REFUSED", str(problem))
                log.error("the new configuration is refused", problem=str(problem))

        self._outage.guard("reload", reload)
        self._outage.forget("reload")
        systemd.notify("READY=1")

    # -- parts of it

    def _hear(self, *, for_s: float = math.inf) -> None:
        """Act on what watchers reported, for so long."""
        until_s = self._clock.monotonic_s() + for_s
        arrived: list[Admitted] = []
        while self._clock.monotonic_s() < until_s and (report := self._watchers.next_report()):
            if isinstance(report, Admitted):
                arrived.append(report)
            if arrived and (report is not arrived[-1] or len(arrived) == _AT_ONCE):
                self._admissions.take_in(arrived)
                arrived = []
            if not isinstance(report, Admitted):
                self._admissions.take(report)
        self._admissions.take_in(arrived)

    def _settle(self) -> None:
        self._completion.settle(more_may_come=self._more_may_come())

    def _more_may_come(self) -> bool:
        return not self._watchers.reports.empty() or self._dispatcher.working

    def _wait(self, until_s: float | None = None) -> None:
        """Sleep until there is a report or something is due."""
        descriptors: Sequence[int] = ()
        timeout_s = _REFUSED_S

        def prepare() -> None:
            nonlocal descriptors, timeout_s
            descriptors, timeout_s = self._pool.descriptors(), self._idle_s(until_s)

        self._step("wait", prepare)
        self._quiet = not self.signals.wait(descriptors, timeout_s)

    def _idle_s(self, until_s: float | None) -> float:
        """Return for how long nothing is due."""
        timeouts_s = [_LONGEST_WAIT_S, self._beat.due_in_s()]
        if not self._watchers.reports.empty():
            timeouts_s.append(0.0)
        if until_s is not None:
            timeouts_s.append(until_s - self._clock.monotonic_s())
        if (deadline_s := self._pool.next_deadline_s()) is not None:
            timeouts_s.append(deadline_s)
        if (due_ms := self._dispatcher.next_due_ms()) is not None:
            timeouts_s.append((due_ms - self._clock.wall_ms()) / 1000)
        if self._dispatcher.unshown:
            timeouts_s.append(_SHOWN_S)
        due = self._outage.due_in_s(), self._completion.due_in_s()
        timeouts_s += [due_in_s for due_in_s in due if due_in_s is not None]
        return max(0.0, min(timeouts_s))

    def _measure(self) -> None:
        if self._capacity.measure(self._dispatcher.busy):
            self._watchers.wake()
