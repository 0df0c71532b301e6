"""The Celery application: how orders travel, and why so.

Rules
-----
1. Nothing is delivered again. Late acknowledgement would have the broker hand *the same attempt*
   to another worker, in the same folder, after a node's death, after a cut cable, after its own
   restart; measured, that is what it does. Whether something runs again is decided by the daemon,
   under a new number.
2. Nothing queues at a node or in the broker: the daemon sends a node no more orders than it has
   slots, so that lanes, ageing and cancellation stay exact. Hence one queue per node.
3. Nothing is kept on the broker's disk: what it loses is sent again (``session``).
4. Events are on, so that Flower and ``celery events`` show orders. They name job, attempt and
   drop, and never what an order holds: that may be a key.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from celery import Celery
from celery.utils import worker_direct
from kombu import Connection, Queue

TASK = "soundspool.order"
UP = "soundspool.up"
"""The daemon's queue: exclusive, so that a second daemon at the same virtual host is refused."""
HEARTBEAT_S = 10
_CONNECT_S = 4.0


@dataclass(frozen=True)
class Access:
    """Where the broker is, and how one gets in."""

    broker: str
    password: str = ""
    ca_file: str = ""

    @classmethod
    def read(cls, broker: str, password_file: str = "", ca_file: str = "") -> "Access":
        """Return it with the password that a file holds; ``OSError`` when that cannot be read."""
        password = Path(password_file).read_text().strip() if password_file else ""
        return cls(broker, password, ca_file)

    @property
    def url(self) -> str:
        """The URL with the password; Celery knows TLS as a setting, not as a scheme."""
        parts = urlsplit(self.broker)
        place = parts.netloc
        if self.password:
            user, _, server = place.rpartition("@")
            place = f"{user.partition(':')[0]}:{quote(self.password, safe='')}@{server}"
        return urlunsplit(("amqp", place, parts.path, parts.query, parts.fragment))

    @property
    def tls(self) -> dict[str, Any] | None:
        """How the broker's certificate is checked; ``None``: there is none."""
        parts = urlsplit(self.broker)
        if parts.scheme != "amqps":
            return None
        # Without a file, the authorities that this machine trusts.
        authorities = self.ca_file or ssl.get_default_verify_paths().cafile
        checked = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}
        return {"ca_certs": authorities, **checked}

    def connection(self, heartbeat_s: int = 0) -> Connection:
        """Return a connection that has yet to be opened; 0: one that may be silent for long."""
        tls = self.tls or False
        return Connection(self.url, ssl=tls, heartbeat=heartbeat_s, connect_timeout=_CONNECT_S)


def application(access: Access) -> Celery:
    """Return the application, with the settings of both sides."""
    app = Celery("soundspool", broker=access.url, set_as_current=False)
    app.conf.update(
        broker_use_ssl=access.tls,
        # Rule 1.
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        # Rule 2.
        worker_prefetch_multiplier=1,
        worker_direct=True,
        # Rule 3.
        task_default_delivery_mode="transient",
        task_ignore_result=True,
        # Rule 4.
        worker_send_task_events=True,
        task_send_sent_event=True,
        task_serializer="json",
        accept_content=["json"],
        enable_utc=True,
        broker_heartbeat=HEARTBEAT_S,
        broker_connection_timeout=_CONNECT_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # An attempt goes on while the broker is away: whether it may, the lease decides.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def orders_of(host: str) -> Queue:
    """Return the queue of a node's orders."""
    queue: Queue = worker_direct(host)
    return queue
