"""One worker process as the operating system sees it: start, talk, kill, reap.

Theory of operation
-------------------
A worker leads a session and a process group of its own. It has one end of a private
socketpair, ``/dev/null`` as its standard input and output (a damaged file makes some
decoders *print*), and a pipe as its standard error, of which the end is kept.

Its death shows on a pidfd. Until it is reaped it is a zombie that keeps its process id, and
with it the group's id, from being used again: so ``reap`` kills the group first and reaps
last, and no signal can reach another process.

Rules
-----
1. Nothing but ``wait`` waits: neither for a worker to read, nor to write, nor to die.
2. The thread that starts a worker must live as long as the daemon: the kernel sends the
   worker's parent-death signal when that *thread* ends.

References
----------
pidfd_open(2), kill(2), setsid(2), prctl(2) ``PR_SET_PDEATHSIG``.
"""

import os
import resource  # noqa: F401 - os.wait4 would import it, when perhaps no file can be opened
import select
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.files import ask_for_descriptors
from daemon.pool.protocol import Lines

_READ_BYTES = 1 << 16
_READS = 8  # more at once than the buffers of a socket and a pipe hold
_TAIL_BYTES = 8 << 10
_DESCRIPTORS = 12  # a socket's two ends, /dev/null twice, two pipes, the pidfd; and some for others

# -I: no user site, no PYTHONPATH, no current directory. The worker runs the very code that
# its parent runs, installed or not, so the parent says where that is.
_BOOT = (
    "import sys; root = sys.argv[1]; root in sys.path or sys.path.insert(0, root); "
    "from daemon.pool.worker.main import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
_ROOT = str(Path(__file__).resolve().parents[2])

# What a worker may know of the daemon's environment: no notify socket, no credentials.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "HOME", "LD_LIBRARY_PATH")
_ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
_NO_PLUGINS = {"PYDANTIC_DISABLE_PLUGINS": "1"}
"""Of pydantic, which looks through all installed packages for them: a twentieth of a start."""
_NO_POOLS = {"JOBLIB_MULTIPROCESSING": "0", "LOKY_MAX_CPU_COUNT": "1"}


@dataclass(frozen=True)
class Death:
    """How a process ended."""

    exit_code: int | None
    signal: int | None
    max_rss_mb: float


class Process:
    """A worker process; alive, or dead and not yet reaped."""

    def __init__(self, python: str) -> None:
        """Start a worker; ``OSError`` when the machine has no room for one."""
        ask_for_descriptors(_DESCRIPTORS)  # half a start would leave some of them behind
        self._socket, theirs = socket.socketpair()
        self._lines = Lines()
        self._tail = b""
        with theirs:
            try:
                self._popen = self._spawn(python, theirs.fileno())
            except OSError:
                self._socket.close()
                raise
        self.pid = self._popen.pid
        self._pidfd = os.pidfd_open(self.pid)
        os.set_blocking(self._socket.fileno(), False)
        assert self._popen.stderr is not None  # noqa: S101 - for the type checker
        self._stderr = self._popen.stderr
        os.set_blocking(self._stderr.fileno(), False)
        self._ended: set[int] = set()

    @staticmethod
    def _spawn(python: str, fd: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, our own words
            [python, "-I", "-c", _BOOT, _ROOT, str(fd), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[fd],
            start_new_session=True,
            cwd="/",
            env={name: os.environ[name] for name in _INHERITED if name in os.environ}
            | _ONE_THREAD
            | _NO_PLUGINS
            | _NO_POOLS,
            bufsize=0,
        )

    def descriptors(self) -> list[int]:
        """Return what becomes readable when there is something to ``read`` or to ``reap``."""
        # What has ended stays readable, and would never let the daemon sleep.
        talk = {self._socket.fileno(), self._stderr.fileno()} - self._ended
        return [self._pidfd, *talk]

    def send(self, line: bytes) -> bool:
        """Send a line; return whether the worker was there to take it whole."""
        try:
            return self._socket.send(line) == len(line)
        except OSError:
            return False

    def read(self) -> list[bytes]:
        """Return the lines that have come; ``BadMessage`` when one is too long."""
        self._tail = (self._tail + self._drain(self._stderr.fileno()))[-_TAIL_BYTES:]
        return self._lines.feed(self._drain(self._socket.fileno()))

    @property
    def silent(self) -> bool:
        """Whether it has closed its end of the socket: it will never say anything again."""
        return self._socket.fileno() in self._ended

    @property
    def stderr(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._tail.decode("utf-8", "replace")

    @property
    def dead(self) -> bool:
        """Whether it has died; it stays a zombie until it is reaped."""
        return self.wait(0.0)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its death; return whether it came. Only a pool that closes waits at all."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def kill(self) -> None:
        """Kill it, and everything in its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> Death:
        """Take the group along, reap the process, close its descriptors. It must be dead."""
        self.kill()
        _, status, usage = os.wait4(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        self._popen.returncode = code  # Popen must not wait for a process id that is free again
        self._stderr.close()
        self._socket.close()
        os.close(self._pidfd)
        return Death(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            max_rss_mb=usage.ru_maxrss / 1024,
        )

    def _drain(self, fd: int) -> bytes:
        """Return what can be read now, within bounds: a flood must not hold the daemon up."""
        portions = []
        with suppress(BlockingIOError, ConnectionResetError):
            for _ in range(_READS):
                if not (portion := os.read(fd, _READ_BYTES)):
                    self._ended.add(fd)
                    break
                portions.append(portion)
        return b"".join(portions)
