"""The history: one line per event, rotated by rename."""

import json

from daemon.files import Files
from daemon.outbox import events
from tests.support.clocks import FakeClock


def make(tmp_path):
    return events.Events(
        tmp_path / "events.jsonl", files=Files(), clock=FakeClock(), instance="test"
    )


def test_event_is_one_line_in_cloudevents_words(tmp_path):
    """Each event is one JSON line with the required CloudEvents attributes."""
    make(tmp_path).emit("job.queued", "mix/a\nb", {"job": "j"})
    lines = (tmp_path / "events.jsonl").read_bytes().splitlines()

    assert 1 == len(lines)
    assert {"specversion", "id", "source", "type", "time", "subject", "data"} == set(
        json.loads(lines[0])
    )


def test_history_is_rotated_and_bounded(tmp_path):
    """A full history moves aside; no more than three old ones stay."""
    history = make(tmp_path)
    for _ in range(5):
        with (tmp_path / "events.jsonl").open("ab") as file:
            file.truncate(events.ROTATE_BYTES)
        history.emit("job.done", "mix/Song", {})
    names = sorted(path.name for path in tmp_path.iterdir())

    assert ["events.jsonl", "events.jsonl.1", "events.jsonl.2", "events.jsonl.3"] == names
