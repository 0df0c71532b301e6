"""What is known of a drop that lies in ``work/`` without a row: what its folder tells."""

import os
from pathlib import Path

from daemon.config.models import Limits
from daemon.intake.drop import Drop, look
from daemon.intake.observations import Admitted
from daemon.jobs.job import Job
from daemon.layout import Place
from daemon.text import display
from dsp.containers.identify import read_header


def is_row_of(job: Job, place: Place) -> bool:
    """Tell whether the row with a place's id is that of the drop which lies there."""
    # When a row is published, its drop has left; and a directory is one unpublished job's.
    return job.published_ms is None and (job.inbox, job.name) == (place.inbox, place.name)


def adopted(place: Place, limits: Limits, now_ms: int) -> Admitted:
    """Return the report that a crash swallowed, as far as the folder tells it."""
    folder = os.open(place.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        drop = look(folder, place.name, limits)
    finally:
        os.close(folder)
    drop = drop or Drop(place.name, "other")
    inputs = tuple(
        {"path": display(one.path), "bytes": one.bytes, "bytes_expected": None, "ready_by": None}
        for one in drop.files
    )
    seconds = sum(_seconds(place.path, one.path) for one in drop.files)
    return Admitted(place, now_ms, drop.bytes, seconds, inputs, refusal=drop.problem)


def _seconds(drop: Path, path: str) -> float:
    """Return how long a file plays by its header; 0: it does not say."""
    try:
        with (drop / path if drop.is_dir() else drop).open("rb") as file:
            return read_header(file.fileno(), os.fstat(file.fileno()).st_size).seconds() or 0.0
    except OSError:
        return 0.0  # the attempt will say so
