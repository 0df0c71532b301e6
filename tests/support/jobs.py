"""Jobs and endings with everything filled in that a test does not care about."""

from daemon.jobs.job import Ending, NewJob, Outcome, OutputFile

MASTER = OutputFile("Song.wav", "master", 1_000, "5a" * 32, {"integrated_lufs": -14.0})
DONE = Ending(Outcome.DONE, outputs=(MASTER,))


def new_job(job_id: str = "20261120-214501-3f9a", **fields) -> NewJob:
    """Return a job of the inbox ``mix``, created at second 1,000."""
    filled = {
        "inbox": "mix",
        "name": "Song",
        "label": "Song",
        "handler": "daemon.handlers.mix",
        "created_ms": 1_000_000,
        **fields,
    }
    return NewJob(id=job_id, **filled)


def bad(outcome: Outcome, code: str = "TEST") -> Ending:
    """Return the ending of an attempt that did not end well."""
    return Ending(outcome, error={"code": code, "message": "as the test wanted"})
