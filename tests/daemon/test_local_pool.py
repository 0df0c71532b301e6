"""The pool with real workers: whatever one handler does, everybody else goes on."""

import hashlib
import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.clock import Clock
from daemon.config.models import Pool as Settings
from daemon.handlers.contract import Declaration
from daemon.pool import orphans
from daemon.pool.protocol import LINE_BYTES
from dsp.containers.identify import AUDIO_SUFFIXES
from tests.support import forging
from tests.support.clocks import FakeClock
from tests.support.crew import HANDLER, Crew
from tests.support.misbehaving import MANY_OUTPUTS

STUCK = {"deadline_s": 60.0, "stall_s": 60.0, "no_progress_s": 0.7}


@pytest.fixture
def crew(tmp_path):
    """Two slots and unconfined workers: handlers may do their worst."""
    yield from _crew(tmp_path, confine=False)


@pytest.fixture
def confined(tmp_path):
    yield from _crew(tmp_path, confine=True)


def _crew(tmp_path, **settings):
    crew = Crew(tmp_path, Settings(**{"slots": 2, "memory_mb": 512} | settings))
    yield crew
    crew.pool.close()
    assert [] == orphans.children(os.getpid())


@pytest.mark.parametrize(
    "how", ["grandchild", "grandchild_setsid", "leave_grandchild", "fork_bomb", "moving_target"]
)
def test_ended_comes_after_the_last_process_of_the_attempt(crew, how):
    """When an attempt has ended, none of the processes that it started lives."""
    end = crew.run_one(how, **STUCK)

    left = int((crew.folder / "job" / "job.pid").read_text())
    assert not Path(f"/proc/{left}").exists(), end
    workers = {worker["pid"] for worker in crew.pool.describe()["workers"]}
    assert set(orphans.children(os.getpid())) <= workers


def test_hang_that_holds_the_interpreter_is_noticed_at_the_stall_limit(crew):
    """A worker that is silent dies long before its deadline."""
    crew.run_one("well")
    clock = Clock()
    started_s = clock.monotonic_s()

    crew.run([crew.order("hangs", "hang_with_gil", deadline_s=60.0, stall_s=0.8)])

    assert 0.8 <= clock.monotonic_s() - started_s < 30.0


def test_done_names_its_files_with_size_and_hash(confined):
    """A result names each output with its bytes and SHA-256, and keeps the notes."""
    end = confined.run_one("well")

    assert end.result is not None
    (output,) = end.result["outputs"]
    assert ("out.txt", "data", 5) == (output["path"], output["role"], output["bytes"])
    assert hashlib.sha256(b"made\n").hexdigest() == output["sha256"]
    assert [{"code": "FINE", "message": "all is well"}] == end.result["notes"]


@pytest.mark.slow
def test_more_outputs_than_a_message_holds_are_named_all_the_same(confined):
    """Each is checked and kept in the order in which the handler named it; nothing else is left."""
    order = confined.order("job", "many_outputs", deadline_s=120.0, stall_s=60.0)
    end = confined.run([order], patience_s=120.0)["job"]

    assert ("done", None) == (end.outcome, end.error)
    paths = [output["path"] for output in end.result["outputs"]]
    assert [f"{n % 100}/{n}.txt" for n in range(MANY_OUTPUTS)] == paths
    assert len(json.dumps(end.result["outputs"])) > LINE_BYTES
    workdir = Path(order.workdir)
    left = {str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file()}
    assert set(paths) == left


def test_progress_arrives_while_the_attempt_runs(crew):
    """Reports become Progress with the stage and a fraction that rises."""
    crew.run_one("slowly")

    fractions = [report.fraction for report in crew.progress if report.stage == "working"]
    assert len(fractions) >= 3
    assert sorted(set(fractions)) == fractions


def test_fault_of_the_drop_keeps_all_that_the_handler_said(crew):
    """Code, message, hint, path, details and stage of a BadInput arrive whole."""
    end = crew.run_one("bad_input")

    assert end.error is not None
    expected = (
        "INPUT_TRUNCATED",
        "BadInput",
        "cut",
        "copy again",
        "a.wav",
        "reading",
        {"bytes": 7},
    )
    keys = ("code", "class", "message", "hint", "path", "stage", "details")
    assert expected == tuple(end.error[key] for key in keys)


def test_crash_shows_where_it_happened(crew):
    """The end of standard error names the line that crashed."""
    end = crew.run_one("segfault")

    assert "in segfault" in end.stderr or "segfault\n" in end.stderr
    assert "misbehaving.py" in end.stderr


def test_flood_keeps_the_end(crew):
    """Of twelve megabytes of noise, the last lines are kept and the rest is not."""
    end = crew.run_one("flood")

    assert "the last line" in end.stderr
    assert len(end.stderr) <= 8192


def test_what_one_handler_closes_the_next_one_has(tmp_path):
    """A worker whose standard error is gone serves nobody else."""
    for crew in _crew(tmp_path, **ALONE):
        crew.run([crew.order("first", "close_stderr")])

        assert "the last line" in crew.run([crew.order("next", "flood")])["next"].stderr


def test_worker_without_a_standard_error_lets_the_daemon_sleep(crew):
    """A pipe that has ended is readable for ever; nobody waits for it any more."""
    crew.run_one("well")
    before = crew.rounds
    crew.run([crew.order("quiet", "close_stderr")])

    assert crew.rounds - before < 100


def test_numbers_that_json_lacks_become_null(crew):
    """Minus infinity and an undecodable name survive the way up."""
    end = crew.run_one("infinite")

    assert end.result is not None
    assert {"lufs": None, "name": "\\udcff"} == end.result["measurements"]


@pytest.mark.parametrize(
    ("how", "total"), [("pool_in_pool_in_pool", 9), ("processes_and_queue", 42)]
)
@pytest.mark.parametrize("confine", [False, True])
def test_nested_pool_runs_in_sequence_and_says_so(tmp_path, how, total, confine):
    """Pools of processes inside a handler give their results, and one warning."""
    for crew in _crew(tmp_path, confine=confine):
        end = crew.run_one(how)

        assert "done" == end.outcome, end
        assert {"total": total} == end.result["measurements"]
        assert ["NESTED_POOL"] == [warning["code"] for warning in end.warnings]


def test_cancel_ends_a_running_attempt(crew):
    """Cancelling kills what runs, and only that."""
    crew.pool.start(crew.order("unwanted", "hang_with_gil"))
    crew.pool.start(crew.order("wanted", "slowly"))
    crew.until(lambda: crew.progress)

    assert crew.pool.cancel("unwanted", 1)
    crew.until(lambda: len(crew.ended) == 2)
    assert "cancelled" == crew.ended["unwanted"].outcome
    assert "done" == crew.ended["wanted"].outcome


def test_cancel_of_what_is_not_there_says_so(crew):
    """An attempt that is unknown, or another attempt of the job, cannot be cancelled."""
    crew.pool.start(crew.order("job", "slowly"))

    assert not crew.pool.cancel("job", 2)
    assert not crew.pool.cancel("other", 1)


def test_cancel_reaches_an_order_that_waits_for_a_worker(crew):
    """An order that no worker has yet ends as cancelled."""
    crew.pool.start(crew.order("job"))

    assert crew.pool.cancel("job", 1)
    crew.round()
    assert "cancelled" == crew.ended["job"].outcome


def test_interrupt_all_ends_everything(crew):
    """Stopping ends what runs and what waits as interrupted."""
    for job in ("one", "two"):
        crew.pool.start(crew.order(job, "hang_without_gil"))
    crew.round()

    crew.pool.interrupt_all()
    crew.until(lambda: len(crew.ended) == 2)
    assert {"interrupted"} == {end.outcome for end in crew.ended.values()}


def test_idle_workers_killed_by_somebody_are_replaced(crew):
    """Whoever kills the idle workers costs no attempt."""
    crew.run([crew.order("before")])
    for worker in crew.pool.describe()["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)

    ended = crew.run([crew.order("after"), crew.order("after too")])
    assert {"done"} == {end.outcome for end in ended.values()}


def test_order_that_its_worker_never_read_goes_to_another(crew):
    """A worker that dies between an order and reading it costs no attempt."""
    crew.run([crew.order("before")])
    (idle, *_) = [w["pid"] for w in crew.pool.describe()["workers"] if w["phase"] == "idle"]
    os.kill(idle, signal.SIGSTOP)
    crew.pool.start(crew.order("job"))
    os.kill(idle, signal.SIGKILL)

    crew.until(lambda: "job" in crew.ended)
    assert "done" == crew.ended["job"].outcome


def test_worker_that_lies_about_being_ready_costs_no_attempt(tmp_path):
    """One that takes orders and never begins them is killed; another does the job."""
    mute = tmp_path / "mute"
    ready = json.dumps({"kind": "ready", "handlers": {HANDLER: {}}})
    mute.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/once ] && exec {forging.program(tmp_path)} "$@"\n'
        f"touch {tmp_path}/once\n"
        f"eval \"exec 9>&\\${{6}}\"; echo '{ready}' >&9; exec sleep 600\n"
    )
    mute.chmod(0o755)
    crew = Crew(tmp_path, Settings(slots=1, spare=False, confine=False, start_s=1.0),
                python=str(mute))  # fmt: skip
    end = crew.run_one("well")
    crew.pool.close()

    assert (tmp_path / "once").exists()
    assert "done" == end.outcome


ALONE = {"slots": 1, "spare": False, "confine": False}


def test_memory_of_a_worker_is_its_own(crew):
    """Not what the process held that started it."""
    held = bytearray(b"x" * (400 << 20))
    ended = crew.run([crew.order("job", "where")])["job"]

    assert ended.max_rss_mb * (1 << 20) < len(held) / 2


@pytest.mark.parametrize(
    ("workers", "setting"),
    [(1, {}), (2, {"recycle_jobs": 2}), (4, {"recycle_mb": 1}), (4, {"confine": True})],
)
def test_worker_serves_again_or_is_recycled(tmp_path, workers, setting):
    """A worker serves again, unless confined, after so many jobs or above so much memory."""
    for crew in _crew(tmp_path, **ALONE | setting):
        ends = [crew.run([crew.order(f"job {n}", "where")])[f"job {n}"] for n in range(4)]

        assert workers == len({end.result["measurements"]["pid"] for end in ends})


def test_no_more_attempts_run_than_there_are_slots(crew):
    """Two slots take two orders, and refuse a third in words."""
    crew.pool.start(crew.order("one", "slowly"))
    crew.pool.start(crew.order("two", "slowly"))

    assert 0 == crew.pool.free_slots()
    with pytest.raises(ValueError, match="no slot is free"):
        crew.pool.start(crew.order("three"))


def test_order_of_any_allowed_size_is_taken(crew):
    """Options of 100 KiB go through; more than an order may have is refused in words."""
    end = crew.run_one("well", more={"text": "x" * 100_000})
    assert "done" == end.outcome

    with pytest.raises(ValueError, match="an order has at most"):
        crew.pool.start(crew.order("too long", more={"text": "x" * 200_000}))


def test_wrong_options_are_the_drops_fault(crew):
    """Options that the handler does not know fail the drop, with the place."""
    order = crew.order("job")
    order.options["how"] = ["well"]

    end = crew.run([order])["job"]
    assert ("bad_input", "SETTINGS_INVALID") == (end.outcome, end.error["code"])
    assert end.error["message"].startswith("options: how: ")


def test_handler_that_cannot_be_imported_is_the_operators_fault(crew):
    """A handler that is not there ends the attempt as bad_config, and the pool lives."""
    ended = crew.run([crew.order("lost", handler="nowhere.to.be.found"), crew.order("fine")])

    assert ("bad_config", "HANDLER_UNUSABLE") == (
        ended["lost"].outcome,
        ended["lost"].error["code"],
    )
    assert "done" == ended["fine"].outcome


def test_handlers_that_cannot_be_imported_are_known_before_any_job(tmp_path):
    """What a worker could not import shows in ``unusable``, with the reason."""
    crew = Crew(tmp_path, Settings(slots=1), handlers=["nowhere.to.be.found", HANDLER])
    crew.until(lambda: crew.pool.unusable)
    crew.pool.close()

    assert ["nowhere.to.be.found"] == list(crew.pool.unusable)
    assert "No module named 'nowhere'" in crew.pool.unusable["nowhere.to.be.found"]


SAYING = {
    "silent": "",
    "texts": "ACCEPTS = {'.md', '.txt'}\nJUDGE = 'none'\nHEADLINE = ['words']\nSTAGES = ('read',)",
    "accepts_text": "ACCEPTS = '.md'",
    "accepts_capitals": "ACCEPTS = {'.MD'}",
    "accepts_nothing": "ACCEPTS = set()",
    "judge_some": "JUDGE = 'some'",
    "headline_number": "HEADLINE = (1,)",
    "stages_object": "STAGES = object()",
}


def told_by(tmp_path, *names):
    """Return a crew whose workers know these handlers."""
    for name in names:
        code = f"{SAYING[name]}\nclass Options: ...\ndef handle(task): ...\n"
        (tmp_path / f"{name}.py").write_text(code)
    crew = Crew(tmp_path, Settings(slots=1, spare=False), handlers=names)
    crew.pool._hello = replace(crew.pool._hello, handler_paths=(str(tmp_path),))
    crew.until(lambda: {*crew.pool.handlers, *crew.pool.unusable} == {*names})
    return crew


def test_handlers_say_what_they_take_before_any_job(tmp_path):
    """A worker reads the constants of each handler; what is left out has its default."""
    crew = told_by(tmp_path, "silent", "texts")
    crew.pool.close()

    assert Declaration() == crew.pool.handlers["silent"]
    assert AUDIO_SUFFIXES == crew.pool.handlers["silent"].accepts
    assert crew.pool.handlers["texts"] == Declaration(
        accepts={".md", ".txt"}, judge="none", headline=("words",), stages=("read",)
    )


def test_a_constant_that_makes_no_sense_makes_the_handler_unusable(tmp_path):
    """The reason names the constant; the other handlers are served."""
    names = [name for name in SAYING if "_" in name]
    crew = told_by(tmp_path, "texts", *names)
    crew.pool.close()

    assert ["texts"] == list(crew.pool.handlers)
    assert {*names} == {*crew.pool.unusable}
    for name, why in crew.pool.unusable.items():
        assert f"{name.partition('_')[0].upper()} cannot be used" in why


@pytest.mark.parametrize("spare", [True, False])
def test_handlers_may_change_while_the_pool_lives(tmp_path, spare):
    """A worker that was asked about others goes, a busy one after its job; a new one tells."""
    crew = Crew(tmp_path, Settings(slots=1, spare=spare, confine=False))
    crew.until(lambda: crew.pool.handlers)
    crew.pool.start(crew.order("job", "well"))
    crew.pool.serve([HANDLER, "tests.support.counting"])
    crew.until(lambda: "tests.support.counting" in crew.pool.handlers)
    crew.until(lambda: crew.ended)
    crew.pool.close()

    assert "done" == crew.ended["job"].outcome


def test_workers_that_cannot_start_degrade_the_pool(tmp_path):
    """After so many failed starts the pool says why, offers no slot and ends what waits."""
    settings = Settings(slots=1, start_failures=2, spare=False)
    crew = Crew(tmp_path, settings, python="/bin/false")
    crew.pool.start(crew.order("job"))
    crew.until(lambda: crew.ended)

    assert ("start_failed", "START_FAILED") == (
        crew.ended["job"].outcome,
        crew.ended["job"].error["code"],
    )
    assert "no worker starts" in (crew.pool.degraded or "")
    assert 0 == crew.pool.free_slots()
    assert 10 < (crew.pool.next_deadline_s() or 0)
    crew.pool.close()


def test_degraded_pool_recovers_when_workers_start_again(tmp_path):
    """A degraded pool tries again later, and takes orders when that goes well."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ -e {tmp_path}/mended ] && exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    clock = FakeClock()
    settings = Settings(slots=1, start_failures=1, spare=False)
    crew = Crew(tmp_path, settings, python=str(python), clock=clock)
    crew.pool.start(crew.order("before"))
    # What is being started would be late after the leap of the clock.
    crew.until(lambda: crew.pool.degraded and not crew.pool.describe()["workers"])
    (tmp_path / "mended").touch()
    clock.advance(31.0)
    crew.until(crew.pool.free_slots)

    assert "done" == crew.run([crew.order("after")])["after"].outcome
    crew.pool.close()


def test_interpreter_that_is_not_there_degrades_the_pool(tmp_path):
    """A start that the operating system refuses counts like any other."""
    crew = Crew(tmp_path, Settings(slots=1, start_failures=1), python="/nowhere/python")
    crew.until(lambda: crew.pool.degraded)

    assert "No such file" in (crew.pool.degraded or "")
    crew.pool.close()


def test_worker_that_starts_too_slowly_is_killed(tmp_path):
    """A start has a deadline like everything else."""
    crew = Crew(tmp_path, Settings(slots=1, start_s=0.01, start_failures=1))
    crew.until(lambda: crew.pool.degraded)

    assert "did not start in time" in (crew.pool.degraded or "")
    crew.pool.close()


def test_daemon_that_was_stopped_forgives_its_workers(tmp_path):
    """After a pause of the daemon itself, what workers said meanwhile counts first."""
    clock = FakeClock()
    # No spare: what becomes readable below must be the job's own worker.
    crew = Crew(tmp_path, Settings(slots=1, spare=False, confine=False), clock=clock)
    crew.run([crew.order("before")])
    crew.pool.start(crew.order("job", "slowly", stall_s=30.0))
    crew.until(lambda: crew.progress)
    crew.wait()
    clock.advance(31.0)

    crew.until(lambda: "job" in crew.ended)
    crew.pool.close()
    assert "done" == crew.ended["job"].outcome


def test_workers_die_with_the_thread_that_made_the_pool(tmp_path):
    """No worker outlives the supervisor, however that ends."""
    crew = Crew(tmp_path, Settings(slots=1, confine=False))

    def supervise():
        crew.pool.start(crew.order("job", "report_the_same"))
        crew.until(lambda: crew.progress)

    thread = threading.Thread(target=supervise)
    thread.start()
    thread.join()

    crew.until(lambda: crew.ended)
    crew.pool.close()
    assert ("crashed", signal.SIGKILL) == (crew.ended["job"].outcome, crew.ended["job"].signal)


@pytest.mark.parametrize(
    "jobs", [8, pytest.param(60, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_chaos_loses_nothing(tmp_path, jobs):
    """While a random worker is killed again and again, every job ends once, most as done."""
    dice = random.Random(jobs)
    crew = Crew(tmp_path, Settings(slots=2, confine=False))
    waiting = [crew.order(f"job {n}", "slowly") for n in range(jobs)]
    next_kill_s, kills = time.monotonic() + 0.4, jobs // 2

    def done():
        nonlocal next_kill_s, kills
        while waiting and crew.pool.free_slots():
            crew.pool.start(waiting.pop(0))
        workers = crew.pool.describe()["workers"]
        if workers and kills and time.monotonic() >= next_kill_s:
            os.kill(dice.choice(workers)["pid"], signal.SIGKILL)
            next_kill_s, kills = next_kill_s + 0.8, kills - 1
        return len(crew.ended) == jobs

    crew.until(done, patience_s=120.0)
    crew.pool.close()
    outcomes = [end.outcome for end in crew.ended.values()]
    # Of a worker that was killed before it could begin, the job may begin anew.
    assert {"done", "crashed", "start_failed"} >= set(outcomes)
    assert outcomes.count("done") >= jobs / 2
