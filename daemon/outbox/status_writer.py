"""The status files: what every drop's state is, for any tool that can read JSON.

Theory of operation
-------------------
``NAME.status.json`` lies in the outbox of its inbox from the first sighting of a drop and is
replaced whole at each change. What it says comes from ``status_document``; ``Statuses`` writes
it: at once when the *state* changes, at most twice a second for mere progress, less often on a
disk that is slow to sync.

Rules
-----
Rule 1: one writer, one ``os.replace``: a reader sees the old document or the new one, also
after a power cut, because every content is synced before it gets its name.

Rule 2: a document that says ``queued`` or is ``terminal`` survives a power cut: its name is
synced, too. What is merely live (arriving, running, progress, position) may be older after one.

Rule 3: ``seq`` only rises, also across restarts, power cuts and drops that share a name.

Rule 4: a document whose ``terminal`` is true is never written again for the same job.

Rule 5: fields are only ever added within schema 1; readers ignore what they do not know.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from daemon.clock import Clock, rfc3339
from daemon.files import Files
from daemon.layout import below
from daemon.outbox.overview import SHOWN_ROLES
from daemon.outbox.status_reader import SUFFIX, TERMINAL, read_status

RECENT, KEPT = 50, 1_000
"""Finished drops that the front page shows, and that are remembered for the page of all results."""
_READ_AT_ONCE = 20
"""Statuses of earlier runs that are read at each beat."""
_OF_ENDED = (
    "name", "name_base64", "inbox", "job", "state", "finished", "updated", "output_folder",
    "measurements", "duplicate_of", "before", "error",
)  # fmt: skip
_OF_WAITING = ("name", "name_base64", "inbox", "job", "state", "wait", "first_seen", "created")
_WHEN = ("seq", "updated", "daemon")
PROGRESS_S = 0.5
"""Mere progress is written no more often than this."""
_WRITING_SHARE = 0.05
"""Of the time, for the progress of one job: what a sync costs is up to the disk."""
_SEQ_LOST = 1_000
"""More writes than a power cut takes back: the kernel writes names out within half a minute."""


_encode = json.JSONEncoder(allow_nan=False).encode
_key = lru_cache(256)(_encode)
"""Of the same few words again and again."""


@lru_cache(256)
def _empty(key: str, kind: type) -> str:
    """Return the line of a field that says nothing; most do."""
    return f" {_encode(key)}: {_encode(kind())}"


def encoded(value: Mapping[str, Any]) -> bytes:
    """Return JSON in ASCII: names of every kind survive every terminal and every reader."""
    # A line for each field: with ``indent``, json takes its slow way, at ten times the cost.
    lines = ",\n".join(
        f" {_key(key)}: {_encode(one)}" if one else _empty(key, type(one))  # type: ignore[arg-type] # a class is hashable
        for key, one in value.items()
    )
    return f"{{\n{lines}\n}}\n".encode("ascii")


@dataclass(slots=True)
class _Written:
    seq: int
    state: str
    job: str | None
    next_s: float
    """Before then, no mere progress is written. Monotonic."""
    digest: bytes
    """Of all that says something."""
    content: dict[str, Any]
    """What overviews show of it."""


class _New(NamedTuple):
    key: tuple[str, str]
    step: str
    data: bytes
    promised: bool
    """Whether it must survive a power cut."""
    written: _Written


class Statuses:
    """The writer of all status files."""

    def __init__(self, outbox: Path, *, files: Files, clock: Clock, instance: str) -> None:
        self._outbox, self._files, self._clock = outbox, files, clock
        self._instance = instance
        self._written: dict[tuple[str, str], _Written] = {}
        self._ended: dict[tuple[str, str], dict[str, Any]] = {}
        """The latest last."""
        self._older: list[Path] = []
        """Statuses of earlier runs that have not been read yet, the latest last."""
        self.endings = 0
        """Rises whenever ``ended`` has changed."""

    def path(self, inbox: str, label: str) -> Path:
        """Return where the status of the drop with this label lies."""
        return below(self._outbox, inbox, f"{label}{SUFFIX}")

    def label_for(
        self,
        inbox: str,
        name: str,
        *,
        job: str | None = None,
        is_held: Callable[[str], bool] = lambda _: False,
    ) -> str:
        """Return the label of a drop: its safe name, or ``name (2)`` when that is in use.

        A name is in use while its result lies in the outbox or another drop of the same
        name is not finished; `is_held` knows the labels of those that are still arriving, whose
        statuses have no job to tell them by. The status of a drop that failed, was skipped or
        cancelled gives way: the next drop of that name is its successor. A name that ends as
        those of statuses do is never free: a result called so would keep another's status out.
        """
        number = 1
        while True:
            label = name if number == 1 else f"{name} ({number})"
            if not is_held(label) and self._free(inbox, label, job):
                return label
            number += 1

    def _free(self, inbox: str, label: str, job: str | None) -> bool:
        if label.endswith(SUFFIX) or os.path.lexists(self._outbox / inbox / label):
            return False
        found = read_status(self.path(inbox, label))
        if found is None:
            return True
        if found.get("terminal"):
            return found.get("state") != "done"
        return found.get("job") in (None, job)

    def write(self, label: str, status: Mapping[str, Any]) -> bool:
        """Write a status if it says something new; return whether it was written."""
        new = self._new(label, status)
        if new is None:
            return False
        began_s = self._clock.monotonic_s()
        self._files.write(new.step, self.path(*new.key), new.data, durable=new.promised)
        self._note(new, began_s)
        return True

    def write_all(
        self, statuses: Iterable[tuple[str, Mapping[str, Any]]], *, later: set[Path]
    ) -> None:
        """Write labelled statuses side by side; their folders, in `later`, are yet to be synced."""
        found = [new for label, status in statuses if (new := self._new(label, status))]
        began_s = self._clock.monotonic_s()
        contents = {self.path(*new.key): (new.step, new.data) for new in found}
        self._files.write_all(contents, later=later)
        for new in found:
            self._note(new, began_s)

    def _new(self, label: str, status: Mapping[str, Any]) -> _New | None:
        """Return what is to be written, if it says something new."""
        inbox, state, job = status["inbox"], status["state"], status["job"]
        last = self._written.get((inbox, label)) or self._recalled(inbox, label)
        now_s = self._clock.monotonic_s()
        changed = last is None or (last.state, last.job) != (state, job)
        if last is not None and not changed and (state in TERMINAL or now_s < last.next_s):
            return None
        said = encoded(status)
        digest = _digest(said)
        if last is not None and not changed and digest == last.digest:
            return None
        now = rfc3339(self._clock.wall_ms())
        daemon = {"instance": self._instance, "heartbeat": now}
        seq = last.seq + 1 if last else 1
        when = {"seq": seq, "updated": now, "daemon": daemon}
        step = f"write status {state}" if changed else "write status progress"
        whole = encoded(when).removesuffix(b"\n}\n") + b"," + said.removeprefix(b"{")
        promised = changed and (state == "queued" or status["terminal"])
        # Ten thousand may wait: of those, only what an overview shows of them is kept.
        shown = (
            {**when, **status} if status["terminal"] else {key: status[key] for key in _OF_WAITING}
        )
        written = _Written(seq, state, job, 0.0, digest, shown)
        return _New((inbox, label), step, whole, promised, written)

    def _note(self, new: _New, began_s: float) -> None:
        took_s = self._clock.monotonic_s() - began_s
        new.written.next_s = began_s + max(PROGRESS_S, took_s / _WRITING_SHARE)
        self._written[new.key] = new.written

    def due(self, inbox: str, label: str) -> bool:
        """Tell whether mere progress would be written now."""
        last = self._written.get((inbox, label))
        return last is None or self._clock.monotonic_s() >= last.next_s

    def _recalled(self, inbox: str, label: str) -> _Written | None:
        """Return what an earlier run of the daemon wrote last, so that ``seq`` goes on."""
        found = read_status(self.path(inbox, label))
        if found is None:
            return None
        seq = int(found.get("seq") or 0) + _SEQ_LOST
        state, job = str(found.get("state")), found.get("job")
        said = encoded({key: found[key] for key in found if key not in _WHEN})
        return _Written(seq, state, job, -1e9, _digest(said), found)

    def forget(self, inbox: str, label: str) -> None:
        """Drop what is remembered of a finished drop; its file stays."""
        written = self._written.pop((inbox, label), None)
        if written is not None and written.state in TERMINAL:
            self._note_ended((inbox, label), written.content)

    def recent(self) -> list[dict[str, Any]]:
        """Return what overviews show of unfinished drops, and of the latest finished ones.

        Of failures, success hides none.
        """
        self._read_older()
        ended = list(self._ended.items())
        older = (one for one in ended[:-RECENT] if one[1].get("state") == "failed")
        # A drop that was mended and came again has its failure's label, and replaces it.
        unfinished = {key: written.content for key, written in self._written.items()}
        return list(({**dict(older), **dict(ended[-RECENT:])} | unfinished).values())

    def ended(self) -> list[dict[str, Any]]:
        """Return what pages show of all finished drops that are remembered."""
        return list(self._ended.values())

    def recall(self) -> None:
        """Remember the latest finished drops of earlier runs; those before, bit by bit."""
        found = [
            (path.stat().st_mtime_ns, path)
            for path in self._outbox.glob(f"*/*{SUFFIX}")
            if path.is_file()
        ]
        paths = [path for _, path in sorted(found)[-KEPT:]]
        self._older = paths[:-RECENT]
        for key, document in self._read(paths[-RECENT:]):
            self._note_ended(key, document)

    def _read_older(self) -> None:
        if paths := self._older[-_READ_AT_ONCE:]:
            del self._older[-_READ_AT_ONCE:]
            found = {key: _brief(document) for key, document in self._read(paths)}
            # What is remembered already is newer than its file was.
            self._ended = {k: one for k, one in found.items() if k not in self._ended} | self._ended
            self.endings += 1

    def _read(self, paths: Iterable[Path]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
        for path in paths:
            document = read_status(path)
            if document is not None and document.get("terminal") is True:
                yield (path.parent.name, path.name.removesuffix(SUFFIX)), document

    def _note_ended(self, key: tuple[str, str], content: dict[str, Any]) -> None:
        self._ended.pop(key, None)
        self._ended[key] = _brief(content)
        self.endings += 1
        if len(self._ended) > KEPT:
            del self._ended[next(iter(self._ended))]

    def remove(self, inbox: str, label: str, job: str | None = None) -> None:
        """Remove the status under this label if it is this job's, or of a drop that is none yet."""
        if (read_status(self.path(inbox, label)) or {}).get("job") == job:
            self._files.remove("remove status", self.path(inbox, label))
            self.forget(inbox, label)


def _brief(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what overviews show of a finished drop: a thousand are remembered."""
    outputs = document.get("outputs") or ()
    kept = {key: document[key] for key in _OF_ENDED if key in document}
    return kept | {
        "outputs": [
            {"path": one.get("path"), "role": one.get("role")}
            for one in outputs
            if one.get("role") in SHOWN_ROLES
        ],
        "warnings": [{"code": one.get("code")} for one in document.get("warnings") or ()],
    }


def _digest(said: bytes) -> bytes:
    return hashlib.blake2b(said, digest_size=16).digest()
