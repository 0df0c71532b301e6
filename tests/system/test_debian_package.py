"""The Debian package through its life: built, installed, upgraded under load, removed."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.machine import CODE, Machine, booted, why_not
from tests.support.surroundings import needs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.nspawn,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
    needs("dpkg-deb", debian="dpkg"),
]

SLOW = """
import time
from dataclasses import dataclass
from daemon.handlers.contract import Output, Result, Task

@dataclass
class Options:
    pass

def handle(task: Task) -> Result:
    for step in range(20):
        task.report("waiting", step / 20)
        time.sleep(0.1)
    (task.workdir / "out.txt").write_text("made")
    return Result(outputs=(Output("out.txt", "data"),))
"""

CONFIG = """
root: /srv/soundspool
handler_paths: [/etc/soundspool/handlers]
pool: {slots: 1}
inboxes:
  slow: {handler: slow}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The package, built by the command of the README."""
    folder = tmp_path_factory.mktemp("package")
    build = [sys.executable, "systemd/debian/build.py", "--out", str(folder)]
    done = subprocess.run(build, cwd=CODE, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return next(folder.glob("*.deb"))


@pytest.fixture
def machine(package, tmp_path) -> Iterator[Machine]:
    with booted(tmp_path, installed=False) as machine:
        shutil.copy(package, machine.root / "root/first.deb")
        yield machine


def newer(machine: Machine) -> None:
    """Make another package of the first, with the next version."""
    machine.shell("cd /root && dpkg-deb -R first.deb next")
    control = machine.root / "root/next/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 999.0", control.read_text()))
    machine.shell("cd /root && dpkg-deb --root-owner-group -Znone -b next next.deb")


def use_slow_handler(machine: Machine) -> None:
    """Have the operator change the configuration."""
    handlers = machine.root / "etc/soundspool/handlers"
    handlers.mkdir()
    (handlers / "slow.py").write_text(SLOW)
    (machine.root / "etc/soundspool/config.yaml").write_text(CONFIG)
    machine.run("systemctl", "restart", "soundspool")


def drop(machine: Machine, *names: str) -> None:
    rng = np.random.default_rng(1)  # one after another, for a known content is not done again
    for name in names:
        folder = machine.root / "root" / name
        folder.mkdir()
        soundfile.write(folder / "tone.wav", rng.normal(0.0, 0.1, 48_000), 48_000)
        (folder / ".done").touch()
        machine.run("cp", "-r", f"/root/{name}", "/srv/soundspool/inbox/slow/")


def states(machine: Machine) -> dict[str, str]:
    outbox = machine.root / "srv/soundspool/outbox/slow"
    statuses = [json.loads(path.read_text()) for path in outbox.glob("*.status.json")]
    return {status["name"]: status["state"] for status in statuses}


def test_package_installs_a_service_that_runs(machine):
    """After ``dpkg -i`` the service runs, the command is on the path, and the manual is there."""
    machine.run("dpkg", "-i", "/root/first.deb")
    machine.until(
        lambda: machine.property("soundspool", "SubState") == "running", "the service runs"
    )

    assert "soundspool" in machine.run("soundspool", "--help")
    assert "stems" in machine.run("man", "soundspool")
    assert "2770 soundspool audio-drop" in machine.run(
        "stat", "--format=%a %U %G", "/srv/soundspool/inbox/mix"
    )


def test_upgrade_keeps_what_waits_in_the_queue(machine):
    """One job runs and two wait when a new version comes: all three are done after it, once."""
    machine.run("dpkg", "-i", "/root/first.deb")
    use_slow_handler(machine)
    newer(machine)
    drop(machine, "one", "two", "three")
    machine.until(
        lambda: sorted(states(machine).values()) == ["queued", "queued", "running"],
        "one runs and two wait",
    )
    machine.run("dpkg", "-i", "--force-confold", "/root/next.deb")
    done = dict.fromkeys(["one", "two", "three"], "done")
    machine.until(lambda: states(machine) == done, f"{states(machine)} to be done")

    assert "999.0" in machine.run("dpkg-query", "-W", "soundspool")


def test_removing_keeps_the_spool(machine):
    """After ``dpkg -P`` no service and no program is left; the spool is untouched."""
    machine.run("dpkg", "-i", "/root/first.deb")
    precious = machine.root / "srv/soundspool/outbox/precious.wav"
    precious.write_text("music")
    machine.run("dpkg", "-P", "soundspool")

    assert "music" == precious.read_text()
    assert "not-found" == machine.property("soundspool", "LoadState")
    assert not (machine.root / "opt/soundspool").exists()
