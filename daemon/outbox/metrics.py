"""``metrics.prom``: the daemon in numbers, for node_exporter's textfile collector.

A file needs no port, so the service keeps its empty network. node_exporter reads ``*.prom`` in
the directory it is given (``--collector.textfile.directory``: the spool's root) and tells the
file's age; ``soundspool_heartbeat_timestamp_seconds`` tells the daemon's.

Rule 1: base units and Prometheus' names: seconds, bytes, ``_total`` for what only rises.

Rule 2: jobs are counted in the database, over the life of the spool; attempts, handlers, scans
and workers since the daemon began, as Prometheus' counters may.

Why not ``prometheus_client``: the numbers are held already, so it would only format them,
through a collector as long as this module; importing it takes 33 ms and 2 to 8 MB of the 45 MB
the parent may have. The tests read every line with its parser.

References
----------
Prometheus text exposition format 0.0.4.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from daemon.clock import Clock
from daemon.files import Files
from daemon.text import shown

NAME = "metrics.prom"
PREFIX = "soundspool_"
PHASES = ("starting", "running", "draining", "stopped")
_MIB = 1024 * 1024

Kind = Literal["gauge", "counter", "summary"]


class Sample(NamedTuple):
    """One number, with its labels; ``suffix`` tells the parts of a summary apart."""

    value: float
    labels: Mapping[str, str] = {}
    suffix: str = ""


class Family(NamedTuple):
    """A metric with all its samples."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]


class Metrics:
    """The writer of ``metrics.prom``."""

    def __init__(self, root: Path, *, files: Files, clock: Clock) -> None:
        self._path, self._files, self._clock = root / NAME, files, clock

    def write(self, state: Mapping[str, Any]) -> None:
        """Write the file; the supervisor calls this with each heartbeat."""
        text = exposition(state, heartbeat_s=self._clock.wall_ms() / 1000)
        # Worth nothing once the daemon is down: no sync, so a power cut may leave it empty.
        data = text.encode("utf-8")
        self._files.write("write metrics", self._path, data, durable=False, synced=False)


def exposition(state: Mapping[str, Any], *, heartbeat_s: float) -> str:
    """Return the state of the daemon in the text format of Prometheus.

    Parameters
    ----------
    state : mapping
        What the supervisor gives to the heartbeat; see ``schema/daemon-1.json``.
    heartbeat_s : float
        Now, in seconds since 1970.
    """
    families = (
        *_daemon(state, heartbeat_s),
        *_queue(state["queue"]),
        *_totals(state["totals"]),
        *_pool(state["pool"]),
        *_disk(state["disk"]),
        *_inboxes(state["inboxes"]),
    )
    return "".join(_lines(family) for family in families)


def _lines(family: Family) -> str:
    name = PREFIX + family.name
    lines = [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
    lines += [
        f"{name}{sample.suffix}{_labels(sample.labels)} {_number(sample.value)}"
        for sample in family.samples
    ]
    return "\n".join(lines) + "\n" if family.samples else ""


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{key}="{_quoted(value)}"' for key, value in labels.items())
    return "{" + ",".join(pairs) + "}" if labels else ""


def _quoted(value: str) -> str:
    return shown(value).replace("\\", r"\\").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value) if isinstance(value, float) else str(int(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _one(name: str, kind: Kind, text: str, value: float | None) -> Family:
    return Family(name, kind, text, () if value is None else (Sample(value),))


def _by(name: str, kind: Kind, text: str, label: str, values: Mapping[str, float]) -> Family:
    samples = (Sample(value, {label: key}) for key, value in values.items())
    return Family(name, kind, text, tuple(samples))


# What is told


def _daemon(state: Mapping[str, Any], heartbeat_s: float) -> Iterable[Family]:
    info = (Sample(1, {"version": state["version"]}),)
    yield Family("build_info", "gauge", "The version that runs.", info)
    beat = "When this file was written, seconds since 1970."
    yield _one("heartbeat_timestamp_seconds", "gauge", beat, heartbeat_s)
    phases = {phase: float(phase == state["phase"]) for phase in PHASES}
    yield _by("phase", "gauge", "1 for what the daemon is doing.", "phase", phases)
    yield _one("restarts_total", "counter", "Starts after the first.", state.get("restarts"))
    warnings: dict[str, float] = {}
    for warning in state["warnings"]:
        warnings[warning["code"]] = warnings.get(warning["code"], 0) + 1
    yield _by("warnings", "gauge", "Warnings that stand, by code.", "code", warnings)


def _queue(queue: Mapping[str, Any]) -> Iterable[Family]:
    depth = queue["depth"]
    samples = (
        *(Sample(n, {"state": "queued", "lane": lane}) for lane, n in depth["queued"].items()),
        *(Sample(depth[state], {"state": state}) for state in ("running", "receiving")),
    )
    yield Family("queue_depth", "gauge", "Drops that are not finished.", samples)
    oldest = "Age of the oldest queued job; 0 when none waits."
    yield _one("queue_oldest_seconds", "gauge", oldest, queue["oldest_queued_s"] or 0)
    yield _one("queue_limit", "gauge", "Jobs that may be queued.", queue["limit"])


def _totals(totals: Mapping[str, Any]) -> Iterable[Family]:
    ended = {state: totals[state] for state in ("done", "failed", "skipped", "cancelled")}
    yield _by("jobs_total", "counter", "Jobs that ended, by state.", "state", ended)
    attempts = totals["attempts"]
    yield _by("attempts_total", "counter", "Attempts, by outcome.", "outcome", attempts)
    handlers = totals["handlers"]
    spent = tuple(
        Sample(value, {"handler": name}, suffix)
        for name, one in handlers.items()
        for suffix, value in (("_sum", one["seconds"]), ("_count", one["attempts"]))
    )
    yield Family("attempt_duration_seconds", "summary", "Time spent on attempts.", spent)
    audio = {name: one["audio_seconds"] for name, one in handlers.items()}
    heard = "Length of the audio in those attempts."
    yield _by("audio_seconds_total", "counter", heard, "handler", audio)
    factors = {
        name: audio[name] / one["seconds"] for name, one in handlers.items() if one["seconds"]
    }
    faster = "Seconds of audio per second of work, since the daemon began."
    yield _by("realtime_factor", "gauge", faster, "handler", factors)


def _pool(pool: Mapping[str, Any]) -> Iterable[Family]:
    yield _one("pool_slots", "gauge", "Attempts that may run at once.", pool["slots"])
    yield _one("pool_free_slots", "gauge", "Slots without an attempt.", pool["free"])
    yield _one("pool_waiting", "gauge", "Attempts that wait for a worker.", pool["waiting"])
    degraded = "1 when no worker starts."
    yield _one("pool_degraded", "gauge", degraded, pool["degraded"] is not None)
    phases: dict[str, float] = {}
    for worker in pool["workers"]:
        phases[worker["phase"]] = phases.get(worker["phase"], 0) + 1
    yield _by("pool_workers", "gauge", "Worker processes, by phase.", "phase", phases)
    yield _one("pool_worker_starts_total", "counter", "Workers started.", pool.get("starts"))
    bad = len(pool["unusable_handlers"])
    yield _one("pool_unusable_handlers", "gauge", "Handlers that cannot be imported.", bad)


def _disk(disk: Mapping[str, Any]) -> Iterable[Family]:
    for key, text in (
        ("free", "Free on the spool's file system."),
        ("reserved", "Promised to the results of jobs that are not finished."),
        ("reserve", "Kept back, whatever comes."),
    ):
        yield _one(f"disk_{key}_bytes", "gauge", text, disk[f"{key}_mb"] * _MIB)


def _inboxes(inboxes: Mapping[str, Any]) -> Iterable[Family]:
    def by(name: str, kind: Kind, text: str, values: Mapping[str, float | None]) -> Family:
        told = {inbox: value for inbox, value in values.items() if value is not None}
        return _by(f"inbox_{name}", kind, text, "inbox", told)

    def each(key: str) -> dict[str, float | None]:
        return {name: one[key] for name, one in inboxes.items()}

    polling = {name: float(one["mode"] == "polling") for name, one in inboxes.items()}
    problem = {name: float(bool(one["problem"])) for name, one in inboxes.items()}
    left = {
        name: float(len(one["left_alone"]) + one["left_alone_more"])
        for name, one in inboxes.items()
    }
    yield by("polling", "gauge", "1 when events are not relied on.", polling)
    yield by("problem", "gauge", "1 when nothing is being seen.", problem)
    yield by("paused", "gauge", "1 when a person paused it.", each("paused"))
    yield by("last_scan_age_seconds", "gauge", "Since the last scan.", each("last_scan_age_s"))
    yield by("receiving", "gauge", "Drops that are not settled.", each("receiving"))
    yield by("left_alone", "gauge", "Entries that are no drop.", left)
    yield by("scans_total", "counter", "Scans since the daemon began.", each("scans"))
    yield by("rebuilds_total", "counter", "Times its watch was set up anew.", each("rebuilds"))
    yield by("missed_total", "counter", "Drops no event announced.", each("missed"))
