"""The worker: a process that runs one handler after another, and nothing else.

Theory of operation
-------------------
It binds its life to the daemon's, lowers its own limits, imports the handlers, says
``Ready`` and waits for orders. For each it says ``Begun``, imports the handler if it has not
yet, confines itself, calls ``handle``, hashes what was made, and says how it ended.
A thread beats meanwhile: a handler that holds the interpreter is silent, and gets killed.

Rules
-----
1. ``BaseException`` is caught here and nowhere else in the project.
2. It owns nothing. It may be killed at any instruction; nothing is lost but the attempt.
3. When the daemon's end of the socket closes, it leaves at once.
"""

import faulthandler
import importlib
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from daemon.errors import Fault, words
from daemon.imports import importing_pydantic

with importing_pydantic():
    from daemon.handlers.contract import Declaration, Result, Split
from daemon.handlers.grants import Grants, granted
from daemon.pool.interface import Order, Outcome
from daemon.pool.protocol import (
    Beat,
    Begun,
    Failure,
    Hello,
    Made,
    Ready,
    Remark,
    Report,
    Said,
    SplitInto,
    Verdict,
    hello_of,
    line_up,
    order_of,
    plain,
)
from daemon.pool.worker import confinement, sequential_pools
from daemon.pool.worker.prepare import prepared
from daemon.pool.worker.result import HandlerError, ResultError, judge, listed, made_of
from daemon.pool.worker.roots import opened

_BEATS_PER_STALL = 5
_LONGEST_BEAT_S = 2.0
_REPORT_S = 0.1
_STAGES, _STAGES_PER_S = 200.0, 50.0

_NESTED = Remark(
    code="NESTED_POOL",
    message="the handler asked for a pool of processes; its work was done in sequence",
)


def main(fd: int, parent: int) -> NoReturn:
    """Serve orders from the socket `fd` until the daemon, process `parent`, goes."""
    confinement.die_with(parent)
    confinement.renounce_privileges()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to hear
    faulthandler.enable()
    os.set_inheritable(fd, False)  # noqa: FBT003 - its only argument
    channel = Channel(socket.socket(fileno=fd))
    hello = hello_of(channel.receive())
    sys.path += [path for path in hello.handler_paths if path not in sys.path]
    sequential_pools.install()
    confinement.limit(hello.memory_mb)
    channel.send(_ready(hello.handlers))
    while True:
        _serve(order_of(channel.receive()), channel, hello)


class Channel:
    """The worker's end of the socket; several threads may speak."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def receive(self) -> bytes:
        """Return the next line; leave when there will be none."""
        try:
            line = self._lines.readline()
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            os._exit(0)
        return line

    def send(self, message: Said) -> None:
        """Send one message whole; leave when the daemon has gone."""
        if os.getpid() != self._pid:
            os._exit(1)  # a handler forked, and its child fell out of the handler
        line = line_up(message)
        with self._lock:
            try:
                self._connection.sendall(line)
            except OSError:
                os._exit(0)


class Reporter:
    """``task.report``: passes on what is new, but no faster than a person could read."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stage, self._next_s = "", 0.0
        self._stages, self._since_s = _STAGES, time.monotonic()

    @property
    def stage(self) -> str:
        """The last stage reported."""
        return self._stage

    def __call__(self, stage: str, fraction: float) -> None:
        now_s = time.monotonic()
        if stage == self._stage and now_s < self._next_s and fraction < 1.0:
            return
        # A thousand stages in a second are no news, and would look like a flood.
        self._stages = min(_STAGES, self._stages + (now_s - self._since_s) * _STAGES_PER_S)
        self._since_s = now_s
        if self._stages < 1.0:
            return
        self._stages -= 1.0
        self._stage, self._next_s = plain(str(stage))[:200], now_s + _REPORT_S
        share = min(1.0, max(0.0, float(fraction)))
        self._channel.send(Report(stage=self._stage, fraction=share))


@contextmanager
def _beating(channel: Channel, stall_s: float) -> Iterator[None]:
    every_s = min(_LONGEST_BEAT_S, stall_s / _BEATS_PER_STALL)
    enough = threading.Event()

    def beat() -> None:
        while not enough.wait(every_s):
            channel.send(Beat())

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def _serve(order: Order, channel: Channel, hello: Hello) -> None:
    channel.send(Begun())
    sequential_pools.asked()
    tempfile.tempdir = order.workdir
    reporter = Reporter(channel)
    remarks: list[Remark] = []
    try:
        os.chdir(order.workdir)
        os.environ.update(order.environment)
        with _beating(channel, order.stall_s):
            handler = _load(order.handler)
            grants = granted(order.network, order.programs)
        with opened(order.roots, order.spool, order.stall_s) as roots:
            if hello.confine:
                remarks += _confine(order, roots)  # with one thread: others would stay free
        with _beating(channel, order.stall_s):
            made = _attempt(handler, order, reporter, grants)
        outcome = Outcome.SPLIT if isinstance(made, SplitInto) else Outcome.DONE
        verdict = _verdict(outcome, made, None, remarks, order)
        line_up(verdict)
    except BaseException as error:  # noqa: BLE001 - rule 1
        traceback.clear_frames(error.__traceback__)  # to speak, free what the handler hoards
        outcome, fault = judge(error, reporter.stage)
        verdict = _verdict(outcome, None, fault, remarks, order)
    channel.send(verdict)
    os.chdir("/")
    for name in order.environment:
        os.environ.pop(name, None)


def _attempt(
    handler: Any,  # noqa: ANN401 - a module
    order: Order,
    reporter: Reporter,
    grants: Grants,
) -> Made | SplitInto:
    name = "handle" if order.part is None else "part"
    if not hasattr(handler, name):
        raise HandlerError(f"{order.handler} has split a job and has no {name}")
    with prepared(handler, order, reporter, grants) as task:
        result = getattr(handler, name)(task)
    if isinstance(result, Split) and order.part is None:
        return listed(result, Path(order.workdir))
    if not isinstance(result, Result):
        raise ResultError(f"{name} returned a {type(result).__name__}, not a Result")
    return made_of(result, Path(order.workdir))


def _verdict(
    outcome: Outcome,
    made: Made | SplitInto | None,
    fault: Fault | None,
    remarks: list[Remark],
    order: Order,
) -> Verdict:
    if sequential_pools.asked():
        remarks = [*remarks, _NESTED]
    others = threading.active_count() - 1
    return Verdict(
        outcome=outcome,
        result=made if isinstance(made, Made) else None,
        split=made if isinstance(made, SplitInto) else None,
        error=Failure(**vars(fault)) if fault else None,
        warnings=remarks,
        max_rss_mb=_peak_mb(),
        # CUDA goes on with the devices that it was shown first.
        clean=others == 0
        and "CUDA_VISIBLE_DEVICES" not in order.environment
        and _streams() == _STREAMS,
    )


def _streams() -> list[tuple[int, int] | None]:
    """Return what the standard streams lead to; ``None``: one is closed."""
    found: list[tuple[int, int] | None] = [None] * 3
    for number in range(3):
        with suppress(OSError):
            status = os.fstat(number)
            found[number] = status.st_dev, status.st_ino
    return found


_STREAMS = _streams()
"""As the worker was started; what one handler closes, the next would miss."""


def _peak_mb() -> float:
    """Return the most memory that this program has held, in MiB.

    Not ``ru_maxrss`` where it can be helped: that begins with what the parent held at the start.
    """
    with suppress(OSError, StopIteration), open("/proc/self/status", encoding="ascii") as told:  # noqa: PTH123 - shorter
        line = next(line for line in told if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _confine(order: Order, roots: Iterable[str]) -> list[Remark]:
    missing = confinement.confine(
        read=[*(order.reads or [order.source]), *order.read_paths, *roots],
        write=[order.workdir, *order.write_paths],
        ports=[int(endpoint.rpartition(":")[2]) for endpoint in order.network],
        programs=order.programs.values(),
    )
    if not missing:
        return []
    return [
        Remark(code="NOT_CONFINED", message=f"the machine offers no {' and no '.join(missing)}")
    ]


def _ready(handlers: tuple[str, ...]) -> Ready:
    unusable, usable = {}, {}
    for handler in handlers:
        try:
            usable[handler] = Declaration.of(_load(handler))
        except Exception as error:  # noqa: BLE001 - a module may answer with anything
            why = str(error) if isinstance(error, HandlerError) else f"{handler}: {words(error)}"
            unusable[handler] = plain(why)[:4_000]
    return Ready(unusable=unusable, handlers=usable)


def _load(handler: str) -> Any:  # noqa: ANN401 - a module
    try:
        module = importlib.import_module(handler)
    except BaseException as error:
        raise HandlerError(f"{handler} cannot be imported: {words(error)}") from error
    for name in ("Options", "handle"):
        if not hasattr(module, name):
            raise HandlerError(f"{handler} has no {name}")
    return module
