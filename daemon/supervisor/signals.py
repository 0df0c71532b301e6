"""SIGTERM, SIGINT and SIGHUP as flags and one readable descriptor.

So the loop wakes, and nothing happens inside a signal handler.
"""

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

_POLLING_S = 0.25
"""Polling interval when poll() fails because too many descriptors are open."""


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

    def wait(self, others: Iterable[int], wait_s: float) -> bool:
        """Sleep until something arrived, a descriptor is readable or time is up; return which."""
        poller = select.poll()
        for descriptor in (self._reader, *others):
            poller.register(descriptor, select.POLLIN)
        came = True
        try:
            came = bool(poller.poll(wait_s * 1000))
        except OSError:  # EINVAL: there is more to listen to than files may be open
            time.sleep(min(wait_s, _POLLING_S))
        self.clear()
        return came

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
