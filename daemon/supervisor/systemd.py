"""What the daemon tells systemd, and what it was given by it.

``notify`` speaks sd_notify(3): one datagram to the socket that ``NOTIFY_SOCKET`` names.
``keep_capabilities`` keeps what the unit's drop-in grants the daemon from its workers.
"""

import ctypes
import os
import socket
import time
from contextlib import suppress

_LISTENS_S = 0.5
"""What a manager has been told and has not read fills a queue; it must not hold us up."""


def notify(*lines: str) -> None:
    """Tell the service manager, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace is written with an @
    # It may not listen, may not read, or no descriptor is left.
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
    with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as out:
        out.settimeout(_LISTENS_S)
        out.sendto("\n".join(lines).encode(), address)


def notify_reloading() -> None:
    """Tell the service manager that a reload began; ``READY=1`` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


# linux/prctl.h
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def keep_capabilities() -> None:
    """Keep the capabilities that we were given to ourselves: no program that we start has any.

    Call it from the thread that starts the workers, before any is started: they read untrusted
    files, and must not inherit the right to write those of other users.
    """
    # All arguments, for the kernel refuses what it finds in the registers of those left out.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    none = ctypes.c_ulong(0)
    if prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), none, none, none) != 0:
        raise OSError(ctypes.get_errno(), "cannot keep capabilities from being inherited")
