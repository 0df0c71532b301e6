"""Random lives of random jobs, held against a dictionary."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from daemon.config.lanes import ALLOWANCE_MS
from daemon.config.models import Budgets, Retention
from daemon.jobs.job import (
    FINAL,
    NOTHING_SPENT,
    Ending,
    Outcome,
    State,
    Tally,
    after,
)
from daemon.jobs.resources import Resources
from daemon.jobs.store import open_store
from tests.support.clocks import FakeClock
from tests.support.jobs import DONE, bad, new_job

BUDGETS = Budgets(failures=2, crashes=2, interruptions=3, backoff_s=10.0)
INBOXES = ["mix", "podcast", "analyze"]
RESOURCES = Resources(
    {"gpu": ("0", "1"), "tts": 2}, {"mix": {"gpu": 2}, "podcast": {"gpu": 1, "tts": 1}}
)


@dataclass
class Model:
    """What the dictionary knows of a job."""

    number: int
    inbox: str
    key_ms: int
    state: State = State.QUEUED
    attempts: int = 0
    tally: Tally = NOTHING_SPENT
    due_ms: int = 0
    published: bool = False

    @property
    def needs(self):
        return RESOURCES.needs.get(self.inbox, {})


def ending_of(outcome):
    """Return an ending that the row accepts."""
    if outcome is Outcome.DONE:
        return DONE
    quiet = outcome in (Outcome.NOTHING_TO_DO, Outcome.CANCELLED)
    return Ending(outcome) if quiet else bad(outcome)


class Queue(RuleBasedStateMachine):
    """The store does what a dictionary would, and survives what a dictionary would not."""

    @initialize()
    def open(self):
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.life = 0
        self.path = self.folder / "0" / "queue.sqlite3"
        self.path.parent.mkdir()
        self.open_store()
        self.jobs: dict[str, Model] = {}
        self.added = 0
        self.ended = 0

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close(clean=False)
            shutil.rmtree(self.folder)

    # what may happen

    @rule(inbox=st.sampled_from(INBOXES), lane=st.sampled_from(list(ALLOWANCE_MS)))
    def add(self, inbox, lane):
        job_id = f"job-{self.added}"
        created_ms = self.clock.wall_ms()
        self.store.adopt(new_job(job_id, inbox=inbox, lane=lane, created_ms=created_ms))
        self.jobs[job_id] = Model(self.added, inbox, created_ms + ALLOWANCE_MS[lane])
        self.added += 1

    @rule(seconds=st.sampled_from([0.001, 7.0, 16 * 60.0]))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @rule(paused=st.sets(st.sampled_from(INBOXES), max_size=1))
    def claim(self, paused):
        due = [
            (model.key_ms, model.number, job_id)
            for job_id, model in self.in_state(State.QUEUED).items()
            if model.due_ms <= self.clock.wall_ms() and model.inbox not in paused
        ]
        claim = self.store.claim(set(INBOXES) - paused)

        assert self.first_that_can(sorted(due)) == (claim.job.id if claim else None)
        if claim:
            model = self.jobs[claim.job.id]
            model.state, model.attempts = State.RUNNING, model.attempts + 1
            assert model.attempts == claim.attempt

    @precondition(lambda self: self.in_state(State.RUNNING))
    @rule(
        data=st.data(), outcome=st.sampled_from(Outcome), chance=st.floats(0, 1, exclude_max=True)
    )
    def finish(self, data, outcome, chance):
        job_id = data.draw(st.sampled_from(sorted(self.in_state(State.RUNNING))))
        self.clock.next_chance = chance
        self.expect(job_id, outcome)
        following = self.store.finish(job_id, self.jobs[job_id].attempts, ending_of(outcome))

        assert self.jobs[job_id].state == following.state

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), behind=st.integers(0, 2))
    def report_late(self, data, behind):
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        model = self.jobs[job_id]
        if model.state is State.RUNNING:
            behind += 1

        assert self.store.finish(job_id, model.attempts - behind, DONE) is None

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        queued = self.jobs[job_id].state is State.QUEUED

        assert queued == self.store.cancel(job_id)
        if queued:
            self.jobs[job_id].state = State.CANCELLED
            self.ended += 1

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def publish(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))
        self.store.mark_published(job_id, drop_at="archive/x")
        self.jobs[job_id].published |= self.jobs[job_id].state in FINAL

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def adopt_again(self, data):
        job_id = data.draw(st.sampled_from(sorted(self.jobs)))

        assert not self.store.adopt(new_job(job_id))

    @rule(keep=st.integers(1, 3))
    def prune(self, keep):
        before = {job_id for job_id, model in self.jobs.items() if model.published}
        pruned = self.store.prune(Retention(history_jobs=keep))
        gone = {job_id for job_id in self.jobs if self.store.get(job_id) is None}

        assert gone <= before
        assert max(0, len(before) - keep) == len(gone) == pruned
        self.jobs = {job_id: model for job_id, model in self.jobs.items() if job_id not in gone}

    @rule()
    def stop_and_start(self):
        self.store.close()
        self.open_store()

    @rule()
    def lose_power_and_start(self):
        """Go on with copies of the files as they lie, and sweep as start-up does."""
        self.life += 1
        folder = self.folder / str(self.life)
        shutil.copytree(self.path.parent, folder)
        self.store.close(clean=False)
        self.path = folder / self.path.name
        self.open_store()
        running = self.in_state(State.RUNNING)
        for job_id in running:
            self.expect(job_id, Outcome.INTERRUPTED)

        assert self.store.moved_aside is None
        assert sorted(running) == sorted(job.id for job in self.store.interrupt_running())

    # what is always true

    @invariant()
    def rows_are_as_the_dictionary_says(self):
        for job_id, model in self.known().items():
            job = self.store.get(job_id)
            assert (model.state, model.attempts, model.tally) == (
                job.state,
                job.attempts,
                job.tally,
            )
            assert model.published == (job.published_ms is not None)

    @invariant()
    def a_row_that_is_not_final_has_its_drop(self):
        for state in (State.QUEUED, State.RUNNING):
            assert {"work"} >= {
                job.drop_at for job in self.asked(lambda s, state=state: s.jobs(state))
            }

    @invariant()
    def a_published_row_has_its_outputs(self):
        for job in self.asked(lambda store: store.jobs(State.DONE)):
            assert self.store.outputs(job.id)

    @invariant()
    def only_a_running_job_has_an_attempt_without_an_end(self):
        for job_id, model in self.known().items():
            open_ = [one.number for one in self.store.attempts(job_id) if one.outcome is None]
            assert ([model.attempts] if model.state is State.RUNNING else []) == open_

    @invariant()
    def what_runs_holds_what_it_needs_and_nobody_else_holds_anything(self):
        held = {job_id: {} for job_id in self.in_state(State.RUNNING)}
        for name, member, job in self.asked(lambda store: store.holders()):
            assert member in RESOURCES.free(name, ())
            held[job.id][name] = held[job.id].get(name, 0) + 1

        assert {job_id: self.jobs[job_id].needs for job_id in held} == held

    @invariant()
    def questions_agree_with_the_dictionary(self):
        if not self.known():
            return
        unpublished = [j for j, m in self.jobs.items() if m.state in FINAL and not m.published]
        queued = self.in_state(State.QUEUED)
        order = sorted(queued, key=lambda job_id: (queued[job_id].key_ms, queued[job_id].number))

        assert unpublished == [job.id for job in self.store.unpublished()]
        assert order == [job.id for job in self.store.jobs(State.QUEUED)]
        short = self.store.short()
        due = (model.due_ms for model in queued.values() if model.inbox not in short)
        assert min(due, default=None) == self.store.next_due_ms()
        assert self.ended == sum(self.store.totals().values())

    # how it is done

    def open_store(self):
        self.store = open_store(self.path, self.clock, BUDGETS)
        # A power cut is a copy of the files here; syncing them would only take time.
        self.store._db.execute("PRAGMA synchronous = OFF")
        self.store.resources = RESOURCES

    def first_that_can(self, due):
        """Return the first job that gets what it needs and is not kept for an earlier one."""
        free = {name: RESOURCES.size(name) for name in RESOURCES.there}
        for model in self.in_state(State.RUNNING).values():
            for name, count in model.needs.items():
                free[name] -= count
        waiting = set()
        for _, _, job_id in due:
            model = self.jobs[job_id]
            if model.inbox in waiting:
                continue
            if all(free[name] >= count for name, count in model.needs.items()):
                return job_id
            waiting.add(model.inbox)
            for name, count in model.needs.items():
                free[name] = max(0, free[name] - count)
        return None

    def expect(self, job_id, outcome):
        model = self.jobs[job_id]
        now_ms, chance = self.clock.wall_ms(), self.clock.next_chance
        model.state, model.tally, model.due_ms = after(
            model.tally, outcome, BUDGETS, now_ms=now_ms, chance=chance
        )
        self.ended += model.state in FINAL

    def known(self):
        return getattr(self, "jobs", {})

    def asked(self, question):
        return question(self.store) if hasattr(self, "store") else []

    def in_state(self, state):
        return {job_id: model for job_id, model in self.known().items() if model.state is state}


Queue.TestCase.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, derandomize=True
)
test_queue_does_what_a_dictionary_would = Queue.TestCase
