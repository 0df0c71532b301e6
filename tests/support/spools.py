"""What a supervisor says of itself, and the status documents of some drops."""

import json
from importlib import resources

from daemon.clock import rfc3339
from daemon.outbox.status_document import NOTHING_KNOWN
from daemon.outbox.status_reader import TERMINAL

NOW_MS = 1_795_211_101_000  # 2026-11-20T21:45:01Z, where FakeClock begins
HOSTILE = "</code><script>alert(1)</script>\"'&\x1b[31m\n\u202egnp.\udcff{{ 7*7 }}"
"""A name that attacks pages, terminals, templates, eyes and encoders."""


def state(**changes):
    """Return the state of a busy daemon, as the supervisor gives it to the heartbeat."""
    return {
        "phase": "running",
        "pool": {
            "slots": 2,
            "free": 0,
            "waiting": 0,
            "degraded": None,
            "unusable_handlers": {},
            "workers": [
                {"pid": 41, "phase": "busy", "served": 0, "job": "j1", "attempt": 2},
                {"pid": 42, "phase": "idle", "served": 0},
            ],
        },
        "queue": {
            "depth": {
                "queued": {"rush": 0, "normal": 3, "bulk": 1},
                "running": 1,
                "receiving": 1,
            },
            "oldest_queued_s": 754.5,
            "limit": 10_000,
        },
        "running": [
            {
                "job": "j1",
                "name": "Midnight Train",
                "inbox": "mix",
                "label": "Midnight Train",
                "attempt": 2,
                "stage": "analyzing_spectrum",
                "progress": 0.625,
                "started": "2026-11-20T21:44:01.000Z",
                "eta_s": 36.0,
            }
        ],
        "inboxes": {
            "mix": {
                "path": "/srv/soundspool/inbox/mix",
                "mode": "events",
                "paused": False,
                "problem": "",
                "last_scan_age_s": 3.2,
                "scans": 100,
                "rebuilds": 0,
                "missed": 0,
                "receiving": 1,
                "left_alone": {"notes.txt": "not audio"},
                "left_alone_more": 0,
                "polling_because": "",
                "headline": ["integrated_lufs", "true_peak_dbtp", "range_lu"],
            }
        },
        "disk": {"free_mb": 51_200, "reserved_mb": 900, "reserve_mb": 512},
        "totals": {
            "done": 41,
            "failed": 2,
            "skipped": 1,
            "cancelled": 0,
            "attempts": {"done": 41, "bad_input": 2, "crashed": 1},
            "handlers": {
                "daemon.handlers.mix": {"attempts": 44, "seconds": 880.0, "audio_seconds": 8800.0}
            },
        },
        "restarts": 3,
        "warnings": [],
        "version": "0.1.0",
        **changes,
    }


def daemon_json(*, heartbeat="2026-11-20T21:45:00.000Z", **changes):
    """Return the whole of ``daemon.json``."""
    fixed = {
        "schema": 1,
        "instance": "20261120-1",
        "pid": 40,
        "boot_id": "",
        "started": "2026-11-20T20:00:00.000Z",
        "period_s": 2.0,
        "seq": 7,
    }
    return {**fixed, "heartbeat": heartbeat, **state(**changes)}


def told(drop_state, name="Song", **fields):
    """Return what is told of a drop in a state."""
    known = {"name": name, "inbox": "mix", "state": drop_state, "terminal": drop_state in TERMINAL}
    return {**NOTHING_KNOWN, **known, **fields}


def drop(drop_state, name="Song", **fields):
    """Return the status document of a drop in a state."""
    now = rfc3339(NOW_MS)
    when = {"seq": 1, "updated": now, "daemon": {"instance": "test", "heartbeat": now}}
    return {**told(drop_state, name, **fields), **when}


def done(name="Blue Hour", **fields):
    """Return the status of a mix with its report."""
    outputs = [
        {"path": "final_mix.wav", "role": "master", "bytes": 1, "sha256": "0" * 64},
        {"path": "report.html", "role": "report", "bytes": 1, "sha256": "0" * 64},
    ]
    facts = {
        "job": "j0",
        "output_folder": name,
        "outputs": outputs,
        "finished": rfc3339(NOW_MS - 60_000),
        "measurements": {"integrated_lufs": -14.02, "true_peak_dbtp": -1.0, "range_lu": 6.1},
    }
    return drop("done", name, **(facts | fields))


def failed(name="Broken Take", **fields):
    """Return the status of a drop that was set aside."""
    error = {
        "code": "INPUT_TRUNCATED",
        "class": "BadInput",
        "message": "drums.wav has 52,428 of 105,884 bytes",
        "hint": None,
        "stage": None,
    }
    return drop(
        "failed", name, **({"error": error, "finished": rfc3339(NOW_MS - 3_600_000)} | fields)
    )


def schema(name):
    """Return a shipped JSON Schema."""
    return json.loads((resources.files("daemon.outbox.schema") / name).read_text("utf-8"))
