"""What every pool promises, whatever it runs attempts on: one suite, every implementation.

To add an implementation, add a function to ``POOLS`` that makes one with two slots on a spool,
for the handler ``tests.support.misbehaving``. Nothing here looks inside.
"""

import os
import select
from functools import partial
from pathlib import Path

import pytest

from daemon.clock import Clock
from daemon.config.models import Pool as Settings
from daemon.pool import orphans
from daemon.pool.interface import Ended, Outcome, Pool, Progress
from daemon.pool.local import LocalPool
from daemon.pool.nodes.joined import JoinedPool
from tests.support.crew import HANDLER, ROOT
from tests.support.nodes import node_pool
from tests.support.pools import ends, events, order


def local(_: Path, *, confine: bool) -> Pool:
    settings = Settings(slots=2, confine=confine)
    return LocalPool(settings, Clock(), handlers=[HANDLER], handler_paths=[ROOT])


def joined(spool: Path) -> Pool:
    """Return a pool of a slot here and one at a node."""
    settings = Settings(slots=1, confine=False)
    home = LocalPool(settings, Clock(), handlers=[HANDLER], handler_paths=[ROOT])
    return JoinedPool(home, [node_pool(spool, slots=1)], Clock())


POOLS = {
    "local": partial(local, confine=False),
    "local-confined": partial(local, confine=True),
    "node": node_pool,
    "joined": joined,
}


@pytest.fixture(params=POOLS.keys())
def pool(request, tmp_path):
    made = POOLS[request.param](tmp_path)
    events(made, lambda _: made.free_slots() == 2)  # a node takes a moment to join
    yield made
    made.close()


def test_pool_takes_as_many_orders_as_it_has_slots(pool, tmp_path):
    """Then it refuses in words, and takes more when one has ended."""
    assert 2 == pool.size == pool.free_slots()
    for job in ("one", "two"):
        pool.start(order(tmp_path, job))

    assert 0 == pool.free_slots()
    with pytest.raises(ValueError, match="no slot is free"):
        pool.start(order(tmp_path, "three"))
    assert {"one", "two"} == ends(pool, 2).keys()
    assert 2 == pool.free_slots()


def test_progress_comes_before_the_end_and_never_after(pool, tmp_path):
    """Reports of an attempt name it, rise, and stop with its end."""
    pool.start(order(tmp_path, "job", "slowly"))
    found = events(pool, lambda found: any(isinstance(event, Ended) for event in found))

    *before, last = found
    assert isinstance(last, Ended)
    assert before
    assert all(isinstance(event, Progress) and event.job == "job" for event in before)
    assert [] == list(pool.collect())


def test_what_is_done_lies_in_its_folder_and_nothing_else(pool, tmp_path):
    """The named output, read-only, of the size and hash that are told; no scratch file."""
    one = order(tmp_path, "job", "scratch")
    pool.start(one)
    end = ends(pool, 1)["job"]

    assert Outcome.DONE is end.outcome
    (file,) = end.result["outputs"]
    (path,) = Path(one.workdir).iterdir()
    assert ("out.txt", 5) == (file["path"], file["bytes"])
    assert (b"made\n", 0) == (path.read_bytes(), path.stat().st_mode & 0o222)


def test_failure_has_a_document_with_a_hint(pool, tmp_path):
    """Whatever fails says code, message and what to do; outcomes are those of the queue."""
    for job, how in (("drop's", "bad_input"), ("ours", "unrebuildable")):
        pool.start(order(tmp_path, job, how))
    found = ends(pool, 2)

    assert (Outcome.BAD_INPUT, Outcome.FAILED) == (found["drop's"].outcome, found["ours"].outcome)
    for end in found.values():
        assert end.result is None
        assert end.error["code"]
        assert end.error["message"]
        assert end.error["hint"]


def test_attempt_that_takes_too_long_is_ended(pool, tmp_path):
    """The deadline of the order holds."""
    pool.start(order(tmp_path, "job", "hang_without_gil", deadline_s=0.3))

    assert Outcome.TIMED_OUT is ends(pool, 1)["job"].outcome


def test_cancelled_attempt_ends_so_and_the_other_goes_on(pool, tmp_path):
    """Only the attempt that is named; what is not there cannot be cancelled."""
    pool.start(order(tmp_path, "unwanted", "hang_without_gil"))
    pool.start(order(tmp_path, "wanted"))

    assert not pool.cancel("unwanted", 2)
    assert pool.cancel("unwanted", 1)
    found = ends(pool, 2)
    assert (Outcome.CANCELLED, Outcome.DONE) == (
        found["unwanted"].outcome,
        found["wanted"].outcome,
    )


def test_interrupted_attempts_end_so(pool, tmp_path):
    """All of them."""
    for job in ("one", "two"):
        pool.start(order(tmp_path, job, "hang_without_gil"))
    pool.interrupt_all()

    assert {Outcome.INTERRUPTED} == {end.outcome for end in ends(pool, 2).values()}


def test_handlers_tell_of_themselves(pool):
    """Those that can be used, and those that cannot with the reason; other ones when asked."""
    events(pool, lambda _: pool.handlers)
    assert {HANDLER} == pool.handlers.keys()

    pool.serve([HANDLER, "nowhere.to.be.found"])
    events(pool, lambda _: pool.unusable)
    assert "nowhere" in pool.unusable["nowhere.to.be.found"]


@pytest.mark.parametrize("pool", ["local", "local-confined"], indirect=True)
def test_pool_without_work_sleeps(pool):
    """Nothing to do, nothing due: the descriptors are silent."""
    events(pool, lambda _: pool.handlers)
    events(pool, lambda _: all(one["phase"] == "idle" for one in pool.describe()["workers"]))

    poll = select.poll()
    for descriptor in pool.descriptors():
        poll.register(descriptor, select.POLLIN)
    assert [] == poll.poll(0)
    assert pool.next_deadline_s() is None


def test_closed_pool_leaves_nothing_running(pool, tmp_path):
    """Closing ends what runs, and offers no slot any more."""
    pool.start(order(tmp_path, "job", "hang_without_gil"))
    pool.close()

    assert 0 == pool.free_slots()
    assert [] == orphans.children(os.getpid())
