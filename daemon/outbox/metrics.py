"""``metrics.prom``: the daemon in numbers, for node_exporter's textfile collector.

A file needs no port, so the service keeps its empty network. node_exporter reads ``*.prom`` in
the directory it is given (``--collector.textfile.directory``: the spool's root) and tells the
file's age; ``soundspool_heartbeat_timestamp_seconds`` tells the daemon's.

Rule 1: base units and Prometheus' names: seconds, bytes, ``_total`` for what only rises.

Rule 2: jobs are counted in the database, over the life of the spool; attempts, handlers, scans
and workers since the daemon began, as Prometheus' counters may.

Why not ``prometheus_client``: the numbers are held already, so it would only format them,
through a collector as long as this table, for 2 to 8 MB. The tests read every line with its
parser.

References
----------
Prometheus text exposition format 0.0.4.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from daemon.clock import Clock
from daemon.files import Files
from daemon.outbox.overview import ENDED
from daemon.text import shown

NAME = "metrics.prom"
PREFIX = "soundspool_"
PHASES = ("starting", "running", "draining", "stopped")
_MIB = 1024 * 1024

State = Mapping[str, Any]
Metric = tuple[str, str, "float | list[Sample] | None"]
"""A name, what it tells, and its number or numbers."""


class Sample(NamedTuple):
    """One number with its labels; without one (``None``) it is left out."""

    value: float | None
    labels: Mapping[str, str] = {}
    suffix: str = ""
    """Tells the parts of a summary apart."""


class Metrics:
    """The writer of ``metrics.prom``."""

    def __init__(self, root: Path, *, files: Files, clock: Clock) -> None:
        self._path, self._files, self._clock = root / NAME, files, clock

    def write(self, state: State) -> None:
        """Write the file; the supervisor calls this with each heartbeat."""
        text = exposition(state, heartbeat_s=self._clock.wall_ms() / 1000)
        # Worth nothing once the daemon is down: no sync, so a power cut may leave it empty.
        data = text.encode("utf-8")
        self._files.write("write metrics", self._path, data, durable=False, synced=False)


def exposition(state: State, *, heartbeat_s: float) -> str:
    """Return the state of the daemon in the text format of Prometheus.

    Parameters
    ----------
    state : mapping
        What the supervisor gives to the heartbeat; see ``schema/daemon-1.json``.
    heartbeat_s : float
        Now, in seconds since 1970.
    """
    metrics = (*_work(state, heartbeat_s), *_means(state))
    return "".join(_lines(*metric) for metric in metrics)


def _lines(name: str, text: str, value: float | list[Sample] | None) -> str:
    samples = value if isinstance(value, list) else [Sample(value)]
    kind = "counter" if name.endswith("_total") else "gauge"
    kind = "summary" if any(sample.suffix for sample in samples) else kind
    lines = "".join(
        f"{PREFIX}{name}{suffix}{_labels(labels)} {_number(number)}\n"
        for number, labels, suffix in samples
        if number is not None
    )
    return lines and f"# HELP {PREFIX}{name} {text}\n# TYPE {PREFIX}{name} {kind}\n{lines}"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{key}="{_quoted(value)}"' for key, value in labels.items())
    return "{" + ",".join(pairs) + "}" if labels else ""


def _quoted(value: str) -> str:
    return shown(value).replace("\\", r"\\").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value) if isinstance(value, float) else str(int(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _by(label: str, values: Mapping[str, float | None]) -> list[Sample]:
    return [Sample(value, {label: key}) for key, value in values.items()]


def _each(label: str, of: State, read: Callable[[State], float | None]) -> list[Sample]:
    return _by(label, {name: read(one) for name, one in of.items()})


# What is told: one row is one metric
# fmt: off


def _work(state: State, heartbeat_s: float) -> tuple[Metric, ...]:
    queue, totals = state["queue"], state["totals"]
    depth, handlers = queue["depth"], totals["handlers"]
    return (
        ("build_info", "The version that runs.", _by("version", {state["version"]: 1})),
        ("heartbeat_timestamp_seconds", "When this file was written, seconds since 1970.",
         heartbeat_s),
        ("phase", "1 for what the daemon is doing.",
         _by("phase", {phase: phase == state["phase"] for phase in PHASES})),
        ("restarts_total", "Starts after the first.", state.get("restarts")),
        ("warnings", "Warnings that stand, by code.",
         _by("code", Counter(one["code"] for one in state["warnings"]))),
        ("queue_depth", "Drops that are not finished.",
         [Sample(jobs, {"state": "queued", "lane": lane}) for lane, jobs in depth["queued"].items()]
         + _by("state", {name: depth[name] for name in ("running", "receiving")})),
        ("queue_oldest_seconds", "Age of the oldest queued job; 0 when none waits.",
         queue["oldest_queued_s"] or 0),
        ("queue_limit", "Jobs that may be queued.", queue["limit"]),
        ("jobs_total", "Jobs that ended, by state.",
         _by("state", {name: totals[name] for name in ENDED})),
        ("attempts_total", "Attempts, by outcome.", _by("outcome", totals["attempts"])),
        ("attempt_duration_seconds", "Time spent on attempts.",
         [Sample(one[key], {"handler": name}, suffix) for name, one in handlers.items()
          for key, suffix in (("seconds", "_sum"), ("attempts", "_count"))]),
        ("audio_seconds_total", "Length of the audio in those attempts.",
         _each("handler", handlers, lambda one: one["audio_seconds"])),
        ("realtime_factor", "Seconds of audio per second of work, since the daemon began.",
         _each("handler", handlers,
               lambda one: one["audio_seconds"] / one["seconds"] if one["seconds"] else None)),
    )


def _means(state: State) -> tuple[Metric, ...]:
    pool, disk, inboxes = state["pool"], state["disk"], state["inboxes"]
    resources = state.get("resources") or {}
    nodes = {one["name"]: one for one in pool.get("nodes", ())}

    def inbox(read: Callable[[State], float | None]) -> list[Sample]:
        return _each("inbox", inboxes, read)

    return (
        ("pool_slots", "Attempts that may run at once.", pool["slots"]),
        ("pool_free_slots", "Slots without an attempt.", pool["free"]),
        ("pool_waiting", "Attempts that wait for a worker.", pool["waiting"]),
        ("pool_degraded", "1 when no worker starts.", pool["degraded"] is not None),
        ("pool_workers", "Worker processes, by phase.",
         _by("phase", Counter(one["phase"] for one in pool["workers"]))),
        ("pool_worker_starts_total", "Workers started.", pool.get("starts")),
        ("pool_unusable_handlers", "Handlers that cannot be imported.",
         len(pool["unusable_handlers"])),
        ("node_up", "1 when another machine takes jobs.",
         _each("node", nodes, lambda one: one["degraded"] is None)),
        ("node_slots", "Attempts that it may run at once.",
         _each("node", nodes, lambda one: one["slots"])),
        ("node_free_slots", "Those without one.", _each("node", nodes, lambda one: one["free"])),
        ("disk_free_bytes", "Free on the spool's file system.", disk["free_mb"] * _MIB),
        ("disk_reserved_bytes", "Promised to the results of jobs that are not finished.",
         disk["reserved_mb"] * _MIB),
        ("disk_reserve_bytes", "Kept back, whatever comes.", disk["reserve_mb"] * _MIB),
        ("resource_size", "How much there is of a named resource.",
         _each("resource", resources, lambda one: one["size"])),
        ("resource_held", "How much of it running jobs hold.",
         _each("resource", resources, lambda one: len(one["held"]))),
        ("inbox_polling", "1 when events are not relied on.",
         inbox(lambda one: one["mode"] == "polling")),
        ("inbox_problem", "1 when nothing is being seen.", inbox(lambda one: bool(one["problem"]))),
        ("inbox_paused", "1 when a person paused it.", inbox(lambda one: one["paused"])),
        ("inbox_last_scan_age_seconds", "Since the last scan.",
         inbox(lambda one: one["last_scan_age_s"])),
        ("inbox_receiving", "Drops that are not settled.", inbox(lambda one: one["receiving"])),
        ("inbox_left_alone", "Entries that are no drop.",
         inbox(lambda one: len(one["left_alone"]) + one["left_alone_more"])),
        ("inbox_scans_total", "Scans since the daemon began.", inbox(lambda one: one["scans"])),
        ("inbox_rebuilds_total", "Times its watch was set up again.",
         inbox(lambda one: one["rebuilds"])),
        ("inbox_missed_total", "Drops no event announced.", inbox(lambda one: one["missed"])),
    )
