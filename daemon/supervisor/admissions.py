"""From what the watchers report to statuses and rows.

Rule 1: an admitted drop gets its row before anything else is done with it, refused and
cancelled ones too: a drop in ``work/`` always has a row or is about to be adopted.

Rule 2: one report, one guard: a drop that provokes an error of ours fails with ``INTERNAL``.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from daemon.config.drop_settings import DropSettings, settings_of
from daemon.config.models import Inbox
from daemon.config.yaml_reader import Document
from daemon.errors import BadInput, Fault, SpoolError, is_ours
from daemon.intake.admit import renumber
from daemon.intake.observations import (
    Admitted,
    CancelAsked,
    Gone,
    Looked,
    PutBack,
    Report,
    Sighting,
)
from daemon.intake.recovery import find_admitted
from daemon.jobs.job import Job, NewJob, State
from daemon.layout import CANCEL, Place, reason_beside
from daemon.logs import log
from daemon.supervisor.adoption import adopted, is_row_of
from daemon.supervisor.capacity import Capacity
from daemon.supervisor.completion import Completion
from daemon.supervisor.duplicates import DuplicateFinder
from daemon.supervisor.sightings import Sightings, says
from daemon.supervisor.startup import Opened
from daemon.supervisor.watchers import Watchers
from daemon.text import display
from dsp.containers.junk import composed


class _Asked(NamedTuple):
    """What an admitted drop asks for."""

    new: NewJob
    refusal: Fault | None
    force: bool
    """Whether no earlier result may stand for its own."""


class Admissions:
    """Where drops become jobs."""

    def __init__(
        self,
        opened: Opened,
        *,
        capacity: Capacity,
        watchers: Watchers,
        completion: Completion,
        duplicates: DuplicateFinder,
        cancel: Callable[[Job], None],
    ) -> None:
        self._opened, self._store, self._spool = opened, opened.store, opened.spool
        self._files, self._clock, self._outage = opened.files, opened.clock, opened.outage
        self._statuses, self._events = opened.statuses, opened.events
        self._capacity, self._watchers = capacity, watchers
        self._completion, self._duplicates = completion, duplicates
        self._cancel_running = cancel
        self._sightings = Sightings(opened)
        self._entered: dict[str, _Asked] = {}
        """By job: drops that have their row, and nothing of what follows from it."""

    @property
    def receiving(self) -> int:
        """How many drops are in sight."""
        return len(self._sightings)

    def take(self, report: Report) -> None:
        """Act on a report; what the disk refuses is repeated, for this one alone."""
        match report:
            case Admitted():
                self.take_in([report])
            case PutBack():
                self._capacity.came(report.inbox, report.name)
            case Looked():
                self._looked(report)
            case Sighting():
                self._about(report, lambda: self._sightings.show(report))
            case Gone():
                self._about(report, lambda: self._gone(report))
            case CancelAsked():
                thing = f"cancel request {display(report.file)} of {report.inbox}"
                self._outage.guard(thing, lambda: self._cancel(report), inbox=report.inbox)

    def _about(self, report: Sighting | Gone, step: Callable[[], object]) -> None:
        """Act on what is said of a drop; a newer word replaces one that could not be acted on."""
        self._outage.guard(_sight(report.inbox, report.name), step, inbox=report.inbox)

    def _take_in(self, report: Admitted) -> None:
        """Give an admitted drop its row, under an id that no other job has."""
        arrived, place = [report], report.place

        def record() -> None:
            if place.job not in self._entered:
                arrived[0] = replace(arrived[0], place=self._with_own_id(arrived[0].place))
            self.record(arrived[0])

        self._outage.forget(_sight(place.inbox, place.name))
        self._outage.guard(
            f"admission of {place.job}",
            record,
            job=place.job,
            inbox=place.inbox,
            set_aside=lambda fault: self._refuse(arrived[0], fault),
        )

    def _with_own_id(self, place: Place) -> Place:
        """Return the place of an admitted drop under an id that no other job has.

        Two random numbers may agree within one second: in two inboxes, or when the first drop is
        done and its directory gone before the second one comes.
        """
        while (
            (job := self._store.get(place.job)) is not None and not is_row_of(job, place)
        ) or self._store.is_kept_for_another(place.job, place.inbox, place.name):
            place = renumber(self._files, place, self._clock)
        return place

    def take_in(self, arrived: Sequence[Admitted]) -> None:
        """Give admitted drops their rows, in one commit if none of them is in the way."""
        if len(arrived) > 1:
            self._outage.attempt(lambda: self._enter_together(arrived))
        for report in arrived:
            self._take_in(report)

    def _enter_together(self, arrived: Sequence[Admitted]) -> None:
        entered: dict[str, _Asked] = {}
        with self._store.together():
            for each in arrived:
                with self._outage.handling(each.place.job):
                    if self._store.knows(each.place.job):
                        continue  # another job's id, or a second report: looked at alone
                    if asked := self._asked(each):
                        self._enter(each, asked.new, asked.refusal)
                        entered[each.place.job] = asked
        self._entered = entered

    def record(self, admitted: Admitted) -> None:
        """Give an admitted drop its row; from here on it cannot be forgotten."""
        asked = self._entered.pop(admitted.place.job, None)
        if asked is None:
            asked = self._asked(admitted)
            if asked is None:
                return
            self._enter(admitted, asked.new, asked.refusal)
        self._follow(admitted, asked.new)
        thing = f"reason of {asked.new.id}"
        self._outage.guard(thing, lambda: self._forget_reason(admitted.place))
        self._outage.forget(thing)
        # A drop that lists hashes is what it says only when a worker has compared them.
        if not (admitted.cancelled or asked.refusal or asked.force or asked.new.sha256):
            new, path = asked.new, admitted.place.path
            thing = f"search for {new.id}'s content"
            self._outage.guard(thing, lambda: self._duplicates.consider(new, path))
            self._outage.forget(thing)

    def _asked(self, admitted: Admitted) -> _Asked | None:
        """Return what an admitted drop asks for; ``None`` when its inbox is not served."""
        place = admitted.place
        inbox = self._opened.config.inboxes.get(place.inbox)
        if inbox is None:  # it left the configuration meanwhile: adopted when it is back
            return None
        asked, refusal = _settings(place, inbox)
        refusal = admitted.refusal or refusal
        new = replace(
            self._bare(place, inbox),
            lane=asked.lane or inbox.lane,
            first_seen_ms=admitted.first_seen_ms,
            options=asked.options.value,
            sha256=asked.sha256,
            inputs=admitted.inputs,
            warnings=[{"code": code, "message": text} for code, text in admitted.warnings],
            audio_s=admitted.seconds,
        )
        return _Asked(
            new, Fault.of(refusal) if refusal else None, force=asked.force or inbox.results_differ
        )

    def _refuse(self, admitted: Admitted, fault: Fault) -> None:
        """Fail a drop that we have a bug on; its row says no more than that."""
        new = self._bare(admitted.place, self._opened.config.inboxes[admitted.place.inbox])
        self._enter(admitted, new, fault)
        self._follow(admitted, new)

    def _bare(self, place: Place, inbox: Inbox) -> NewJob:
        return NewJob(
            id=place.job,
            inbox=place.inbox,
            name=place.name,
            label=self._sightings.label_of(place),
            handler=inbox.handler,
            created_ms=self._clock.wall_ms(),
        )

    def _enter(self, admitted: Admitted, new: NewJob, refusal: Fault | None) -> None:
        error = refusal.document() if refusal else None
        self._store.adopt(new, refusal=error, cancelled=admitted.cancelled)

    def _follow(self, admitted: Admitted, new: NewJob) -> None:
        """Do what follows from a row's being there."""
        self._sightings.release(new.inbox, new.name)
        self._capacity.hold(new.id, admitted.bytes)
        self._capacity.came(new.inbox, new.name)
        log.info("queued", job=new.id, inbox=new.inbox, drop=display(new.name), lane=new.lane)
        subject = f"{new.inbox}/{new.label}"
        self._outage.guard(
            f"event of {new.id}",
            lambda: self._events.emit("job.queued", subject, {"job": new.id}),
        )
        if admitted.cancelled:
            self._watchers.request_cancel(new.id, new.inbox, new.name + CANCEL)
        self._completion.after(new.id, new.inbox)

    def _forget_reason(self, place: Place) -> None:
        """Remove the reason why a drop had failed that a person mended and moved back."""
        before = self._spool.folder("failed", place.inbox) / place.name
        reason = reason_beside(before)
        if reason.is_file() and not os.path.lexists(before):
            self._files.remove("remove answered reason", reason)

    def answer_duplicates(self) -> None:
        """Answer drops whose content turned out to be known with the result there is."""
        for job, original in self._duplicates.found():
            if self._store.finish_as_duplicate(job.id, original):
                self._completion.after(job.id, job.inbox)

    def adopt(self) -> None:
        """Take up what a crash interrupted: drops without a row, searches, sightings."""
        self._outage.guard("recall of sightings", self._sightings.recall)
        for place in find_admitted(self._spool.root / "work"):
            if place.inbox in self._opened.config.inboxes:
                self._outage.guard(
                    f"recovery of {place.job}",
                    partial(self.take_up, place),
                    job=place.job,
                    inbox=place.inbox,
                )

    def take_up(self, place: Place) -> None:
        """Give a drop that lies in ``work/`` its row, or what else a crash has kept from it."""
        job = self._store.get(place.job)
        if job is None or not is_row_of(job, place):
            self._adopt(place)
        elif job.state is State.QUEUED and not job.attempts and job.not_before_ms:
            self._store.postpone(job.id, 0)
            self._duplicates.consider(job, place.path)

    def _adopt(self, place: Place) -> None:
        limits = self._opened.config.inboxes[place.inbox].limits
        self._take_in(adopted(place, limits, self._clock.wall_ms()))

    def _looked(self, looked: Looked) -> None:
        """Forget the drops that went while no daemon looked."""
        for name in self._sightings.missing(looked.inbox, looked.drops):
            self.take(Gone(looked.inbox, name))

    def show_waiting(self, job: Job) -> None:
        """Write the status of a job that waits, unless it says so already."""
        self._capacity.hold(job.id, sum(int(one.get("bytes") or 0) for one in job.inputs))
        path = self._statuses.path(job.inbox, job.label)
        if not (says(path, "state", "queued") and says(path, "job", job.id)):
            self._completion.after(job.id, job.inbox)

    def _gone(self, gone: Gone) -> None:
        if not self._adopt_stranded(gone):
            self._sightings.remove(gone.inbox, gone.name)

    def _adopt_stranded(self, gone: Gone) -> bool:
        """Adopt a drop whose admission failed so that it could not even be put back."""
        stranded = [
            place
            for place in find_admitted(self._spool.root / "work")
            if (place.inbox, place.name) == (gone.inbox, gone.name)
            and self._store.get(place.job) is None
        ]
        for place in stranded:
            self._adopt(place)
        return bool(stranded)

    def _cancel(self, asked: CancelAsked) -> None:
        store = self._store
        for job in (*store.jobs(State.QUEUED), *store.jobs(State.RUNNING)):
            known_as = {composed(name) for name in (job.name, display(job.name), job.label)}
            if job.inbox == asked.inbox and composed(asked.name) in known_as:
                self._watchers.request_cancel(job.id, asked.inbox, asked.file)
                if job.state is State.QUEUED:
                    store.cancel(job.id)
                    self._completion.after(job.id, job.inbox)
                self._cancel_running(job)
                return
        # No warning: it may have been fulfilled since the inbox was scanned.
        log.debug("nothing to cancel", inbox=asked.inbox, drop=display(asked.name))
        self._watchers.remove_request(asked.inbox, asked.file)


def _settings(place: Place, inbox: Inbox) -> tuple[DropSettings, Exception | None]:
    """Return what a drop asks for, and why it cannot be read: then it is what its inbox says."""
    problem: SpoolError
    try:
        return settings_of(place.path, inbox.options, max_bytes=inbox.limits.settings_bytes), None
    except SpoolError as error:
        problem = error
    except OSError as error:
        if is_ours(error):
            raise
        text = f"the settings cannot be read: {error.strerror}"
        problem = BadInput("INPUT_UNREADABLE", text)
    options = Document.of(inbox.options, name="options")
    return DropSettings(options, None, force=False), problem


def _sight(inbox: str, name: str) -> str:
    return f"sight of {inbox}/{display(name)}"
