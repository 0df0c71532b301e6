"""The doctor: what it says of a sound machine, and that it can say something else."""

import json
import os
import resource
from pathlib import Path

import pytest

from daemon.cli.diagnose import doctor
from daemon.cli.diagnose.doctor import findings, run_doctor
from daemon.cli.diagnose.worker_trials import Trial, _Trials
from daemon.config.models import Config, Pool
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

    assert 0 == run_doctor(spool.config, as_json=True)

    said = json.loads(capsys.readouterr().out)
    assert said["sound"], said
    assert {"hang in C", "crash", "memory limit", "nested pool", "left processes"} <= {
        one["what"] for one in said["findings"] if one["verdict"] == "ok"
    }
    assert before == sorted(spool.root.iterdir())


def test_doctor_fails_when_a_promise_does_not_hold(spool, capsys, monkeypatch):
    """One problem is enough for exit code 1, and the table names it."""
    monkeypatch.setattr(doctor, "worker_findings", lambda *_, **__: iter(()))
    monkeypatch.setattr(doctor, "_FILES_BESIDE", 10**9)

    assert 1 == run_doctor(spool.config, as_json=False)

    assert "problem  open files" in capsys.readouterr().out


def test_doctor_of_a_spool_to_come_says_where_it_tried(tmp_path, monkeypatch):
    """Nothing is made where the spool will be."""
    monkeypatch.setattr(doctor, "worker_findings", lambda *_, **__: iter(()))

    first = next(findings(Config(root=tmp_path / "spool")))

    assert ("spool", "warning") == (first.what, first.verdict)
    assert not (tmp_path / "spool").exists()


def test_doctor_of_a_spool_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    """A problem, not a traceback."""

    def refuse(root):
        raise PermissionError(13, "Permission denied", str(root))

    monkeypatch.setattr(doctor, "_scratch", refuse)

    (only,) = findings(Config(root=tmp_path))
    assert ("problem", f"{tmp_path}: Permission denied") == (only.verdict, only.text)


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

    found = doctor.exclusive_rename(tmp_path, Careless())

    assert ("problem", True) == (found.verdict, "empty" in found.text)


def test_queue_that_anybody_can_open_is_a_problem(tmp_path, monkeypatch):
    """File locks that do not lock are noticed."""
    monkeypatch.setattr(doctor, "_second_opener_is_refused", lambda _: False)

    assert "problem" == doctor.queue(tmp_path).verdict


@pytest.mark.skipif(
    kind_of_mount(SHM, read_mountinfo()) != "tmpfs" or not os.access(SHM, os.W_OK),
    reason="needs /dev/shm in memory",
)
def test_spool_in_memory_is_a_warning():
    """No sync makes memory durable."""
    with doctor._scratch(SHM) as folder:
        found = doctor.durability(Path(folder))

    assert "warning" == found.verdict
    assert "a power cut takes all of it" in found.text


@pytest.mark.parametrize(
    ("folder", "option"), [("/srv/spool", "volatile"), ("/old", "barrier=0"), ("/etc", None)]
)
def test_mounts_that_do_not_sync_are_known(folder, option):
    """By the options they were mounted with."""
    careless = mount_options(Path(folder), MOUNTS) & doctor._UNSYNCED

    assert ({option} if option else set()) == careless


def test_too_few_watches_are_a_warning():
    """Inboxes beyond the limit are polled; that is slower, not wrong."""
    assert "warning" == doctor.watches(10**9).verdict


def test_too_few_open_files_are_a_problem():
    """With 256 slots the daemon needs about a thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        found = doctor.open_files(Config(pool=Pool(slots=256)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert "problem" == found.verdict


def test_clock_is_looked_at():
    """Here it is of this century."""
    assert "ok" == doctor.clock().verdict
