"""One thread per inbox: woken by events, led by scans.

Theory of operation
-------------------
One non-recursive watch on the inbox itself wakes us for all that begins there, a folder copied
in, moved in, or a loose file. What happens further down needs no watch: while anything is in
sight, we look at it every second, and earlier when it falls due earlier.

Events are lost: on overflow, on network file systems, when a watch dies with its folder while
its thread lives on. Nothing here depends on them. Without a single event a drop is taken some
seconds later, and the health report says so.

Rules
-----
1. The event handler sets a flag and does nothing else: what it raises would kill the observer.
2. No event type, path or order is looked at.
3. Each round asks: is the inbox still the same folder, and is every emitter alive? If not, the
   watch is built anew.
4. A missing inbox is a paused inbox, whose drops are remembered.
5. Only this thread touches the inbox: whatever hangs in its file system hangs this thread alone,
   and the age of the last scan tells. The supervisor hears through ``report``, which must not
   block.
"""

import errno
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from daemon.clock import Clock
from daemon.config.models import Inbox
from daemon.files import Files
from daemon.handlers.contract import Declaration
from daemon.intake.admit import Admitter
from daemon.intake.drop import Drop
from daemon.intake.mounts import is_network, read_mountinfo
from daemon.intake.observations import Admitted, Health, Looked, Report, Wait
from daemon.intake.recovery import CutShort, mend
from daemon.intake.scanner import Gate, Scanner, Stopping
from daemon.intake.watch import Watch
from daemon.intake.writer_probe import ignore_lease_signals
from daemon.layout import MARKER_BESIDE, SCAN, is_ours

_LOG = logging.getLogger(__name__)
_RECEIVING_S, _LOCAL_S, _POLLING_S = 1.0, 10.0, 5.0
_SHORTEST_S, _LONGEST_GAP_S = 0.005, 0.1
_AFTER_TAKING_S, _AFTER_TAKING_EVERY_S = 0.6, 0.02
"""watchdog holds a "moved from" back for 0.5 s, hoping for its other half, and everything behind
it too. Our own rename out of the inbox is such an event: for that time we look by ourselves."""
_LATE_LIMIT, _LATE_WITHIN_S = 3, 3600.0
_NETWORK = "a network file system does not announce what other machines write"
_UNRELIABLE = "drops came that no event announced"


class Watcher:
    """One inbox and its thread.

    Parameters
    ----------
    name, folder, inbox
        The inbox: its name, where it lies, its settings.
    work
        The daemon's work directory; drops are moved to ``work/<name>/<job>/in/``.
    gate
        Asked before each admission, in this thread; must not block.
    report
        Given every ``Report``, in this thread; must not block (``SimpleQueue.put``).
    cut_short
        Admissions for the first round to mend; ``None``: this daemon has looked here before.
    handler
        Asked before each scan what the handler says of itself, in this thread; must not block.
        A text says why there is none now, or, when it is empty, that none has told yet.
    others
        Where the other inboxes lie.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        inbox: Inbox,
        *,
        work: Path,
        files: Files,
        clock: Clock,
        gate: Gate,
        report: Callable[[Report], None],
        cut_short: CutShort | None = None,
        handler: Callable[[], Declaration | str] = Declaration,
        others: Collection[Path] = (),
    ) -> None:
        self._name, self._folder, self._files, self._clock = name, folder, files, clock
        self._cut_short, self._report = cut_short, report
        self.scans_taken = 0
        """How many ``.scan`` drops were admitted and reported; read it from any thread."""
        self._ended_requests: SimpleQueue[str] = SimpleQueue()
        self._asked_for: SimpleQueue[tuple[str, bytes, Callable[[], object], int]] = SimpleQueue()
        self._ends: SimpleQueue[tuple[str, Path | None]] = SimpleQueue()
        self._unremovable: set[str] = set()
        self._admitter = admitter = Admitter(name, folder, work, inbox.limits, files, clock)
        self._gate, self._handler, self._work = gate, handler, work
        self._others = others
        self._identity = 0, 0
        """Device and inode of the inbox that was found to be no folder with another use."""
        self._scanner = Scanner(admitter, inbox.settling, self._may_take, self._tell)
        self._woken, self._stopped = threading.Event(), threading.Event()
        self._watch = Watch(folder, self._woken.set)
        self._late: deque[float] = deque(maxlen=_LATE_LIMIT)
        self._missed = 0
        self._polling, self._unreliable = "", False
        self._looking_until_s = 0.0
        self._first = True
        self._thread = threading.Thread(target=self._run, name=f"inbox-{name}", daemon=True)
        self.health = Health(name, "events", clock.monotonic_s())
        """Replaced as a whole after each round; read it from any thread."""

    def start(self) -> None:
        """Begin to watch; call from the main thread, which is where signals are set."""
        ignore_lease_signals()
        self._thread.start()

    def wake(self) -> None:
        """Scan now: for the supervisor, when there is room again."""
        self._woken.set()

    def remove_request(self, file: str) -> None:
        """Remove a file that asked for a job to be cancelled, soon, and before the next scan."""
        self._ended_requests.put(file)
        if file not in self._unremovable:  # that scan would find it again, and so on without end
            self.wake()

    def drop(self, name: str, content: bytes, done: Callable[[], object], scans_taken: int) -> None:
        """Drop a ``.scan`` file, soon, and call `done`, in here.

        None is dropped where one lies, or was taken since so many were: whoever asked cannot
        have known of it.
        """
        self._asked_for.put((name, content, done, scans_taken))
        self.wake()

    def _tell(self, report: Report) -> None:
        self._report(report)
        if isinstance(report, Admitted) and report.place.name.endswith(SCAN):
            self.scans_taken += 1

    def recall(
        self, name: str, inputs: Sequence[Mapping[str, object]], job: str, at_s: float
    ) -> None:
        """Remember a drop of an earlier run; before ``start``."""
        self._scanner.latecomers.recall(name, inputs, job, at_s)

    def note_end(self, job: str, lies: Path | None) -> None:
        """Note that a job has ended, and where its drop lies if latecomers may join it."""
        self._ends.put((job, lies))

    def ask_to_stop(self) -> None:
        """End after what is being taken in now."""
        self._stopped.set()
        self._woken.set()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Take no further drop and end; return whether it ended in time."""
        self.ask_to_stop()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stopped.is_set():
            woken = self._woken.wait(wait_s)
            self._woken.clear()
            began_s = time.thread_time()
            wait_s = self._look_safely(woken=woken)
            # A tenth of our time goes into scans, or half of it while they bring something: for
            # bursts of events, and for ten thousand drops that wait in an inbox. Processor time,
            # since a busy machine must not make us slower still.
            rest_s = (time.thread_time() - began_s) * (1 if self._scanner.took else 10)
            wait_s = max(wait_s, rest_s)
            self._stopped.wait(min(_LONGEST_GAP_S, max(_SHORTEST_S, rest_s)))
        self._watch.stop()

    def _may_take(self, drop: Drop) -> Wait | None:
        # One that hung when it was asked to end has a successor by the time that it goes on.
        if self._stopped.is_set():
            raise Stopping
        return self._gate(drop)

    def _look_safely(self, *, woken: bool) -> float:
        try:
            return self.look(woken=woken)
        except Stopping:
            return 0.0
        except Exception as error:  # noqa: BLE001 - one bad round must not end an inbox in silence
            _LOG.exception("inbox=%s scan failed", self._name)
            self._note(f"our fault: {error!r}")
            return _POLLING_S

    def look(self, *, woken: bool) -> float:
        """Make one round; return seconds until the next one unless woken before."""
        problem, due_s = "", None
        try:
            self._refuse_our_own()
            self._choose_mode()
            if self._cut_short is not None:
                self._admitter.leftovers.extend(mend(self._files, self._cut_short, self._folder))
            self._remove_requests()
            refused = self._drop_what_was_asked_for()
            while not self._ends.empty():
                self._scanner.latecomers.note_end(*self._ends.get())
            self._scanner.serve(self._handler())
            due_s = self._scanner.scan()
            problem = self._scanner.trouble or refused
            self._suspect(woken=woken)
        except OSError as error:
            problem = f"{error.strerror}: {error.filename or self._folder}"
            self._first = True
        else:
            self._first = False
            if self._cut_short is not None:
                self._cut_short = None
                self._report(Looked(self._name, frozenset(self._scanner.listing.drops)))
        self._note(problem)
        # What was refused may have been refused for a moment only, and no event says when.
        return min(self._wait_s(due_s), _RECEIVING_S if problem else _LOCAL_S)

    def _refuse_our_own(self) -> None:
        """Raise when the inbox has become a way to our own folders or to another inbox.

        It would eat the jobs, or all inboxes at once, or give drops to the wrong handler.
        """
        found = self._folder.stat()
        if self._identity != (found.st_dev, found.st_ino):
            if is_ours(self._work.parent, self._folder):
                text = "the inbox leads into the daemon's own folders"
                raise OSError(errno.ELOOP, text, str(self._folder))
            # Compared by name only: another inbox may lie where nothing answers.
            real = self._folder.resolve()
            if any(
                real.is_relative_to(other) or other.is_relative_to(real) for other in self._others
            ):
                raise OSError(errno.ELOOP, "the inbox leads to another inbox", str(self._folder))
            self._identity = found.st_dev, found.st_ino

    def _remove_requests(self) -> None:
        while not self._ended_requests.empty():
            file = self._ended_requests.get()
            try:
                self._files.remove("cancel.request", self._folder / file)
            except OSError as error:
                self._unremovable.add(file)
                _LOG.warning("inbox=%s cannot remove %s: %s", self._name, file, error.strerror)

    def _drop_what_was_asked_for(self) -> str:
        """Drop it; return why that is refused, which must not keep others from being taken."""
        while not self._asked_for.empty():
            asked = name, content, done, taken = self._asked_for.get()
            try:
                there = os.listdir(self._folder)  # noqa: PTH208 - Path.iterdir makes ten thousand paths
                if self.scans_taken == taken and not any(one.endswith(SCAN) for one in there):
                    self._drop(self._folder / name, content)
            except OSError as error:
                self._asked_for.put(asked)
                return f"{name} cannot be dropped: {error.strerror}"
            done()
        return ""

    def _drop(self, place: Path, content: bytes) -> None:
        self._files.write("drop scan", place, content, durable=True)
        # Afterwards, or one whose drop never came would lie there for ever; without, it settles.
        with suppress(OSError):
            marker = place.with_name(place.name + MARKER_BESIDE)
            self._files.write("mark scan", marker, b"", durable=False, synced=False)

    def _choose_mode(self) -> None:
        network = is_network(self._folder, read_mountinfo())
        self._scanner.use_network_times(network=network)
        if network or self._unreliable:
            self._polling = _NETWORK if network else _UNRELIABLE
            self._watch.stop()
            return
        builds = self._watch.builds
        self._polling = "" if self._watch.check() else self._watch.problem
        # No event announced what came between two watches.
        self._first = self._first or self._watch.builds != builds

    def _suspect(self, *, woken: bool) -> None:
        """Count drops that no event announced; three in an hour end the trust in events."""
        if woken or self._first or self._polling:
            return
        now_s = self._clock.monotonic_s()
        self._missed += self._scanner.late
        self._late.extend([now_s] * self._scanner.late)
        full = len(self._late) == _LATE_LIMIT
        self._unreliable = full and now_s - self._late[0] < _LATE_WITHIN_S

    def _wait_s(self, due_s: float | None) -> float:
        now_s = self._clock.monotonic_s()
        if self._scanner.took:
            self._looking_until_s = now_s + _AFTER_TAKING_S
        if now_s < self._looking_until_s:
            return _AFTER_TAKING_EVERY_S
        if self._scanner.receiving:
            return min(_RECEIVING_S, due_s if due_s is not None else _RECEIVING_S)
        return _POLLING_S if self._polling else _LOCAL_S

    def _note(self, problem: str) -> None:
        before, listing = self.health, self._scanner.listing
        self.health = Health(
            self._name,
            "polling" if self._polling else "events",
            self._clock.monotonic_s(),
            listing.paused,
            problem,
            before.scans + 1,
            max(0, self._watch.builds - 1),
            self._missed,
            self._scanner.receiving,
            listing.left_alone,
            listing.left_alone_more,
            self._polling,
        )
