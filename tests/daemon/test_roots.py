"""Roots: what an inbox lets its workers read besides the drop, and never write."""

import os
import platform
from pathlib import Path

import pytest

from daemon.config.models import Pool as Settings
from daemon.config.models import load
from daemon.errors import BadConfig
from daemon.pool.worker import seccomp
from tests.support.crew import Crew

HANDLER = "tests.support.rooting"
NAMES = ["empty", "fifth.wav", "fourth.wav", "other.wav", "song.wav", "third.wav"]


def music(folder: Path) -> Path:
    """Make a root."""
    root = folder / "music"
    (root / "empty").mkdir(parents=True)
    for name in NAMES[1:]:
        (root / name).write_text("sound")
    return root


def attempt(folder: Path, root: Path, *, confine: bool):
    """Return how a job of an inbox that reads `root` ends."""
    crew = Crew(folder, Settings(slots=1, confine=confine), handlers=(HANDLER,))
    end = crew.run_one("", handler=HANDLER, roots={"music": str(root)})
    crew.pool.close()
    return end


@pytest.mark.skipif(platform.machine() not in seccomp.ARCHES, reason="no filter for this machine")
def test_root_is_read_and_never_changed(tmp_path):
    """A confined handler lists and reads it; whatever would change it is refused, times too."""
    root = music(tmp_path)
    before = [(path, path.lstat()) for path in (root, *sorted(root.rglob("*")))]
    end = attempt(tmp_path, root, confine=True)
    if any(warning["code"] == "NOT_CONFINED" for warning in end.warnings):
        pytest.skip(f"this kernel offers less: {end.warnings}")
    told = end.result["measurements"]

    assert (NAMES, "sound") == (told["names"], told["sound"])
    assert len(told["came"]) > 20
    assert {"EACCES", "EPERM", "EXDEV"} >= {*told["came"].values()}, told["came"]
    for path, then in before:
        now = path.lstat()
        assert (then.st_mode, then.st_nlink, then.st_size) == (
            now.st_mode,
            now.st_nlink,
            now.st_size,
        )
        assert (then.st_mtime_ns, then.st_ctime_ns) == (now.st_mtime_ns, now.st_ctime_ns)


def test_without_confinement_a_root_could_be_changed(tmp_path):
    """Each of these attempts is one that succeeds: the test above can fail."""
    came = attempt(tmp_path, music(tmp_path), confine=False).result["measurements"]["came"]

    assert {"done"} == {what for name, what in came.items() if name != "setxattr"}, came


def test_root_that_cannot_be_read_costs_its_job_nothing(tmp_path):
    """A file server may be down for a day, and a link may lead to the spool: the job waits."""
    spool, link = tmp_path / "spool", tmp_path / "link"
    for kind in ("inbox", "outbox", "failed", "archive", "work", "state"):
        (spool / kind).mkdir(parents=True)
    link.symlink_to(spool / "inbox")
    crew = Crew(tmp_path, Settings(slots=1), handlers=(HANDLER,))
    wanted = {"ROOT_MISSING": tmp_path / "not mounted", "ROOT_REFUSED": link}
    ends = crew.run(
        crew.order(code, handler=HANDLER, roots={"music": str(root)}, spool=str(spool))
        for code, root in wanted.items()
    )
    crew.pool.close()

    assert {code: ("postponed", code) for code in wanted} == {
        code: (end.outcome, end.error["code"]) for code, end in ends.items()
    }
    assert "not mounted" in ends["ROOT_MISSING"].error["message"]


@pytest.mark.parametrize("reads", ["spool", "spool/outbox/mix", ".", "spool/../spool/work", "/"])
def test_root_and_spool_lie_apart(tmp_path, reads):
    """By their names alone, and the file is named with the line; nothing is asked of the disk."""
    file = tmp_path / "config.yaml"
    file.write_text(f"root: spool\ninboxes:\n  music:\n    reads: {{nas: {reads}}}\n")

    with pytest.raises(BadConfig, match=r"config\.yaml:4:13: inboxes\.music\.reads\.nas: "):
        load(file, {})


def test_root_may_lie_where_nothing_answers(tmp_path):
    """It is not looked at when the daemon starts, and a name that only begins alike is another."""
    file = tmp_path / "config.yaml"
    file.write_text("root: spool\ninboxes:\n  mix:\n    reads: {nas: spool-of-old, b: ../b}\n")
    config = load(file, {})

    found = {name: str(path) for name, path in config.inboxes["mix"].reads.items()}
    assert {"nas": f"{tmp_path}/spool-of-old", "b": f"{tmp_path}/../b"} == found
    assert not os.path.lexists(found["nas"])
