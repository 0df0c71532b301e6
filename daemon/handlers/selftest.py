"""A handler that misbehaves on purpose, for ``soundspool doctor``.

Each trial does, inside a real worker, what a damaged file can make a decoder do. Nothing
here reaches beyond its worker, whether or not the machine confines it.
"""

import ctypes
import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

from daemon.handlers.contract import Output, Result, Task

_LONG_S = 600
_PORTION_BYTES = 32 << 20
_PORTIONS = 1_000


@dataclass
class Options:
    """Which trial, and what it may try to reach."""

    trial: str
    secret: str = ""
    """A file that a confined worker cannot read."""


def handle(task: Task) -> Result:
    """Do what the options name."""
    return _TRIALS[task.options.trial](task)


def _well(task: Task) -> Result:
    (task.workdir / "out.txt").write_text("made\n")
    return Result(outputs=(Output("out.txt", "data"),))


def _hang(task: Task) -> Result:
    """Sleep in C, deaf to signals, holding the interpreter: no Python time-out can end this."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(_LONG_S)
    return _well(task)


def _crash(task: Task) -> Result:
    ctypes.string_at(0)
    return _well(task)


def _hoard(task: Task) -> Result:
    """Ask for memory as long as there is any; it is never touched, so the machine keeps its own."""
    hoard: list[bytes] = []
    while len(hoard) < _PORTIONS:
        hoard.append(bytes(_PORTION_BYTES))
    return _well(task)


def _nest(task: Task) -> Result:
    with Pool(2) as pool:
        pool.map(_nested, range(2))
    return _well(task)


def _nested(number: int) -> int:
    with ProcessPoolExecutor(2) as executor:
        return sum(executor.map(abs, [number] * 2))


def _leave_behind(task: Task) -> Result:
    """Start a process that leaves its group and outlives the job."""
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(_LONG_S)
        os._exit(0)
    made = _well(task)
    return Result(made.outputs, measurements={"pid": child})


def _escape(task: Task) -> Result:
    """Try what a confined worker may not do; name what the machine let through."""
    secret = Path(task.options.secret)
    tries: dict[str, Callable[[], object]] = {
        "read other files": secret.read_bytes,
        "write other files": lambda: secret.write_bytes(b""),
        "change the drop": lambda: task.source.write_bytes(b""),
        "start processes": _fork,
        "start programs": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "open sockets": lambda: socket.socket().close(),
        "signal the daemon": lambda: os.kill(os.getppid(), 0),
    }
    through = [name for name, attempt in tries.items() if _lets(attempt)]
    return Result(_well(task).outputs, measurements={"let_through": through})


def _lets(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


_TRIALS: dict[str, Callable[[Task], Result]] = {
    "well": _well,
    "hang": _hang,
    "crash": _crash,
    "hoard": _hoard,
    "nest": _nest,
    "leave behind": _leave_behind,
    "escape": _escape,
}
