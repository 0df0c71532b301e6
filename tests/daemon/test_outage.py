"""The guard: what a step raises decides what waits, how long, and what is said of it."""

import os

import pytest

from daemon.errors import Unavailable
from daemon.files import Files
from daemon.jobs.database import QueueDamaged
from daemon.supervisor.folders import Folders, FoundationLost, make_folders
from daemon.supervisor.outage import RETRY_S, Outage
from tests.support.clocks import FakeClock


class Broken(Files):
    """Write nowhere below the folders that are named."""

    def __init__(self):
        self.folders = []

    def write(self, step, path, data, *, durable):
        if any(path.is_relative_to(folder) for folder in self.folders):
            raise OSError(30, "Read-only file system", str(path))
        super().write(step, path, data, durable=durable)


class Step:
    """Raise what it is told to, and count."""

    def __init__(self, error=None):
        self.error, self.taken = error, 0

    def __call__(self):
        self.taken += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def files():
    return Broken()


@pytest.fixture
def folders(tmp_path, files):
    make_folders(tmp_path, ["mix", "radio"])
    found = Folders(tmp_path, files)
    found.know(["mix", "radio"])
    yield found
    found.close()


@pytest.fixture
def outage(folders):
    return Outage(folders, FakeClock())


def test_what_is_refused_is_repeated_at_its_own_time(outage):
    """Two things that are refused at different times are tried again at different times."""
    first, second = Step(OSError()), Step(OSError())
    outage.guard("first", first)
    outage._clock.advance(RETRY_S / 2)
    outage.guard("second", second)
    outage._clock.advance(RETRY_S / 2)
    outage.repeat()

    assert (2, 1) == (first.taken, second.taken)
    assert RETRY_S / 2 == outage.due_in_s()


def test_further_refusals_put_nothing_off(outage):
    """What is refused every second is tried again all the same, and so is what waits beside it."""
    waits, often = Step(OSError()), Step(OSError())
    outage.guard("waits", waits)
    for _ in range(round(RETRY_S)):
        outage.guard("often", often)
        outage._clock.advance(1.0)
    taken = often.taken
    outage.repeat()

    assert (2, taken + 1) == (waits.taken, often.taken)


def test_what_was_done_is_repeated_no_more(outage):
    """Trouble ends with the first try that succeeds."""
    step = Step(OSError())
    outage.guard("thing", step)
    step.error = None
    for _ in range(3):
        outage._clock.advance(RETRY_S)
        outage.repeat()

    assert 2 == step.taken
    assert [] == list(outage.warnings())


def test_trouble_of_one_thing_holds_up_nothing_else(outage):
    """The folders can be written: it is the thing's own."""
    outage.guard("thing", Step(OSError("is in the way")), inbox="mix")

    assert ("", "") == (outage.everything, outage.of_inbox("mix"))
    assert [("SURROUNDINGS", "thing: is in the way")] == list(outage.warnings())


@pytest.mark.parametrize("kind", ["outbox", "failed", "archive", "work"])
def test_trouble_of_a_folder_holds_up_its_inbox(tmp_path, outage, files, kind):
    """Until the folder can be written again; the other inbox has nothing to do with it."""
    files.folders = [tmp_path / kind / "mix"]
    outage.guard("thing", Step(OSError()), inbox="mix")

    assert f"{kind}/mix: Read-only file system" == outage.of_inbox("mix")
    assert ("", "") == (outage.everything, outage.of_inbox("radio"))
    files.folders = []
    outage._clock.advance(RETRY_S)
    outage.repeat()
    assert "" == outage.of_inbox("mix")


def test_trouble_of_the_disk_holds_up_everything(tmp_path, outage, files):
    """Where nothing can be written at all, no attempt is begun."""
    files.folders = [tmp_path]
    outage.guard("thing", Step(OSError()))

    assert "work: Read-only file system" == outage.everything


def test_trouble_of_the_queue_holds_up_everything_until_it_is_over(outage):
    """A claim could not be written down either."""
    step = Step(Unavailable("DISK_FULL", "no room for the queue"))
    outage.guard("outcome", step)
    assert "DISK_FULL: no room for the queue" == outage.everything
    step.error = None
    outage._clock.advance(RETRY_S)
    outage.repeat()

    assert "" == outage.everything


def test_bug_sets_its_thing_aside_and_is_not_repeated(outage):
    """Trying again changes nothing about a bug."""
    step, faults = Step(KeyError("x")), []
    outage.guard("thing", step, set_aside=faults.append)
    outage._clock.advance(RETRY_S)
    outage.repeat()

    assert 1 == step.taken
    assert ["INTERNAL"] == [fault.code for fault in faults]
    assert "KeyError" in faults[0].traceback


def test_bug_in_setting_aside_is_a_warning(outage):
    """There is nothing left to do for that thing, and much for all others."""

    def worse(_fault):
        raise ValueError("worse")

    assert not outage.guard("thing", Step(KeyError("x")), set_aside=worse)
    assert ["INTERNAL", "INTERNAL"] == [code for code, _ in outage.warnings()]


@pytest.mark.parametrize("error", [QueueDamaged("x"), FoundationLost(Unavailable("X", "x"))])
def test_only_the_foundations_leave_a_guard(outage, error):
    """Whatever else a step raises, the daemon goes on."""
    with pytest.raises(type(error)):
        outage.guard("thing", Step(error))


def test_job_that_is_handled_is_known_to_the_next_daemon(tmp_path, files, outage):
    """Only while it is handled, and also when what it provokes ends the process."""

    def end():
        outage.guard("inner", Step(), job="other")
        raise SystemExit

    with pytest.raises(SystemExit):
        outage.guard("thing", end, job="20261120-214501-3f9a")
    os.close(outage._folders._lock)
    after = Folders(tmp_path, files)
    assert "20261120-214501-3f9a" == after.culprit
    after.close()

    outage._folders._lock = os.open(tmp_path / "state" / "lock", os.O_RDWR)
    assert "" == Folders(tmp_path, files).culprit
