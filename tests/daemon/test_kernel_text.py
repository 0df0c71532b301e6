"""What the kernel tells in text: garbage means "unknown", and never ends anything."""

import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.cli.diagnose import machine_checks
from daemon.intake.mounts import is_network, kind_of_mount, mount_options
from daemon.outbox import heartbeat
from daemon.pool import oom
from daemon.supervisor import capacity

GARBAGE = (
    b"",
    b"\0\xff\xfe garbage",
    b"MemAvailable:\nMemAvailable: many kB\noom_kill\noom_kill soon\n",
    b"MemAvailable: \xd9\xa3 kB\noom_kill \xff\n0::\n1:memory\n:::\n\n",
    b"0::/../../..\x00\n12:memory,cpu:/x\n",
)


@pytest.fixture(params=GARBAGE)
def garbage(request, tmp_path):
    """A file of the kernel's that says nothing of use."""
    (tmp_path / "garbage").write_bytes(request.param)
    return tmp_path / "garbage"


def test_memory_of_which_nothing_is_known_has_no_bound(garbage, monkeypatch):
    """Drops are not refused for what cannot be read."""
    monkeypatch.setattr(capacity, "MEMINFO", garbage)

    assert math.isinf(capacity._memory_free_mb())


def test_kills_of_which_nothing_is_known_are_no_more_than_before(garbage, monkeypatch):
    """Not a number, or none."""
    monkeypatch.setattr(oom, "_counters", lambda: (garbage,))
    monkeypatch.setattr(oom, "CGROUP", garbage)

    assert not oom.oom_kills() > 0
    assert all(isinstance(path, Path) for path in oom._groups())


def test_boot_of_which_nothing_is_known_has_a_short_name(garbage, monkeypatch):
    """Or none."""
    monkeypatch.setattr(heartbeat, "BOOT_ID", garbage)

    assert len(heartbeat.boot_id()) <= 64


def test_limits_of_watches_that_are_no_numbers_are_said_to_be_unknown(garbage, monkeypatch):
    """The doctor goes on to the next finding."""
    for name in ("max_user_watches", "max_user_instances"):
        garbage.with_name(name).write_bytes(garbage.read_bytes())
    monkeypatch.setattr(machine_checks, "_INOTIFY", garbage.parent)

    assert "ok" == machine_checks.watches(3).verdict


@given(st.text("/ \\0123456789 -ab,=\n\0", max_size=200) | st.text(max_size=100))
@example("1 2 3 4 / 5 - \n" * 3)
@example("1 2 3 4 /\\000\\777 5 - nfs")
def test_mounts_that_cannot_be_understood_are_unknown(text):
    """A file system of which nothing is known counts as local."""
    kind_of_mount(Path("/srv"), text)
    mount_options(Path("/srv"), text)
    is_network(Path("/srv"), text)


def test_folder_that_leads_to_itself_lies_nowhere(tmp_path):
    """Links may be made in circles."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert "" == kind_of_mount(tmp_path / "a", "1 2 3 4 / 5 - ext4 /dev/sda rw")
