"""Putting away: by age, by permission, and never a drop that nobody allowed to be deleted."""

import os

import pytest

from daemon.config.models import Config
from daemon.files import Files
from daemon.jobs.store import open_store
from daemon.layout import Spool, reason_beside
from daemon.outbox.status_writer import encoded
from daemon.supervisor.retention import tidy
from tests.support.clocks import FakeClock
from tests.support.spools import drop
from tests.support.surroundings import memory_disk, needs_root

DAY_S = 86_400


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path)
    (spool.folder("archive", "mix") / "2026-11" / "Song").mkdir(parents=True)
    spool.folder("outbox", "mix").mkdir(parents=True)
    return spool


def status(spool, name, state, *, age_days):
    path = spool.folder("outbox", "mix") / f"{name}.status.json"
    path.write_bytes(encoded(drop(state, name, job="j")))
    then_s = FakeClock().wall_ms() / 1000 - age_days * DAY_S
    os.utime(path, (then_s, then_s))
    return path


def tidied(spool, tmp_path, *, ahead_s=0.0, **inbox):
    import time  # noqa: PLC0415 - ctime cannot be set, so the clock is set to it

    clock = FakeClock()
    clock.advance(time.time() - clock.wall_ms() / 1000 + ahead_s)
    store = open_store(tmp_path / "queue.sqlite3", clock)
    config = Config.model_validate({"root": tmp_path, "inboxes": {"mix": inbox}})
    tidy(config, spool, store, files=Files(), clock=clock)
    store.close()


def test_archived_drops_stay_for_ever_by_default(spool, tmp_path):
    """Without permission no drop is deleted, however old."""
    tidied(spool, tmp_path, ahead_s=10_000 * DAY_S)

    assert (spool.folder("archive", "mix") / "2026-11" / "Song").is_dir()


@pytest.mark.parametrize(("ahead_days", "stays"), [(6, True), (8, False)])
def test_archived_drops_go_when_their_inbox_says_so(spool, tmp_path, ahead_days, stays):
    """With ``archive: delete`` a drop goes after the days that were named."""
    tidied(spool, tmp_path, ahead_s=ahead_days * DAY_S, archive="delete", archive_days=7)

    assert stays == (spool.folder("archive", "mix") / "2026-11" / "Song").exists()


def test_old_statuses_go_and_young_ones_stay(spool, tmp_path):
    """A status that ended long ago makes room."""
    old = status(spool, "Old", "failed", age_days=4000)
    young = status(spool, "Young", "failed", age_days=-4000)
    tidied(spool, tmp_path)

    assert (False, True) == (old.exists(), young.exists())


def test_status_beside_its_result_stays(spool, tmp_path):
    """As long as a result lies in the outbox its status explains it."""
    (spool.folder("outbox", "mix") / "Song").mkdir()
    old = status(spool, "Song", "done", age_days=4000)
    tidied(spool, tmp_path)

    assert old.exists()


@pytest.mark.parametrize(
    ("there", "age_days", "stays"), [(True, 2, True), (False, 0, True), (False, 2, False)]
)
@pytest.mark.parametrize("name", ["Song", "S" * 250])
def test_reason_goes_a_day_after_its_drop_was_taken_away(
    spool, tmp_path, *, name, there, age_days, stays
):
    """failed/ holds drops with their reasons, and no reasons without a drop."""
    drop = spool.folder("failed", "mix") / name
    drop.mkdir(parents=True)
    reason = reason_beside(drop)
    reason.touch()
    if not there:
        drop.rmdir()
    tidied(spool, tmp_path, ahead_s=age_days * DAY_S)

    assert stays == reason.exists()
    assert there == drop.exists()


def test_status_of_what_still_runs_stays(spool, tmp_path):
    """Only finished drops are forgotten."""
    old = status(spool, "Song", "running", age_days=4000)
    tidied(spool, tmp_path)

    assert old.exists()


@needs_root
def test_a_drop_that_cannot_be_removed_keeps_no_other_one(spool, tmp_path):
    """It is named when all else has been put away."""
    month = spool.folder("archive", "mix") / "2026-11"
    for name in ("A", "Z"):
        (month / name / "stems").mkdir(parents=True)
    with memory_disk(month / "A" / "stems", "size=1m"), pytest.raises(OSError, match=r"A/stems"):
        tidied(spool, tmp_path, ahead_s=8 * DAY_S, archive="delete", archive_days=7)

    assert ["A"] == [path.name for path in month.iterdir()]
