"""A library through a real daemon: killed at commits, shrunk, and asked to take it."""

import os
import shutil
import sqlite3

import pytest

from tests.support.daemons import PATIENCE_S, Daemon, read_json, settings_for, until
from tests.support.truth import write_wav


class Archive:
    """A root, and a daemon that looks after it."""

    def __init__(self, folder, handler, **options):
        self.root = folder / "music"
        self.number = 0
        settings = settings_for(folder / "spool")
        settings["inboxes"]["mix"] |= {
            "handler": handler,
            "reads": {"music": str(self.root)},
            "keeps": True,
            "options": {"settle_s": 0, "follow": ["tags", "peaks"], **options},
        }
        self.daemon = Daemon(folder / "spool", settings)
        self.kept = folder / "spool/state/kept/mix"

    def write(self, path):
        """Put a file there that is like no other, of a time that is not now."""
        self.number += 1
        where = self.root / path
        where.parent.mkdir(parents=True, exist_ok=True)
        write_wav(where, self.number.to_bytes(2, "little") * 200)
        os.utime(where, (1_700_000_000, 1_700_000_000))

    def drop(self, name, text="full: false\n"):
        inbox = self.daemon.root / "inbox/mix"
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / f"{name}.scan").write_text(text)
        (inbox / f"{name}.scan.done").touch()

    def is_done(self):
        told = read_json(self.daemon.root / "outbox/mix/first.scan.status.json")
        return told.get("state") == "done"

    def ended(self, name):
        """Return the final status of a scan."""
        path = self.daemon.root / "outbox/mix" / f"{name}.scan.status.json"
        ends = {"done", "skipped", "failed"}
        until(lambda: read_json(path).get("state") in ends, f"{name} has ended")
        return read_json(path)

    def catalogued(self):
        """Return the paths that the published catalogue says are there."""
        connection = sqlite3.connect(self.daemon.root / "outbox/mix/catalogue.sqlite")
        rows = connection.execute(
            """SELECT folder.path, name FROM file JOIN folder ON folder.id = folder
            WHERE state = 'here'"""
        ).fetchall()
        connection.close()
        return sorted(os.fsdecode(b"/".join(row).lstrip(b"/")) for row in rows)

    def there(self):
        paths = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.root)) for path in paths)


@pytest.mark.parametrize(
    "deaths", [(6,), pytest.param((0, 1, 2, 3, 4, 5) * 4, marks=pytest.mark.slow)], ids=len
)
def test_daemon_killed_at_commits_of_a_scan_has_the_tree_in_the_end(fleeting, deaths):
    """The tree goes on changing between two lives; in the end each file is known, none twice."""
    archive = Archive(fleeting, "tests.support.dying_library", first_look=5)
    for number in range(24):
        archive.write(f"{number % 8}/{number}.wav")
    archive.kept.mkdir(parents=True)
    archive.drop("first")
    with archive.daemon as daemon:
        for life, death in enumerate(deaths):
            (archive.kept / "deaths").write_text(str(death))
            process = daemon.process = daemon.spawn()
            until(lambda one=process: one.poll() is not None or archive.is_done(), "it dies")
            if process.poll() is None:  # so few commits were left
                daemon.kill()
                break
            (archive.root / f"{life % 8}/{life % 24}.wav").rename(archive.root / f"{life}.wav")
            archive.write(f"new {life}/a.wav")
        (archive.kept / "deaths").unlink(missing_ok=True)
        daemon.start()
        assert "done" == archive.ended("first")["state"]
        archive.drop("last")
        archive.ended("last")
        assert 0 == daemon.stop(PATIENCE_S)

    assert archive.there() == archive.catalogued()


def test_library_that_shrank_keeps_all_until_a_scan_accepts_it(fleeting):
    """Above a tenth nothing is removed, and the status says so; one drop takes it for true."""
    archive = Archive(fleeting, "daemon.handlers.library", removed_after_h=0)
    for number in range(66):
        archive.write(f"{number % 3}/{number}.wav")
    with archive.daemon as daemon:
        daemon.start()
        archive.drop("first")
        assert 66 == archive.ended("first")["measurements"]["files"]
        shutil.rmtree(archive.root / "1")
        archive.write("0/one.wav")
        archive.drop("second")
        missing = archive.ended("second")
        archive.write("0/two.wav")
        archive.drop("third")
        refused = archive.ended("third")
        archive.drop("fourth", "accept_removals: true\n")
        accepted = archive.ended("fourth")
        assert 0 == daemon.stop(PATIENCE_S)

    assert (22, 0) == tuple(missing["measurements"][kind] for kind in ("missing", "removed"))
    assert "LIBRARY_SHRANK" in {one["code"] for one in refused["warnings"]}
    assert 0 == refused["measurements"]["removed"]
    assert 22 == accepted["measurements"]["removed"]
    assert archive.there() == archive.catalogued()
