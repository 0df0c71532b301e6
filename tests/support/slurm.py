"""A Slurm of the test's own, with one node: on loopback, with its own ports, keys and folders.

Nothing of a cluster that this machine may be part of is touched.
"""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.broker import free_port
from tests.support.daemons import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "squeue", "scontrol")
_PATH = f"{os.environ['PATH']}:/usr/sbin"
_MISSING = [name for name in PROGRAMS if not shutil.which(name, path=_PATH)]
needs_slurm = [
    pytest.mark.skipif(bool(_MISSING), reason=f"slurm-wlm or munge lacks {' '.join(_MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd starts tasks as root alone"),
]


class Slurm:
    """What commands of the cluster are told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"

    def launch(self, *command: str) -> list[str]:
        """Return the command that runs another on the cluster's node."""
        return ["env", f"SLURM_CONF={self.conf}", "srun", "-N1", "-n1", "-c2", *command]

    def ask(self, *command: str) -> str:
        """Return what a command of Slurm says."""
        told = os.environ | {"SLURM_CONF": str(self.conf)}
        done = subprocess.run(
            command, env=told, capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout

    def jobs(self) -> list[str]:
        """Return the jobs that hold an allocation or wait for one."""
        return self.ask("squeue", "-h", "-o", "%i %T").splitlines()


@contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    """Run a cluster of this machine for a while."""
    slurm = Slurm(folder)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "key").chmod(0o600)
    slurm.conf.write_text(_settings(folder))
    own = {"socket": "munge.socket", "key-file": "key", "pid-file": "munged.pid"}
    own |= {"log-file": "munged.log", "seed-file": "munged.seed"}
    running = []

    def start(*command: str) -> None:
        with (folder / "said.log").open("ab") as said:
            running.append(
                subprocess.Popen(
                    command,
                    env=os.environ | {"PATH": _PATH, "SLURM_CONF": str(slurm.conf)},
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    process_group=0,
                )
            )

    try:
        # Folders of tests are open to others, which munged refuses unless it is forced.
        start("munged", "-F", "--force", *(f"--{key}={folder / one}" for key, one in own.items()))
        until((folder / "munge.socket").exists, "munged listens")
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", "farm")
        until(lambda: "idle" in slurm.ask("sinfo", "-h", "-o", "%T"), "its node is there")
        yield slurm
        until(lambda: not slurm.jobs(), "no allocation is left behind")
    finally:
        for process in reversed(running):
            process.terminate()
        for process in reversed(running):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _settings(folder: Path) -> str:
    host = socket.gethostname()
    settings = {
        "ClusterName": "test",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder / 'munge.socket'}",
        "SlurmctldPort": free_port(),
        "SlurmdPort": free_port(),
        "StateSaveLocation": folder / "state",
        "SlurmdSpoolDir": folder / "spool",
        "SlurmctldPidFile": folder / "slurmctld.pid",
        "SlurmdPidFile": folder / "slurmd.pid",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "MpiDefault": "none",
        "JobAcctGatherType": "jobacct_gather/none",
        "SchedulerType": "sched/builtin",
        "SelectType": "select/linear",  # the whole node: who leaves an allocation behind is found
        "InactiveLimit": 5,
        "NodeName": f"farm NodeAddr=127.0.0.1 NodeHostname={host} CPUs={os.cpu_count()}",
        "PartitionName": "all Nodes=farm Default=YES State=UP",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
