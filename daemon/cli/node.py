"""``soundspool node``: what a person must have right before a node is of use."""

import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from daemon.config.models import BROKER, NODE_NAME
from daemon.errors import BadConfig
from daemon.pool.interface import Devices
from daemon.pool.nodes.messages import Resources
from daemon.pool.nodes.node import main

if TYPE_CHECKING:  # it needs the extra
    from daemon.pool.nodes.broker.app import Access

__all__ = ["access_to", "main", "resources_of", "serve"]
EX_OK = 0


def access_to(broker: str, password_file: str, ca_file: str) -> "Access":
    """Return the way to a broker.

    Raises
    ------
    BadConfig
        The extra, the password or the authorities are missing, or it is no URL of a broker.
    """
    try:
        from daemon.pool.nodes.broker.app import Access  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed: pip install 'soundspool[celery]'"
        raise BadConfig("--celery", text) from None
    if not re.match(BROKER, broker):
        text = "must be amqp[s]://user@host/vhost; the password belongs into --password-file"
        raise BadConfig("--celery", text)
    if ca_file and not os.access(ca_file, os.R_OK):
        raise BadConfig("--ca-file", "cannot be read", ca_file)
    try:
        return Access.read(broker, password_file, ca_file)
    except OSError as error:
        raise BadConfig("--password-file", error.strerror or str(error), password_file) from None


def resources_of(said: Sequence[str]) -> Devices:
    """Return what a machine has of named resources, each said as ``gpu=0,1``.

    Raises
    ------
    BadConfig
        One is said otherwise, or twice.
    """
    pairs = [each.partition("=")[::2] for each in said]
    found = {name: members.split(",") for name, members in pairs}
    try:
        if len(found) < len(pairs):
            raise ValueError  # noqa: TRY301 - told as the others are
        return TypeAdapter(Resources).validate_python(found)
    except ValueError:
        text = "must be like gpu=0,1: a name in small letters, and each member once"
        raise BadConfig("--resource", text, " ".join(said)) from None


def serve(access: "Access", *, root: str, slots: int, name: str, resources: Devices) -> int:
    """Be a node of the daemon at the other end of a broker; return the exit code.

    Raises
    ------
    BadConfig
        The spool is not there, or the name is none.
    Unavailable
        The broker refuses it.
    """
    from daemon.pool.nodes.broker.worker import serve as be_a_worker  # noqa: PLC0415 - as above

    name = name or re.sub(r"[^a-z0-9.-]", "-", socket.gethostname().lower()) or "node"
    if not re.match(NODE_NAME, name):
        raise BadConfig("--name", "must be small letters, digits, dots and -", name)
    spool = Path(root or ".").absolute()
    if not (spool / "work").is_dir():
        raise BadConfig("--root", "has no work/: it is no spool, or is not mounted", str(spool))
    be_a_worker(access, name=name, root=spool, slots=slots, resources=resources)
    return EX_OK
