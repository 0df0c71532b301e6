"""From what the watchers report to statuses and rows.

Rule 1: an admitted drop gets its row before anything else is done with it, refused and
cancelled ones too: a drop in ``work/`` always has a row or is about to be adopted.
"""

import os
from typing import Any

import structlog

from daemon.duplicates import Twins
from daemon.errors import SpoolError
from daemon.house import House, error_of
from daemon.intake.admit import Place
from daemon.intake.names import display, output_name
from daemon.intake.reports import Admitted, CancelAsked, Gone, Report, Sighting
from daemon.jobs.job import Job, NewJob, State
from daemon.outbox.tell import seen
from daemon.settings import settings_of

log = structlog.get_logger()


class Reception:
    """Where drops become jobs."""

    def __init__(self, house: House, twins: Twins) -> None:
        self._house, self._twins = house, twins
        self._labels: dict[tuple[str, str], str] = {}

    @property
    def receiving(self) -> int:
        """How many drops are in sight."""
        return len(self._labels)

    def take(self, report: Report) -> Job | None:
        """Act on a report; return a running job that somebody wants to be cancelled."""
        match report:
            case Admitted():
                self.record(report)
            case Sighting():
                self._sighted(report)
            case Gone():
                self._gone(report)
            case CancelAsked():
                return self._cancel(report)
        return None

    def record(self, admitted: Admitted) -> None:
        """Give an admitted drop its row; from here on it cannot be forgotten."""
        house, place = self._house, admitted.place
        inbox = house.config.inboxes[place.inbox]
        label = self._labels.pop((place.inbox, admitted.name), None)
        if label is None:
            name = output_name(place.name)
            label = house.statuses.label_for(place.inbox, name, job=place.job)
        refusal: SpoolError | None = admitted.refusal
        lane, force = inbox.lane, False
        options: Any = inbox.options
        try:
            asked = settings_of(place.path, options, max_bytes=inbox.limits.settings_bytes)
            options, lane, force = asked.options.value, asked.lane or lane, asked.force
        except SpoolError as error:
            refusal = refusal or error
        new = NewJob(
            id=place.job,
            inbox=place.inbox,
            name=place.name,
            label=label,
            handler=inbox.handler,
            created_ms=house.clock.wall_ms(),
            lane=lane,
            first_seen_ms=admitted.first_seen_ms,
            options=options,
            inputs=admitted.inputs,
            warnings=[{"code": code, "message": text} for code, text in admitted.warnings],
            audio_s=admitted.seconds,
        )
        house.store.adopt(new)
        house.held_bytes[new.id] = admitted.bytes
        log.info("queued", job=new.id, inbox=new.inbox, drop=display(new.name), lane=new.lane)
        house.quietly(
            lambda: house.events.emit("job.queued", f"{new.inbox}/{label}", {"job": new.id})
        )
        if admitted.cancelled:
            house.store.cancel(new.id)
        elif refusal is not None:
            house.store.refuse(new.id, error_of(refusal))
        elif not force:
            self._twins.consider(new, place.path)
        house.show(new.id)

    def answer_twins(self) -> None:
        """Answer drops that turned out to be the same again with the result there is."""
        for job, original in self._twins.found():
            if self._house.store.finish_as_duplicate(job, original):
                self._house.show(job)

    def adopt(self) -> None:
        """Record the drops in ``work/`` that have no row: a crash came between."""
        house = self._house
        for place in house.spool.admitted():
            if place.inbox in house.config.inboxes and house.store.get(place.job) is None:
                self.record(_adopted(place, house.clock.wall_ms()))

    def _sighted(self, sighting: Sighting) -> None:
        house, key = self._house, (sighting.inbox, sighting.name)
        label = self._labels.get(key)
        if label is None:
            label = house.statuses.label_for(sighting.inbox, output_name(sighting.name))
            self._labels[key] = label
        handler = house.config.inboxes[sighting.inbox].handler
        report = seen(sighting, handler=handler)
        house.quietly(lambda: house.statuses.write(label, report))

    def _gone(self, gone: Gone) -> None:
        label = self._labels.pop((gone.inbox, gone.name), None)
        if label is not None:
            self._house.quietly(lambda: self._house.statuses.remove(gone.inbox, label))

    def _cancel(self, asked: CancelAsked) -> Job | None:
        store = self._house.store
        for job in (*store.jobs(State.QUEUED), *store.jobs(State.RUNNING)):
            if job.inbox == asked.inbox and asked.name in (display(job.name), job.label):
                if job.state is State.RUNNING:
                    return job
                store.cancel(job.id)
                self._house.show(job.id)
                return None
        log.info("nothing to cancel", inbox=asked.inbox, drop=asked.name)
        return None


def _adopted(place: Place, now_ms: int) -> Admitted:
    """Return the report that a crash swallowed, as far as the folder tells it."""
    whole = place.path.is_dir()
    files = sorted(p for p in place.path.rglob("*") if p.is_file()) if whole else [place.path]
    inputs = tuple(
        {
            "path": display(os.fspath(file.relative_to(place.path)) if whole else place.name),
            "bytes": file.lstat().st_size,
            "bytes_expected": None,
            "ready_by": None,
        }
        for file in files
    )
    size = sum(file.lstat().st_size for file in files)
    return Admitted(place, display(place.name), now_ms, size, 0.0, inputs)
