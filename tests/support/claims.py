"""What confinement claims, tried by a process of its own; the standard library is enough.

``python -I claims.py FOLDER`` prints what came of each attempt, once without confinement and
once with it. The tests compare that with ``FORBIDDEN`` and ``ALLOWED``. It is a script so
that a bare machine, or an emulated one, can run it too.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from daemon.pool.worker import confinement, seccomp  # noqa: E402 - with -I the path is set here

LIBC = ctypes.CDLL(None, use_errno=True)
COLUMN = seccomp.ARCHES.get(platform.machine(), (0, 0))[1]

# These do no more than fail when they are called with nonsense, as the C library has them: it
# knows its numbers from its own headers. Most of the rest is called by number only.
BY_NAME = (
    *("acct", "bind", "chmod", "chown", "chroot", "connect", "delete_module", "execve"),
    *("fanotify_init", "fchmod", "fchown", "fsetxattr", "lchown", "listen", "memfd_create"),
    *("mount", "name_to_handle_at", "process_vm_readv", "ptrace", "removexattr"),
    *("semget", "sethostname", "setns", "setxattr", "shmget", "swapoff", "swapon"),
    *("truncate", "umount2", "unshare"),
)

# x86-64's other door: mov eax, 20 (getpid of i386); int 0x80; ret.
_I386 = bytes.fromhex("b814000000cd80c3")


class Place:
    """A folder that holds a drop, a work directory, and another job's secret."""

    def __init__(self, folder: Path) -> None:
        self.drop, self.work = folder / "drop", folder / "work"
        self.secret = folder / "secret"

    def lay(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        (self.work / "own").write_text("own")
        for file in (self.drop, self.secret):
            file.unlink(missing_ok=True)
            file.write_text("sound")


def _call(name: str, *arguments: object) -> int:
    """Call the C library; ``OSError`` when it says so."""
    ctypes.set_errno(0)
    answer = int(getattr(LIBC, name)(*arguments))
    if answer == -1:
        raise OSError(ctypes.get_errno(), name)
    return answer


def _fork() -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _spawn() -> None:
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}), 0)


def _old_times(name: str, path: Path, *before: int) -> None:
    """Change a file's times by a call that libraries have left behind, where there is one."""
    number = seccomp.DENIED[name][COLUMN]
    if number is None:
        os.utime(path)  # this machine has the new call alone
    else:
        _call("syscall", number, *before, os.fsencode(path), None)


def _watch(folder: Path) -> None:
    created = 0x100
    _call("inotify_add_watch", _call("inotify_init1", 0), os.fsencode(folder), created)


def _owner_of_signals(whose: bytes, command: int) -> None:
    for end in os.pipe():
        fcntl.fcntl(end, command, whose)


def forbidden(at: Place) -> dict:
    """Return what must fail: name -> attempt."""
    daemon, cores = os.getppid(), os.sched_getaffinity(0)
    drop = os.open(at.drop, os.O_RDONLY)
    owner = struct.pack("=ii", 1, daemon)  # struct f_owner_ex: a process
    tries = {
        "read elsewhere": at.secret.read_text,
        "write elsewhere": lambda: at.secret.write_text("x"),
        "create elsewhere": lambda: at.secret.with_name("new").write_text("x"),
        "list elsewhere": lambda: list(at.secret.parent.iterdir()),
        "truncate elsewhere": lambda: os.truncate(at.secret, 0),
        "write the drop": lambda: at.drop.write_text("x"),
        "empty the drop": lambda: os.open(at.drop, os.O_RDONLY | os.O_TRUNC),
        "move the drop": lambda: at.drop.rename(at.work / "drop").rename(at.drop),
        "change a mode": lambda: at.drop.chmod(0o600),
        "change a descriptor's mode": lambda: os.fchmod(drop, 0o600),
        "change an owner": lambda: os.chown(at.drop, os.getuid(), os.getgid()),
        "change times": lambda: os.utime(at.secret, (0, 0)),
        "change times of the drop": lambda: os.utime(at.drop, (0, 0)),
        "change times of its own file": lambda: os.utime(at.work / "own", (0, 0)),
        "change a descriptor's times": lambda: os.utime(drop, (0, 0)),
        "change times, at seconds": lambda: _old_times("utime", at.secret),
        "change times, at microseconds": lambda: _old_times("utimes", at.secret),
        "change times beneath a folder": lambda: _old_times("futimesat", at.secret, -100),
        "watch a folder elsewhere": lambda: _watch(at.secret.parent),
        "make a set-user-id program": lambda: os.open(at.work / "suid", os.O_CREAT, 0o4700),
        "make a node with such a mode": lambda: os.mknod(at.work / "node", 0o104700),
        "make a pipe with a name": lambda: os.mkfifo(at.work / "fifo"),
        "link out": lambda: (at.work / "link").symlink_to("/etc/passwd"),
        "fork": _fork,
        "spawn": _spawn,
        "open a socket": lambda: socket.socket().close(),
        "open a pair of sockets": socket.socketpair,
        "signal the daemon": lambda: os.kill(daemon, 0),
        "signal the group": lambda: os.kill(0, 0),
        "watch the daemon": lambda: os.pidfd_open(daemon),
        "signal through a pipe": lambda: _owner_of_signals(daemon, fcntl.F_SETOWN),
        "signal through a pipe, at length": lambda: _owner_of_signals(owner, 15),
        "limit the daemon": lambda: resource.prlimit(daemon, resource.RLIMIT_NOFILE),
        "move the daemon to a processor": lambda: os.sched_setaffinity(daemon, {min(cores)}),
        "slow all of the user's down": lambda: os.setpriority(os.PRIO_USER, 0, 0),
        "outlive the daemon": lambda: _call("prctl", 1, 0, 0, 0, 0),
        "share memory": lambda: _call("shmctl", _call("shmget", 0, 4096, 0o600), 0, 0),
        "hide memory": lambda: os.close(os.memfd_create("hidden")),
    }
    return tries | {
        f"{name} of the C library": lambda name=name: _call(name, *[ctypes.c_long(-1)] * 5)
        for name in BY_NAME
        if hasattr(LIBC, name)
    }


def allowed(at: Place) -> dict:
    """Return what a job needs: name -> attempt."""
    return {
        "read the drop": at.drop.read_text,
        "write in the work directory": lambda: (at.work / "a").write_text("a"),
        "truncate there": lambda: (at.work / "own").open("r+").truncate(1),
        "make a folder": lambda: (at.work / "deep").mkdir(exist_ok=True),
        "rename there": lambda: (at.work / "own").rename(at.work / "deep" / "own"),
        "remove there": (at.work / "deep" / "own").unlink,
        "list there": lambda: list(at.work.iterdir()),
        "start a thread": _thread,
        "signal itself": lambda: os.kill(os.getpid(), 0),
        "raise a signal": lambda: signal.raise_signal(signal.SIGURG),
        "signal a thread": lambda: signal.pthread_kill(threading.get_ident(), 0),
        "see its own limits": lambda: resource.prlimit(0, resource.RLIMIT_NOFILE),
        "be nice": lambda: os.nice(1),
        "choose its processor": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "map memory": lambda: mmap.mmap(-1, 1 << 20).close(),
        "duplicate a descriptor": lambda: os.close(os.dup(0)),
        "open a pipe": os.pipe,
        "import what is installed": lambda: __import__("wave"),
        "read random bytes": lambda: os.urandom(8),
    }


def _thread() -> None:
    thread = threading.Thread(target=os.getpid)
    thread.start()
    thread.join()


def _by_i386_numbers() -> None:
    if platform.machine() != "x86_64":
        os.kill(os.getpid(), signal.SIGSYS)  # there is no such door
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(_I386)
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


DEADLY = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "abort": os.abort,
    "i386": _by_i386_numbers,
}
"""What a process does to itself: name -> deed. The first two end it, confined or not."""


def _outcome(attempt) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def _numbers() -> dict[str, str]:
    """Return what comes of each call, made by its number and with nonsense."""
    found = {}
    for rows in (seccomp.DENIED, seccomp.HIDDEN, {"a call to come": (473, 473)}):
        for name, row in rows.items():
            if (number := row[COLUMN]) is not None:
                nonsense = [ctypes.c_long(-1)] * 6
                found[name] = _outcome(lambda n=number, a=nonsense: _call("syscall", n, *a))
    return found


def _inside(at: Place, mode: str) -> None:
    doomed = DEADLY.get(mode)
    tries = {"forbidden": forbidden(at), "allowed": allowed(at)}
    if mode != "bare":
        confinement.renounce_privileges()
        confinement.limit(memory_mb=1024)
        missing = confinement.confine(read=[str(at.drop)], write=[str(at.work)])
    else:
        missing = []
    if doomed:
        doomed()
    found: dict = {
        kind: {name: _outcome(attempt) for name, attempt in some.items()}
        for kind, some in tries.items()
    }
    numbers = {} if mode == "bare" else _numbers()
    sys.stdout.write(json.dumps({**found, "numbers": numbers, "missing": missing}))


def _all(folder: Path) -> dict:
    found: dict = {"machine": platform.machine(), "kernel": platform.release()}
    found["landlock"] = confinement.landlock_version()
    at = Place(folder)
    for mode in ("bare", "confined", *DEADLY):
        at.lay()
        command = [sys.executable, "-I", __file__, str(folder), mode]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        ended = json.loads(done.stdout) if done.stdout else {"error": done.stderr}
        found[mode] = done.returncode if mode in DEADLY else ended
        found[f"drop after {mode}"] = at.drop.read_text() + at.secret.read_text()
    return found


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _inside(Place(Path(sys.argv[1])), sys.argv[2])
    else:
        sys.stdout.write(json.dumps(_all(Path(sys.argv[1])), indent=1) + "\n")
