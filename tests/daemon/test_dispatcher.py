"""From a due job to a worker, and from a worker's end to what follows."""

from contextlib import contextmanager

import pytest

from daemon.config.models import Budgets
from daemon.errors import Unavailable
from daemon.files import Files
from daemon.jobs.job import NOTHING_SPENT, Outcome, State
from daemon.pool.interface import Ended
from daemon.supervisor import outage
from tests.support.lives import Life, config_for
from tests.support.truth import drop_folder, drop_song, states


@pytest.fixture
def root(fleeting):
    (fleeting / "inbox" / "mix").mkdir(parents=True)
    return fleeting


class RefusingFiles(Files):
    """Refuse the commits of one method for as long as it is named."""

    refused = "commit finish"
    tries = 0

    @contextmanager
    def _step(self, name):
        if name == self.refused:
            self.tries += 1
            raise Unavailable("DISK_FULL", "as the test wanted")
        yield


def test_outcome_that_cannot_be_recorded_is_kept_and_nothing_else_is_begun(root, pool, monkeypatch):
    """Its slot is free and the next job is due; but that claim could not be recorded either."""
    monkeypatch.setattr(outage, "RETRY_S", 0.05)
    files = RefusingFiles()
    for name in ("First", "Second"):
        drop_song(root, name)

    def until(life):
        store = life.supervisor._store
        waiting = store.jobs(State.QUEUED)
        if files.refused and waiting and files.tries > 3:
            assert 1 == len(store.jobs(State.RUNNING))
            assert not waiting[0].attempts
            files.refused = ""
        return {"done"} == {*states(root).values()} and life.at_rest()

    Life(config_for(root), files, pool).live(until)

    assert {"First": "done", "Second": "done"} == states(root)


def test_batch_keeps_a_rush_job_waiting_for_the_part_that_runs(root, pool):
    """Not for the hundreds that were there before it, though the batch is in the same lane."""
    drop_folder(root, "Batch", {"a.wav": b"1" * 99}, "parts: 500\npriority: rush\n")
    dropped, begun = [], []

    def until(life):
        store = life.supervisor._store
        batch, mix = ([*store.named("mix", name), None][0] for name in ("Batch", "Mix"))
        parts = [part for part in store.parts(batch) if part.attempts] if batch else []
        if len(parts) >= 3 and not dropped:
            dropped.append(drop_song(root, "Mix", "priority: rush\n"))
        if mix:
            begun.append(len(parts))
        return mix and mix.attempts

    Life(config_for(root), Files(), pool).live(until)

    assert begun[-1] <= begun[0] + 1 < 100


def test_clean_stops_cost_a_job_nothing_however_often(root, pool):
    """A song longer than the daemon's life is not the song's fault."""
    budgets = Budgets(backoff_s=0.01, backoff_max_s=0.01, interruptions=1)
    drop_song(root, "Long", "seconds: 600\n")
    jobs = []

    def runs(life):
        jobs[:] = life.supervisor._store.jobs(State.RUNNING)
        return bool(jobs)

    for number in range(1, 5):
        Life(config_for(root, budgets=budgets, drain_s=0.0), Files(), pool).live(runs)

        assert (number, NOTHING_SPENT) == (jobs[0].attempts, jobs[0].tally)


def test_late_report_of_an_earlier_attempt_changes_nothing(root, pool):
    """The attempt that runs is neither forgotten nor ended by it."""
    drop_song(root, "Song")
    late = []

    def until(life):
        for job in life.supervisor._store.jobs(State.RUNNING):
            if not late:
                late.append(Ended(job.id, job.attempts - 1, Outcome.CRASHED))
                life.supervisor._dispatcher._end(late[0])
        return bool(late) and life.at_rest()

    Life(config_for(root), Files(), pool).live(until)

    assert {"Song": "done"} == states(root)


class ForgetfulFiles(Files):
    """Find no memory for the folder of the first attempt."""

    fails = True

    @contextmanager
    def _step(self, name):
        if name == "make attempt" and self.fails:
            self.fails = False
            raise MemoryError
        yield


def test_attempt_that_cannot_be_started_ends_and_comes_again(root, pool):
    """It is not left running in a row that nothing works on, and the daemon can stop."""
    drop_song(root, "Song")
    budgets = Budgets(backoff_s=0.01, backoff_max_s=0.01)

    Life(config_for(root, budgets=budgets), ForgetfulFiles(), pool).live(Life.at_rest)

    assert {"Song": "done"} == states(root)
