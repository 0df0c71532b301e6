"""Handlers that misbehave, each in its own way; the options of the order say which.

Loaded by workers, by its dotted name. ``note`` writes a process id beside the drop, so that
a test can tell whether a grandchild is still there.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from daemon.errors import BadInput, NothingToDo, Unavailable
from daemon.handlers.contract import Note, Output, Result, Task

FOREVER_S = 600


@dataclass
class Options:
    how: str = "well"
    more: dict[str, object] = field(default_factory=dict)


def handle(task: Task) -> Result:
    return HOW[task.options.how](task)


def well(task: Task) -> Result:
    task.report("writing", 0.5)
    (task.workdir / "out.txt").write_text("made\n")
    return Result(outputs=(Output("out.txt", "data"),), notes=(Note("FINE", "all is well"),))


def scratch(task: Task) -> Result:
    """Leave more than is named."""
    (task.workdir / "scratch").mkdir()
    (task.workdir / "scratch" / "much.tmp").write_text("x")
    return well(task)


def slowly(task: Task) -> Result:
    """Take a while, and say so all along."""
    pause = threading.Event()
    for step in range(6):
        task.report("working", step / 6)
        pause.wait(0.05)
    return well(task)


def hang_with_gil(_: Task) -> Result:
    """Sleep in C with every signal blocked and the interpreter's lock held."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.PyDLL(None).sleep(FOREVER_S)
    return Result(())


def hang_without_gil(_: Task) -> Result:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(FOREVER_S)
    return Result(())


def report_the_same(task: Task) -> Result:
    while True:
        task.report("turning in circles", 0.5)
        time.sleep(0.01)


def segfault(_: Task) -> Result:
    ctypes.string_at(0)
    return Result(())


def abort(_: Task) -> Result:
    os.abort()


def os_exit(_: Task) -> Result:
    os._exit(0)


def sys_exit(_: Task) -> Result:
    sys.exit("enough")


def kill_itself(_: Task) -> Result:
    os.kill(os.getpid(), signal.SIGKILL)
    return Result(())


def note_and_hang(task: Task) -> Result:
    """Say which process this is while it hangs."""
    note(task, os.getpid())
    return hang_without_gil(task)


def journal(task: Task) -> Result:
    """Note each beginning, in a file that all orders share."""
    with (task.workdir.parents[1] / "journal").open("a") as file:
        file.write(f"{task.name}\n")
    return well(task)


def grandchild(task: Task) -> Result:
    _spawn(task, leave_session=False)
    time.sleep(FOREVER_S)
    return Result(())


def grandchild_setsid(task: Task) -> Result:
    _spawn(task, leave_session=True)
    time.sleep(FOREVER_S)
    return Result(())


def leave_grandchild(task: Task) -> Result:
    """End well, but leave somebody behind."""
    _spawn(task, leave_session=True)
    return well(task)


def leave_thread(task: Task) -> Result:
    threading.Thread(target=time.sleep, args=(FOREVER_S,), daemon=True).start()
    return well(task)


def memory_bomb(_: Task) -> Result:
    hoard = []
    while True:
        hoard.append(bytearray(32 << 20))


def fork_bomb(task: Task) -> Result:
    """Fork two generations of eight that ignore everything they can ignore."""
    note(task, os.getpid())
    for _ in range(8):
        if os.fork() == 0:
            for _ in range(8):
                if os.fork() == 0:
                    os.setsid()
                    break
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            time.sleep(FOREVER_S)
    time.sleep(FOREVER_S)
    return Result(())


def moving_target(task: Task) -> Result:
    """Start a process that forks a successor and dies, again and again, for at most ten seconds."""
    if os.fork() == 0:
        for _ in range(10_000):
            if os.fork() != 0:
                os._exit(0)
            note(task, os.getpid())
            time.sleep(0.001)
        os._exit(0)
    time.sleep(FOREVER_S)
    return Result(())


def fork_and_fall_out(task: Task) -> Result:
    """Fork, and let the child leave the handler by an error, before its parent goes on."""
    child = os.fork()
    if child == 0:
        raise RuntimeError("I am the child")
    os.waitpid(child, 0)
    return well(task)


def unserialisable(_: Task) -> Result:
    return Result((), measurements={"lock": threading.Lock()})


def cyclic(_: Task) -> Result:
    loop: dict[str, object] = {}
    loop["itself"] = loop
    return Result((), measurements=loop)


def huge(_: Task) -> Result:
    return Result((), measurements={"samples": ["x" * 1000] * 2000})


MANY_OUTPUTS = 10_000


def many_outputs(task: Task) -> Result:
    """Make more outputs than one message can name."""
    for number in range(MANY_OUTPUTS):
        folder = task.workdir / f"{number % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(f"{number}")
    return Result(tuple(Output(f"{n % 100}/{n}.txt", "data") for n in range(MANY_OUTPUTS)))


def no_result(_: Task) -> Result:
    return "done"  # type: ignore[return-value]


def nothing_made(_: Task) -> Result:
    return Result(())


def missing_output(_: Task) -> Result:
    return Result((Output("never.wav", "master"),))


def escaping_output(task: Task) -> Result:
    return Result((Output(f"../{task.source.name}", "master"),))


class Unrebuildable(Exception):
    """Needs two arguments, and cannot say what it is."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__(one, two, threading.Lock())

    def __str__(self) -> str:
        raise RuntimeError("no words")


def unrebuildable(_: Task) -> Result:
    raise Unrebuildable(1, 2)


def die_mid_write(_: Task) -> Result:
    os.write(_socket(), b'{"kind":"verdict","outcome":"do')
    os.kill(os.getpid(), signal.SIGKILL)
    return Result(())


def hang_mid_write(task: Task) -> Result:
    os.write(_socket(), b'{"kind":"verdict","outcome":"do')
    return hang_with_gil(task)


def babble(_: Task) -> Result:
    os.write(_socket(), b"\x80\x04\x95 not for you\n")
    time.sleep(FOREVER_S)
    return Result(())


def endless_line(_: Task) -> Result:
    while True:
        os.write(_socket(), b"x" * 4096)


def hang_up(_: Task) -> Result:
    os.close(_socket())
    time.sleep(FOREVER_S)
    return Result(())


def flood(task: Task) -> Result:
    for fd in (1, 2):
        for _ in range(200):
            os.write(fd, b"noise " * 10_000)
    os.write(2, b"\nthe last line\n")
    return well(task)


def close_stderr(task: Task) -> Result:
    os.close(2)
    return slowly(task)


def bad_input(task: Task) -> Result:
    task.report("reading", 0.1)
    raise BadInput("INPUT_TRUNCATED", "cut", hint="copy again", path="a.wav", details={"bytes": 7})


def strange_details(_: Task) -> Result:
    raise BadInput("INPUT_TRUNCATED", "cut", details={"lock": threading.Lock()})


def wild_words(_: Task) -> Result:
    """Fail with more words than anybody reads, none of them Unicode."""
    wild = "\udcff" * 10_000
    raise BadInput("INPUT_TRUNCATED", wild, hint=wild, path=wild)


def nothing_to_do(_: Task) -> Result:
    raise NothingToDo("NOTHING", "all is silence")


def unavailable(_: Task) -> Result:
    raise Unavailable("MOUNT_GONE", "the mount has gone")


def disk_full(_: Task) -> Result:
    with Path("/dev/full").open("wb") as file:
        file.write(b"x")
    return Result(())


def infinite(_: Task) -> Result:
    return Result((), measurements={"lufs": float("-inf"), "name": "\udcff"})


def where(_: Task) -> Result:
    """Say which process this is."""
    return Result((), measurements={"pid": os.getpid()})


def pool_in_pool_in_pool(_: Task) -> Result:
    with multiprocessing.Pool(4) as pool:
        total = sum(pool.map(_outer, range(3)))
    return Result((), measurements={"total": total})


def _outer(number: int) -> int:
    with ProcessPoolExecutor(4) as executor:
        return sum(executor.map(_inner, [number] * 3))


def _inner(number: int) -> int:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.apply_async(int, (number,)).get(timeout=1)


def processes_and_queue(_: Task) -> Result:
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=queue.put, args=(42,))
    process.start()
    process.join()
    return Result((), measurements={"total": queue.get(timeout=5)})


def touch(task: Task) -> Result:
    """Try what confinement forbids; say which attempts the machine let through."""
    more = task.options.more
    tries = {
        "read elsewhere": lambda: Path(str(more["secret"])).read_text(),
        "list elsewhere": lambda: list(Path(str(more["secret"])).parent.iterdir()),
        "write elsewhere": lambda: Path(str(more["secret"])).with_name("new").write_text("x"),
        "write the drop": lambda: task.source.write_text("x"),
        "change modes": lambda: task.source.chmod(0o777),
        "remove the drop": task.source.unlink,
        "link out": lambda: (task.workdir / "link").symlink_to("/etc/passwd"),
        "fork": _fork,
        "run a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "open a socket": socket.socket,
        "signal the daemon": lambda: os.kill(os.getppid(), 0),
        "raise a limit of the daemon": lambda: resource.prlimit(os.getppid(), 7),
    }
    return Result((), measurements={"let through": [name for name in tries if _lets(tries[name])]})


def work_confined(task: Task) -> Result:
    """Do what handlers do: threads, folders, temporary files, renames, imports, large sorts."""
    import wave  # noqa: PLC0415 - to be loaded when confined already

    from daemon.handlers.library.catalogue import Catalogue  # noqa: PLC0415 - likewise

    with Catalogue(task.workdir / "catalogue.sqlite3") as catalogue:
        catalogue.execute("PRAGMA cache_size = 1")  # what does not fit is sorted elsewhere
        rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        catalogue.execute(f"{rows} SELECT randomblob(400) AS r FROM n ORDER BY r").fetchone()
    (task.workdir / "deep").mkdir()
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(task.source.read_bytes())
    thread = threading.Thread(target=os.replace, args=(file.name, "deep/out.txt"))
    thread.start()
    thread.join()
    return Result((Output("deep/out.txt", "data"),), measurements={"wave": wave.__name__})


def _lets(attempt) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _socket() -> int:
    """Return the worker's end of its private socket; an attacker would find it, too."""
    for name in Path("/proc/self/fd").iterdir():
        if name.is_socket():
            return int(name.name)
    raise AssertionError("no socket")


def _spawn(task: Task, *, leave_session: bool) -> None:
    """Start a process that outlives its parent, and wait until it stands."""
    ready, stand = os.pipe()
    if os.fork() == 0:
        if leave_session:
            os.setsid()
        note(task, os.getpid())
        os.write(stand, b"x")
        time.sleep(FOREVER_S)
        os._exit(0)
    os.read(ready, 1)


def note(task: Task, pid: int) -> None:
    path = task.source.with_name(f"{task.name}.pid")
    path.with_suffix(".new").write_text(str(pid))
    path.with_suffix(".new").replace(path)  # whoever notes may be killed while it does


HOW = {name: thing for name, thing in globals().items() if callable(thing)}
