"""The doctor: what it says of a sound machine, and that it can say something else."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from daemon.cli.diagnose import inbox_checks, machine_checks
from daemon.cli.diagnose.doctor import run_doctor
from daemon.cli.diagnose.worker_trials import Trial, _Trials
from daemon.config.models import Inbox
from daemon.files import Files
from daemon.intake.mounts import kind_of_mount, mount_options, read_mountinfo
from tests.support.desks import DeskSpool

SHM = Path("/dev/shm")
MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:40 / /srv rw shared:2 - overlay overlay rw,lowerdir=/a,volatile
31 22 8:2 / /old rw - ext3 /dev/sdb1 rw,barrier=0
"""


@pytest.fixture
def spool(tmp_path):
    return DeskSpool(tmp_path)


def one_trial(folder, trial, *, confine=True):
    trials = _Trials(folder, confine=confine)
    try:
        return trials.finding(trial)
    finally:
        trials.close()


def test_doctor_finds_this_machine_sound(spool, capsys):
    """Every trial ends as it must; what it made has gone; the exit code is 0."""
    before = sorted(spool.root.iterdir())

    assert 0 == run_doctor(spool.config, quick=False, as_json=True)

    said = json.loads(capsys.readouterr().out)
    assert said["sound"], said
    assert {"hang in C", "crash", "memory limit", "nested pool", "left processes"} <= {
        one["what"] for one in said["findings"] if one["verdict"] == "ok"
    }
    assert before == sorted(spool.root.iterdir())


def test_doctor_fails_when_a_promise_does_not_hold(tmp_path, capsys):
    """One problem is enough for exit code 1, and the table names it."""
    (tmp_path / "config.yaml").write_text("root: spool\ndisk: {reserve_mb: 1000000000}\n")

    assert 1 == run_doctor(tmp_path / "config.yaml", quick=False, as_json=False)

    assert "problem  disk" in capsys.readouterr().out
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(("slots", "allowed"), [(4, 180), (4, 10_000), (200, 600)])
def test_doctor_and_daemon_count_descriptors_alike(slots, allowed):
    """What one calls too few, the other refuses to start with, by the same number."""
    code = """
import resource, sys
from pathlib import Path
from daemon.cli.diagnose.machine_checks import open_files
from daemon.config.models import Config, Inbox, Pool
from daemon.errors import BadConfig
from daemon.supervisor.startup import require_descriptors
slots, allowed = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
config = Config(inboxes={f"in{n}": Inbox() for n in range(10)}, pool=Pool(slots=slots))
found = open_files(config)
try:
    require_descriptors(config)
except BadConfig as error:
    assert found.verdict == "problem", found
    assert found.text.split()[0] == error.problem.split()[0], (found, error)
else:
    assert found.verdict != "problem", found
"""
    command = [sys.executable, "-c", code, str(slots), str(allowed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert "" == done.stderr


def test_trial_that_ends_otherwise_is_a_problem(tmp_path):
    """The doctor bites: a job that should crash and does not is reported."""
    found = one_trial(tmp_path, Trial("calm", "nest", "crashed", "CRASHED", ""))

    assert ("problem", "ended as done, not as crashed") == (found.verdict, found.text)


def test_trial_that_hangs_beyond_patience_is_a_problem(tmp_path, monkeypatch):
    """The doctor itself does not hang."""
    monkeypatch.setattr("daemon.cli.diagnose.worker_trials.PATIENCE_S", 1.0)

    found = one_trial(tmp_path, Trial("hang", "hang", "stalled", "STALLED", ""))

    assert ("problem", "did not end within 1 s") == (found.verdict, found.text)


def test_unconfined_worker_is_a_warning_that_says_what_it_can_do(tmp_path):
    """What the machine let through is named."""
    trials = _Trials(tmp_path, confine=False)
    try:
        found = trials.confinement()
    finally:
        trials.close()

    assert "warning" == found.verdict
    assert "a worker can read other files" in found.text


def test_rename_that_overwrites_is_a_problem(tmp_path):
    """Found by trying, on a file and on an empty folder."""

    class Careless(Files):
        def rename(self, step, source, target):
            if target.is_dir():
                source.rename(target)
            else:
                super().rename(step, source, target)

    found = machine_checks.exclusive_rename(tmp_path, Careless())

    assert ("problem", True) == (found.verdict, "empty" in found.text)


def test_queue_that_anybody_can_open_is_a_problem(tmp_path, monkeypatch):
    """File locks that do not lock are noticed."""
    monkeypatch.setattr(machine_checks, "_second_opener_is_refused", lambda _: False)

    assert "problem" == machine_checks.queue_lock(tmp_path).verdict


@pytest.mark.skipif(
    kind_of_mount(SHM, read_mountinfo()) != "tmpfs" or not os.access(SHM, os.W_OK),
    reason="needs /dev/shm in memory",
)
def test_spool_in_memory_is_a_warning():
    """No sync makes memory durable."""
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        found = machine_checks.durability(Path(folder))

    assert "warning" == found.verdict
    assert "a power cut takes all of it" in found.text


@pytest.mark.parametrize(
    ("folder", "option"), [("/srv/spool", "volatile"), ("/old", "barrier=0"), ("/etc", None)]
)
def test_mounts_that_do_not_sync_are_known(folder, option):
    """By the options they were mounted with."""
    careless = mount_options(Path(folder), MOUNTS) & machine_checks._UNSYNCED

    assert ({option} if option else set()) == careless


def test_too_few_watches_are_a_warning():
    """Inboxes beyond the limit are polled; that is slower, not wrong."""
    assert "warning" == machine_checks.watches(10**9).verdict


def test_clock_is_looked_at():
    """Here it is of this century."""
    assert "ok" == machine_checks.clock().verdict


def test_folder_that_an_inbox_reads_is_looked_at(tmp_path):
    """A root that is away is no reason not to start, and is told all the same."""
    for folder in ("music", "spool"):
        (tmp_path / folder).mkdir()
    reads = {"music": tmp_path / "music", "nas": tmp_path / "not mounted"}
    found = list(
        inbox_checks.roots("archive", Inbox(reads=reads), tmp_path / "spool", confine=True)
    )

    assert [("root music of archive", "ok"), ("root nas of archive", "warning")] == [
        (one.what, one.verdict) for one in found
    ]
    assert "cannot be opened" in found[1].text


def test_timer_of_a_handler_that_takes_no_scans_is_a_problem():
    """What it would drop would lie in the inbox for ever."""
    mix = Inbox(every_s=3600.0, handler="tests.support.misbehaving")

    assert "problem" == inbox_checks.handler("mix", mix, []).verdict
