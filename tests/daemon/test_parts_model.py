"""Random lives of jobs that split: the rows keep their rules, and every job ends."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from daemon.config.models import Budgets
from daemon.handlers.contract import FREE_ROUNDS
from daemon.jobs.job import Ending, NewPart, Outcome, Plan, State
from daemon.jobs.resources import Resources
from daemon.jobs.store import open_store
from tests.support.clocks import FakeClock
from tests.support.jobs import DONE, bad, new_job
from tests.support.parts import broken

BUDGETS = Budgets(failures=2, crashes=2, interruptions=3, backoff_s=10.0)
ENDS = [Outcome.DONE, Outcome.NOTHING_TO_DO, Outcome.BAD_INPUT, Outcome.CRASHED,
        Outcome.TIMED_OUT, Outcome.INTERRUPTED, Outcome.CANCELLED, Outcome.UNAVAILABLE]  # fmt: skip

ALONE = "library"
"""An inbox of which one job is at work at a time."""
RESOURCES = Resources({"gpu": ("0", "1")}, {"mix": {"gpu": 1}, ALONE: {"gpu": 1}})
AT_WORK_IN = """SELECT count(*) FROM job WHERE inbox = ? AND parent IS NULL
    AND (state = 'running' OR split OR (round > 0 AND finished_ms IS NULL
    AND coalesce(json_extract(result, '$.gives_way'), 0) = 0))"""


class Batches(RuleBasedStateMachine):
    """Jobs, parts, kills and cancellations in any order."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.life = 0
        (self.folder / "0").mkdir()
        self.path = self.folder / "0" / "queue.sqlite3"
        self.store = open_store(self.path, self.clock, BUDGETS)
        self.store.resources = RESOURCES
        self.running = {}
        self.added = 0
        self.late = []

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close(clean=False)
            shutil.rmtree(self.folder)

    @rule(lane=st.sampled_from(["rush", "normal", "bulk"]), inbox=st.sampled_from(["mix", ALONE]))
    def add(self, lane, inbox):
        now_ms = self.clock.wall_ms()
        self.store.adopt(new_job(f"job-{self.added}", inbox=inbox, lane=lane, created_ms=now_ms))
        self.added += 1

    @rule()
    def publish(self):
        for job in self.store.unpublished():
            self.store.mark_published(job.id, drop_at="")

    @rule()
    def claim(self):
        if claim := self.store.claim(None, [ALONE]):
            assert claim.job.id not in self.running
            self.running[claim.job.id] = claim

    @rule(
        count=st.integers(1, 4),
        at_once=st.integers(0, 2),
        stop=st.booleans(),
        gives_way=st.booleans(),
        data=st.data(),
    )
    def split(self, count, at_once, stop, gives_way, data):
        if not (claim := self._take(data)):
            return
        parts = [NewPart(f"part {n}") for n in range(count)]
        plan = Plan(parts, at_once, stop_at_failure=stop, gives_way=gives_way)
        self.store.finish(claim.job.id, claim.attempt, Ending(Outcome.SPLIT, plan=plan))
        now = self.store.get(claim.job.id)
        late = claim.job.round >= FREE_ROUNDS
        assert now.split or claim.job.parent or late or now.state is State.FAILED

    @rule(outcome=st.sampled_from(ENDS), data=st.data())
    def finish(self, outcome, data):
        if claim := self._take(data):
            quiet = outcome in (Outcome.NOTHING_TO_DO, Outcome.CANCELLED)
            end = DONE if outcome is Outcome.DONE else Ending(outcome) if quiet else bad(outcome)
            if claim.job.parent:
                self.store.forget_parts(claim.job, 2)
            self.store.finish(claim.job.id, claim.attempt, end)
            self.late.append(claim)

    @rule(data=st.data())
    def hear_a_late_report(self, data):
        if self.late:
            claim = data.draw(st.sampled_from(self.late))
            now = self.store.get(claim.job.id)
            if now.attempts > claim.attempt or now.state is not State.RUNNING:
                assert self.store.finish(claim.job.id, claim.attempt, DONE) is None

    @rule(data=st.data())
    def cancel(self, data):
        if self.added:
            job_id = f"job-{data.draw(st.integers(0, self.added - 1))}"
            self.store.cancel(job_id)
            now = self.store.get(job_id)
            assert now.state is not State.QUEUED or self.store.running_parts(job_id)

    @rule(data=st.data())
    def give_up(self, data):
        if self.added:
            job_id = f"job-{data.draw(st.integers(0, self.added - 1))}"
            if self.store.fail(job_id, bad(Outcome.FAILED).error):
                gone = [one for one in self.running if one.partition(".")[0] == job_id]
                for one in gone:
                    del self.running[one]

    @rule(seconds=st.integers(1, 4_000))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule(data=st.data())
    def die_and_start_again(self, data):
        culprit = data.draw(st.sampled_from(["", *self.running]))
        # What kill -9 leaves: another process finds the files as they are.
        self.life += 1
        there = self.folder / str(self.life)
        shutil.copytree(self.path.parent, there)
        self.store.close(clean=False)
        self.path = there / "queue.sqlite3"
        self.store = open_store(self.path, self.clock, BUDGETS)
        self.store.resources = RESOURCES
        self.store.interrupt_running(culprit)
        self.running.clear()

    @rule()
    def work_off(self):
        """Let all that is there end well: every job ends, and nothing is claimed for nothing."""
        for _ in range(10_000):
            for claim in self.running.values():
                self.store.finish(claim.job.id, claim.attempt, DONE)
            self.running.clear()
            self.publish()
            self.clock.advance(4_000)
            self.claim()
            if not self.running:
                break
        assert [] == [job.id for job in self.store.jobs(State.QUEUED)]

    def _take(self, data):
        if not self.running:
            return None
        return self.running.pop(data.draw(st.sampled_from(sorted(self.running))))

    @invariant()
    def rows_keep_their_rules(self):
        if hasattr(self, "store"):
            assert {} == broken(self.store._db)
            ((at_work,),) = self.store._ask(AT_WORK_IN, (ALONE,))
            assert at_work <= 1
            running = self.store.jobs(State.RUNNING)
            assert {job.id for job in running} == set(self.running)
            works = {job.id for job in running if not job.round or job.parent}
            assert sorted(works) == sorted(job.id for *_, job in self.store.holders())


TestBatches = Batches.TestCase
TestBatches.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
