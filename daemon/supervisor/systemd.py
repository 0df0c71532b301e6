"""What the daemon says to systemd, and what the kernel says to the daemon.

``notify`` speaks sd_notify(3): one datagram to the socket that ``NOTIFY_SOCKET`` names.
``Signals`` turns SIGTERM, SIGINT and SIGHUP into flags and a readable descriptor, so that
the loop wakes and nothing happens inside a signal handler.
``keep_capabilities`` keeps what the unit's drop-in grants the daemon from its workers.
"""

import ctypes
import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

_LISTENS_S = 0.5
"""What a manager has been told and has not read fills a queue; it must not hold us up."""
_DEAF_S = 0.25
"""Between looks while we cannot sleep until somebody speaks."""


def notify(*lines: str) -> bool:
    """Tell the service manager; return whether there is one to tell."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace is written with an @
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(_LISTENS_S)
            out.sendto("\n".join(lines).encode(), address)
    except OSError:  # nobody listens, nobody reads, or no descriptor is left
        return False
    return True


def notify_reloading() -> bool:
    """Tell the service manager that a reload began; ``READY=1`` ends it."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_s() -> float | None:
    """Return how often the service manager wants to hear of us, in seconds."""
    pid = os.environ.get("WATCHDOG_PID")
    if pid and pid != str(os.getpid()):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 1e6
    except (KeyError, ValueError):
        return None


# linux/prctl.h
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def keep_capabilities() -> None:
    """Keep the capabilities that we were given to ourselves: no program that we start has any.

    Call it from the thread that starts the workers, before any is started: they read what
    strangers wrote, and must not inherit the right to write everybody's files.
    """
    # All arguments, for the kernel refuses what it finds in the registers of those left out.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    none = ctypes.c_ulong(0)
    if prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), none, none, none) != 0:
        raise OSError(ctypes.get_errno(), "cannot keep capabilities from being inherited")


class Signals:
    """Asked to stop, asked to reload: set by signals, read by the loop."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def install(self) -> None:
        """Take SIGTERM, SIGINT and SIGHUP over."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._arrived)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return the descriptor that is readable when something arrived."""
        return self._reader

    def wake(self) -> None:
        """Make the descriptor readable: for other threads."""
        with suppress(BlockingIOError):  # the pipe is full of reasons to wake up already
            os.write(self._writer, b"\0")

    def wait(self, others: Iterable[int], wait_s: float) -> None:
        """Sleep until something arrived, one of the descriptors is readable, or time is up."""
        poller = select.poll()
        for descriptor in (self._reader, *others):
            poller.register(descriptor, select.POLLIN)
        try:
            poller.poll(wait_s * 1000)
        except OSError:  # EINVAL: there is more to listen to than files may be open
            time.sleep(min(wait_s, _DEAF_S))
        self.clear()

    def clear(self) -> None:
        """Empty the pipe; the flags stay."""
        with suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop = True
