"""Room for one more drop: what closes the gate says by how much."""

import os
from types import SimpleNamespace

import pytest

from daemon.config.models import Config, Disk
from daemon.intake.drop import Drop, Found, Signature
from daemon.layout import Spool
from daemon.supervisor.capacity import Capacity

MIB = 1 << 20


def capacity(root, **settings):
    """Return the capacity of a spool, measured on its own disk."""
    made = Capacity(SimpleNamespace(config=Config(root=root, **settings), spool=Spool(root)))
    made.measure(0)
    return made


def drop_of(size):
    return Drop("Song", "file", (Found("Song", Signature(1, 1, size, 0, 0), audio=True),))


@pytest.mark.parametrize(
    ("settings", "size", "reason", "detail"),
    [
        (
            {"disk": Disk(reserve_mb=1 << 29)},
            100 * MIB,
            "disk",
            "too little room on the disk: 300 MiB needed, 0 MiB free for drops",
        ),
        (
            {"memory_reserve_mb": 1 << 29, "disk": Disk(reserve_mb=0, per_input_byte=0)},
            MIB,
            "memory",
            "too little memory: less than 524288.0 GiB are available",
        ),
    ],
)
def test_wait_carries_its_numbers(tmp_path, settings, size, reason, detail):
    """How much is needed and how much there is, not only that it is too little."""
    wait = capacity(tmp_path, **settings).gate("mix", drop_of(size))

    assert (reason, detail) == (wait.reason, wait.detail)


def test_queue_that_is_full_says_how_many_wait(tmp_path):
    """One fits, the second does not."""
    room = capacity(tmp_path, queue_limit=1, memory_reserve_mb=0, disk=Disk(reserve_mb=0))

    assert room.gate("mix", drop_of(0)) is None
    assert "the queue is full: queue_limit is 1" == room.gate("mix", drop_of(0)).detail


def test_disk_says_what_is_free_beyond_the_reserve(tmp_path):
    """In steps that a person reads, not in bytes."""
    found = os.statvfs(tmp_path)
    wait = capacity(tmp_path, disk=Disk(reserve_mb=0)).gate(
        "mix", drop_of(found.f_bavail * found.f_frsize)
    )

    assert "disk" == wait.reason
    assert "needed" in wait.detail
    assert not wait.detail.endswith(" 0 MiB free for drops")
