"""A node over a real ``ssh``: an sshd of the test's own, on loopback or at the end of a cable."""

import getpass
import os
import select
import shlex
import shutil
import signal
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from daemon.pool.interface import Outcome
from tests.support.broker import free_port
from tests.support.cables import host, needs_cables
from tests.support.daemons import until
from tests.support.nodes import COMMAND, node_pool
from tests.support.pools import ends, events, order

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(SSHD).exists(), reason="openssh-server is not installed"),
]


@contextmanager
def sshd(home, address="127.0.0.1", within=()):
    """Yield the command that runs a node through an sshd which knows one key and nobody else."""
    home.mkdir(mode=0o700)
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True
        )
    port = free_port()
    (home / "config").write_text(
        f"Port {port}\nListenAddress {address}\nHostKey {home}/host\nUsePAM no\n"
        f"AuthorizedKeysFile {home}/key.pub\nStrictModes no\nPasswordAuthentication no\n"
        f"PermitRootLogin prohibit-password\nPidFile none\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(
        [*within, SSHD, "-D", "-e", "-f", home / "config"],
        stderr=subprocess.PIPE,
        process_group=0,
    )
    said = b""
    while b"Server listening" not in said:
        select.select([server.stderr], [], [], 60.0)
        portion = os.read(server.stderr.fileno(), 1 << 16)
        assert portion, said
        said += portion
    options = ["-F", "none", "-T", "-p", str(port), "-i", str(home / "key"), "-oBatchMode=yes"]
    options += ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR"]
    options += ["-oConnectTimeout=5"]
    yield ["ssh", *options, f"{getpass.getuser()}@{address}", shlex.join(COMMAND)]
    server.kill()
    server.wait()
    server.stderr.close()


@pytest.fixture
def launch(tmp_path):
    with sshd(tmp_path / "ssh") as command:
        yield command


@pytest.fixture
def far(tmp_path):
    """Another host, and the command that runs a node there."""
    with host() as there, sshd(tmp_path / "ssh", there.address, there.within()) as command:
        yield there, command


def begun(pool, folder, job):
    """Begin an attempt that never ends by itself; return its worker."""
    pool.start(order(folder, job, "note_and_hang"))
    note = folder / job / f"{job}.pid"
    until(lambda: (pool.collect(), note.exists())[1], "the worker has begun")
    return int(note.read_text())


def test_node_over_ssh_works_and_dies_with_its_connection(launch, tmp_path):
    """When ssh is killed, the worker at the other end goes, and the job comes back."""
    with closing(node_pool(tmp_path, launch=launch, lost_s=6.0)) as pool:
        events(pool, lambda _: pool.free_slots() == 2)
        pool.start(order(tmp_path, "first"))
        assert Outcome.DONE is ends(pool, 1)["first"].outcome
        worker = begun(pool, tmp_path, "job")
        os.kill(pool.link.process_id, signal.SIGKILL)
        end = ends(pool, 1)["job"]

        assert "NODE_LOST" == end.error["code"]
        assert not Path(f"/proc/{worker}").exists()
        events(pool, lambda _: pool.free_slots() == 2)
        pool.start(order(tmp_path, "again"))
        assert Outcome.DONE is ends(pool, 1)["again"].outcome


@needs_cables
def test_pulled_cable_ends_the_workers_before_the_attempt_counts_as_lost(far, tmp_path):
    """Nobody is told: the lease runs out at both ends; the node is back with the cable."""
    there, launch = far
    with closing(node_pool(tmp_path, launch=launch, lost_s=6.0)) as pool:
        events(pool, lambda _: pool.free_slots() == 2)
        worker = begun(pool, tmp_path, "job")
        there.pull()
        end = ends(pool, 1)["job"]
        assert "NODE_LOST" == end.error["code"]
        assert not Path(f"/proc/{worker}").exists()
        there.put_back()
        events(pool, lambda _: pool.free_slots() == 2)
        pool.start(order(tmp_path, "again"))
        assert Outcome.DONE is ends(pool, 1)["again"].outcome


@needs_cables
def test_cable_that_is_put_back_within_the_lease_costs_nothing(far, tmp_path):
    """The attempt goes on, and what was said meanwhile comes late, and once."""
    there, launch = far
    with closing(node_pool(tmp_path, launch=launch, lost_s=30.0)) as pool:
        events(pool, lambda _: pool.free_slots() == 2)
        pool.start(order(tmp_path, "job", "slowly"))
        there.pull()
        heard_s = pool.link._heard_s
        until(
            lambda: (pool.collect(), pool._clock.monotonic_s() > heard_s + 7.0)[1],
            "more than one sign of life is missing",
        )
        there.put_back()

        assert Outcome.DONE is ends(pool, 1)["job"].outcome
        assert "joined" == pool.link.phase
