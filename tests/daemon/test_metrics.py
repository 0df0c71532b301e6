"""Metrics: readable by Prometheus' own parser, complete, and without a way out of a label."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from daemon.outbox.metrics import NAME, PREFIX, Metrics, exposition
from tests.support.clocks import FakeClock
from tests.support.files import RecordingFiles
from tests.support.spools import HOSTILE, NOW_MS, daemon_json, schema, state

DASHBOARD = Path(__file__).parents[2] / "systemd" / "grafana-dashboard.json"


def read_back(text):
    """Return what Prometheus' own client reads: {(name, labels): value}."""
    parser = pytest.importorskip("prometheus_client.parser", reason="pip install prometheus-client")
    return {
        (sample.name.removeprefix(PREFIX), *sorted(sample.labels.items())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def numbers():
    held = [{"member": "0", "job": "j1", "inbox": "mix", "label": "Song"}]
    busy = state(
        warnings=[{"code": "SQLITE_OLD", "message": "m"}],
        resources={"gpu": {"size": 2, "held": held}},
    )
    busy["pool"]["starts"] = 12
    return read_back(exposition(busy, heartbeat_s=NOW_MS / 1000))


def test_state_of_these_tests_is_valid_against_the_shipped_schema():
    """What metrics, page and top are tested with is what daemon.json may hold."""
    checker = jsonschema.FormatChecker()

    jsonschema.validate(daemon_json(), schema("daemon-1.json"), format_checker=checker)


def test_schema_refuses_a_phase_that_it_does_not_know():
    """The schema bites."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(daemon_json(phase="asleep"), schema("daemon-1.json"))


@pytest.mark.parametrize(
    ("expected", "name", "labels"),
    [
        (1, "build_info", {"version": "0.1.0"}),
        (NOW_MS / 1000, "heartbeat_timestamp_seconds", {}),
        (1, "phase", {"phase": "running"}),
        (0, "phase", {"phase": "draining"}),
        (3, "restarts_total", {}),
        (1, "warnings", {"code": "SQLITE_OLD"}),
        (3, "queue_depth", {"state": "queued", "lane": "normal"}),
        (1, "queue_depth", {"state": "running"}),
        (1, "queue_depth", {"state": "receiving"}),
        (754.5, "queue_oldest_seconds", {}),
        (10_000, "queue_limit", {}),
        (41, "jobs_total", {"state": "done"}),
        (1, "attempts_total", {"outcome": "crashed"}),
        (880, "attempt_duration_seconds_sum", {"handler": "daemon.handlers.mix"}),
        (44, "attempt_duration_seconds_count", {"handler": "daemon.handlers.mix"}),
        (8800, "audio_seconds_total", {"handler": "daemon.handlers.mix"}),
        (10, "realtime_factor", {"handler": "daemon.handlers.mix"}),
        (2, "pool_slots", {}),
        (0, "pool_free_slots", {}),
        (0, "pool_degraded", {}),
        (1, "pool_workers", {"phase": "idle"}),
        (12, "pool_worker_starts_total", {}),
        (0, "pool_unusable_handlers", {}),
        (50 * 1024**3, "disk_free_bytes", {}),
        (512 * 1024**2, "disk_reserve_bytes", {}),
        (2, "resource_size", {"resource": "gpu"}),
        (1, "resource_held", {"resource": "gpu"}),
        (0, "inbox_polling", {"inbox": "mix"}),
        (0, "inbox_problem", {"inbox": "mix"}),
        (0, "inbox_paused", {"inbox": "mix"}),
        (3.2, "inbox_last_scan_age_seconds", {"inbox": "mix"}),
        (1, "inbox_left_alone", {"inbox": "mix"}),
        (100, "inbox_scans_total", {"inbox": "mix"}),
        (0, "inbox_missed_total", {"inbox": "mix"}),
    ],
)
def test_metrics_hold_the_number(numbers, expected, name, labels):
    """Each number of the state is found under its name, in base units."""
    assert expected == numbers[name, *sorted(labels.items())]


def test_metrics_give_an_empty_queue_the_age_zero():
    """An alert on the oldest job's age resolves when the queue is empty."""
    queue = {**state()["queue"], "oldest_queued_s": None}
    numbers = read_back(exposition(state(queue=queue), heartbeat_s=0.0))

    assert 0 == numbers["queue_oldest_seconds",]


def test_metrics_leave_out_what_was_not_measured():
    """An inbox that was not scanned yet has no scan age; a handler without work no factor."""
    new = state()
    new["inboxes"]["mix"]["last_scan_age_s"] = None
    new["totals"]["handlers"] = {"h": {"attempts": 0, "seconds": 0.0, "audio_seconds": 0.0}}
    names = {key[0] for key in read_back(exposition(new, heartbeat_s=0.0))}

    assert not names & {"inbox_last_scan_age_seconds", "realtime_factor"}


def test_metrics_keep_a_hostile_label_on_its_line():
    """Quotes, newlines, backslashes and lone surrogates stay inside one label."""
    name = HOSTILE + "\\"
    hostile = state(inboxes={name: state()["inboxes"]["mix"]})
    text = exposition(hostile, heartbeat_s=0.0)
    labels = {dict(key[1:])["inbox"] for key in read_back(text) if key[0].startswith("inbox")}

    assert 1 == len(labels)
    assert text.encode("utf-8").count(b"\n") == exposition(state(), heartbeat_s=0.0).count("\n")


@pytest.mark.parametrize(
    ("expected", "value"), [("+Inf", float("inf")), ("-Inf", float("-inf")), ("NaN", float("nan"))]
)
def test_metrics_spell_what_is_no_number_as_prometheus_does(expected, value):
    """Infinity and NaN have names of their own in the format."""
    text = exposition(state(), heartbeat_s=value)

    assert f"heartbeat_timestamp_seconds {expected}\n" in text


def test_metrics_file_is_replaced_whole(tmp_path):
    """The collector never reads half a file."""
    files = RecordingFiles()
    Metrics(tmp_path, files=files, clock=FakeClock()).write(state())

    assert ["write metrics"] == files.steps
    assert [NAME] == [path.name for path in tmp_path.iterdir()]


def dashboard_expressions():
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("expression", dashboard_expressions())
def test_dashboard_asks_for_metrics_that_exist(numbers, expression):
    """No panel stays empty because a metric has another name."""
    asked = {name.removeprefix(PREFIX) for name in re.findall(PREFIX + r"\w+", expression)}

    assert asked
    assert asked <= {key[0] for key in numbers}


def test_dashboard_panels_do_not_overlap():
    """Each square of the grid belongs to at most one panel."""
    taken = [
        (x, y)
        for at in (panel["gridPos"] for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len(taken) == len(set(taken))
