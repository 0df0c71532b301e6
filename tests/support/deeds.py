"""The misbehaviour table: what a handler does, and what must come of it.

To add a row, write a function with ``@deed(kind, outcome, code)``. Whatever it does, the pool
says that outcome and that code, a healthy job beside it is done, nothing of it runs afterwards,
and of what is done only the named outputs lie in its folder. ``confined`` and ``user`` say what
comes instead in a confined worker, and for a daemon that is not root.

Loaded by workers, by its dotted name.
"""

import ctypes
import gc
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from daemon.errors import BadInput, Unavailable
from daemon.handlers.contract import Note, Output, Result, Task
from daemon.pool.worker import main as worker
from tests.support import misbehaving as old
from tests.support.misbehaving import FOREVER_S, well

Row = tuple[str, str | None, int | None]
"""Outcome, code, signal."""

# One limit each, so that it is clear which one ends a hang, however busy the machine is.
SILENT = {"deadline_s": 120.0, "stall_s": 0.5, "no_progress_s": 120.0}
STUCK = {"deadline_s": 120.0, "stall_s": 120.0, "no_progress_s": 0.5}
LATE = {"deadline_s": 0.5, "stall_s": 120.0, "no_progress_s": 120.0}

DONE: Row = ("done", None, None)
INVALID: Row = ("failed", "RESULT_INVALID", None)
INTERNAL: Row = ("failed", "INTERNAL", None)
STALLED: Row = ("stalled", "STALLED", signal.SIGKILL)
NO_PROGRESS: Row = ("stalled", "NO_PROGRESS", signal.SIGKILL)
BAD_MESSAGE: Row = ("crashed", "BAD_MESSAGE", signal.SIGKILL)
NO_MEMORY: Row = ("out_of_memory", "OUT_OF_MEMORY", None)
DENIED = INTERNAL
"""The confined handler's own PermissionError."""


def crashed(by: int | None) -> Row:
    return ("crashed", "CRASHED", by)


@dataclass(frozen=True)
class Deed:
    """One row."""

    kind: str
    do: Callable[[Task], Result]
    row: Row
    limits: Mapping[str, float]
    confined: Row | None
    user: Row | None

    def expected(self, *, confined: bool, root: bool) -> Row:
        """Return what must come of it."""
        row = self.user if self.user and not root else self.row
        return self.confined if self.confined and confined else row


DEEDS: dict[str, Deed] = {}


def add(  # noqa: PLR0917 - a row is read from left to right
    kind: str,
    do: Callable[[Task], Result],
    row: Row,
    limits: Mapping[str, float] | None = None,
    confined: Row | None = None,
    user: Row | None = None,
    name: str = "",
) -> None:
    """Add a row to the table."""
    name = name or do.__name__
    assert name not in DEEDS, name
    DEEDS[name] = Deed(kind, do, row, limits or {}, confined, user)


def deed(kind: str, row: Row, **more):
    """Make a function a row of the table."""

    def added(do):
        add(kind, do, row, **more)
        return do

    return added


@dataclass
class Options:
    how: str = "well"
    more: dict[str, object] = field(default_factory=dict)


def handle(task: Task) -> Result:
    return well(task) if task.options.how == "well" else DEEDS[task.options.how].do(task)


# What it returns.

for made in (old.no_result, old.unserialisable, old.cyclic, old.huge):
    add("results", made, INVALID)
add("results", old.infinite, DONE)


def returns(name: str, row: Row, make: Callable[[], object]) -> None:
    """Add a row: what a handler returns."""
    add("results", lambda _: make(), row, name=name)


class Itself:
    def tolist(self):
        return self


class Trap(dict):
    def items(self):
        raise LookupError("a trap")


def nest(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


returns("nothing", INVALID, lambda: None)
returns("a number", INVALID, lambda: 5)
returns("no outputs", DONE, lambda: Result(()))
returns("outputs that are none", INVALID, lambda: Result(None))
returns("outputs that are texts", INVALID, lambda: Result(("out.txt",)))
returns("measurements that are none", INVALID, lambda: Result((), measurements=None))
returns("measurements that are a list", INVALID, lambda: Result((), measurements=[1]))
returns("an integer of 71 bits", INVALID, lambda: Result((), measurements={"n": 2**70}))
returns("an integer of 9,000 digits", INVALID, lambda: Result((), measurements={"n": 10**9000}))
returns("not a number", DONE, lambda: Result((), measurements={"n": math.nan}))
returns("a measurement that is deep", INVALID, lambda: Result((), measurements={"n": nest(99)}))
returns("a bottomless one", INVALID, lambda: Result((), measurements={"n": nest(5_000)}))
returns("one that is itself", INVALID, lambda: Result((), measurements={"n": Itself()}))
returns("one that raises", INTERNAL, lambda: Result((), measurements=Trap()))
returns("a key of 10,000 letters", INVALID, lambda: Result((), measurements={"k" * 10_000: 1}))
returns("a text of 100,000 letters", INVALID, lambda: Result((), measurements={"t": "t" * 10**5}))
returns("keys that cannot be printed", DONE, lambda: Result((), measurements={"\x1b[2J": 1, 2: 2}))
returns("notes that are texts", INVALID, lambda: Result((), notes=("hear hear",)))
returns("20,000 notes", INVALID, lambda: Result((), notes=(Note("N", "x" * 99),) * 20_000))
returns("inputs without a path", INVALID, lambda: Result((), inputs=({"bytes": 1},)))
returns(
    "inputs of a negative size", INVALID, lambda: Result((), inputs=({"path": "a", "bytes": -1},))
)
returns("inputs of a wrong kind", INVALID, lambda: Result((), inputs=({"path": ["a"]},)))
returns(
    "inputs with a false hash", INVALID, lambda: Result((), inputs=({"path": "a", "sha256": "x"},))
)

# What it raises.

for raising, row in (
    (old.sys_exit, INTERNAL),
    (old.unrebuildable, INTERNAL),
    (old.bad_input, ("bad_input", "INPUT_TRUNCATED", None)),
    (old.strange_details, ("bad_input", "INPUT_TRUNCATED", None)),
    (old.wild_words, ("bad_input", "INPUT_TRUNCATED", None)),
    (old.nothing_to_do, ("nothing_to_do", "NOTHING", None)),
    (old.unavailable, ("unavailable", "MOUNT_GONE", None)),
):
    add("errors", raising, row)
add("errors", old.disk_full, ("unavailable", "DISK_FULL", None), confined=DENIED)


def raises(name: str, row: Row, make: Callable[[], BaseException]) -> None:
    """Add a row: what a handler raises."""

    def do(_: Task) -> Result:
        raise make()

    add("errors", do, row, name=name)


class LastWords(Exception):
    def __str__(self):
        raise SystemExit(3)


def chain(length: int) -> Exception:
    error = Exception("the first")
    for number in range(length):
        new = Exception(number)
        new.__cause__, error = error, new
    return error


def forever_deep(task: Task) -> Result:
    return forever_deep(task)


BAD = ("bad_input", "5", None)
raises("an interrupt", INTERNAL, KeyboardInterrupt)
raises("the end of a generator", INTERNAL, GeneratorExit)
raises("no memory, by hand", NO_MEMORY, MemoryError)
raises(
    "a group of 5,000", INTERNAL, lambda: ExceptionGroup("g", [ValueError(n) for n in range(5_000)])
)
raises("a chain of 500", INTERNAL, lambda: chain(500))
raises("words that exit", INTERNAL, LastWords)
raises("a code that is a number", BAD, lambda: BadInput(5, None, hint=None, path=Path("a")))
raises(
    "details without bounds", BAD, lambda: BadInput("5", "m", details={"n": 2**70, "d": nest(99)})
)
raises("details that are no mapping", BAD, lambda: BadInput("5", "m", details=7))
raises("a disk that is full", ("unavailable", "DISK_FULL", None), lambda: OSError(28, "full"))
raises("a mount that is gone", ("unavailable", "M", None), lambda: Unavailable("M", "\x1b]0;x\x07"))
add("errors", forever_deep, INTERNAL)

# What it names as its outputs.


def names(path: object, role: str = "data") -> Callable[[Task], Result]:
    """Make an output, and name this one."""

    def do(task: Task) -> Result:
        well(task)
        return Result((Output(path, role),))

    return do


for name, path in {
    "a file that is not there": "never.wav",
    "a path that leaves": "../drop.txt",
    "a path from the root": "/etc/passwd",
    "the folder itself": ".",
    "the empty path": "",
    "a path with a zero": "a\0b",
    "a name that is no text": "caf\udce9.wav",
    "a name with an escape": "\x1b[2J.wav",
    "a name that turns around": "gnp\u202e.wav",
    "a name of 300 letters": "x" * 300,
    "a path of 5,000 letters": "x/" * 2_500 + "x",
    "a file in a file": "out.txt/x",
    "a number for a path": 7,
}.items():
    add("outputs", names(path), INVALID, name=name)
add("outputs", names("out.txt", role=7), INVALID, name="a number for a role")
add("outputs", names("./out.txt"), DONE, name="a path that is not plain")
add("outputs", names(Path("out.txt")), DONE, name="a Path")
add("outputs", old.escaping_output, INVALID)


def lays(name: str, row: Row, lay: Callable[[Path], object], **more) -> None:
    """Add a row: what lies where the output should be."""

    def do(task: Task) -> Result:
        lay(task.workdir / "out")
        return Result((Output("out", "data"),))

    add("outputs", do, row, name=name, **more)


def _link(path: Path) -> None:
    path.with_name("real").write_text("real")
    path.hardlink_to(path.with_name("real"))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(path.parent)
        bound.bind(path.name)


def _mode(path: Path) -> None:
    path.write_text("x")
    path.chmod(0)


lays("a folder", INVALID, Path.mkdir)
lays("a link", INVALID, lambda path: path.symlink_to("/etc/passwd"), confined=DENIED)
lays(
    "a link to its own file",
    INVALID,
    lambda path: (_link(path), path.unlink(), path.symlink_to("real")),
    confined=DENIED,
)
lays("a file with two names", INVALID, _link)
lays("a pipe", INVALID, os.mkfifo, confined=DENIED)
lays("a socket", INVALID, _socket, confined=DENIED)
lays(
    "a device",
    INVALID,
    lambda path: os.mknod(path, 0o20666, os.makedev(1, 5)),
    confined=DENIED,
    user=INTERNAL,
)
lays("a file without a mode", DONE, _mode, confined=DENIED, user=INVALID)
lays(
    "a file of 64 mebibytes of nothing",
    DONE,
    lambda path: path.touch() or os.truncate(path, 64 << 20),
    confined=DENIED,
)
lays(
    "a name of 255 bytes",
    DONE,
    lambda path: path.with_name("é" * 127 + "x").write_text("x") and path.touch(),
)


@deed("outputs", INVALID)
def one_file_twice(task):
    return Result(well(task).outputs * 2)


@deed("outputs", DONE)
def a_thousand_files(task):
    for number in range(1_000):
        (task.workdir / f"{number % 10}").mkdir(exist_ok=True)
        (task.workdir / f"{number % 10}" / f"{number}.txt").write_text(f"{number}")
    return Result(tuple(Output(f"{n % 10}/{n}.txt", "data") for n in range(1_000)))


@deed("outputs", INVALID)
def more_than_can_be_said(task):
    (task.workdir / "out").write_text("x")
    return Result((Output("out", "data", {"text": "x" * 60_000}),) * 20)


@deed("outputs", INVALID)
def forty_folders_deep(task):
    deep = task.workdir / "/".join("d" * 40)
    deep.mkdir(parents=True)
    (deep / "out").write_text("x")
    return Result((Output("/".join("d" * 40) + "/out", "data"),))


@deed("outputs", INVALID, confined=DENIED)
def through_a_linked_folder(task):
    (task.workdir / "real").mkdir()
    (task.workdir / "real" / "out").write_text("x")
    (task.workdir / "linked").symlink_to("real")
    return Result((Output("linked/out", "data"),))


@contextmanager
def after_hashing(change: Callable[[], None]) -> Iterator[None]:
    """Do something, once, between the worker's hashing and the pool's."""
    honest = worker.made_of

    def made_of(result, workdir):
        worker.made_of = honest
        made = honest(result, workdir)
        change()
        return made

    worker.made_of = made_of
    yield


def changes(name: str, change: Callable[[Path], object], confined: Row = INVALID) -> None:
    """Add a row: what becomes of an output after it was hashed."""

    def do(task: Task) -> Result:
        result = well(task)
        with after_hashing(lambda: change(task.workdir / "out.txt")):
            return result

    add("rewritten", do, INVALID, name=name, confined=confined)


def _instead(path: Path, lay: Callable[[Path], object]) -> None:
    path.unlink()
    lay(path)


changes("rewritten", lambda path: path.write_text("ade\nm"))
changes("grown", lambda path: path.open("a").write("more"))
changes("emptied", lambda path: path.write_text(""))
changes("removed", Path.unlink)
changes("a folder instead", lambda path: _instead(path, Path.mkdir))
changes(
    "a link instead", lambda path: _instead(path, lambda p: p.symlink_to("/etc/passwd")), DENIED
)
changes("a pipe instead", lambda path: _instead(path, os.mkfifo), DENIED)
changes("a second name", lambda path: path.with_name("x").hardlink_to(path))
changes("another file", lambda path: _instead(path, lambda p: p.write_text("fake\n")))

# What it makes of folders.


def leaves(name: str, leave: Callable[[Path], object], row: Row = DONE, **more) -> None:
    """Add a row: what a handler leaves beside its output."""

    def do(task: Task) -> Result:
        result = well(task)
        leave(task.workdir)
        return result

    add("folders", do, row, name=name, **more)


def _deep(folder: Path, depth: int = 1_500) -> None:
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def _closed(folder: Path, mode: int) -> None:
    (folder / "closed" / "inside").mkdir(parents=True)
    (folder / "closed").chmod(mode)


def _swapped(folder: Path, target: Path) -> None:
    """Put a link where the attempt's folder was, to one with a file of the same name."""
    target.mkdir()
    (target / "out.txt").write_text("made\n")
    (target / "out.txt").chmod(0o644)
    folder.rename(folder.with_name("gone"))
    folder.symlink_to(target)


@deed("folders", INTERNAL)
def fifteen_hundred_deep_and_a_bug(task):
    _deep(task.workdir)
    raise KeyError("a bug")


def _junk(folder: Path) -> None:
    for number in range(3_000):
        (folder / f"junk {number}").touch()


leaves("folders 1,500 deep", _deep)
leaves("3,000 files that nobody named", _junk)
leaves("a file whose name is no text", lambda folder: (folder / "caf\udce9").touch())
leaves("a file whose name has two lines", lambda folder: (folder / "two\nlines").touch())
leaves("a folder of mode 0300", lambda folder: _closed(folder, 0o300), confined=DENIED)
leaves("a folder of mode 0000", lambda folder: _closed(folder, 0), confined=DENIED)
leaves("links that go round", lambda folder: (folder / "a").symlink_to("a"), confined=DENIED)
leaves("its own folder at 0000", lambda folder: folder.chmod(0), confined=DENIED, user=INVALID)
leaves(
    "its own folder read-only", lambda folder: folder.chmod(0o500), confined=DENIED, user=INVALID
)
leaves("its own folder removed", lambda folder: ((folder / "out.txt").unlink(), folder.rmdir()),
       INVALID, confined=DENIED)  # fmt: skip
leaves("its own folder a file", lambda at: (at.rename(at.with_name("x")), at.touch()),
       INVALID, confined=DENIED)  # fmt: skip
leaves("a link for a folder", lambda folder: _swapped(folder, folder.with_name("elsewhere")),
       INVALID, confined=DENIED)  # fmt: skip
leaves("the drop removed", lambda folder: folder.with_name("drop.txt").unlink(), confined=DENIED)

# Processes. Confined, none starts.

for starting, row, limits in (
    (old.grandchild, NO_PROGRESS, STUCK),
    (old.grandchild_setsid, NO_PROGRESS, STUCK),
    (old.fork_bomb, NO_PROGRESS, STUCK),
    (old.moving_target, NO_PROGRESS, STUCK),
    (old.leave_grandchild, DONE, {}),
    (old.fork_and_fall_out, DONE, {}),
):
    add("processes", starting, row, limits, confined=DENIED)


@deed("processes", DONE, confined=DENIED)
def fifty_sleepers(task):
    for _ in range(50):
        subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    gc.collect()
    return well(task)


@deed("processes", DONE, confined=DENIED)
def a_daemon_that_rewrites(task):
    """Leave a process behind, in a session of its own, that writes into the folder for good."""
    result = well(task)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                (task.workdir / "scratch").write_text("x")
        os._exit(0)
    os.wait()
    return result


@deed("processes", crashed(signal.SIGKILL), confined=DENIED)
def a_child_that_keeps_the_line(task):
    """Die, while a child holds the worker's end of the socket."""
    if os.fork() == 0:
        time.sleep(FOREVER_S)
    os.kill(os.getpid(), signal.SIGKILL)
    return well(task)


# Signals to itself. Python ignores two, the worker one; the kernel four, and, for a process
# that leads its session, three that would stop it.

_HARMLESS = {"SIGPIPE", "SIGXFSZ", "SIGINT", "SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"}
_HARMLESS |= {"SIGTSTP", "SIGTTIN", "SIGTTOU"}
_TOLD_APART = {"SIGHUP", "SIGINT", "SIGKILL", "SIGSEGV", "SIGPIPE", "SIGTERM", "SIGCHLD", "SIGSTOP"}
_TOLD_APART |= {"SIGTSTP", "SIGXFSZ", "SIGXCPU", "SIGSYS", "a real-time signal"}
"""One at least of those that come out alike; the others are tried before a release."""


def _sends(number: int) -> Callable[[Task], Result]:
    def do(task: Task) -> Result:
        signal.raise_signal(number)
        return well(task)

    return do


for number in (*signal.Signals, signal.SIGRTMIN + 1):
    name = number.name if isinstance(number, signal.Signals) else "a real-time signal"
    kind = "signals" if name in _TOLD_APART else "other signals"
    if name == "SIGSTOP":
        add(kind, _sends(number), STALLED, SILENT, name=name)
    else:
        add(kind, _sends(number), DONE if name in _HARMLESS else crashed(number), name=name)

add("signals", old.segfault, crashed(signal.SIGSEGV))
add("signals", old.abort, crashed(signal.SIGABRT))
add("signals", old.os_exit, crashed(None))
add("signals", old.kill_itself, crashed(signal.SIGKILL))

# Memory, descriptors, threads.

add("memory", old.memory_bomb, NO_MEMORY)
add("memory", old.leave_thread, DONE)


@deed("memory", NO_MEMORY)
def a_pebibyte_at_once(_):
    return Result((), measurements={"n": len(bytearray(1 << 50))})


@deed("memory", DONE)
def two_hundred_megabytes_kept(task):
    worker.hoard = bytearray(b"x") * (200 << 20)  # an attribute of a module that stays
    return well(task)


@deed("memory", DONE)
def five_threads(task):
    for _ in range(5):
        threading.Thread(target=time.sleep, args=(FOREVER_S,), daemon=True).start()
    return well(task)


@deed("memory", DONE)
def a_thread_that_spins(task):
    def spin():
        while True:
            pass

    threading.Thread(target=spin, daemon=True).start()
    return well(task)


@deed("memory", STALLED, limits=SILENT)
def a_thread_that_never_lets_go(task):
    threading.Thread(target=lambda: sum(iter(int, 1)), daemon=True).start()
    return well(task)


@deed("memory", crashed(signal.SIGSEGV))
def the_stack(_):
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    call = function(lambda number: call(number + 1))
    sys.setrecursionlimit(1 << 30)
    return Result((), measurements={"n": call(0)})


def _open_all() -> list[int]:
    found = []
    with suppress(OSError):
        while True:
            found.append(os.dup(0))
    return found


@deed("descriptors", INTERNAL)
def all_descriptors_and_a_bug(_):
    _open_all()
    raise OSError(24, "Too many open files")


@deed("descriptors", INTERNAL)
def all_descriptors_kept(task):
    result = well(task)
    _open_all()
    return result


@deed("descriptors", crashed(signal.SIGKILL))
def all_descriptors_closed(_):
    os.closerange(0, 1024)
    time.sleep(FOREVER_S)
    return Result(())


@deed("descriptors", crashed(signal.SIGKILL))
def another_file_for_the_line(task):
    os.dup2(os.open(task.source, os.O_RDONLY), old._socket())
    time.sleep(FOREVER_S)
    return Result(())


for closing, row in (
    (old.close_stderr, DONE),
    (old.hang_up, crashed(signal.SIGKILL)),
    (old.flood, DONE),
):
    add("descriptors", closing, row)

# Time.

for waiting, row, limits, name in (
    (old.hang_with_gil, STALLED, SILENT, "hang in C"),
    (old.hang_without_gil, NO_PROGRESS, STUCK, "hang in Python"),
    (old.hang_without_gil, ("timed_out", "TIMED_OUT", signal.SIGKILL), LATE, "too late"),
    (old.report_the_same, NO_PROGRESS, STUCK, "turn in circles"),
    (old.slowly, DONE, {}, "slowly"),
):
    add("time", waiting, row, limits, name=name)


@deed("time", DONE)
def wild_reports(task):
    for stage, fraction in (
        ("\x1b[2J", math.nan),
        ("x" * 10_000, 7),
        (5, -math.inf),
        ("\udcff", 1),
    ):
        task.report(stage, fraction)
    return well(task)


@deed("time", DONE)
def a_hundred_thousand_stages(task):
    for number in range(100_000):
        task.report(f"stage {number}", 0.5)
    return well(task)


@deed("time", INTERNAL)
def a_report_of_a_text(task):
    task.report("stage", "half")
    return well(task)


# What it says on the worker's own line. ``test_forged_messages`` has many more.

for speaking, row, limits in (
    (old.die_mid_write, crashed(signal.SIGKILL), {}),
    (old.hang_mid_write, STALLED, SILENT),
    (old.babble, BAD_MESSAGE, {}),
    (old.endless_line, BAD_MESSAGE, {}),
):
    add("messages", speaking, row, limits)


@deed("messages", BAD_MESSAGE)
def a_flood(_):
    while True:
        os.write(old._socket(), b'{"kind":"beat"}\n' * 100)


@deed("messages", DONE)
def a_forged_end(task):
    """Say that it is done, and go on; the first word counts."""
    said = (
        b'{"kind":"verdict","outcome":"done","result":{"outputs":[]},"max_rss_mb":1,"clean":true}'
    )
    os.write(old._socket(), said + b"\n")
    time.sleep(0.2)
    return well(task)


@deed("messages", INVALID)
def a_forged_hash(task):
    honest = worker.made_of

    def made_of(result, workdir):
        worker.made_of = honest
        made = honest(result, workdir)
        file = made.outputs[0].model_copy(update={"sha256": "0" * 64})
        return made.model_copy(update={"outputs": [file]})

    worker.made_of = made_of
    return well(task)
