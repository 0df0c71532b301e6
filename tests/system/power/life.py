"""One life of a daemon to be recorded: drops of every kind come, and no one syncs them.

Some of them wait for another, and what is live is written as often as it changes: progress,
places in the queue and ``daemon.json``.

Run as ``python life.py ROOT SABOTAGE`` with the recorder preloaded; ROOT is empty. SABOTAGE takes
one of the daemon's promises away, to show that the test would notice: ``none``, ``normal``
(the queue's commits are not synced), ``names`` (directories are not) or ``contents`` (only
what must survive is synced, not what must merely be whole).
"""

import hashlib
import json
import math
import sys
from pathlib import Path

from daemon.files import Files
from daemon.jobs import store
from daemon.jobs.database import Database
from daemon.outbox import status_writer
from daemon.pool import process
from daemon.supervisor import completion
from daemon.supervisor.supervisor import Supervisor
from tests.support.lives import config_for
from tests.support.truth import drop_folder, statuses, wav_bytes, write_wav

DROPS = {
    "Unwanted": "cancelled",
    "First": "done",
    "Broken": "failed",
    "track.wav": "done",
    "Last": "done",
    "Batch": "done",
    "Nothing": "skipped",
    "First again": "done",
}
"""What is dropped, one after the other, and how each of them ends."""
_BESIDE_THE_NEXT = ("First", "Broken", "track.wav", "Last")
"""These do not end before the next one is dropped, and share their last steps with it."""
_TOGETHER = ("Unwanted", "First", "Broken")
"""These lie there when the daemon starts; those that are wanted are taken with the same syncs."""


def samples(name: str) -> bytes:
    """Return the sound of a drop: as much as fills some sectors, and all its own."""
    return (name.removesuffix(" again").encode() * 3_000)[:20_000]


def counted(name: str) -> str:
    """Return the result of a drop, to the letter."""
    if name == "track.wav":
        files = {name: samples(name)}
    else:
        files = {"a.wav": samples(name), "b.wav": samples(name)[::-1]}
    whole = {file: wav_bytes(sound) for file, sound in files.items()}
    return json.dumps(
        [
            {"path": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for file, data in whole.items()
        ]
    )


def drop(root: Path, name: str) -> None:
    """Drop one of them, as tools do."""
    if name == "track.wav":
        inbox = root / "inbox" / "mix"
        write_wav(root / "staged.wav", samples(name))
        (inbox / f"{name}.job.yaml").write_text("seconds: 0.1\n")
        (inbox / f"{name}.done").touch()
        (root / "staged.wav").rename(inbox / name)
        return
    settings = {
        "Broken": "how: bad_input\n",
        "Batch": "parts: 3\n",
        "Nothing": "how: nothing\n",
    }.get(name, "")
    files = {"a.wav": samples(name), "b.wav": samples(name)[::-1]}
    drop_folder(root, name, files, settings)


class Normal(Database):
    """A queue whose commits survive the daemon, but not the machine."""

    def __init__(self, path: Path, migrations: Path) -> None:
        super().__init__(path, migrations)
        self.connection.execute("PRAGMA synchronous = NORMAL")


def main(root: Path, sabotage: str) -> None:
    """Live until every drop has come to its end."""
    process._INHERITED += ("LD_PRELOAD", "SPOOL_RECORD_ROOT", "SPOOL_RECORD_LOG")
    if sabotage == "normal":
        store.Database = Normal
    if sabotage == "names":
        Files.sync_dir = lambda _self, _path: None
    if sabotage == "contents":
        write = Files.write
        Files.write = lambda *args, durable, **_: write(*args, durable=durable, synced=False)
    status_writer.PROGRESS_S, status_writer._WRITING_SHARE = 0.0, math.inf
    completion._GATHERING_S = 1.0
    daemon = Supervisor(config_for(root, heartbeat_s=0.01))
    # Before anyone looks: a request that is met without its drop is answered, and goes.
    (root / "inbox" / "mix" / "Unwanted.cancel").touch()
    for name in _TOGETHER:
        drop(root, name)
    daemon.start()
    for name in DROPS:
        if name not in _TOGETHER:
            drop(root, name)
        enough = ("queued", "running") if name in _BESIDE_THE_NEXT else ()
        while not _is_at(root, name, enough):
            daemon.round()
    while not all(_is_at(root, name) for name in DROPS):
        daemon.round()
    assert {name: statuses(root)[name]["state"] for name in DROPS} == DROPS
    daemon.close(clean=True)


def _is_at(root: Path, name: str, states: tuple[str, ...] = ()) -> bool:
    status = statuses(root).get(name, {"state": "unseen", "terminal": False})
    return status["terminal"] or status["state"] in states


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
