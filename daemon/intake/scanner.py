"""One scan of one inbox: see, settle, take in, report. The scan is the truth.

Rules
-----
1. State between scans is the settlers' alone; no event and no watcher adds to it.
2. An inbox that is missing or cannot be read says nothing about its drops: nothing is
   forgotten and nothing reported gone.
3. A drop for which there is no room stays where it is: the inbox is the overflow.
4. None is taken before an older one that waits for the same room. Those that wait behind it are
   looked at once a minute only: ten thousand of them must not keep the first from its turn.
5. Each drop is handled inside a guard: what goes wrong with one says nothing about the others.
   A fault of ours fails that drop; if not even that works, it stays and is tried once a minute.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from daemon.clock import earliest, rfc3339
from daemon.config.models import Settling
from daemon.handlers.contract import Declaration
from daemon.intake.admit import Admitter
from daemon.intake.completeness import FileAnswer, Rules
from daemon.intake.drop import Accepts, Drop, Listing, list_inbox, look
from daemon.intake.evidence import DiskEvidence
from daemon.intake.latecomers import Latecomers, Taken
from daemon.intake.observations import Admitted, CancelAsked, Gone, PutBack, Report, Sighting, Wait
from daemon.intake.settle import DropStatus, Settler
from daemon.intake.tracked import HELD_S, Tracked
from daemon.layout import Place
from daemon.text import display

Gate = Callable[[Drop], Wait | None]
"""Asked before each admission: why not now (``slot``, ``disk``, ``memory``), or ``None``.

``None`` takes the room; ``Admitted`` or ``PutBack`` says what became of it.
"""

_LATE_MS = 2000
_TOGETHER, _SMALL_BYTES = 8, 1 << 20
"""Drops that are taken in with one sync; the last of them, if it is large, lets no other wait."""
_PAUSED = Wait("paused", None, "the inbox is paused")
_FOR_ALL = frozenset({"paused", "slot", "memory"})
"""Closed for one drop is closed for all; on the disk there may be room for a smaller one."""
_UNSERVED_TOLD = 50
"""Without a handler any file may be a drop: of tens of thousands, so many get a status."""
_LOG = logging.getLogger(__name__)


class Stopping(Exception):
    """Raised by the gate when the watcher was asked to end in the middle of a scan."""


class Scanner:
    """Looks at one inbox and takes drops in; used by one thread."""

    def __init__(
        self, admitter: Admitter, settling: Settling, gate: Gate, report: Callable[[Report], None]
    ) -> None:
        self._admitter, self._gate, self._report = admitter, gate, report
        self._settling, self._network = settling, False
        self._handler: Declaration | None = None
        self._unserved = ""
        """Why there is no handler, if a person should know."""
        self._rules = Rules.of(settling, admitter.limits, network=False)
        self._tracked: dict[str, Tracked] = {}
        self.latecomers = Latecomers(settling.join_late_s)
        self.listing = Listing()
        self.late = 0
        """Drops that the last scan saw for the first time although they are not new."""
        self.took = False
        """Whether the last scan took something out of the inbox."""
        self.trouble = ""
        """What the disk refused during the last scan."""
        self._closed: Wait | None = None
        """Why this scan takes nothing any more."""
        self._settled: dict[str, tuple[Tracked, Drop, DropStatus]] = {}
        """By name: drops whose room is taken, and which are about to be taken in."""

    @property
    def receiving(self) -> int:
        """How many drops are in sight."""
        return len(self._tracked)

    @property
    def _accepts(self) -> Accepts:
        return self._handler.accepts if self._handler else None

    def use_network_times(self, *, network: bool) -> None:
        """Choose the quiet times for drops seen from now on."""
        self._network = network
        self._choose_rules()

    def serve(self, handler: Declaration | str) -> None:
        """Go by what the handler says of itself, or take nothing: why, or empty for not yet."""
        known = handler if isinstance(handler, Declaration) else None
        self._unserved = "" if isinstance(handler, Declaration) else handler
        if known != self._handler:
            self._handler = known
            self._choose_rules()
            for tracked in self._tracked.values():
                tracked.settler.rules = self._rules

    def _choose_rules(self) -> None:
        self._rules = Rules.of(
            self._settling, self._admitter.limits, self._handler, network=self._network
        )

    def scan(self) -> float | None:
        """Look at everything once; return seconds until something falls due, if it will.

        Raises
        ------
        OSError
            The inbox is missing or cannot be read; nothing has been forgotten.
        """
        self.late, self.took, self._closed = 0, False, None
        self.trouble = self._admitter.tidy()
        fd = os.open(self._admitter.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.listing = list_inbox(fd, self._accepts)
            self._forget_gone()
            for name in self.listing.cancels:
                self._guarded(self._cancel, fd, name)
            act, names = self._scan_drop, self._oldest_first()
            if self._handler is None:
                act, names = self._tell_unserved, names[:_UNSERVED_TOLD]
            due_s = [self._guarded(act, fd, name) for name in names]
        finally:
            self._take_settled(fd)  # also when we were asked to stop: their room is taken
            os.close(fd)
        return earliest(due_s)

    def _tell_unserved(self, fd: int, name: str) -> None:
        """Tell of a drop that no handler can take now; any file may be one."""
        if self._unserved and (drop := look(fd, name, self._admitter.limits)):
            self._say(drop, Wait("paused", None, self._unserved))

    def _oldest_first(self) -> list[str]:
        """Return the drops as they came, so that a full queue starves none of them."""
        names = set(self.listing.drops) - set(self.listing.cancels)
        known = [name for name in self._tracked if name in names]
        return known + sorted(names.difference(known))

    def _guarded(self, act: Callable[[int, str], float | None], fd: int, name: str) -> float | None:
        """Act on one drop; whatever goes wrong is noted and does not stop the others."""
        tracked, now_s = self._tracked.get(name), self._admitter.clock.monotonic_s()
        if tracked is not None and tracked.fault and now_s - tracked.fault_s < HELD_S:
            self.trouble = tracked.fault
            return None
        try:
            return act(fd, name)
        except OSError as error:
            self.trouble = f"{display(name)}: {error.strerror or error}"
            if tracked is None:
                self._say(Drop(name, "other"), Wait.after(error))
        except Stopping:
            raise
        except Exception as error:  # noqa: BLE001 - rule 5
            _LOG.exception("inbox=%s drop=%s: our fault", self._admitter.inbox, display(name))
            self._fail(fd, name, error)
        return None

    def _fail(self, fd: int, name: str, error: Exception) -> None:
        """Fail a drop that we cannot handle; if that goes wrong, too, it stays for a minute."""
        text = f"the daemon met a fault of its own: {error!r}"
        drop = Drop(name, "other")
        with suppress(Exception):  # its settings go with it, if we can still see them
            drop = look(fd, name, self._admitter.limits, self._accepts) or drop
        tracked = self._tracked.get(name) or self._begin(drop)
        try:
            if (closed := self._why_not_now(drop)) is None:
                self._take(tracked, drop, DropStatus(settled=False, files=()), fault=error)
            else:
                self._say(drop, closed)
        except Stopping:
            raise
        except Exception:  # noqa: BLE001 - rule 5
            _LOG.exception("inbox=%s drop=%s stays", self._admitter.inbox, display(name))
            tracked.fault = self.trouble = f"{display(name)}: {text}"
            tracked.fault_s = self._admitter.clock.monotonic_s()
            self._say(drop, Wait("incomplete", None, text))

    def _say(self, drop: Drop, wait: Wait) -> None:
        """Report a drop of which nothing more is known."""
        tracked = self._tracked.get(drop.name) or self._begin(drop)
        self._tell(tracked, drop, DropStatus(settled=False, files=()), wait)

    def _scan_drop(self, fd: int, name: str) -> float | None:
        tracked, now_s = self._tracked.get(name), self._admitter.clock.monotonic_s()
        if self._closed and tracked and tracked.is_held(now_s):
            return None
        drop = look(fd, name, self._admitter.limits, self._accepts)
        if drop is None:
            return None  # gone since the listing; the next one will say so
        tracked = tracked or self._begin(drop)
        evidence = DiskEvidence(fd, drop, self._admitter.limits.settings_bytes)
        answer = tracked.settler.observe(drop, evidence, self._admitter.clock.monotonic_s())
        tracked.held_s = None
        if not (answer.settled or answer.refusal):
            wait = Wait(answer.reason or "settling", self._until(answer), answer.detail)
            self._tell(tracked, drop, answer, wait)
            return answer.left_s
        joins = self.latecomers.joined_by(drop, answer, tracked.seen_s, self._rules)
        if joins and not joins.ended:
            self._tell(tracked, drop, answer, Wait("settling", None, joins.awaited))
            return None
        if closed := self._why_not_now(joins.with_latecomers(drop) if joins else drop):
            tracked.held_s = self._admitter.clock.monotonic_s()
            self._tell(tracked, drop, answer, closed)
            return None
        self._settled[name] = tracked, drop, answer
        if joins or not answer.settled:
            self._take_alone(fd, name, joins)
        elif len(self._settled) == _TOGETHER or drop.bytes > _SMALL_BYTES:
            self._take_settled(fd)
        return None

    def _take_settled(self, fd: int) -> None:
        """Take in what has settled: together, or what is in the way of that alone."""
        places: dict[str, Place] = {}
        if len(self._settled) > 1:
            try:
                drops = [drop for _, drop, _ in self._settled.values()]
                places = self._admitter.admit_together(drops)
            except Exception as error:  # noqa: BLE001 - guards come next, one for each
                _LOG.debug("inbox=%s not all at once: %r", self._admitter.inbox, error)
        for name, place in places.items():
            self._taken(*self._settled.pop(name), place)
        for name in list(self._settled):
            self._guarded(self._take_alone, fd, name)

    def _take_alone(self, _fd: int, name: str, joins: Taken | None = None) -> None:
        tracked, drop, answer = self._settled.pop(name)
        try:
            self._take(tracked, drop, answer, joins=joins)
        except OSError as error:
            self._tell(tracked, drop, answer, Wait.after(error))
            raise

    def _why_not_now(self, drop: Drop) -> Wait | None:
        """Return what is in the way of taking a whole drop."""
        closed = _PAUSED if self.listing.paused else self._closed or self._gate(drop)
        if closed and closed.reason in _FOR_ALL:
            self._closed = closed
        return closed

    def _begin(self, drop: Drop) -> Tracked:
        wall_ms = self._admitter.clock.wall_ms()
        # The one place where a file's time meets a clock; it decides nothing but a suspicion.
        self.late += wall_ms - drop.ctime_ns // 1_000_000 > _LATE_MS
        tracked = Tracked(Settler(self._rules), wall_ms, self._admitter.clock.monotonic_s())
        self._tracked[drop.name] = tracked
        return tracked

    def _take(
        self,
        tracked: Tracked,
        drop: Drop,
        answer: DropStatus,
        *,
        joins: Taken | None = None,
        cancelled: bool = False,
        fault: Exception | None = None,
    ) -> None:
        whole = answer.settled and not cancelled
        try:
            place = self._admitter.admit(
                drop, whole=whole, joined=joins.copies(drop) if joins else None
            )
        except Exception:
            self._report(PutBack(self._admitter.inbox, drop.name))
            raise
        if place is None:  # a writer still had it open; it is back, and settles anew
            self.took = True
            self._report(PutBack(self._admitter.inbox, drop.name))
            return
        self._taken(tracked, drop, answer, place, joins, cancelled=cancelled, fault=fault)

    def _taken(
        self,
        tracked: Tracked,
        drop: Drop,
        answer: DropStatus,
        place: Place,
        joins: Taken | None = None,
        *,
        cancelled: bool = False,
        fault: Exception | None = None,
    ) -> None:
        """Report a drop that is in."""
        self.took = True
        del self._tracked[drop.name]
        now_s = self._admitter.clock.monotonic_s()
        told = () if cancelled else self.latecomers.warning(drop, joins, now_s)
        if joins:
            drop = joins.with_latecomers(drop)
            answer = replace(answer, files=(*joins.answer.files, *answer.files))
        self.latecomers.note(drop, answer, place.job, now_s)
        self._report(
            Admitted(
                place,
                tracked.first_seen_ms,
                drop.bytes,
                sum(file.seconds or 0.0 for file in answer.files),
                answer.inputs,
                (*answer.warnings, *told),
                fault or answer.refusal,
                cancelled,
            )
        )

    def _cancel(self, fd: int, name: str) -> float | None:
        """Take a drop out of the inbox as cancelled, or ask for its job to be stopped.

        The file that asks stays until the job has ended, so that a crash loses no request.
        """
        drop = look(fd, name, self._admitter.limits, self._accepts)
        if drop is not None and name in self.listing.drops:
            tracked = self._tracked.get(name) or self._begin(drop)
            files = tuple(FileAnswer(file.path, file.bytes) for file in drop.files)
            self._take(tracked, drop, DropStatus(settled=False, files=files), cancelled=True)
        else:
            self._report(CancelAsked(self._admitter.inbox, name, self.listing.cancels[name]))
        return None

    def _forget_gone(self) -> None:
        for name in self._tracked.keys() - set(self.listing.drops):
            del self._tracked[name]
            self._report(Gone(self._admitter.inbox, name))

    def _tell(self, tracked: Tracked, drop: Drop, answer: DropStatus, wait: Wait) -> None:
        """Report a sighting when it says something new, numbers twice a second at most."""
        inbox = self._admitter.inbox
        sighting = Sighting(inbox, drop.name, tracked.first_seen_ms, answer.inputs, wait)
        if tracked.is_new(sighting, wait.reason, self._admitter.clock.monotonic_s()):
            self._report(sighting)

    def _until(self, answer: DropStatus) -> str | None:
        if answer.left_s is None:
            return None
        return rfc3339(self._admitter.clock.wall_ms() + round(answer.left_s * 1000))
