"""Whatever one handler does, everybody else goes on: one pool lives through all of it."""

import os
import signal

import pytest

from daemon.config.models import Pool as Settings
from daemon.pool import orphans
from tests.support.crew import Crew

# One limit each, so that it is clear which one ends a hang, however busy the machine is.
SILENT = {"deadline_s": 60.0, "stall_s": 0.7, "no_progress_s": 60.0}
STUCK = {"deadline_s": 60.0, "stall_s": 60.0, "no_progress_s": 0.7}
LATE = {"deadline_s": 0.7, "stall_s": 60.0, "no_progress_s": 60.0}


@pytest.fixture(scope="module")
def veteran(tmp_path_factory):
    """Two slots, and workers that are not confined: handlers may do their worst."""
    folder = tmp_path_factory.mktemp("spool")
    crew = Crew(folder, Settings(slots=2, memory_mb=512, confine=False))
    yield crew
    crew.pool.close()
    assert [] == orphans.children(os.getpid())


# Options of the handler, limits, expected outcome, code, signal.
MISBEHAVIOUR = [
    ("hang_with_gil", SILENT, "stalled", "STALLED", signal.SIGKILL),
    ("hang_without_gil", STUCK, "stalled", "NO_PROGRESS", signal.SIGKILL),
    ("report_the_same", STUCK, "stalled", "NO_PROGRESS", signal.SIGKILL),
    ("hang_without_gil", LATE, "timed_out", "TIMED_OUT", signal.SIGKILL),
    ("segfault", {}, "crashed", "CRASHED", signal.SIGSEGV),
    ("abort", {}, "crashed", "CRASHED", signal.SIGABRT),
    ("os_exit", {}, "crashed", "CRASHED", None),
    ("sys_exit", {}, "failed", "INTERNAL", None),
    ("kill_itself", {}, "crashed", "CRASHED", signal.SIGKILL),
    ("grandchild", STUCK, "stalled", "NO_PROGRESS", signal.SIGKILL),
    ("grandchild_setsid", STUCK, "stalled", "NO_PROGRESS", signal.SIGKILL),
    ("leave_grandchild", {}, "done", None, None),
    ("leave_thread", {}, "done", None, None),
    ("memory_bomb", {}, "out_of_memory", "OUT_OF_MEMORY", None),
    ("fork_bomb", STUCK, "stalled", "NO_PROGRESS", signal.SIGKILL),
    ("close_stderr", {}, "done", None, None),
    ("fork_and_fall_out", {}, "done", None, None),
    ("unserialisable", {}, "failed", "RESULT_INVALID", None),
    ("cyclic", {}, "failed", "RESULT_INVALID", None),
    ("huge", {}, "failed", "RESULT_INVALID", None),
    ("no_result", {}, "failed", "RESULT_INVALID", None),
    ("missing_output", {}, "failed", "RESULT_INVALID", None),
    ("escaping_output", {}, "failed", "RESULT_INVALID", None),
    ("unrebuildable", {}, "failed", "INTERNAL", None),
    ("die_mid_write", {}, "crashed", "CRASHED", signal.SIGKILL),
    ("hang_mid_write", SILENT, "stalled", "STALLED", signal.SIGKILL),
    ("babble", {}, "crashed", "BAD_MESSAGE", signal.SIGKILL),
    ("endless_line", {}, "crashed", "BAD_MESSAGE", signal.SIGKILL),
    ("hang_up", {}, "crashed", "CRASHED", signal.SIGKILL),
    ("flood", {}, "done", None, None),
    ("bad_input", {}, "bad_input", "INPUT_TRUNCATED", None),
    ("strange_details", {}, "bad_input", "INPUT_TRUNCATED", None),
    ("wild_words", {}, "bad_input", "INPUT_TRUNCATED", None),
    ("nothing_to_do", {}, "nothing_to_do", "NOTHING", None),
    ("unavailable", {}, "unavailable", "MOUNT_GONE", None),
    ("disk_full", {}, "unavailable", "DISK_FULL", None),
]


@pytest.mark.parametrize("row", MISBEHAVIOUR, ids=lambda row: f"{row[0]}-{row[2]}")
def test_pool_survives(veteran, row):
    """While one handler misbehaves, a healthy job beside it and two that wait all finish."""
    how, limits, outcome, code, number = row
    victim = veteran.order(f"{how} {outcome}", how, **limits)
    beside, *waiting = (veteran.order(f"{how} {outcome} {n}") for n in range(3))
    beside.options["how"] = "slowly"

    ended = veteran.run([victim, beside, *waiting])

    end = ended.pop(victim.job)
    assert outcome == end.outcome
    assert code == (end.error and end.error["code"])
    assert number == end.signal
    assert ["done"] * 3 == [end.outcome for end in ended.values()]
