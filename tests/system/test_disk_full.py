"""A disk that is really full, at each moment and in each folder: nothing is lost, torn or doubled.

The steps of one life are recorded, commits of the queue among them. Then, for each, a life on a
small tmpfs of which the last block, and the last inode, is taken before that step. Once something
has been refused, the room is given back; the same life comes to the same end.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.config.models import Budgets
from daemon.errors import Unavailable
from daemon.files import Files
from daemon.supervisor import outage
from tests.support.daemons import Daemon, settings_for, until
from tests.support.files import RecordingFiles
from tests.support.lives import Life, config_for
from tests.support.surroundings import IMPATIENT, fill, free, memory_disk, needs_root, rounds_pass
from tests.support.truth import (
    broken_sentences,
    drop_folder,
    rows,
    states,
    torn_outputs,
    write_wav,
)

pytestmark = needs_root

_REFUSALS = 3
"""Before room is given back."""
SETTINGS = {"done": "", "failed": "how: bad_input\n", "skipped": "how: nothing\n"}


class FillingFiles(Files):
    """Do every step, but find the disk full from one of them on."""

    def __init__(self, root, at: str, occurrence: int) -> None:
        self.root, self.at, self.occurrence = root, at, occurrence
        self.seen = self.refused = 0

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        if name == self.at:
            self.seen += 1
            if self.seen == self.occurrence:
                fill(self.root)
        try:
            yield
        except (OSError, Unavailable):
            self.refused += 1
            raise


@pytest.mark.parametrize("end", ["done", "skipped", pytest.param("failed", marks=pytest.mark.slow)])
def test_disk_that_fills_up_at_any_step_delays_and_loses_nothing(tmp_path, pool, monkeypatch, end):
    """Room comes back, and the same run ends the job as if it had never gone."""
    monkeypatch.setattr(outage, "RETRY_S", 0.02)
    wrong, refused = {}, 0
    disk = tmp_path / "disk"
    with memory_disk(disk, "size=3m,nr_inodes=300"):
        for name, occurrence in _steps(disk, end, pool):
            filling = FillingFiles(disk, name, occurrence)
            problems = _life(disk, end, filling, pool)
            refused += filling.refused > 0
            if problems:
                wrong[f"{name} ({occurrence})"] = problems

    assert {} == wrong
    assert refused > 10


def _steps(root, end, pool):
    recording = RecordingFiles()
    assert [] == _life(root, end, recording, pool)
    seen = Counter(recording.steps[: recording.began])
    steps = []
    for name in recording.steps[recording.began :]:
        seen[name] += 1
        if seen[name] <= 2 and name != "commit close":
            steps.append((name, seen[name]))
    return steps


def _life(disk, end, files, pool) -> list[str]:
    """Live until the one drop has ended; return what is not as it must be."""
    root = disk / "spool"
    began = False

    def rested(life: Life) -> bool:
        nonlocal began
        if not began:
            began = True
            files.began = len(getattr(files, "steps", ()))
            drop_folder(root, "Song", {"a.wav": b"\1\2" * 900}, SETTINGS[end])
            life.supervisor._watchers.watchers["mix"].wake()
        if getattr(files, "refused", 0) >= _REFUSALS:
            free(disk)
        return life.at_rest()

    (root / "inbox" / "mix").mkdir(parents=True)
    budgets = Budgets(backoff_s=0.01, backoff_max_s=0.01, failures=1_000)
    try:
        Life(config_for(root, heartbeat_s=0.05, budgets=budgets), files, pool).live(rested)
        return _problems(root, end)
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is found out here
        return [repr(problem)]
    finally:
        free(disk)
        shutil.rmtree(root)


def _problems(root, end):
    told = states(root)
    wrong = [*broken_sentences(root), *torn_outputs(root)]
    if told != {"Song": end} or len(rows(root)) != 1:
        wrong.append(f"statuses: {told}, rows: {len(rows(root))}")
    places = [*root.glob("archive/mix/*/Song"), *root.glob("failed/mix/Song")]
    if len(places) != 1:
        wrong.append(f"the drop lies in {places}")
    results = [path.name for path in (root / "outbox" / "mix").iterdir() if path.is_dir()]
    if results != (["Song"] if end == "done" else []):
        wrong.append(f"results: {results}")
    return wrong


@pytest.mark.parametrize("kind", ["inbox", "work", "outbox", "failed", "archive", "state"])
def test_folder_on_a_full_disk_of_its_own_delays_and_loses_nothing(tmp_path, kind):
    """Each folder of a spool may be a mount, and that alone may be full."""
    root = tmp_path / "spool"
    inbox, folder = root / "inbox" / "mix", root / kind
    inbox.mkdir(parents=True)
    folder.mkdir(exist_ok=True)
    disk = memory_disk(folder, "size=3m,nr_inodes=300")
    with disk, Daemon(root, settings_for(root), IMPATIENT) as daemon:
        inbox.mkdir(exist_ok=True)
        daemon.start()
        for name, settings in (("Good", ""), ("Bad", SETTINGS["failed"])):
            _stage(inbox / f".{name}", settings)
        fill(folder)
        for name in ("Good", "Bad"):
            (inbox / f".{name}").rename(inbox / name)
        until(lambda: "No space" in _said(daemon) or "disk" in _said(daemon), "it says why")
        rounds_pass(daemon)
        free(folder)
        until(lambda: states(root) == {"Good": "done", "Bad": "failed"}, "all is done")
        assert [] == [*broken_sentences(root), *torn_outputs(root)]
        assert [] == list((root / "work" / "mix").iterdir())
        assert 2 == len(rows(root))


def _stage(folder: Path, settings: str) -> None:
    folder.mkdir()
    write_wav(folder / "a.wav", folder.name.encode() * 500)
    (folder / "job.yaml").write_text(settings)
    (folder / ".done").touch()


def _said(daemon):
    return (daemon.root / "daemon.json").read_text()
