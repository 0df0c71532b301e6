"""What a status says of a job, where its row says more."""

from dataclasses import replace

from daemon.intake.observations import Sighting
from daemon.jobs.job import Job, Outcome
from daemon.jobs.store import open_store
from daemon.outbox.status_document import (
    MOST_INPUTS,
    MOST_OUTPUTS,
    status_of_job,
    status_of_sighting,
)
from daemon.pool.interface import Ended
from daemon.supervisor.endings import ending_of
from tests.support.clocks import FakeClock
from tests.support.jobs import MASTER, new_job


def test_status_lists_the_first_outputs_and_says_that_there_are_others(tmp_path):
    """A status is read whole, again and again; what lies in the folder is all there."""
    store = open_store(tmp_path / "queue.sqlite3", FakeClock())
    store.adopt(new_job())
    claim = store.claim()
    outputs = [replace(MASTER, path=f"{place}.wav") for place in range(MOST_OUTPUTS + 7)]
    told = {"outputs": [vars(one) for one in outputs]}
    ended = Ended(claim.job.id, claim.attempt, Outcome.DONE, result=told)
    store.finish(claim.job.id, claim.attempt, ending_of(ended, claim.job, None, tmp_path))
    job, kept = store.get(claim.job.id), store.outputs(claim.job.id)
    store.close()
    status = status_of_job(job, [], kept)

    assert MOST_OUTPUTS + 1 == len(kept)  # rows hold up the loop, and nobody else reads them
    assert [one.path for one in outputs[:MOST_OUTPUTS]] == [o["path"] for o in status["outputs"]]
    (warning,) = status["warnings"]
    assert "OUTPUTS_NOT_LISTED" == warning["code"]
    assert () == tuple(status_of_job(job, [], kept[:MOST_OUTPUTS])["warnings"])


def test_split_job_says_what_all_of_its_parts_wait_for():
    """Otherwise it would seem to run, and nothing would happen."""
    job = Job(**vars(new_job()), round=1, split=True)
    parts = {"round": 1, "stage": "round 1", "progress": 0.0, "running": 0, "queued": 3}
    why = ("resource", "waits for gpu: 1 needed, 0 of 1 free")

    assert "resource" == status_of_job(job, [], [], parts=parts, waits_for=why)["wait"]["reason"]
    assert status_of_job(job, [], [], parts=parts | {"running": 1}, waits_for=why)["wait"] is None
    assert status_of_job(job, [], [], parts=parts)["wait"] is None


def test_status_lists_the_first_inputs_those_awaited_before_the_others_and_counts_all():
    """Of a folder with 5,000 songs it was 617 kB, written twice a second."""
    files = [
        {"path": f"{place}.flac", "bytes": 9, "ready_by": None if place == 4_321 else "quiet"}
        for place in range(5_000)
    ]
    job = Job(**vars(replace(new_job(), inputs=files)), result={"inputs": [files[7]]})

    of_job = status_of_job(job, [], [])
    of_drop = status_of_sighting(Sighting("mix", "Songs", 1, tuple(files), None), handler="")
    for status in (of_job, of_drop):
        assert (MOST_INPUTS, 5_000) == (len(status["inputs"]), status["inputs_total"])
        assert ["4321.flac", "0.flac"] == [one["path"] for one in status["inputs"][:2]]
