"""One life of a daemon to be recorded: drops of every kind come, and nobody syncs them.

Run as ``python life.py ROOT SABOTAGE`` with the recorder preloaded; ROOT is empty. SABOTAGE takes
one of the daemon's promises away, to show that the test would notice: ``none``, ``normal``
(the queue's commits are not synced) or ``names`` (directories are not).
"""

import hashlib
import json
import sys
from pathlib import Path

from daemon.files import Files
from daemon.jobs import store
from daemon.jobs.database import Database
from daemon.pool import process
from daemon.supervisor.supervisor import Supervisor
from tests.support.lives import config_for
from tests.support.truth import drop_folder, statuses, wav_bytes, write_wav

DROPS = {
    "First": "done",
    "Broken": "failed",
    "track.wav": "done",
    "First again": "done",
    "Unwanted": "cancelled",
    "Nothing": "skipped",
    "Last": "done",
}
"""What is dropped, one after the other, and how each of them ends."""


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
        (inbox / f"{name}.job.yaml").write_text("seconds: 0.01\n")
        (inbox / f"{name}.done").touch()
        (root / "staged.wav").rename(inbox / name)
        return
    settings = {"Broken": "how: bad_input\n", "Nothing": "how: nothing\n"}.get(name, "")
    if name == "Unwanted":
        (root / "inbox" / "mix" / f"{name}.cancel").touch()
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
    daemon = Supervisor(config_for(root))
    daemon.start()
    for name in DROPS:
        drop(root, name)
        while not statuses(root).get(name, {}).get("terminal"):
            daemon.round()
    daemon.close(clean=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
