"""What grows old is put away: rows, statuses, and archived drops where the operator says so.

Rule 1: no drop is removed, unless its inbox says ``archive: delete``.

Rule 2: a call removes a few entries at most; the loop must not stand still.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from daemon.clock import Clock
from daemon.config.models import Config
from daemon.files import Files
from daemon.jobs.store import Store
from daemon.layout import REASON_SUFFIX, Spool, reason_beside
from daemon.outbox.status_reader import SUFFIX, read_status
from daemon.supervisor.heap import trim
from daemon.supervisor.startup import Opened

AT_ONCE = 100
_SWEEP_S = 600.0
_DAY_MS = 86_400_000


class Sweep:
    """Puts away what is old every few minutes, from the start on."""

    def __init__(self, opened: Opened) -> None:
        self._opened, self._due_at_s = opened, 0.0

    def when_due(self) -> None:
        """Put away what is old, if it is time."""
        opened, now_s = self._opened, self._opened.clock.monotonic_s()
        if now_s >= self._due_at_s:
            self._due_at_s = now_s + _SWEEP_S
            tidy(opened.config, opened.spool, opened.store, files=opened.files, clock=opened.clock)
            trim()


def tidy(config: Config, spool: Spool, store: Store, *, files: Files, clock: Clock) -> None:
    """Put away what is older than the configuration keeps it.

    Raises
    ------
    OSError, Unavailable
        The surroundings refused something, all else was put away; call again later.
    """
    now_ms = clock.wall_ms()
    store.prune(config.retention)
    refused: list[OSError] = []

    def put_away(step: str, paths: Iterator[Path]) -> None:
        try:
            for path in islice(paths, AT_ONCE):
                try:
                    files.remove_tree(step, path)
                except OSError as error:
                    refused.append(error)
        except OSError as error:
            refused.append(error)

    for inbox, settings in config.inboxes.items():
        kept_ms = now_ms - config.retention.status_days * _DAY_MS
        put_away("prune status", _old_statuses(spool.folder("outbox", inbox), kept_ms))
        orphans = _orphans(spool.folder("failed", inbox), now_ms - _DAY_MS)
        put_away("remove orphaned reason", orphans)
        if settings.archive == "delete":
            kept_ms = now_ms - settings.archive_days * _DAY_MS
            archived = _old_drops(spool.folder("archive", inbox), kept_ms)
            put_away("delete archived drop", archived)
    if refused:
        raise refused[0]


def _old_statuses(outbox: Path, before_ms: int) -> Iterator[Path]:
    """Yield the statuses that ended before, and whose result is gone."""
    for path in outbox.glob(f"*{SUFFIX}"):
        if path.lstat().st_mtime_ns // 1_000_000 >= before_ms:
            continue
        found = read_status(path)
        result = outbox / path.name.removesuffix(SUFFIX)
        if found is not None and found.get("terminal") is True and not result.exists():
            yield path


def _orphans(failed: Path, before_ms: int) -> Iterator[Path]:
    """Yield the reasons, written before, whose drop a person has taken out of ``failed/``.

    Who only takes a drop out to look at it has a day to put it back beside its reason; the
    status holds the error even then.
    """
    found = list(failed.glob("[!.]*"))
    reasons = {path for path in found if path.name.endswith(REASON_SUFFIX)}
    for path in reasons - {reason_beside(drop) for drop in found}:
        if path.is_file() and path.lstat().st_mtime_ns // 1_000_000 < before_ms:
            yield path


def _old_drops(archive: Path, before_ms: int) -> Iterator[Path]:
    """Yield the drops that were archived before: their rename set the time of change."""
    for path in archive.glob("*/*"):
        if path.lstat().st_ctime_ns // 1_000_000 < before_ms:
            yield path
