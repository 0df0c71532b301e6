"""From what the watchers report to statuses and rows.

Rule 1: an admitted drop gets its row before anything else is done with it, refused and
cancelled ones too: a drop in ``work/`` always has a row or is about to be adopted.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from daemon.config.drop_settings import settings_of
from daemon.config.models import Limits
from daemon.errors import BadInput, Fault, SpoolError, Unavailable, is_ours
from daemon.intake.admit import renumber
from daemon.intake.drop import Drop, look
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
from daemon.layout import CANCEL, Place
from daemon.logs import log
from daemon.outbox.status_document import seen
from daemon.outbox.status_reader import SUFFIX, drop_in, read_status
from daemon.supervisor.context import Context
from daemon.supervisor.duplicates import DuplicateFinder
from daemon.text import display, output_name
from dsp.containers.identify import AUDIO_SUFFIXES

_POSITIONS_TOLD, _POSITIONS_AT_ONCE = 50, 10
"""Of those that wait, so many are told their place in the queue; and so many at each beat,
because each costs a sync: all of them within five beats."""


class Admissions:
    """Where drops become jobs."""

    def __init__(self, house: Context, twins: DuplicateFinder) -> None:
        self._house, self._twins = house, twins
        self._labels: dict[tuple[str, str], str] = {}
        """Of drops that arrive, by inbox and name."""
        self._held: set[tuple[str, str]] = set()
        """The same labels, by inbox: ten thousand drops may arrive at once."""
        self._late: list[Report] = []
        self._positions_told = 0

    @property
    def receiving(self) -> int:
        """How many drops are in sight."""
        return len(self._labels)

    def take(self, report: Report) -> Job | None:
        """Act on a report; return a running job that somebody wants to be cancelled.

        What the disk refuses is kept, see ``late``: the drop lies in ``work/`` all the same.
        """
        try:
            if isinstance(report, Admitted):
                report = replace(report, place=self._with_own_id(report.place))
            return self._act_on(report)
        except (OSError, Unavailable) as error:
            self._house.refused(error)
            self._late.append(report)
            return None

    def late(self) -> list[Report]:
        """Return the reports that could not be acted on; they want to be taken again."""
        late, self._late = self._late, []
        return late

    def _act_on(self, report: Report) -> Job | None:
        match report:
            case Admitted():
                self.record(report)
            case Sighting():
                self._sighted(report)
            case Gone():
                self._gone(report)
            case PutBack():
                self._house.room.came(report.inbox, report.name)
            case Looked():
                self._looked(report)
            case CancelAsked():
                return self._cancel(report)
        return None

    def _with_own_id(self, place: Place) -> Place:
        """Return the place of an admitted drop under an id that no other job has.

        Dice may fall twice in one second: behind two doors, or when the first drop is done and
        its directory gone before the second one comes.
        """
        store = self._house.store
        while (job := store.get(place.job)) is not None and not _is_row_of(job, place):
            place = renumber(self._house.files, place, self._house.clock)
        return place

    def record(self, admitted: Admitted) -> None:
        """Give an admitted drop its row; from here on it cannot be forgotten."""
        house, place = self._house, admitted.place
        inbox = house.config.inboxes[place.inbox]
        label = self._release(place.inbox, place.name)
        if label is None:
            label = self._new_label(place.inbox, place.name, place.job)
        refusal: Exception | None = admitted.refusal
        lane, alone = inbox.lane, False
        options: Any = inbox.options
        try:
            asked = settings_of(place.path, options, max_bytes=inbox.limits.settings_bytes)
            options, lane = asked.options.value, asked.lane or lane
            # A drop that lists hashes is what it says only when a worker has compared them.
            alone = asked.force or bool(asked.sha256)
        except SpoolError as error:
            refusal = refusal or error
        except OSError as error:
            if is_ours(error):
                raise
            text = f"the settings cannot be read: {error.strerror}"
            refusal = refusal or BadInput("INPUT_UNREADABLE", text)
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
        house.store.adopt(
            new,
            refusal=Fault.of(refusal).document() if refusal else None,
            cancelled=admitted.cancelled,
        )
        house.held_bytes[new.id] = admitted.bytes
        house.room.came(place.inbox, place.name)
        house.inboxes_of_rows.add(new.inbox)
        log.info("queued", job=new.id, inbox=new.inbox, drop=display(new.name), lane=new.lane)
        house.quietly(
            lambda: house.events.emit("job.queued", f"{new.inbox}/{label}", {"job": new.id})
        )
        if admitted.cancelled:
            house.wishes[new.id] = place.name + CANCEL
        elif refusal is None and not alone:
            house.quietly(lambda: self._twins.consider(new, place.path))
        house.show(new.id)

    def answer_twins(self) -> None:
        """Answer drops that turned out to be the same again with the result there is."""
        for job, original in self._twins.found():
            if self._house.store.finish_as_duplicate(job, original):
                self._house.show(job)

    def tell_positions(self) -> None:
        """Tell the next few of the drops that wait how many go before them, where it changed."""
        waiting = list(enumerate(self._house.store.waiting(_POSITIONS_TOLD), start=1))
        first = self._positions_told if self._positions_told < len(waiting) else 0
        self._positions_told = first + _POSITIONS_AT_ONCE
        for position, job in waiting[first : self._positions_told]:
            self._house.closer.tell(job, position)

    def adopt(self) -> None:
        """Take up what a crash interrupted: drops without a row, searches, sightings."""
        house = self._house
        self._recall_sightings()
        for place in find_admitted(house.spool.root / "work"):
            if place.inbox not in house.config.inboxes:
                continue
            job = house.store.get(place.job)
            if job is None or not _is_row_of(job, place):
                self._adopt(self._with_own_id(place))
            elif job.state is State.QUEUED and not job.attempts and job.not_before_ms:
                house.store.postpone(job.id, 0)
                self._twins.consider(job, place.path)

    def _adopt(self, place: Place) -> None:
        limits = self._house.config.inboxes[place.inbox].limits
        self.record(_adopted(place, limits, self._house.clock.wall_ms()))

    def _looked(self, looked: Looked) -> None:
        """Forget the drops that went while no daemon looked."""
        for inbox, name in list(self._labels):
            if inbox == looked.inbox and name not in looked.drops:
                self._gone(Gone(inbox, name))

    def tell_waiting(self, job: Job) -> None:
        """Write the status of a job that waits, unless it says so already."""
        path = self._house.statuses.path(job.inbox, job.label)
        if not (_says(path, "state", "queued") and _says(path, "job", job.id)):
            self._house.show(job.id)

    def _recall_sightings(self) -> None:
        """Remember under which labels the last run was receiving."""
        for inbox in self._house.opened.inboxes:
            for path in self._house.spool.folder("outbox", inbox).glob(f"*{SUFFIX}"):
                # A history of thousands is searched for a few: looked at, not understood.
                found = read_status(path) if _says(path, "state", "receiving") else None
                if found is not None and found.get("state") == "receiving":
                    self._hold(inbox, drop_in(found), path.name.removesuffix(SUFFIX))

    def _sighted(self, sighting: Sighting) -> None:
        house, inbox, name = self._house, sighting.inbox, sighting.name
        label = self._labels.get((inbox, name)) or self._new_label(inbox, name)
        self._hold(inbox, name, label)
        handler = house.config.inboxes[sighting.inbox].handler
        report = seen(sighting, handler=handler)
        house.quietly(lambda: house.statuses.write(label, report))

    def _new_label(self, inbox: str, name: str, job: str | None = None) -> str:
        # Names that differ on disk can be one when made safe: é in one character or in two.
        return self._house.statuses.label_for(
            inbox, output_name(name), job=job, is_held=lambda label: (inbox, label) in self._held
        )

    def _hold(self, inbox: str, name: str, label: str) -> None:
        self._labels[inbox, name] = label
        self._held.add((inbox, label))

    def _release(self, inbox: str, name: str) -> str | None:
        label = self._labels.pop((inbox, name), None)
        if label is not None:
            self._held.discard((inbox, label))
        return label

    def _gone(self, gone: Gone) -> None:
        if self._adopt_stranded(gone):
            return
        label = self._release(gone.inbox, gone.name)
        if label is not None:
            self._house.quietly(lambda: self._house.statuses.remove(gone.inbox, label))

    def _adopt_stranded(self, gone: Gone) -> bool:
        """Adopt a drop whose admission failed so that it could not even be put back."""
        stranded = [
            place
            for place in find_admitted(self._house.spool.root / "work")
            if (place.inbox, place.name) == (gone.inbox, gone.name)
            and self._house.store.get(place.job) is None
        ]
        for place in stranded:
            self._adopt(place)
        return bool(stranded)

    def _cancel(self, asked: CancelAsked) -> Job | None:
        house, store = self._house, self._house.store
        for job in (*store.jobs(State.QUEUED), *store.jobs(State.RUNNING)):
            known_as = (job.name, display(job.name), job.label)
            if job.inbox == asked.inbox and asked.name in known_as:
                house.wishes[job.id] = asked.wish
                if job.state is State.RUNNING:
                    return job
                store.cancel(job.id)
                house.show(job.id)
                return None
        # No warning: it may have been fulfilled since the inbox was scanned.
        log.debug("nothing to cancel", inbox=asked.inbox, drop=display(asked.name))
        house.fulfilled.append((asked.inbox, asked.wish))
        return None


def _says(path: Path, key: str, value: str) -> bool:
    """Tell whether a status seems to say this, without the cost of understanding it."""
    try:
        return f'"{key}": "{value}"'.encode() in path.read_bytes()
    except OSError:
        return False


def _is_row_of(job: Job, place: Place) -> bool:
    """Tell whether the row with a place's id is that of the drop which lies there."""
    # When a row is published, its drop has left; and a directory is one unpublished job's.
    return job.published_ms is None and (job.inbox, job.name) == (place.inbox, place.name)


def _adopted(place: Place, limits: Limits, now_ms: int) -> Admitted:
    """Return the report that a crash swallowed, as far as the folder tells it."""
    folder = os.open(place.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        drop = look(folder, place.name, limits, AUDIO_SUFFIXES)
    finally:
        os.close(folder)
    drop = drop or Drop(place.name, "other")
    inputs = tuple(
        {"path": display(one.path), "bytes": one.bytes, "bytes_expected": None, "ready_by": None}
        for one in drop.files
    )
    return Admitted(place, now_ms, drop.bytes, 0.0, inputs, refusal=drop.problem)
