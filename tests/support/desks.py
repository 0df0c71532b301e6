"""A spool as a person at the command line finds it: folders and files, no daemon."""

import json

from daemon.cli.spool_reader import SpoolReader
from daemon.clock import Clock, rfc3339
from daemon.outbox.status_writer import encoded
from tests.support.containers import noise_bytes
from tests.support.spools import daemon_json


class DeskSpool:
    """A made-up spool below `folder`, with an inbox ``mix``."""

    def __init__(self, folder):
        self.root = folder / "spool"
        self.config = folder / "config.yaml"
        self.config.write_text("root: spool\n")
        self.inbox = self.root / "inbox" / "mix"
        for kind in ("inbox", "outbox", "failed", "work", "archive"):
            (self.root / kind / "mix").mkdir(parents=True)

    @property
    def reader(self):
        return SpoolReader.of(self.config)

    def beat(self, **changes):
        """Let a daemon be alive, and stay so for longer than any test."""
        now = rfc3339(Clock().wall_ms())
        document = daemon_json(heartbeat=now, **changes) | {"period_s": 600.0}
        (self.root / "daemon.json").write_text(json.dumps(document))

    def tell(self, document, label=None):
        """Write a status document."""
        path = self.root / "outbox" / "mix" / f"{label or document['name']}.status.json"
        path.write_bytes(encoded(document))
        return path

    def fail(self, name, code="INPUT_TRUNCATED"):
        """Set a drop aside, as the daemon does."""
        drop = self.root / "failed" / "mix" / name
        drop.mkdir()
        (drop / "kick.wav").write_bytes(noise_bytes("wav"))
        reason = {"code": code, "message": "kick.wav: too short", "hint": None}
        drop.with_name(f"{name}.error.json").write_text(json.dumps(reason))
        return drop

    def names(self):
        """Return what lies in the inbox."""
        return sorted(path.name for path in self.inbox.iterdir())


def stems(folder, name="Song"):
    """Make a folder of stems outside of any spool."""
    song = folder / name
    (song / "drums").mkdir(parents=True)
    (song / "bass.wav").write_bytes(noise_bytes("wav"))
    (song / "drums" / "kick.wav").write_bytes(noise_bytes("wav"))
    return song
