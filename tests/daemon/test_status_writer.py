"""Status files: whole, rising, true, and in the shape of the shipped schema."""

import json
from contextlib import contextmanager

import jsonschema
import pytest

from daemon.files import Files
from daemon.outbox.status_reader import read_status
from daemon.outbox.status_writer import Statuses, encoded
from tests.support.clocks import FakeClock
from tests.support.spools import HOSTILE, drop, schema, told

SCHEMA = schema("status-1.json")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def statuses(tmp_path, clock):
    (tmp_path / "mix").mkdir()
    return Statuses(tmp_path, files=Files(), clock=clock, instance="test")


RECEIVING = told(
    "receiving",
    first_seen="1970-01-01T00:00:01.000Z",
    wait={"reason": "settling", "until": None, "detail": "quiet for 2 s", "position": None},
    inputs=[{"path": "a.wav", "bytes": 10, "bytes_expected": 20, "ready_by": None}],
)
FAILED = told(
    "failed",
    job="20261120-214501-3f9a",
    attempts=[{"number": 1, "outcome": "bad_input"}],
    error={"code": "NO_AUDIO", "class": "BadInput", "message": "m", "hint": "h", "stage": None},
)
DONE = told(
    "done",
    job="j",
    stage={"name": "complete", "index": 1, "count": 1},
    progress=1.0,
    outputs=[{"path": "final_mix.wav", "role": "master", "bytes": 1, "sha256": "0" * 64}],
)


@pytest.mark.parametrize("status", [RECEIVING, FAILED, DONE], ids=lambda one: one["state"])
def test_status_is_valid_against_the_shipped_schema(statuses, status):
    """Every document that is written validates."""
    statuses.write("Song", status)
    body = json.loads(statuses.path("mix", "Song").read_bytes())

    jsonschema.validate(body, SCHEMA, format_checker=jsonschema.FormatChecker())


def test_schema_refuses_a_done_status_with_an_error():
    """The schema bites: a reader may rely on a done job having no error."""
    body = drop("done", error={"code": "X", "message": "y"})

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, SCHEMA)


def test_status_of_a_hostile_name_is_plain_ascii(statuses):
    """Names with newlines, escapes and lone surrogates cannot break a reader's line."""
    statuses.write("Song", told("queued", HOSTILE))
    body = statuses.path("mix", "Song").read_bytes()

    assert HOSTILE == json.loads(body)["name"]
    assert b"\x1b" not in body


def test_progress_is_written_at_most_twice_a_second(statuses, clock):
    """Progress between two writes waits; a change of state never does."""
    running = told("running", job="j", progress=0.1)
    further = told("running", job="j", progress=0.2)

    assert statuses.write("Song", running)
    assert not statuses.write("Song", further)
    clock.advance(0.6)
    assert statuses.write("Song", further)
    assert statuses.write("Song", DONE)


class SlowFiles(Files):
    """A disk that takes a second to sync."""

    def __init__(self, clock):
        self._clock = clock

    @contextmanager
    def _step(self, name):  # noqa: ARG002
        yield
        self._clock.advance(1.0)


def test_progress_takes_little_of_the_time_on_a_slow_disk(tmp_path, clock):
    """A disk that needs a second for each document gets one in twenty seconds, not two in one."""
    (tmp_path / "mix").mkdir()
    statuses = Statuses(tmp_path, files=SlowFiles(clock), clock=clock, instance="test")
    running = told("running", job="j")
    statuses.write("Song", running)
    clock.advance(18.5)

    assert not statuses.write("Song", {**running, "progress": 0.1})
    clock.advance(0.5)
    assert statuses.write("Song", {**running, "progress": 0.2})


def test_seq_rises_across_restarts_and_what_a_power_cut_took_back(tmp_path, statuses, clock):
    """A reader who remembers the number of a document that was lost is not left waiting."""
    seen = 0
    statuses.write("Song", RECEIVING)
    after_cut = statuses.path("mix", "Song").read_bytes()
    for progress in range(60):
        clock.advance(0.5)
        running = told("running", job="j", progress=progress / 60)
        assert statuses.write("Song", running)
        seen = read_status(statuses.path("mix", "Song"))["seq"]
    statuses.path("mix", "Song").write_bytes(after_cut)
    again = Statuses(tmp_path, files=Files(), clock=clock, instance="other")
    again.write("Song", told("queued", job="j"))

    assert seen < read_status(again.path("mix", "Song"))["seq"]


def test_drop_that_was_mended_is_listed_once(statuses):
    """What came of it replaces its failure, from the moment it is seen again."""
    statuses.write("Song", FAILED)
    statuses.forget("mix", "Song")
    statuses.write("Song", RECEIVING)

    assert ["receiving"] == [one["state"] for one in statuses.recent()]

    statuses.write("Song", {**FAILED, "job": "second"})
    statuses.forget("mix", "Song")

    assert ["second"] == [one["job"] for one in statuses.recent()]


def test_what_changed_since_the_result_before_is_remembered_for_the_pages(statuses):
    """Of a finished drop little is kept; this is part of it."""
    before = {"job": "i", "output_folder": "Song", "changed": ["preset loud → apple"]}
    statuses.write("Song (2)", DONE | {"before": before})
    statuses.forget("mix", "Song (2)")

    assert [before] == [one["before"] for one in statuses.recent()]


def test_final_status_is_never_written_again(statuses, clock):
    """A finished drop's status stays as it is."""
    statuses.write("Song", DONE)
    clock.advance(5)
    changed = told("done", job="j", progress=0.5)

    assert not statuses.write("Song", changed)


def test_result_cannot_have_the_name_of_a_status(statuses):
    """A folder ``Song.status.json`` in the outbox would keep the status of ``Song`` out."""
    assert "Song.status.json (2)" == statuses.label_for("mix", "Song.status.json")


def test_label_of_a_second_drop_leaves_the_first_result_alone(tmp_path, statuses):
    """While a result lies in the outbox its label is taken."""
    (tmp_path / "mix" / "Song").mkdir()

    assert "Song (2)" == statuses.label_for("mix", "Song")


def test_label_of_a_failed_drop_passes_to_its_successor(statuses):
    """A drop that comes back after a failure carries on under the same name."""
    statuses.write("Song", FAILED)

    assert "Song" == statuses.label_for("mix", "Song")


def test_label_is_not_shared_by_two_running_drops(statuses):
    """Two drops of one name that are both under way have a status each."""
    statuses.write("Song", told("running", job="first"))

    assert "Song (2)" == statuses.label_for("mix", "Song")
    assert "Song" == statuses.label_for("mix", "Song", job="first")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"schema": 99}', b"[" * 100_000, b"\xff\xfe"]
)
def test_damaged_status_counts_as_absent(tmp_path, content):
    """Whatever lies where a status should, reading it never fails."""
    path = tmp_path / "x.status.json"
    path.write_bytes(content)

    assert read_status(path) is None


def test_status_reader_refuses_links(tmp_path):
    """A link planted in the outbox is not followed."""
    (tmp_path / "secret").write_bytes(encoded(drop("done")))
    (tmp_path / "x.status.json").symlink_to(tmp_path / "secret")

    assert read_status(tmp_path / "x.status.json") is None
