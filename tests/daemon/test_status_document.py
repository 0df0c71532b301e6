"""What a status says of a job, where its row says more."""

from dataclasses import replace

from daemon.jobs.job import Ending, Outcome
from daemon.jobs.store import open_store
from daemon.outbox.status_document import MOST_OUTPUTS, status_of_job
from tests.support.clocks import FakeClock
from tests.support.jobs import MASTER, new_job


def test_status_lists_the_first_outputs_and_counts_the_others(tmp_path):
    """A status is read whole, again and again; what lies in the folder is all there."""
    store = open_store(tmp_path / "queue.sqlite3", FakeClock())
    store.adopt(new_job())
    claim = store.claim()
    outputs = [replace(MASTER, path=f"{place}.wav") for place in range(MOST_OUTPUTS + 7)]
    store.finish(claim.job.id, claim.attempt, Ending(Outcome.DONE, outputs=outputs))
    job, kept = store.get(claim.job.id), store.outputs(claim.job.id)
    store.close()
    status = status_of_job(job, [], kept)

    assert MOST_OUTPUTS + 7 == len(kept)
    assert [one.path for one in outputs[:MOST_OUTPUTS]] == [o["path"] for o in status["outputs"]]
    (warning,) = status["warnings"]
    assert "OUTPUTS_NOT_LISTED" == warning["code"]
    assert warning["message"].startswith("7 more")
    assert () == tuple(status_of_job(job, [], kept[:MOST_OUTPUTS])["warnings"])
