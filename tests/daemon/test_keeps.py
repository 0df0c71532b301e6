"""An inbox that keeps things: one job of it at a time, which alone writes what is kept."""

import pytest

from daemon.config.models import Budgets
from daemon.files import Files
from daemon.jobs.job import Ending, NewPart, Outcome, Plan
from daemon.jobs.store import open_store
from tests.support.clocks import FakeClock
from tests.support.jobs import DONE, bad, new_job
from tests.support.lives import Life, config_for
from tests.support.truth import drop_folder, statuses

ALONE = ["mix"]


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store(tmp_path, clock):
    found = open_store(tmp_path / "queue.sqlite3", clock, Budgets(failures=3, backoff_s=10.0))
    for number, (name, inbox) in enumerate((("one", "mix"), ("two", "mix"), ("other", "song"))):
        found.adopt(new_job(name, inbox=inbox, created_ms=number))
    yield found
    found.close()


def claimed(store):
    """Return what can be claimed now, one after the other."""
    found = []
    while claim := store.claim(None, ALONE):
        found.append(claim)
    return found


def test_one_job_is_at_work_at_a_time(store):
    """The next one waits until the result of the first lies in its place; other inboxes go on."""
    one, other = claimed(store)
    assert ("one", "other") == (one.job.id, other.job.id)
    assert (None, "one") == (store.next_due_ms(["mix"], ALONE), store.at_work("mix").id)
    store.finish("one", 1, DONE)
    assert [] == claimed(store)
    store.mark_published("one", drop_at="")

    assert ["two"] == [claim.job.id for claim in claimed(store)]


def test_job_stays_at_work_between_its_rounds(store, clock):
    """Its parts run side by side; no other job slips in while its next round waits to be tried."""
    claimed(store)
    plan = Plan([NewPart("a"), NewPart("b")])
    store.finish("one", 1, Ending(Outcome.SPLIT, plan=plan))
    parts = claimed(store)
    assert ["one.1.0", "one.1.1"] == [claim.job.id for claim in parts]
    for claim in parts:
        store.finish(claim.job.id, claim.attempt, DONE)
    (again,) = claimed(store)
    store.finish("one", again.attempt, bad(Outcome.UNAVAILABLE))
    assert [] == claimed(store)
    clock.advance(60)

    assert ["one"] == [claim.job.id for claim in claimed(store)]


def test_job_that_gives_way_lets_others_be_done_between_its_rounds(store):
    """Their rounds come before its next one; nothing of two jobs is ever at work side by side."""
    store.adopt(new_job("three", inbox="mix", created_ms=9))
    plan = Plan([NewPart("a")], gives_way=True)

    def round_of(job_id):
        begun = [claim.job.id for claim in claimed(store) if claim.job.inbox == "mix"]
        assert [job_id] == begun
        store.finish(job_id, store.get(job_id).attempts, Ending(Outcome.SPLIT, plan=plan))
        (part,) = claimed(store)
        store.finish(part.job.id, part.attempt, DONE)

    def ended(job_id):
        assert [job_id] == [claim.job.id for claim in claimed(store)]
        store.finish(job_id, store.get(job_id).attempts, DONE)
        assert [] == claimed(store)
        store.mark_published(job_id, drop_at="")

    for job_id in ("one", "two", "three", "three"):
        round_of(job_id)

    for job_id in ("three", "two", "one"):
        ended(job_id)


def test_job_that_has_not_split_lets_others_go_first_while_it_waits(store, clock):
    """What fails before it has begun anything is not at work until it is tried again."""
    claimed(store)
    store.finish("one", 1, bad(Outcome.UNAVAILABLE))

    assert ["two"] == [claim.job.id for claim in claimed(store)]
    clock.advance(60)
    assert [] == claimed(store)


def test_same_drop_is_done_again_in_its_turn(fleeting, pool, tmp_path):
    """It says for which job it waits; no earlier result stands in: what is kept may differ."""
    root, gate = fleeting / "spool", tmp_path / "gate"
    gate.touch()
    (root / "inbox" / "mix").mkdir(parents=True)
    config = config_for(root)
    inbox = config.inboxes["mix"].model_copy(update={"keeps": True})

    def drop(name):
        drop_folder(root, name, {"a.wav": b"\1\2" * 99}, f"held_by: {gate}\n")

    def told(name, key):
        return str(statuses(root).get(name, {}).get(key))

    drop("One")
    steps = iter(
        [
            (lambda _: told("One", "state") == "running", lambda: drop("Two")),
            (lambda _: "One is at work" in told("Two", "wait"), gate.unlink),
            (Life.at_rest, lambda: drop("Three")),
            (lambda _: told("Three", "state") == "done", lambda: None),
        ]
    )
    waits_for = [next(steps)]

    def over(life):
        condition, then = waits_for[0]
        if condition(life):
            then()
            waits_for[:] = [next(steps, None)]
        return waits_for == [None]

    Life(config.model_copy(update={"inboxes": {"mix": inbox}}), Files(), pool).live(over)

    found = {name: one["duplicate_of"] for name, one in statuses(root).items()}
    assert {"One": None, "Two": None, "Three": None} == found
