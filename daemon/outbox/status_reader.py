"""The status documents of a spool, for readers that look again and again.

Rule 1: a file is read once for each time it was replaced; what has not changed costs one
``lstat``.

Rule 2: memory is bounded: of what failed and of what ended otherwise only the latest ``KEEP``
stay, of what has not ended at most as many as the queue may hold.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.outbox.overview import Document, ended
from daemon.outbox.status_writer import SUFFIX, TERMINAL, read_status

KEEP = 100
"""Documents of finished jobs; failures are counted apart, so that success cannot hide them."""


@dataclass
class _Kept:
    signature: tuple[int, int, int]
    document: Document | None
    """``None``: unreadable, or finished too long ago to be shown."""


class StatusCache:
    """What the status files below an outbox said when they were last looked at."""

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox
        self._kept: dict[str, _Kept] = {}

    def documents(self) -> list[Document]:
        """Look, and return the documents of what is not finished and of the latest that is."""
        self._kept = {entry.path: self._looked_at(entry) for entry in self._entries()}
        self._forget(lambda document: document.get("state") == "failed")
        self._forget(lambda document: document.get("state") in TERMINAL - {"failed"})
        return [kept.document for kept in self._kept.values() if kept.document]

    def _forget(self, among: Callable[[Document], bool]) -> None:
        """Forget all but the latest of these documents."""
        these = [kept for kept in self._kept.values() if kept.document and among(kept.document)]
        these.sort(key=lambda kept: ended(kept.document or {}), reverse=True)
        for kept in these[KEEP:]:
            kept.document = None

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        for inbox in _listed(self._outbox):
            if inbox.is_dir(follow_symlinks=False):
                yield from (one for one in _listed(inbox.path) if one.name.endswith(SUFFIX))

    def _looked_at(self, entry: os.DirEntry[str]) -> _Kept:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:  # gone since it was listed
            return _Kept((0, 0, 0), None)
        signature = found.st_mtime_ns, found.st_ino, found.st_size
        kept = self._kept.get(entry.path)
        if kept and kept.signature == signature:
            return kept
        return _Kept(signature, read_status(Path(entry.path)))


def _listed(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing, when it is not there or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
