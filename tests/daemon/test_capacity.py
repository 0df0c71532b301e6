"""Whether there is room for one more drop."""

import pytest

from daemon.config.models import Config
from daemon.intake.drop import Drop, Found, Signature
from daemon.supervisor.supervisor import Supervisor


@pytest.fixture
def daemon(tmp_path):
    """Return a function that makes a daemon that does not go round."""
    made = []

    def make(**settings):
        settings = {"disk": {"reserve_mb": 0}, "memory_reserve_mb": 0} | settings
        config = Config.model_validate({"root": tmp_path / "spool", **settings})
        made.append(Supervisor(config))
        return made[0]

    yield make
    made[0].close(clean=True)


def asked(capacity, name, size=0):
    """Return why a drop of one file must wait; ``None``: its room is taken."""
    drop = Drop(name, "file", files=(Found(name, Signature(0, 0, size, 0, 0)),))
    wait = capacity.gate("mix", drop)
    return wait and wait.reason


def test_nothing_is_taken_before_the_first_measurement(daemon):
    """The watchers' threads may be quicker than the loop."""
    assert asked(daemon()._capacity, "a") is not None


def test_room_that_cannot_be_measured_is_not_called_full(daemon):
    """While a bug of ours hides what there is, nothing is taken, and the wait says why."""
    capacity = daemon(queue_limit=5)._capacity
    capacity.measure(0)
    capacity.hold("job", "not a number")
    with pytest.raises(TypeError):
        capacity.measure(0)
    wait = capacity.gate("mix", Drop("a", "file"))

    assert "TypeError" in wait.detail
    assert "full" not in wait.detail

    capacity.release("job")

    assert capacity.measure(0)
    assert asked(capacity, "a") is None


def test_burst_between_two_measurements_cannot_overrun_the_queue(daemon):
    """Each admission takes its room at once."""
    capacity = daemon(queue_limit=2)._capacity
    capacity.measure(0)

    assert [None, None, "slot"] == [asked(capacity, n) for n in "abc"]


def test_room_of_a_drop_that_is_put_back_is_free_again(daemon):
    """It takes no place in the queue after all."""
    capacity = daemon(queue_limit=1)._capacity
    capacity.measure(0)
    asked(capacity, "a")
    assert not capacity.measure(0)
    capacity.came("mix", "a")

    assert capacity.measure(0)
    assert asked(capacity, "b") is None


def test_job_holds_its_room_until_it_has_ended(daemon):
    """Its result is still to be written; one that runs waits no more, and needs the disk."""
    capacity = daemon(queue_limit=1)._capacity
    capacity.hold("job", 100 << 20)
    capacity.measure(0)
    assert (300, "slot") == (capacity.reserved_mb, asked(capacity, "a"))
    capacity.measure(1)
    assert 300 == capacity.reserved_mb
    assert asked(capacity, "a") is None
    capacity.came("mix", "a")
    capacity.release("job")
    capacity.measure(0)

    assert 0 == capacity.reserved_mb


def test_drop_for_which_the_disk_is_too_small_waits_and_a_smaller_one_passes(daemon):
    """Room is measured in bytes of the result, not in drops."""
    capacity = daemon(disk={"reserve_mb": 0, "per_input_byte": 1_000.0})._capacity
    capacity.measure(0)
    assert ["disk", None] == [
        asked(capacity, "large", 1 << 50),
        asked(capacity, "empty"),
    ]


def test_too_little_memory_closes_the_inboxes(daemon):
    """Until there is as much as the operator wants to keep."""
    capacity = daemon(memory_reserve_mb=1 << 30)._capacity
    capacity.measure(0)

    assert "memory" == asked(capacity, "a")


def test_disk_is_kept_free_for_the_results_of_the_jobs_there_are(daemon):
    """A drop for which the disk would do if it were alone must wait."""
    capacity = daemon()._capacity
    capacity.measure(0)
    alone = asked(capacity, "a")
    capacity.hold("job", capacity.free_mb << 20)
    capacity.measure(0)

    assert [None, "disk"] == [alone, asked(capacity, "b", size=1)]
