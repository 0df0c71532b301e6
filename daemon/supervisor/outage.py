"""What one step may break: itself, and no more than it must.

Theory of operation
-------------------
Whatever the daemon does for one *thing* (a job, a drop, a report, a part of its round) it does
inside ``guard``. What the step raises says who has to wait:

* ``OSError`` and ``MemoryError``: the surroundings. The step is repeated every ``RETRY_S``; each
  thing has a time of its own. Then the folders are probed, to learn how far the trouble goes:
  if nothing can be written in ``work/`` it is the whole disk, and nothing is started; if a folder
  of the inbox is at fault, its jobs wait; otherwise only the thing itself does.
* ``Unavailable``: the queue cannot be written, so nothing is started until it can.
* any other exception: a bug of ours. It is logged with its traceback, shown as a warning, and
  the thing is set aside: a job fails with ``INTERNAL``. A part of the round, which cannot be
  set aside, is left out for ``RETRY_S``.

Rules
-----
Rule 1: only ``QueueDamaged`` and ``FoundationLost`` (the lock is gone) leave a guard.

Rule 2: trouble is logged when it begins and when it ends, not at each try.

Rule 3: several things may be done at once (``attempt``); when that fails each is done alone.

Rule 4: while a job is handled its id stands in the lock file, so that the next start knows which
job the daemon died of, if it died of one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from daemon.clock import Clock
from daemon.errors import Fault, Unavailable, classed_words, words
from daemon.jobs.database import QueueDamaged
from daemon.logs import log
from daemon.supervisor.folders import Folders, FoundationLost

RETRY_S = 10.0
"""Between tries of what was refused."""
_BUG_SHOWN_S = 3600.0
"""What was set aside for a bug is a warning for so long; the log and ``failed/`` keep it."""
_SHOWN = 10
"""Warnings in ``daemon.json``; a disk that fails has one for each drop."""

Step = Callable[[], object]
SetAside = Callable[[Fault], object] | None


@dataclass
class _Trouble:
    code: str
    message: str
    inbox: str
    retry_at_s: float
    repeat: Step | None = None


class Outage:
    """What does not work at the moment, and when it is tried again."""

    def __init__(self, folders: Folders, clock: Clock) -> None:
        self._folders, self._clock = folders, clock
        self._troubles: dict[str, _Trouble] = {}
        self._queue: dict[str, str] = {}
        """What could not be written into it, and why."""
        self._disk = ""
        self._probed: set[str] = set()
        """Inboxes whose folders were probed since ``RETRY_S``."""
        self._inboxes: dict[str, str] = {}
        self._probe_at_s = 0.0
        self._handled = ""

    @property
    def everything(self) -> str:
        """Why no job is started at all: the queue or the whole disk; empty when all is well."""
        return self._disk or next(iter(self._queue.values()), "")

    def of_inbox(self, inbox: str) -> str:
        """Return what is wrong with the folders of an inbox, empty when nothing is."""
        return self._folders.wrong.get(inbox, "") or self._inboxes.get(inbox, "")

    def guard(
        self, thing: str, step: Step, *, job: str = "", inbox: str = "", set_aside: SetAside = None
    ) -> bool:
        """Take a step about one thing; return whether it was done.

        What the surroundings refuse is repeated; what has a bug is set aside.
        """
        if not job or job == self._handled:  # as noted
            return self._take(thing, step, job, inbox, set_aside)
        with self.handling(job):
            return self._take(thing, step, job, inbox, set_aside)

    @contextmanager
    def handling(self, job: str) -> Iterator[None]:
        """Note that a job is handled meanwhile."""
        outer, self._handled = self._handled, job or self._handled
        self._folders.note_handled(self._handled)
        yield
        # Not in a ``finally``: what ends the process here is what the note is for.
        self._handled = outer
        self._folders.note_handled(outer)

    def attempt(self, step: Step) -> bool:
        """Take a step for several things at once; ``False``: each must be taken alone.

        What it raises is not noted: the one that it is about raises it again.
        """
        outer = self._handled
        try:
            step()
        except (QueueDamaged, FoundationLost):
            raise
        except Exception as error:  # noqa: BLE001 - guards come next, one for each
            log.debug("not all at once", error=words(error))
            self._handled = outer
            self._folders.note_handled(outer)
            return False
        return True

    def _take(self, thing: str, step: Step, job: str, inbox: str, set_aside: SetAside) -> bool:
        try:
            step()
        except (QueueDamaged, FoundationLost):
            raise
        except (OSError, MemoryError, Unavailable) as error:
            again = partial(self.guard, thing, step, job=job, inbox=inbox, set_aside=set_aside)
            self._refused(thing, error, inbox, again)
            return False
        except Exception as bug:  # noqa: BLE001 - one thing's bug must not be the others' end
            self._has_bug(thing, bug, inbox)
            if set_aside is not None:
                fault = Fault.of(bug)
                self.guard(f"{thing}, set aside", lambda: set_aside(fault), job=job, inbox=inbox)
            return False
        self._is_well(thing)
        return True

    def holds(self, thing: str) -> bool:
        """Tell whether a thing waits to be tried again."""
        found = self._troubles.get(thing)
        return found is not None and self._clock.monotonic_s() < found.retry_at_s

    def due_in_s(self) -> float | None:
        """Return in how many seconds something is to be tried again, when anything is."""
        moments = [each.retry_at_s for each in self._troubles.values() if each.repeat is not None]
        if self._disk or self._inboxes:
            moments.append(self._probe_at_s)
        return max(0.0, min(moments) - self._clock.monotonic_s()) if moments else None

    def forget(self, thing: str) -> None:
        """Repeat a step no more: something newer has taken its place."""
        self._troubles.pop(thing, None)
        self._queue.pop(thing, None)

    def repeat(self) -> None:
        """Try again what is due."""
        now_s = self._clock.monotonic_s()
        if (self._disk or self._inboxes) and now_s >= self._probe_at_s:
            self._probe({*self._inboxes, *(each.inbox for each in self._troubles.values())})
        for thing, each in list(self._troubles.items()):
            if each.repeat is None:
                if now_s >= each.retry_at_s + _BUG_SHOWN_S:
                    self.forget(thing)
                continue
            if now_s < each.retry_at_s:
                continue
            each.retry_at_s = now_s + RETRY_S
            if not (self._disk or each.inbox in self._inboxes):
                each.repeat()

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield code and message of everything that does not work."""
        if self._disk:
            yield "SURROUNDINGS", self._disk
        for inbox, why in {**self._inboxes, **self._folders.wrong}.items():
            yield "SURROUNDINGS", f"inbox {inbox}: {why}"
        things = list(self._troubles.items())
        for thing, each in things[:_SHOWN]:
            yield each.code, f"{thing}: {each.message}"
        if len(things) > _SHOWN:
            yield "SURROUNDINGS", f"{len(things) - _SHOWN} more"

    def _refused(self, thing: str, error: Exception, inbox: str, repeat: Step) -> None:
        message = words(error)
        now_s, before = self._clock.monotonic_s(), self._troubles.get(thing)
        quiet = bool(self.everything) or self.of_inbox(inbox) or before is not None
        (log.debug if quiet else log.warning)(
            "will try again", thing=thing, error=message, retry_s=RETRY_S
        )
        # A thing that is refused again meanwhile is not put off by that.
        waits = before is not None and before.retry_at_s > now_s
        retry_at_s = before.retry_at_s if before and waits else now_s + RETRY_S
        self.forget(thing)
        self._troubles[thing] = _Trouble("SURROUNDINGS", message, inbox, retry_at_s, repeat)
        if isinstance(error, Unavailable):
            self._queue[thing] = message
        elif now_s >= self._probe_at_s or inbox not in self._probed:
            self._probe({*self._inboxes, *self._probed, inbox})

    def _has_bug(self, thing: str, bug: Exception, inbox: str) -> None:
        message = classed_words(bug)
        before = self._troubles.get(thing)
        if before is None or before.message != message:
            log.error(
                "internal error", thing=thing, error=message, traceback=Fault.of(bug).traceback
            )
        self.forget(thing)
        retry_at_s = self._clock.monotonic_s() + RETRY_S
        self._troubles[thing] = _Trouble("INTERNAL", message, inbox, retry_at_s)

    def _is_well(self, thing: str) -> None:
        if thing in self._troubles:
            self.forget(thing)
            log.info("works again", thing=thing)

    def _probe(self, inboxes: set[str]) -> None:
        """Learn how far the trouble goes: the disk, the folders of an inbox, or neither."""
        if self._clock.monotonic_s() >= self._probe_at_s:
            self._probe_at_s = self._clock.monotonic_s() + RETRY_S
            self._probed = set()
        self._probed |= inboxes
        before = self._disk, self._inboxes
        self._disk = self._folders.probe("")
        found = {inbox: self._folders.probe(inbox) for inbox in inboxes if inbox}
        self._inboxes = {inbox: why for inbox, why in found.items() if why}
        if (self._disk, self._inboxes) != before:
            log.warning("disk probed", disk=self._disk or "well", inboxes=self._inboxes or "well")
