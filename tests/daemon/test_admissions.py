"""Where drops become jobs: what holds even when the dice fall badly."""

import json
import os
import threading

import pytest

from daemon.clock import Clock
from daemon.config.models import Config
from daemon.files import Files
from daemon.intake.observations import Admitted, Gone, Sighting
from daemon.jobs.job import State
from daemon.layout import Place
from daemon.outbox.status_reader import drop_in
from daemon.supervisor.admissions import Admissions
from daemon.supervisor.context import Context
from daemon.supervisor.duplicates import DuplicateFinder
from daemon.supervisor.startup import open_spool
from tests.support.jobs import DONE, new_job

ID = "20261120-214501-3f9a"


@pytest.fixture
def house(tmp_path):
    config = Config.model_validate({"root": tmp_path / "spool"})
    opened = open_spool(config, files=Files(), clock=Clock())
    yield Context.furnish(config, opened, files=Files(), clock=Clock())
    opened.close(clean=True)


@pytest.fixture
def reception(house):
    twins = DuplicateFinder(
        house.store, house.spool.root / "outbox", house.clock.wall_ms, lambda: None
    )
    yield Admissions(house, twins)
    twins.close()


def admitted(house, name="Song"):
    """Return the report of a drop whose room has the id ``ID``."""
    path = house.spool.drop("mix", ID, name)
    path.mkdir(parents=True)
    return Admitted(Place("mix", ID, name, path), 0, 0, 0.0, ())


def end_another_job_of_this_id(house, name):
    house.store.adopt(new_job(ID, name=name), cancelled=True)
    house.store.mark_published(ID, drop_at="failed/mix/Before")


@pytest.mark.parametrize("name", ["Before", "Song"])
def test_drop_with_the_id_of_an_ended_job_becomes_a_job_of_its_own(house, reception, name):
    """An id that falls twice, once the first job's directory is gone, loses no drop."""
    end_another_job_of_this_id(house, name)

    reception.take(admitted(house))

    [job] = house.store.jobs(State.QUEUED)
    assert (job.name, True) == ("Song", house.spool.drop("mix", job.id, "Song").is_dir())


def test_drop_with_the_id_of_an_ended_job_is_adopted_after_a_crash(house, reception):
    """What lies in work/ under another job's id is no leftover of that job."""
    end_another_job_of_this_id(house, "Before")
    admitted(house)

    reception.adopt()

    [job] = house.store.jobs(State.QUEUED)
    assert (job.name, True) == ("Song", house.spool.drop("mix", job.id, "Song").is_dir())


def test_drop_with_the_id_of_a_job_of_another_inbox_becomes_a_job_of_its_own(house, reception):
    """Two doors throw their own dice."""
    house.store.adopt(new_job(ID, inbox="radio"))

    reception.take(admitted(house))

    assert ["radio", "mix"] == [job.inbox for job in house.store.jobs(State.QUEUED)]


def test_report_taken_again_changes_nothing(house, reception):
    """A drop whose report is repeated keeps its id and its row."""
    report = admitted(house)
    reception.take(report)

    reception.take(report)

    assert [ID] == [job.id for job in house.store.jobs(State.QUEUED)]


def test_names_that_look_alike_have_statuses_of_their_own(house, reception):
    """Two names that are no text are shown as the same one, and are two drops all the same."""
    for name in (b"a\xfe.wav", b"a\xff.wav"):
        reception.take(Sighting("mix", os.fsdecode(name), 0, (), None))
    reception.take(Gone("mix", os.fsdecode(b"a\xff.wav")))

    (path,) = (house.spool.root / "outbox" / "mix").glob("*.status.json")
    assert os.fsdecode(b"a\xfe.wav") == drop_in(json.loads(path.read_bytes()))


def test_drop_is_queued_though_no_thread_is_to_be_had(house, reception):
    """The search for its twin is put off; the drop and the daemon are not lost."""
    house.store.adopt(new_job("first"))
    house.store.claim()
    house.store.finish("first", 1, DONE)
    house.store.mark_published("first", drop_at="archive/mix/Song")
    house.store.note_content("first", "0:" + "5a" * 32)
    before = threading.stack_size(1 << 46)  # more than there is address space
    try:
        reception.take(admitted(house))
    finally:
        threading.stack_size(before)

    assert State.QUEUED is house.store.get(ID).state
