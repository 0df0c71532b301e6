"""Jobs that split, in the rows and in what readers see."""

import jsonschema
import pytest

from daemon.config.models import Budgets
from daemon.files import Files
from daemon.handlers.contract import FREE_ROUNDS, Part, Split
from daemon.jobs.job import Ending, NewPart, Outcome, Plan, State
from daemon.jobs.store import open_store
from daemon.outbox import status_writer
from daemon.pool.worker.result import ResultError, listed
from tests.support.clocks import FakeClock
from tests.support.jobs import DONE, bad, new_job
from tests.support.lives import Life, config_for
from tests.support.spools import schema
from tests.support.truth import drop_folder, statuses

MINUTE_S = 60


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def store(tmp_path, clock):
    found = open_store(tmp_path / "queue.sqlite3", clock, Budgets(failures=2, backoff_s=10.0))
    yield found
    found.close()


def split(store, count, *, job="batch", **how):
    """Adopt a job and split it."""
    if store.get(job) is None:
        store.adopt(new_job(job))
    claim = store.claim()
    plan = Plan([NewPart(f"song {n}") for n in range(count)], **how)
    store.finish(claim.job.id, claim.attempt, Ending(Outcome.SPLIT, plan=plan))
    return claim.job.id


def finish_next(store, ending=DONE):
    claim = store.claim()
    store.finish(claim.job.id, claim.attempt, ending)
    return claim.job


def test_job_goes_on_when_its_last_part_has_ended(store):
    """Not before, and in the same instant."""
    job = split(store, 3)
    ended = [finish_next(store).id for _ in range(3)]

    assert ["batch.1.0", "batch.1.1", "batch.1.2"] == ended
    assert (State.QUEUED, False, 1) == (store.get(job).state, store.get(job).split, 2 - 1)
    assert job == store.claim().job.id


def test_part_that_fails_is_tried_again_by_itself(store, clock):
    """Each part has its own budgets; the batch goes on without the one that spent them."""
    job = split(store, 2)
    finish_next(store, bad(Outcome.TIMED_OUT))
    assert "batch.1.1" == finish_next(store).id
    assert store.claim() is None
    clock.advance(MINUTE_S)
    assert "batch.1.0" == finish_next(store, bad(Outcome.TIMED_OUT)).id

    assert ([State.FAILED, State.DONE], False) == (
        [part.state for part in store.parts(store.get(job))],
        store.get(job).split,
    )


def test_no_more_parts_run_at_once_than_the_plan_allows(store):
    """A speech server bears two; a free slot is no reason to ask it for more, nor to spin."""
    split(store, 5, at_once=2)
    first, second = store.claim(), store.claim()

    assert store.claim() is None
    assert store.next_due_ms() is None
    store.finish(first.job.id, first.attempt, DONE)
    assert store.next_due_ms() is not None
    assert "batch.1.2" == store.claim().job.id
    assert second.job.id == "batch.1.1"


def test_claim_that_is_refused_goes_through_the_parts_once(store):
    """Twice the parts, twice the work: the loop asks this in every round."""

    def steps(job, count):
        store.adopt(new_job(job))
        split(store, count, job=job, at_once=1)
        store.claim()
        taken = []
        store._db.set_progress_handler(lambda: taken.append(1) and None, 100)
        assert store.claim() is None
        assert store.next_due_ms() is None
        store._db.set_progress_handler(None, 0)
        store.cancel(job)
        store.finish(f"{job}.1.0", 1, DONE)
        return len(taken)

    assert steps("large", 800) < 3 * steps("small", 400)


def test_batch_of_hundreds_keeps_a_rush_job_waiting_for_one_part_at_most(store, clock):
    """What is dropped into a batch under way goes before the parts that would come later."""
    split(store, 500)
    for _ in range(20):  # two slots, a minute each
        finish_next(store)
        finish_next(store)
        clock.advance(MINUTE_S)
    store.adopt(new_job("mix", lane="rush", created_ms=clock.wall_ms()))
    store.adopt(new_job("other", created_ms=clock.wall_ms()))

    assert ["mix", "other"] == [finish_next(store).id, finish_next(store).id]


def test_slow_parts_of_a_library_never_grow_older_than_a_rush_job(store, clock):
    """Behind a part of ten minutes many are due since hours; a mix goes first all the same."""
    store.adopt(new_job("batch", lane="bulk"))
    split(store, 500)
    for _ in range(60):
        finish_next(store)
        clock.advance(10 * MINUTE_S)
    store.adopt(new_job("normal", created_ms=clock.wall_ms()))
    store.adopt(new_job("mix", lane="rush", created_ms=clock.wall_ms()))

    assert "mix" == finish_next(store).id
    assert "normal" != finish_next(store).id
    clock.advance(16 * MINUTE_S)
    assert "normal" == finish_next(store).id


def test_cancelled_batch_ends_with_its_running_parts(store):
    """Those that wait are cancelled at once, the job when the last one that ran has ended."""
    job = split(store, 3)
    running = store.claim()
    assert store.cancel(job)
    assert State.QUEUED is store.get(job).state
    assert store.claim() is None
    store.finish(running.job.id, running.attempt, DONE)  # it said so before it was killed

    assert State.CANCELLED is store.get(job).state
    assert {State.CANCELLED} == {part.state for part in store.parts(store.get(job))}


def test_job_is_split_as_often_as_its_parts_are_done(store):
    """A library of a million files takes hundreds of rounds; the rows of earlier ones go."""
    job = split(store, 3)
    for _ in range(3 * FREE_ROUNDS):
        for part in [finish_next(store) for _ in range(3)]:
            store.forget_parts(part, 2)
        split(store, 3)

    assert (3 * FREE_ROUNDS + 1, True) == (store.get(job).round, store.get(job).split)
    assert 3 == len(store.parts(store.get(job)))
    assert 6 >= store._ask("SELECT count(*) FROM job WHERE parent IS NOT NULL")[0][0]


def test_what_earlier_rounds_made_goes(fleeting, pool):
    """Hundreds of rounds would fill the disk with what has been gathered long since."""
    root = fleeting / "spool"
    (root / "inbox" / "mix").mkdir(parents=True)
    drop_folder(root, "Album", {"a.wav": b"\1\2" * 99}, "parts: 2\nrounds: 4\n")
    Life(config_for(root), Files(), pool).live(Life.at_rest)
    found = statuses(root)["Album"]

    assert "done" == found["state"]
    assert ["4.0", "4.1", "out.4", "out.5"] == found["measurements"]["left"]


def test_job_that_splits_for_nothing_fails(store, clock):
    """A handler that splits again although no part was done would go on for ever."""
    job = split(store, 1)
    for _ in range(FREE_ROUNDS - 1):
        finish_next(store, Ending(Outcome.NOTHING_TO_DO))
        split(store, 1)
    finish_next(store, Ending(Outcome.NOTHING_TO_DO))
    split(store, 1)
    clock.advance(MINUTE_S)
    split(store, 1)  # a bug is tried twice

    assert (State.FAILED, "SPLIT_REFUSED") == (store.get(job).state, store.get(job).error["code"])


def test_each_round_has_budgets_of_its_own(store, clock):
    """In a job of two days a server may well fail thrice, each time in another round."""
    job = split(store, 1)
    for _ in range(4):
        finish_next(store)
        claim = store.claim()
        store.finish(job, claim.attempt, bad(Outcome.UNAVAILABLE))
        clock.advance(MINUTE_S)
        split(store, 1)

    assert (5, 0) == (store.get(job).round, store.get(job).tally.failures)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((), "1 to 5,000 parts, got 0"),
        ((Part("a"),) * 5_001, "got 5,001"),
        (Part("a"), "Split((Part(…), Part(…)))"),
        (("a", "b"), "Split((Part(…), Part(…)))"),
    ],
)
def test_plan_that_is_none_is_refused_in_words(tmp_path, parts, told):
    """A forgotten comma is the commonest of them."""
    with pytest.raises(ResultError) as refused:
        listed(Split(parts), tmp_path)

    assert told in str(refused.value)


def test_parts_count_nowhere_as_jobs(store):
    """Neither in totals, nor in the depth of the queue, nor by name, nor among those that wait."""
    split(store, 4)
    store.claim()

    assert ([], {}, ["batch"]) == (
        store.waiting(10),
        store.totals(),
        [job.id for job in store.named("mix", "Song")],
    )
    assert [("running", 1)] == [(depth.state.value, depth.jobs) for depth in store.depths()]


def test_status_of_a_batch_names_what_failed_first(fleeting, pool):
    """Readers see a running job, its progress by weight, and the parts that a person asks about."""
    root = fleeting / "spool"
    (root / "inbox" / "mix").mkdir(parents=True)
    drop_folder(
        root,
        "Album",
        {"a.wav": b"\1\2" * 99},
        "parts: 4\nbad_part: 1\nseconds: 0.3\nstage: half of it\nshare: [0.5, 0.75]\n",
    )
    seen, shown = [], []

    def is_over(life):
        if found := statuses(root).get("Album"):
            seen.append(found)
        shown.extend(job.label for job, *_ in life.supervisor._dispatcher.running)
        return life.at_rest()

    Life(config_for(root), Files(), pool).live(is_over)
    during = [
        one for one in seen if one["state"] == "running" and (one["parts"] or {}).get("failed")
    ]
    final = seen[-1]

    for one in seen:
        jsonschema.Draft202012Validator(schema("status-1.json")).validate(one)
    assert during, "no status was seen while parts ran"
    assert ("half of it", "UNCOUNTABLE") == (
        during[0]["stage"]["name"],
        during[0]["parts"]["listed"][0]["code"],
    )
    # Parts 0 and 1 of weights 1, 2, 3, 4.
    assert 0.5 + 0.25 * 0.3 <= during[0]["progress"] < 0.75
    assert ("done", 4, 3, 1) == (
        final["state"],
        *(final["parts"][key] for key in ("total", "done", "failed")),
    )
    assert {"Album"} == set(shown)


def test_status_says_that_a_part_waits_however_soon_it_does(fleeting, pool, monkeypatch):
    """Statuses of what runs are paced; what came too soon for one is told with a later beat."""
    monkeypatch.setattr(status_writer, "PROGRESS_S", 1.0)
    root = fleeting / "spool"
    (root / "inbox" / "mix").mkdir(parents=True)
    drop_folder(root, "Album", {"a.wav": b"\1\2" * 99}, "parts: 1\nhow: unavailable\n")

    def waits(_):
        parts = statuses(root).get("Album", {}).get("parts") or {}
        return [part for part in parts.get("listed", ()) if part["until"]]

    budgets = Budgets(backoff_s=600.0, backoff_max_s=600.0)
    config = config_for(root, budgets=budgets, heartbeat_s=0.05)
    Life(config, Files(), pool).live(waits)
