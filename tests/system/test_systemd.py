"""The service as systemd runs it: installed, started, used, hurt and stopped, on a booted machine.

One machine for all; each test has an instance of the template, or the one service, to itself.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.machine import Machine, booted, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nspawn,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]

# A handler of the operator's own: it takes its time and tells what it is allowed to do.
SNOOP = """
import json, os, socket, time
from dataclasses import dataclass
from pathlib import Path
from daemon.handlers.contract import Output, Result, Task

@dataclass
class Options:
    seconds: float = 0.0

def may(what) -> bool:
    try:
        what()
    except OSError:
        return False
    return True

def handle(task: Task) -> Result:
    until = time.monotonic() + task.options.seconds
    while (left := until - time.monotonic()) > 0:
        task.report("looking", 1 - left / task.options.seconds)
        time.sleep(0.05)
    status = Path("/proc/self/status").read_text().splitlines()
    seen = {
        "capabilities": next(row.split()[1] for row in status if row.startswith("CapPrm")),
        "no_new_privileges": next(row.split()[1] for row in status if row.startswith("NoNewPrivs")),
        "user": os.getuid(),
        "network": may(lambda: socket.create_connection(("127.0.0.1", 9), 1)),
        "writes_etc": may(lambda: Path("/etc/x").touch()),
        "writes_queue": may(lambda: (task.workdir / "../../../../state/x").touch()),
        "reads_home": may(lambda: os.listdir("/home/alice")),
    }
    (task.workdir / "seen.json").write_text(json.dumps(seen))
    return Result(outputs=(Output("seen.json", "data"),))
"""

CONFIG = """
root: /srv/soundspool/{name}
handler_paths: [/etc/soundspool/handlers]
drain_s: 30
pool: {{slots: 1}}
inboxes:
  mix: {{}}
  snoop: {{handler: snoop}}
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machine]:
    with booted(tmp_path_factory.mktemp("machine")) as machine:
        handlers = machine.root / "etc/soundspool/handlers"
        handlers.mkdir(parents=True)
        (handlers / "snoop.py").write_text(SNOOP)
        machine.run("groupadd", "--system", "--force", "audio-drop")
        machine.run("useradd", "--create-home", "--groups", "audio-drop", "alice")
        yield machine


class Service:
    """An installed instance of the template."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine, self.name, self.unit = machine, name, f"soundspool@{name}"
        self.root = machine.root / "srv/soundspool" / name
        config = machine.root / "etc/soundspool" / f"{name}.yaml"
        config.write_text(CONFIG.format(name=name))
        command = ("/opt/soundspool/bin/soundspool", "install-service", "--owners")
        machine.run(*command, "--instance", name)
        machine.run("systemd-sysusers")
        machine.run("systemd-tmpfiles", "--create", f"soundspool-{name}.conf")
        machine.run("systemctl", "daemon-reload")

    def start(self) -> None:
        self.machine.run("systemctl", "start", self.unit)

    def property(self, name: str) -> str:
        return self.machine.property(self.unit, name)

    def log(self) -> str:
        return self.machine.run("journalctl", "--no-pager", "--output=cat", "-u", self.unit)

    def drop(self, inbox: str, name: str, **settings: object) -> None:
        """Have alice copy a folder in, as `cp -r` does it, and say that it is whole."""
        song = self.machine.root / "home/alice" / self.name / name
        song.mkdir(parents=True)
        for stem, tone_hz in (("Bass", 55.0), ("Lead Vocal", 440.0)):
            soundfile.write(song / f"{stem}.wav", tone(tone_hz), 48_000)
        if settings:
            (song / "job.yaml").write_text(json.dumps(settings))
        (song / ".done").touch()
        place = f"/srv/soundspool/{self.name}/inbox/{inbox}"
        self.machine.shell(f"umask 022; cp -r '{self.machine_path(song)}' {place}/", user="alice")

    def machine_path(self, path: Path) -> str:
        return "/" + str(path.relative_to(self.machine.root))

    def status(self, inbox: str, name: str) -> dict[str, object]:
        try:
            return json.loads((self.root / "outbox" / inbox / f"{name}.status.json").read_text())
        except FileNotFoundError:
            return {}

    def await_state(self, inbox: str, name: str, state: str) -> dict[str, object]:
        def is_there() -> bool:
            seen = self.status(inbox, name)
            assert seen.get("state") == state or not seen.get("terminal"), seen
            endings = {attempt["outcome"] for attempt in seen.get("attempts", [])}
            assert endings <= {None, "done", "interrupted"}, json.dumps(seen, indent=1)
            return seen.get("state") == state

        self.machine.until(is_there, f"{name} {state}")
        return self.status(inbox, name)


def tone(tone_hz: float, rate_hz: int = 48_000, length_s: float = 4.0) -> np.ndarray:
    return 0.25 * np.sin(2 * np.pi * tone_hz * np.arange(round(length_s * rate_hz)) / rate_hz)


@pytest.fixture
def service(machine, request) -> Iterator[Service]:
    name = request.node.name.removeprefix("test_").split("[")[0][:30].strip("_")
    service = Service(machine, name)
    yield service
    machine.run("systemctl", "stop", service.unit, check=False)
    machine.run("systemctl", "reset-failed", service.unit, check=False)


def test_start_is_over_when_it_serves(service):
    """``systemctl start`` returns when the daemon has said READY, not before."""
    service.start()

    assert "active running" == f"{service.property('ActiveState')} {service.property('SubState')}"
    assert "serving" in service.property("StatusText")


def test_drop_of_somebody_else_becomes_a_mix_he_can_read(service):
    """A folder that ``cp -r`` made, usual umask, is taken; the group may read the mix."""
    service.start()
    service.drop("mix", "Song")
    service.await_state("mix", "Song", "done")

    place = f"/srv/soundspool/{service.name}/outbox/mix"
    listed = service.machine.shell(f"cat {place}/Song.status.json && ls {place}/Song", user="alice")
    assert "report.html" in listed
    assert not (service.root / "inbox/mix/Song").exists()


def test_worker_may_do_next_to_nothing(service):
    """A worker has no capability, no network, and reaches neither system, queue nor homes."""
    service.start()
    service.drop("snoop", "Song")
    service.await_state("snoop", "Song", "done")

    seen = json.loads((service.root / "outbox/snoop/Song/seen.json").read_text())
    assert 0 == int(seen.pop("capabilities"), 16)
    assert "1" == seen.pop("no_new_privileges")
    assert seen.pop("user") != 0
    assert dict.fromkeys(seen, False) == seen


def test_journal_knows_the_fields(service):
    """``journalctl JOB=…`` shows the life of one job."""
    service.start()
    service.drop("snoop", "Song")
    job = service.await_state("snoop", "Song", "done")["job"]

    shown = service.machine.run("journalctl", "--no-pager", "-o", "json", f"JOB={job}")
    entries = [json.loads(row) for row in shown.splitlines() if row.startswith("{")]
    assert {"soundspool"} == {entry["SYSLOG_IDENTIFIER"] for entry in entries}


def test_reload_takes_a_new_configuration_and_refuses_a_bad_one(service):
    """``systemctl reload`` opens a new inbox; a file with a mistake changes nothing."""
    service.start()
    machine, before = service.machine, service.property("MainPID")
    config = machine.root / f"etc/soundspool/{service.name}.yaml"
    config.write_text(config.read_text() + "  late: {handler: snoop}\n")
    machine.run("systemctl", "reload", service.unit)
    machine.until((service.root / "inbox/late").is_dir, "the new inbox")
    config.write_text("no_such_key: 1\n")
    machine.run("systemctl", "reload", service.unit)
    machine.until(lambda: "no_such_key" in service.log(), "the refusal")
    service.drop("late", "Song")
    service.await_state("late", "Song", "done")

    assert before == service.property("MainPID")
    assert "active" == service.property("ActiveState")


def test_stop_lets_running_work_finish(service):
    """``systemctl stop`` drains: the running job is done, published, and the result is success."""
    service.start()
    service.drop("snoop", "Song", seconds=4)
    service.await_state("snoop", "Song", "running")
    service.machine.run("systemctl", "stop", service.unit)

    assert "done" == service.status("snoop", "Song")["state"]
    assert "success" == service.property("Result")


def test_frozen_loop_is_restarted(service):
    """A daemon that no longer goes round is killed by the watchdog and started again."""
    drop_in = f"etc/systemd/system/{service.unit}.service.d/quick.conf"
    (service.machine.root / drop_in).write_text("[Service]\nWatchdogSec=4\nTimeoutAbortSec=1\n")
    service.machine.run("systemctl", "daemon-reload")
    service.start()
    frozen = service.property("MainPID")
    service.machine.run("kill", "-STOP", frozen)
    service.machine.until(lambda: service.property("NRestarts") == "1", "a restart")
    service.machine.until(lambda: service.property("SubState") == "running", "running again")

    assert frozen != service.property("MainPID")
    assert frozen not in map(str, service.machine.pids(service.unit))


def test_killed_daemon_leaves_nobody_and_finishes_the_job(service):
    """After ``kill -9`` no process of before lives, and the next daemon does the work."""
    service.start()
    service.drop("snoop", "Song", seconds=3)
    service.await_state("snoop", "Song", "running")
    before = set(service.machine.pids(service.unit))
    service.machine.run("kill", "-KILL", service.property("MainPID"))
    service.machine.until(lambda: service.property("NRestarts") == "1", "a restart")
    service.machine.until(lambda: service.property("SubState") == "running", "running again")
    after = set(service.machine.pids(service.unit))

    assert len(before) > 1
    assert set() == before & after
    assert 2 == service.await_state("snoop", "Song", "done")["attempt"]


def test_wrong_configuration_is_not_tried_again(service):
    """Exit 78 stays stopped: another start would not mend the file."""
    (service.machine.root / f"etc/soundspool/{service.name}.yaml").write_text("no_such_key: 1\n")
    service.machine.run("systemctl", "start", service.unit, check=False)
    service.machine.until(lambda: service.property("ActiveState") == "failed", "failure")

    assert ("78", "0") == (service.property("ExecMainStatus"), service.property("NRestarts"))
    assert "no_such_key" in service.log()


def test_template_runs_twice(machine):
    """Two instances serve two spools at once and know nothing of each other."""
    services = [Service(machine, name) for name in ("studio", "radio")]
    for service in services:
        service.start()
    for service in services:
        service.drop("snoop", f"Song of {service.name}")
    for service in services:
        service.await_state("snoop", f"Song of {service.name}", "done")
        machine.run("systemctl", "stop", service.unit)

    assert not (services[0].root / "outbox/snoop/Song of radio").exists()
