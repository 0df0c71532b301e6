"""The same drop again: found by content, answered with a pointer to the result there is.

Theory of operation
-------------------
A *content key* is made of every input's path, size and SHA-256, the options, the handler
and the version of Soundspool; it begins with the total size. Hashing a song takes longer
than a drop may wait, so only a drop of exactly the size of an earlier, published one is
hashed at all, in a thread of its own; until the answer is there its job is not due.

Rule 1: a doubt is a "no": a job that runs twice costs time, a wrong pointer costs a song.
"""

import hashlib
import json
import os
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from daemon import __version__
from daemon.jobs.job import Job, NewJob
from daemon.jobs.store import Store
from daemon.layout import RECALL_SHEET

_HOLD_MS = 600_000
"""A job is due after this even when the hashing never came to an end."""


def content_key(
    inputs: Sequence[Mapping[str, Any]], options: Mapping[str, Any], handler: str
) -> str | None:
    """Return the key of a job's content, ``None`` when an input has no hash."""
    files = sorted((str(i["path"]), int(i["bytes"]), str(i.get("sha256") or "")) for i in inputs)
    if not files or not all(sha256 for _, _, sha256 in files):
        return None
    asked = {key: value for key, value in options.items() if key != "force"}
    whole = json.dumps([files, asked, handler, __version__], sort_keys=True)
    return f"{_size_prefix(inputs)}{hashlib.sha256(whole.encode()).hexdigest()}"


def key_of_done(job: Job, read: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the key of a finished job, when its handler read all that was dropped."""
    hashes = {str(one.get("path")): one.get("sha256") for one in read}
    if hashes.keys() != {str(one["path"]) for one in job.inputs}:
        return None
    # Sizes are the daemon's own; of the content it has only the handler's word.
    dropped = [{**one, "sha256": hashes[str(one["path"])]} for one in job.inputs]
    return content_key(dropped, job.options, job.handler)


def _size_prefix(inputs: Sequence[Mapping[str, Any]]) -> str:
    return f"{sum(int(one['bytes']) for one in inputs)}:"


class DuplicateFinder:
    """Looks for published jobs with the content of a new one."""

    def __init__(
        self, store: Store, outbox: Path, now_ms: Callable[[], int], wake: Callable[[], None]
    ) -> None:
        self._store, self._outbox, self._now_ms, self._wake = store, outbox, now_ms, wake
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="duplicates")
        self._answers: queue.SimpleQueue[tuple[NewJob | Job, str | None]] = queue.SimpleQueue()

    def consider(self, new: NewJob | Job, drop: Path) -> None:
        """Look for a published job of the same content as a new one, if there may be one.

        A recall sheet among the stems is no input, and changes what is made of them.
        """
        if not self._store.knows_content(_size_prefix(new.inputs)):
            return
        if os.path.lexists(drop / RECALL_SHEET):
            return
        self._store.postpone(new.id, self._now_ms() + _HOLD_MS)
        with suppress(RuntimeError):  # no thread can be started: it becomes due by itself
            self._pool.submit(self._hash, new, drop)

    def found(self) -> Iterator[tuple[NewJob | Job, str]]:
        """Yield ``(job, id of the published one)``; a job for which there is none becomes due."""
        while not self._answers.empty():
            job, key = answer = self._answers.get()
            used = False
            try:
                twin = self._store.twin(key) if key else None
                # Its readers look for the result below their own inbox.
                same = twin is not None and twin.inbox == job.inbox
                if twin and same and (self._outbox / twin.inbox / twin.label).is_dir():
                    yield job, twin.id
                else:
                    self._store.postpone(job.id, 0)
                used = True
            finally:
                if not used:  # the disk refused, here or to the caller: ask again
                    self._answers.put(answer)

    def close(self) -> None:
        """Stop hashing; what was postponed becomes due by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _hash(self, new: NewJob | Job, drop: Path) -> None:
        key = None
        try:
            hashed = [{**one, "sha256": _sha256(drop, str(one["path"]))} for one in new.inputs]
            key = content_key(hashed, new.options, new.handler)
        except OSError:
            pass  # gone or unreadable: the attempt will say so
        finally:
            self._answers.put((new, key))
            self._wake()


def _sha256(drop: Path, path: str) -> str:
    with (drop / path if drop.is_dir() else drop).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
