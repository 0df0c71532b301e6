"""The process that keeps a node running: ``ssh``, ``srun``, ``kubectl exec``, or a plain command.

Rules
-----
1. It leads a process group of its own, so that it can be killed with all it started here; but no
   session, for a child in a session of its own is an orphan to the local pool (``orphans``).
2. Nothing is waited for, except in ``end``: for the deaths of what was killed, a second at most.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from daemon.files import ask_for_descriptors
from daemon.pool.nodes.wire import Wire

_DESCRIPTORS = 12
_TERMINATED_S, _KILLED_S, _LOOK_S = 1.0, 1.0, 0.002
"""One that hangs in the kernel longer than that is left behind."""
_TAIL_BYTES = 4 << 10
_READ_BYTES = 1 << 16
_NOT_INHERITED = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS")


class Launcher:
    """One run of a launch command; ``OSError`` when it cannot be started."""

    def __init__(self, command: Sequence[str]) -> None:
        ask_for_descriptors(_DESCRIPTORS)
        self._popen = subprocess.Popen(  # noqa: S603 - the operator's own command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            cwd="/",
            env={key: value for key, value in os.environ.items() if key not in _NOT_INHERITED},
            bufsize=0,
        )
        down, up, errors = self._popen.stdin, self._popen.stdout, self._popen.stderr
        assert down and up and errors  # noqa: S101, PT018 - for the type checker
        self.wire = Wire(up.fileno(), down.fileno())
        os.set_blocking(errors.fileno(), False)
        self._pipes, self._errors = (down, up, errors), errors.fileno()
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._tail = b""
        self._silent = False

    @property
    def process_id(self) -> int:
        """Its number, and its group's."""
        return self._popen.pid

    @property
    def dead(self) -> bool:
        """Whether it has died."""
        return self._died(0.0)

    def descriptors(self) -> list[int]:
        """Return what becomes readable when it says something or dies."""
        talk = [] if self.wire.ended else [self.wire.reads]
        return [self._pidfd, *talk, *([] if self._silent else [self._errors])]

    def how_it_ended(self) -> str:
        """Return how it died, in words; it stays to be reaped."""
        with suppress(ChildProcessError):
            kept = os.WEXITED | os.WNOHANG | os.WNOWAIT
            if found := os.waitid(os.P_PID, self._popen.pid, kept):
                how = "exit code" if found.si_code == os.CLD_EXITED else "signal"
                return f"its launcher ended with {how} {found.si_status}"
        return "its launcher hung up"

    def complaint(self) -> str:
        """Return the last line that it wrote to its standard error."""
        with suppress(OSError):
            while portion := os.read(self._errors, _READ_BYTES):
                self._tail = (self._tail + portion)[-_TAIL_BYTES:]
            self._silent = True
        return self._tail.decode("utf-8", "replace").strip().rpartition("\n")[2].strip()

    def last_words(self, patience_s: float) -> list[bytes]:
        """Close its input; return the lines that it says until it dies, or patience is over."""
        self._pipes[0].close()
        self._died(patience_s)
        return self.wire.read()

    def hang_up(self) -> None:
        """Close its input, and ask it to end.

        Killed at once, ``srun`` would leave its allocation behind, and the next would wait for it.
        """
        self._pipes[0].close()
        self._signal(signal.SIGTERM)

    def end(self, patience_s: float = 0.0) -> None:
        """Close its input; when it has not died then, kill it; reap it and what it left here."""
        self._pipes[0].close()
        if patience_s and not self._died(patience_s):
            self._signal(signal.SIGTERM)
            self._died(_TERMINATED_S)
        self._signal(signal.SIGKILL)
        self._reap()
        for pipe in self._pipes[1:]:
            pipe.close()
        os.close(self._pidfd)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)

    def _reap(self) -> None:
        """Reap the group: what it leaves is ours, for we are a subreaper."""
        until_s = time.monotonic() + _KILLED_S
        with suppress(ChildProcessError):
            while time.monotonic() < until_s:
                pid, status = os.waitpid(-self._popen.pid, os.WNOHANG)
                if pid == self._popen.pid:  # Popen must not wait for a number that is free again
                    self._popen.returncode = os.waitstatus_to_exitcode(status)
                elif not pid:
                    time.sleep(_LOOK_S)

    def _died(self, patience_s: float) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(patience_s * 1000))
