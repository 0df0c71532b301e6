"""Where drops become jobs: what holds even when two random ids agree."""

import json
import os
import threading

import pytest

from daemon.config.models import Config
from daemon.intake.observations import Admitted, Gone, Sighting
from daemon.jobs.job import State
from daemon.layout import Place
from daemon.outbox.status_reader import drop_in
from daemon.supervisor.supervisor import Supervisor
from tests.support.jobs import DONE, new_job

ID = "20261120-214501-3f9a"


@pytest.fixture
def daemon(tmp_path):
    """A daemon that does not go round: its parts are called one by one."""
    supervisor = Supervisor(Config.model_validate({"root": tmp_path / "spool"}))
    yield supervisor
    supervisor.close(clean=True)


def admitted(daemon, name="Song"):
    """Return the report of a drop whose room has the id ``ID``."""
    path = daemon._opened.spool.drop("mix", ID, name)
    path.mkdir(parents=True)
    return Admitted(Place("mix", ID, name, path), 0, 0, 0.0, ())


def end_another_job_of_this_id(daemon, name):
    daemon._store.adopt(new_job(ID, name=name), cancelled=True)
    daemon._store.mark_published(ID, drop_at="failed/mix/Before")


@pytest.mark.parametrize("name", ["Before", "Song"])
def test_drop_with_the_id_of_an_ended_job_becomes_a_job_of_its_own(daemon, name):
    """An id that falls twice, once the first job's directory is gone, loses no drop."""
    end_another_job_of_this_id(daemon, name)

    daemon._admissions.take(admitted(daemon))

    [job] = daemon._store.jobs(State.QUEUED)
    assert (job.name, True) == ("Song", daemon._opened.spool.drop("mix", job.id, "Song").is_dir())


def test_drop_with_the_id_of_an_ended_job_is_adopted_after_a_crash(daemon):
    """What lies in work/ under another job's id is no leftover of that job."""
    end_another_job_of_this_id(daemon, "Before")
    admitted(daemon)

    daemon._admissions.adopt()

    [job] = daemon._store.jobs(State.QUEUED)
    assert (job.name, True) == ("Song", daemon._opened.spool.drop("mix", job.id, "Song").is_dir())


def test_drop_with_the_id_of_a_job_of_another_inbox_becomes_a_job_of_its_own(daemon):
    """Two inboxes draw their ids independently."""
    daemon._store.adopt(new_job(ID, inbox="radio"))

    daemon._admissions.take(admitted(daemon))

    assert ["radio", "mix"] == [job.inbox for job in daemon._store.jobs(State.QUEUED)]


def test_report_taken_again_changes_nothing(daemon):
    """A drop whose report is repeated keeps its id and its row."""
    report = admitted(daemon)
    daemon._admissions.take(report)

    daemon._admissions.take(report)

    assert [ID] == [job.id for job in daemon._store.jobs(State.QUEUED)]


def test_names_that_look_alike_have_statuses_of_their_own(daemon):
    """Two names that are no text are shown as the same one, and are two drops all the same."""
    for name in (b"a\xfe.wav", b"a\xff.wav"):
        daemon._admissions.take(Sighting("mix", os.fsdecode(name), 0, (), None))
    daemon._admissions.take(Gone("mix", os.fsdecode(b"a\xff.wav")))

    (path,) = (daemon._opened.spool.root / "outbox" / "mix").glob("*.status.json")
    assert os.fsdecode(b"a\xfe.wav") == drop_in(json.loads(path.read_bytes()))


def test_drop_is_queued_though_no_thread_can_be_started(daemon):
    """The search for its twin is put off; the drop and the daemon are not lost."""
    daemon._store.adopt(new_job("first"))
    daemon._store.claim()
    daemon._store.finish("first", 1, DONE)
    daemon._store.mark_published("first", drop_at="archive/mix/Song")
    daemon._store.note_content("first", "0:" + "5a" * 32)
    before = threading.stack_size(1 << 46)  # more than there is address space
    try:
        daemon._admissions.take(admitted(daemon))
    finally:
        threading.stack_size(before)

    assert State.QUEUED is daemon._store.get(ID).state
