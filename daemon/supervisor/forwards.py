"""Results that go on into another inbox: copied into its work folder, and taken in as a drop.

Theory of operation
-------------------
A plan (``forward_plans``) names the job that a result becomes. When the result lies in the
outbox, its files are copied, in a thread, to ``work/<inbox>/<job>/arriving/``; **one rename of
that to in/** makes them a drop that was admitted, which gets its row as after any admission, and
then the plan is done. A crash leaves one of these:

* something in ``arriving/`` or nothing: it is copied anew;
* the drop in ``in/`` without a row: start-up adopts it, as it does every such drop;
* the row, and a plan that is not done: the row says that nothing is left to do.

So it becomes one job, whatever dies when. It does not pass through the inbox's own folder: that
may lie where nothing answers, and what comes from us need not settle.

Rules
-----
1. The result is only read; nothing of it is shared with the drop.
2. What is refused (a full disk) is tried again, and says so in ``daemon.json``; the
   result lies in the outbox meanwhile. Only who takes it away from there keeps it from going on.
"""

import json
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from daemon.errors import words
from daemon.files import Files
from daemon.intake.drop import Drop, Found, Signature
from daemon.jobs.forwards import Forward
from daemon.jobs.job import Job
from daemon.layout import SETTINGS, SETTINGS_BESIDE, Place
from daemon.logs import log
from daemon.supervisor.admissions import Admissions
from daemon.supervisor.capacity import Capacity
from daemon.supervisor.daemon_document import DaemonDocument
from daemon.supervisor.outage import RETRY_S
from daemon.supervisor.startup import Opened

_AT_ONCE = 2
"""Copies; more would only take the disk from the workers."""
_LOOKED_AT = 1_000
_CLOSE_S = 5.0


class Forwards:
    """What is on its way from an outbox to another inbox."""

    def __init__(
        self,
        opened: Opened,
        *,
        admissions: Admissions,
        capacity: Capacity,
        document: DaemonDocument,
        wake: Callable[[], None],
    ) -> None:
        self._opened, self._store, self._spool = opened, opened.store, opened.spool
        self._files, self._clock, self._outage = opened.files, opened.clock, opened.outage
        self._admissions, self._capacity, self._document = admissions, capacity, document
        self._wake = wake
        self._copies: dict[str, threading.Thread] = {}
        self._copied: SimpleQueue[tuple[Forward, OSError | None]] = SimpleQueue()
        self._waits: dict[str, tuple[float, str]] = {}
        """By job: until when it is left alone, and why."""

    def tick(self) -> None:
        """Take a step with each result that is to go on."""
        while not self._copied.empty():
            each, error = self._copied.get()
            self._copies.pop(each.job).join()
            self._capacity.came(each.inbox, each.name)
            self._guarded(each, partial(self._conclude, each, error))
        full = len(self._copies) >= _AT_ONCE or self._outage.everything
        due = [] if full else self._store.due_forwards(_LOOKED_AT)
        now_s = self._clock.monotonic_s()
        for each in due:
            if len(self._copies) >= _AT_ONCE:
                break
            if each.job not in self._copies and now_s >= self._waits.get(each.job, (0.0, ""))[0]:
                self._waits.pop(each.job, None)
                self._guarded(each, partial(self._begin, each))
        self._tell()

    def close(self) -> None:
        """Wait a moment for copies; those that are left behind are made anew by the next run."""
        for thread in self._copies.values():
            thread.join(_CLOSE_S)

    def _guarded(self, each: Forward, step: Callable[[], None]) -> None:
        """Take a step; what is refused is begun anew later, not repeated as it was."""
        thing = f"forward of {each.job}"
        if not self._outage.guard(thing, step, inbox=each.inbox):
            self._waits.setdefault(each.job, (self._clock.monotonic_s() + RETRY_S, "refused"))
            self._outage.forget(thing)

    def _wait(self, each: Forward, why: str) -> None:
        self._waits[each.job] = self._clock.monotonic_s() + RETRY_S, why

    def _tell(self) -> None:
        """Say what waits, and why the first of it does."""
        if not self._waits:
            self._document.clear("FORWARD_WAITS")
            return
        job, (_, why) = next(iter(self._waits.items()))
        text = f"{len(self._waits)} wait to go on into another inbox; the result of {job}: {why}"
        self._document.warn("FORWARD_WAITS", text)

    def _begin(self, each: Forward) -> None:
        if self._store.get(each.as_job) is not None:
            self._end(each)
        elif each.inbox not in self._opened.config.inboxes:
            self._wait(each, f"the configuration has no inbox {each.inbox} any more")
        elif os.path.lexists(self._place(each).path):
            self._take_in(each)
        else:
            self._begin_copy(each)

    def _begin_copy(self, each: Forward) -> None:
        job = self._store.get(each.job)
        result = self._result(job) if job else None
        missing = [name for name in each.files if not (result and (result / name).is_file())]
        if result is None or missing:
            text = f"the result of {each.job} was taken out of the outbox before it went on"
            log.error(text, to=each.inbox, missing=missing[:1])
            self._document.warn("FORWARD_GONE", text)
            self._store.end_forward(each.job)
            return
        sizes = {name: (result / name).stat().st_size for name in each.files}
        files = tuple(Found(name, Signature(0, 0, size, 0, 0)) for name, size in sizes.items())
        drop = Drop(each.name, "folder" if each.folder else "file", files)
        if closed := self._capacity.gate(each.inbox, drop, in_place=True):
            self._wait(each, closed.detail)
            return
        thread = threading.Thread(target=self._copy, args=(each, result), name="forward")
        thread.daemon = True
        self._copies[each.job] = thread
        thread.start()

    def _result(self, job: Job) -> Path | None:
        """Return where a job's result lies; ``None`` when another's row, which owns it, is gone."""
        owner = self._store.get(job.duplicate_of) if job.duplicate_of else job
        return self._spool.folder("outbox", owner.inbox) / owner.label if owner else None

    def _copy(self, each: Forward, result: Path) -> None:
        """Copy in a thread of its own, and report."""
        error = None
        try:
            copy(self._files, each, result, self._spool.job(each.inbox, each.as_job))
        except OSError as refused:
            error = refused
        except Exception as bug:  # noqa: BLE001 - must be reported: nobody sees what a thread raises
            error = OSError(f"our fault: {bug!r}")
        self._copied.put((each, error))
        self._wake()

    def _conclude(self, each: Forward, error: OSError | None) -> None:
        if error is not None:
            self._wait(each, words(error))
            log.warning("cannot go on now", job=each.job, to=each.inbox, error=words(error))
            return
        job_dir = self._spool.job(each.inbox, each.as_job)
        self._files.rename("forward.drop", job_dir / "arriving", job_dir / "in")
        self._take_in(each)

    def _take_in(self, each: Forward) -> None:
        self._admissions.take_up(self._place(each))
        if self._store.get(each.as_job) is None:
            self._wait(each, "its row cannot be written")
            return
        self._end(each)

    def _end(self, each: Forward) -> None:
        self._store.end_forward(each.job)
        log.info("went on", job=each.job, to=each.inbox, as_job=each.as_job)

    def _place(self, each: Forward) -> Place:
        path = self._spool.drop(each.inbox, each.as_job, each.name)
        return Place(each.inbox, each.as_job, each.name, path)


def copy(files: Files, each: Forward, result: Path, job_dir: Path) -> None:
    """Copy what goes on to ``arriving/`` of the job's folder, with its settings.

    Raises
    ------
    OSError
        The surroundings refused; repeat it later.
    """
    arriving = job_dir / "arriving"
    if os.path.lexists(arriving):
        files.remove_tree("forward.clean", arriving)
    for step, folder in (("forward.inbox", job_dir.parent), ("forward.job", job_dir)):
        if not folder.is_dir():
            files.make_dir(step, folder)
    files.make_dir("forward.arriving", arriving)
    drop = arriving / each.name
    settings = drop / SETTINGS if each.folder else drop.with_name(each.name + SETTINGS_BESIDE)
    if each.folder:
        files.make_dir("forward.folder", drop)
    for name in each.files:
        target = drop / name if each.folder else drop
        for folder in reversed(target.relative_to(arriving).parents[:-2]):
            if not (arriving / folder).is_dir():
                files.make_dir("forward.folder", arriving / folder)
        files.copy_tree("forward.copy", result / name, target)
    if each.settings:
        text = json.dumps(each.settings, indent=1).encode() + b"\n"
        files.write("forward.settings", settings, text, durable=True)
