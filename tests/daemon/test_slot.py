"""What a slot makes of what a worker says, and of how it dies; without a worker."""

import signal

import pytest

from daemon.pool.interface import Order, Outcome
from daemon.pool.oom import oom_kills
from daemon.pool.process import Death
from daemon.pool.protocol import Begun, Made, Ready, Verdict, line_up
from daemon.pool.slot import Slot

ORDER = Order("job", 1, "a.b", "name", "/s", "/w", deadline_s=100.0, stall_s=10.0)
DONE = Verdict(outcome=Outcome.DONE, result=Made(outputs=[]), max_rss_mb=1.0, clean=True)


class ScriptedProcess:
    """Says what it is told to say, and dies as it is told to die."""

    stderr = "last words\n"
    silent = False

    def __init__(self):
        self.says = []
        self.killed = False
        self.death = Death(exit_code=None, signal=signal.SIGKILL, max_rss_mb=7.0)

    def read(self):
        says, self.says = self.says, []
        return [line_up(message).rstrip() for message in says]

    def send(self, _):
        return True

    def kill(self):
        self.killed = True

    def reap(self):
        return self.death


class Kernel:
    """Counts the processes that it killed for memory."""

    kills = 3

    def __call__(self):
        return self.kills


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def process():
    return ScriptedProcess()


@pytest.fixture
def slot(process, kernel):
    """A slot whose worker has begun an order at second 0."""
    slot = Slot(process, now_s=0.0, start_s=30.0, confined=False, oom_kills=kernel)
    process.says = [Ready()]
    slot.read(0.0)
    slot.take(ORDER, 0.0)
    process.says = [Begun()]
    slot.read(0.0)
    return slot


def test_kill_that_the_kernel_counts_is_out_of_memory(slot, kernel):
    """SIGKILL from nobody we know, and one more victim of memory: out_of_memory."""
    kernel.kills += 1

    assert "out_of_memory" == slot.reap().outcome


def test_kill_that_the_kernel_does_not_count_is_a_crash(slot):
    """SIGKILL with no victim of memory came from a person: crashed."""
    ended = slot.reap()

    assert ("crashed", signal.SIGKILL) == (ended.outcome, ended.signal)
    assert "the worker was killed by SIGKILL" == ended.error["message"]


def test_verdict_that_came_first_counts(slot, process):
    """A job that is done stays done, though it is cancelled before anybody looked."""
    process.says = [DONE]
    slot.read(1.0)
    slot.end(Outcome.CANCELLED, "CANCELLED", "cancelled")

    ended = slot.reap()
    assert ("done", None) == (ended.outcome, ended.signal)


def test_cancel_that_came_first_counts(slot, process):
    """A verdict that arrives after the cancelling changes nothing."""
    slot.end(Outcome.CANCELLED, "CANCELLED", "cancelled")
    process.says = [DONE]
    slot.read(1.0)

    assert "cancelled" == slot.reap().outcome


def test_silence_is_a_stall_at_its_limit_and_not_before(slot, process):
    """At 9.9 s of silence nothing happens; at 10 s the worker is killed."""
    slot.expire(9.9)
    assert not process.killed

    slot.expire(10.0)
    assert process.killed
    assert "STALLED" == slot.reap().error["code"]


def test_second_verdict_of_one_order_is_no_message(slot, process):
    """After its verdict a worker has nothing more to say about that order."""
    process.says = [DONE]
    slot.read(1.0)
    slot.hold()
    process.says = [DONE]
    slot.read(1.0)

    assert process.killed


def test_worker_that_had_not_begun_leaves_its_order(process, kernel):
    """Before Begun, a death ends no attempt: the order is there to be given to another."""
    slot = Slot(process, now_s=0.0, start_s=30.0, confined=False, oom_kills=kernel)
    process.says = [Ready()]
    slot.read(0.0)
    slot.take(ORDER, 0.0)

    assert slot.reap() is None
    assert ORDER == slot.order


def test_oom_kills_is_a_number_that_does_not_fall():
    """The machine's counter can be read, or is zero."""
    before = oom_kills()

    assert 0 <= before <= oom_kills()
