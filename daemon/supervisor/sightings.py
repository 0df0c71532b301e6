"""The drops that are still in their inbox: their labels, and statuses that say *receiving*."""

from pathlib import Path

from daemon.intake.observations import Sighting
from daemon.layout import Place
from daemon.outbox.status_document import status_of_sighting
from daemon.outbox.status_reader import SUFFIX, drop_in, read_status
from daemon.supervisor.log_lines import Waits
from daemon.supervisor.startup import Opened
from daemon.text import output_name


class Sightings:
    """What is in sight, by inbox and name."""

    def __init__(self, opened: Opened) -> None:
        self._opened, self._statuses = opened, opened.statuses
        self._waits = Waits()
        self._labels: dict[tuple[str, str], str] = {}
        self._held: set[tuple[str, str]] = set()
        """The same labels, by inbox: ten thousand drops may arrive at once."""

    def __len__(self) -> int:
        return len(self._labels)

    def show(self, sighting: Sighting) -> None:
        """Write the status of a drop in its inbox."""
        inbox, name = sighting.inbox, sighting.name
        settings = self._opened.config.inboxes.get(inbox)
        if settings is not None:
            label = self._labels.get((inbox, name)) or self._new_label(inbox, name)
            self._hold(inbox, name, label)
            status = status_of_sighting(sighting, handler=settings.handler)
            self._statuses.write(label, status)
            self._waits.see(sighting)

    def label_of(self, place: Place) -> str:
        """Return the label that a drop has had since it was sighted, or a new one."""
        inbox, name = place.inbox, place.name
        if (inbox, name) not in self._labels:
            self._hold(inbox, name, self._new_label(inbox, name, place.job))
        return self._labels[inbox, name]

    def release(self, inbox: str, name: str) -> None:
        """Forget a drop that has its row: its label is the job's now."""
        self._waits.over(inbox, name)
        if label := self._labels.pop((inbox, name), None):
            self._held.discard((inbox, label))

    def remove(self, inbox: str, name: str) -> None:
        """Remove the status of a drop that went away before it became a job."""
        if label := self._labels.get((inbox, name)):
            self._statuses.remove(inbox, label)
            self.release(inbox, name)

    def missing(self, inbox: str, drops: frozenset[str]) -> list[str]:
        """Return the drops that were in sight and are not among these."""
        return [name for where, name in self._labels if where == inbox and name not in drops]

    def recall(self) -> None:
        """Remember under which labels the last run was receiving."""
        for inbox in self._opened.inboxes:
            for path in self._opened.spool.folder("outbox", inbox).glob(f"*{SUFFIX}"):
                # A history of thousands is searched for a few: looked at, not understood.
                found = read_status(path) if says(path, "state", "receiving") else None
                if found is not None and found.get("state") == "receiving":
                    self._hold(inbox, drop_in(found), path.name.removesuffix(SUFFIX))

    def _new_label(self, inbox: str, name: str, job: str | None = None) -> str:
        # Names that differ on disk can be one when made safe: é in one character or in two.
        return self._statuses.label_for(
            inbox, output_name(name), job=job, is_held=lambda label: (inbox, label) in self._held
        )

    def _hold(self, inbox: str, name: str, label: str) -> None:
        self._labels[inbox, name] = label
        self._held.add((inbox, label))


def says(path: Path, key: str, value: str) -> bool:
    """Tell whether a status seems to say this, without the cost of understanding it."""
    try:
        return f'"{key}": "{value}"'.encode() in path.read_bytes()
    except OSError:
        return False
