"""A RabbitMQ of the test's own: on loopback, on ports of its own, encrypted, with its own user.

Nothing of a broker that this machine may run is touched: name, ports, epmd, data and cookie are
this one's.
"""

import base64
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.daemons import until

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself: the one in the path changes the user and the folder."""
USER, PASSWORD, VHOST = "soundspool", "not-a-secret", "spool"
FOREIGN_VHOST = "others"
"""One that the user may not use."""
needs_rabbitmq = pytest.mark.skipif(
    not SERVER.exists() or not shutil.which("epmd"), reason="rabbitmq-server is not installed"
)
_STARTED = "Server startup complete"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


class Broker:
    """One RabbitMQ: started, killed, and started again on the same port."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder, self._addresses = folder, ("127.0.0.1", *more)
        self.port = free_port()
        self._epmd_port, self._dist_port = free_port(), free_port()
        self._epmd = self._server = self._log = None
        self._name = f"test-{secrets.token_hex(4)}@localhost"
        self.ca_file = folder / "ca.pem"

    @property
    def url(self) -> str:
        return self.url_at("localhost")

    def url_at(self, address: str) -> str:
        return f"amqps://{USER}@{address}:{self.port}/{VHOST}"

    def start(self) -> "Broker":
        self.folder.mkdir(exist_ok=True)
        if self._epmd is None:
            self._epmd = subprocess.Popen(
                ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            )
            make_certificates(self.folder, self._addresses)
            # A server that found none would start one of its own, which nobody ends.
            until(lambda: _listens(self._epmd_port), "epmd listens")
        (self.folder / "definitions.json").write_text(json.dumps(definitions()))
        (self.folder / "rabbitmq.conf").write_text(self._settings())
        self._server = subprocess.Popen(
            [SERVER],
            env=self._environment(),
            cwd=self.folder,  # it leaves its dumps there
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        said = []
        for line in self._server.stdout:
            said.append(line)
            if _STARTED in line:
                # Its log goes on; a full pipe would stop it.
                self._log = threading.Thread(target=self._server.stdout.read)
                self._log.start()
                return self
        raise AssertionError("".join(said[-50:]))

    def kill(self) -> None:
        """Kill it as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        self._log.join()
        self._server.stdout.close()

    def close(self) -> None:
        self.kill()
        self._epmd.kill()
        self._epmd.wait()

    def _settings(self) -> str:
        lines = (
            "listeners.tcp = none",
            *(f"listeners.ssl.{n} = {at}:{self.port}" for n, at in enumerate(self._addresses, 1)),
            f"ssl_options.cacertfile = {self.ca_file}",
            f"ssl_options.certfile = {self.folder / 'server.pem'}",
            f"ssl_options.keyfile = {self.folder / 'server.key'}",
            f"load_definitions = {self.folder / 'definitions.json'}",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
            "disk_free_limit.absolute = 1MB",
        )
        return "\n".join(lines) + "\n"

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),  # of the cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "none.config"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(self.folder / "feature_flags"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def definitions() -> dict[str, object]:
    """Return one virtual host and one user, who may do nothing outside it."""
    salt = secrets.token_bytes(4)
    digest = hashlib.sha256(salt + PASSWORD.encode()).digest()
    every = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [
            {
                "name": USER,
                "password_hash": base64.b64encode(salt + digest).decode(),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
        ],
        "vhosts": [{"name": VHOST}, {"name": FOREIGN_VHOST}],
        "permissions": [{"user": USER, "vhost": VHOST, **every}],
    }


def make_certificates(folder: Path, addresses: Sequence[str]) -> None:
    """Make an authority and a certificate for ``localhost`` and these addresses."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test")
    names = ",".join(["DNS:localhost", *(f"IP:{address}" for address in addresses)])
    name = ["-subj", "/CN=localhost", "-addext", f"subjectAltName={names}"]
    openssl("req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key", *new, *name,
            "-keyout", "server.key", "-out", "server.pem")  # fmt: skip
