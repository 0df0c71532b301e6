"""The worker: a process that runs one handler after another, and nothing else.

Theory of operation
-------------------
It binds its life to the daemon's, lowers its own limits, imports the handlers, says
``Ready`` and waits for orders. For each it says ``Begun``, imports the handler if it has not
yet, confines itself, calls ``handle``, syncs and hashes what was made, and says how it ended.
A thread beats meanwhile: a handler that holds the interpreter is silent, and gets killed.

Rules
-----
1. ``BaseException`` is caught here and nowhere else in the project.
2. It owns nothing. It may be killed at any instruction; nothing is lost but the attempt.
3. When the daemon's end of the socket closes, it leaves at once.
"""

import errno
import faulthandler
import hashlib
import importlib
import os
import resource
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import TypeAdapter, ValidationError

from daemon.errors import BadInput, NothingToDo, SpoolError, Unavailable
from daemon.handlers.handler import Output, Result, Task
from daemon.pool import confine, nested
from daemon.pool.messages import (
    BadMessage,
    Beat,
    Begun,
    Fault,
    Hello,
    Made,
    MadeFile,
    Order,
    Ready,
    Remark,
    Report,
    Said,
    Verdict,
    hello_of,
    line_up,
    order_of,
    plain,
)

_BEATS_PER_STALL = 5
_LONGEST_BEAT_S = 2.0
_REPORT_S = 0.1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_TRACEBACK_CHARS = 16_000

_NESTED = Remark(
    code="NESTED_POOL",
    message="the handler asked for a pool of processes; its work was done in sequence",
)

_Seen = Literal[
    "done", "nothing_to_do", "bad_input", "unavailable", "bad_config", "failed", "out_of_memory"
]


class _HandlerError(Exception):
    """The handler's module cannot be used."""


class _ResultError(Exception):
    """What the handler returned is no result."""


def main(fd: int, parent: int) -> NoReturn:
    """Serve orders from the socket `fd` until the daemon, process `parent`, goes."""
    confine.die_with(parent)
    confine.renounce_privileges()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to hear
    faulthandler.enable()
    os.set_inheritable(fd, False)
    channel = Channel(socket.socket(fileno=fd))
    hello = hello_of(channel.receive())
    sys.path += [path for path in hello.handler_paths if path not in sys.path]
    nested.install()
    confine.limit(hello.memory_mb)
    channel.send(Ready(unusable=_import_all(hello.handlers)))
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
        """Send one message whole; leave when nobody hears it."""
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

    @property
    def stage(self) -> str:
        """The last stage reported."""
        return self._stage

    def __call__(self, stage: str, fraction: float) -> None:
        now_s = time.monotonic()
        if stage == self._stage and now_s < self._next_s and fraction < 1.0:
            return
        self._stage, self._next_s = str(stage)[:200], now_s + _REPORT_S
        share = min(1.0, max(0.0, float(fraction)))
        self._channel.send(
            Report(stage=plain(self._stage), fraction=share if share == share else 0.0)
        )


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
    nested.asked()
    tempfile.tempdir = order.workdir
    reporter = Reporter(channel)
    remarks: list[Remark] = []
    try:
        os.chdir(order.workdir)
        with _beating(channel, order.stall_s):
            handler = _load(order.handler)
        if hello.confine:
            remarks += _confine(order)  # with one thread: others would stay free
        with _beating(channel, order.stall_s):
            made = _attempt(handler, order, reporter)
        verdict = _verdict("done", made, None, remarks)
        line_up(verdict)
    except BaseException as error:  # noqa: BLE001 - rule 1
        outcome, fault = _judge(error, reporter.stage)
        verdict = _verdict(outcome, None, fault, remarks)
    channel.send(verdict)
    os.chdir("/")


def _attempt(handler: Any, order: Order, reporter: Reporter) -> Made:  # noqa: ANN401 - a module
    result = handler.handle(
        Task(
            name=order.name,
            source=Path(order.source),
            workdir=Path(order.workdir),
            options=_options(handler, order.options),
            report=reporter,
        )
    )
    if not isinstance(result, Result):
        raise _ResultError(f"handle returned a {type(result).__name__}, not a Result")
    try:
        return _made(result, Path(order.workdir))
    except (ValidationError, TypeError, FileNotFoundError, RecursionError) as error:
        raise _ResultError(str(error)) from error


def _options(handler: Any, given: dict[str, Any]) -> Any:  # noqa: ANN401 - the handler's own class
    try:
        return TypeAdapter(handler.Options).validate_python(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "options"
        raise BadInput("SETTINGS_INVALID", f"{where}: {first['msg']}") from error


def _made(result: Result, workdir: Path) -> Made:
    made = Made(
        outputs=[_made_file(output, workdir) for output in result.outputs],
        measurements=plain(result.measurements, "measurements"),
        notes=[Remark(code=note.code, message=plain(note.message)) for note in result.notes],
        inputs=plain(result.inputs, "inputs"),
    )
    for path in {(workdir / output.path).parent for output in result.outputs} | {workdir}:
        _sync(path)
    return made


def _made_file(output: Output, workdir: Path) -> MadeFile:
    path = workdir / output.path
    if not stat.S_ISREG(path.lstat().st_mode):
        raise TypeError(f"the output {output.path} is no file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        size = file.tell()
    return MadeFile(
        path=output.path,
        role=output.role,
        bytes=size,
        sha256=digest,
        measurements=plain(output.measurements, f"measurements of {output.path}"),
    )


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _verdict(
    outcome: _Seen, made: Made | None, fault: Fault | None, remarks: list[Remark]
) -> Verdict:
    if nested.asked():
        remarks = [*remarks, _NESTED]
    others = threading.active_count() - 1
    return Verdict(
        outcome=outcome,
        result=made,
        error=fault,
        warnings=remarks,
        max_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        clean=others == 0,
    )


def _judge(error: BaseException, stage: str) -> tuple[_Seen, Fault]:
    """Return whose fault an exception is, and what to say about it."""
    match error:
        case BadInput():
            return "bad_input", _fault(error, error.code, stage)
        case NothingToDo():
            return "nothing_to_do", _fault(error, error.code, stage)
        case Unavailable():
            return "unavailable", _fault(error, error.code, stage)
        case OSError(errno=number) if number in _NO_ROOM:
            return "unavailable", _fault(error, "DISK_FULL", stage)
        case MemoryError():
            return "out_of_memory", _fault(error, "OUT_OF_MEMORY", stage)
        case _HandlerError():
            return "bad_config", _fault(error, "HANDLER_UNUSABLE", stage)
        case _ResultError() | BadMessage():
            return "failed", _fault(error, "RESULT_INVALID", stage)
        case _:
            return "failed", _fault(error, "INTERNAL", stage)


def _fault(error: BaseException, code: str, stage: str) -> Fault:
    known = error if isinstance(error, SpoolError) else None
    trace = "".join(traceback.format_exception(error))
    fields = {
        "code": code[:200],
        "class": type(error).__name__[:200],
        "message": (known.message if known else _words(error))[:4_000],
        "hint": known.hint[:4_000] if known else "",
        "path": known.path[:4_000] if known else "",
        "stage": stage,
        "traceback": trace[-_TRACEBACK_CHARS:],
        "details": known.details if known else {},
    }
    return Fault.model_validate(plain(fields, "error"))


def _words(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception of a stranger, which cannot even say what it is
        return type(error).__name__


def _confine(order: Order) -> list[Remark]:
    missing = confine.confine(
        read=[order.source, *order.read_paths], write=[order.workdir, *order.write_paths]
    )
    if not missing:
        return []
    return [
        Remark(code="NOT_CONFINED", message=f"the machine offers no {' and no '.join(missing)}")
    ]


def _import_all(handlers: tuple[str, ...]) -> dict[str, str]:
    unusable = {}
    for handler in handlers:
        try:
            _load(handler)
        except _HandlerError as error:
            unusable[handler] = plain(str(error))[:4_000]
    return unusable


def _load(handler: str) -> Any:  # noqa: ANN401 - a module
    try:
        module = importlib.import_module(handler)
    except BaseException as error:  # noqa: BLE001 - rule 1
        raise _HandlerError(f"{handler} cannot be imported: {_words(error)}") from error
    for name in ("Options", "handle"):
        if not hasattr(module, name):
            raise _HandlerError(f"{handler} has no {name}")
    return module
