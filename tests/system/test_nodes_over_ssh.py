"""A node over a real ``ssh``: an sshd of the test's own, on loopback."""

import getpass
import os
import select
import shlex
import shutil
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from daemon.pool.interface import Outcome
from tests.support.broker import free_port
from tests.support.daemons import until
from tests.support.nodes import COMMAND, node_pool
from tests.support.pools import ends, events, order

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(SSHD).exists(), reason="openssh-server is not installed"),
]


@pytest.fixture
def launch(tmp_path):
    """The command that runs a node through an sshd which knows one key and nobody else."""
    home = tmp_path / "ssh"
    home.mkdir(mode=0o700)
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True
        )
    port = free_port()
    (home / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {home}/host\nUsePAM no\n"
        f"AuthorizedKeysFile {home}/key.pub\nStrictModes no\nPasswordAuthentication no\n"
        f"PermitRootLogin prohibit-password\nPidFile none\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    sshd = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", home / "config"], stderr=subprocess.PIPE, process_group=0
    )
    said = b""
    while b"Server listening" not in said:
        select.select([sshd.stderr], [], [], 60.0)
        portion = os.read(sshd.stderr.fileno(), 1 << 16)
        assert portion, said
        said += portion
    options = ["-F", "none", "-T", "-p", str(port), "-i", str(home / "key"), "-oBatchMode=yes"]
    options += ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR"]
    yield ["ssh", *options, f"{getpass.getuser()}@127.0.0.1", shlex.join(COMMAND)]
    sshd.kill()
    sshd.wait()
    sshd.stderr.close()


def test_node_over_ssh_works_and_dies_with_its_connection(launch, tmp_path):
    """When ssh is killed, the worker at the other end goes, and the job comes back."""
    with closing(node_pool(tmp_path, launch=launch, lost_s=6.0)) as pool:
        events(pool, lambda _: pool.free_slots() == 2)
        pool.start(order(tmp_path, "first"))
        assert Outcome.DONE is ends(pool, 1)["first"].outcome
        pool.start(order(tmp_path, "job", "note_and_hang"))
        note = tmp_path / "job" / "job.pid"
        until(lambda: (pool.collect(), note.exists())[1], "the worker has begun")
        worker = int(note.read_text())
        os.kill(pool.link.process_id, signal.SIGKILL)
        end = ends(pool, 1)["job"]

        assert "NODE_LOST" == end.error["code"]
        assert not Path(f"/proc/{worker}").exists()
        events(pool, lambda _: pool.free_slots() == 2)
        pool.start(order(tmp_path, "again"))
        assert Outcome.DONE is ends(pool, 1)["again"].outcome
