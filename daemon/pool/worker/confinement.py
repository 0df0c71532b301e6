"""What a worker gives up before it reads an unknown file.

Theory of operation
-------------------
Decoders have been broken by the files they read, and will be again. So, after its imports
and before its job, a worker takes from itself whatever the job does not need:

* *resource limits*: a bomb of memory or of disk becomes an exception;
* *Landlock*: it reads the drop and the installed libraries, writes its work directory, and
  opens no other file; that others exist, their sizes and their times stay visible;
* *seccomp*: it starts no program and no process, opens no socket, signals only
  itself, and leaves owners, modes, times and kernel settings alone (``seccomp``). Threads stay
  allowed.

What an inbox grants stays: connections over TCP to the ports named, and starting the programs
named, which inherit all the rest. UDP, local sockets and servers stay refused, so names of
hosts are looked up before. A compromised worker may reach other hosts on the same port: the
kernel has no rule for addresses.

None of this can be taken back or widened. That is why a confined worker serves
one job. The alternatives were weighed: rights on the whole of ``work/`` would show each job
the others; confining a *thread* per job, which Landlock allows, leaves the rest of the same
memory free; a directory per worker, into which drops are moved, would add a place where a
crash can lose one.

Rules
-----
1. Call ``confine`` with one thread: what exists already stays free.
2. What the machine does not offer is said, not demanded: an old kernel runs jobs all the same.

References
----------
landlock(7); seccomp(2); Linux ``include/uapi/linux/landlock.h``.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from daemon.pool.worker import seccomp
from daemon.pool.worker.programs import loader_of

_LIBC = ctypes.CDLL(None, use_errno=True)

_FILE_BYTES = 64 << 30  # one output; the longest mix allowed, as 32-bit stereo, has 22 GB
_OPEN_FILES = 1024  # 256 stems and their neighbours

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def renounce_privileges() -> None:
    """Let no program that is started gain rights, and let no crash leave a core."""
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit(memory_mb: int) -> None:
    """Bound address space, size of a file and number of open files."""
    for what, most in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        hard = resource.getrlimit(what)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def confine(
    *,
    read: Iterable[str],
    write: Iterable[str],
    ports: Iterable[int] = (),
    programs: Iterable[str] = (),
) -> list[str]:
    """Give up everything but threads, `read`, `write`, and reading what is installed.

    Parameters
    ----------
    ports : of int
        To which TCP connections may be made, as far as the kernel's Landlock knows of ports
        (from version 4 on).
    programs : of str
        Absolute paths of programs that may be started; they inherit everything else.

    Returns
    -------
    list of str
        What the machine does not offer: of ``Landlock``, ``seccomp``.
    """
    ports, programs = tuple(ports), tuple(programs)
    executable = [needed for path in programs for needed in (path, loader_of(path)) if needed]
    data = [f"/usr/share/{Path(path).name}{end}" for path in programs for end in ("", "-data")]
    missing = []
    if not _restrict_files([*read, *_installed(), *data], [*write, "/dev/null"], executable, ports):
        missing.append("Landlock")
    opened = seccomp.Opened(
        network=bool(ports),
        programs=bool(programs),
        signals=bool(programs) and landlock_version() >= _WITH_SCOPES,
    )
    if not _restrict_calls(opened):
        missing.append("seccomp")
    return missing


def _installed() -> Iterator[str]:
    """Yield where modules, shared libraries, time zones and locales are loaded from."""
    ours = Path(__file__).resolve().parents[3]
    # A checkout may hold a spool as well as the code: then only the code.
    yield from (str(ours / package) for package in ("daemon", "dsp"))
    yield from (path for path in sys.path if path and Path(path).resolve() != ours)
    yield from ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache")
    yield from ("/usr/share/zoneinfo", "/usr/share/locale", "/etc/localtime")
    yield from ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")
    yield from ("/dev/urandom", "/dev/zero")
    yield from os.environ.get("LD_LIBRARY_PATH", "").split(":")
    yield from {sys.prefix, sys.base_prefix} - {"/usr", "/usr/local", "/"}


# Landlock. Numbers are the same on every architecture.

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_CONNECT_TCP = 1 << 1
WITH_NETWORK, _WITH_SCOPES = 4, 6
"""Versions."""
_ABI = 1  # flag of landlock_create_ruleset: tell the version

# Bits of ``access_fs``, in the kernel's order. Never granted: making devices, sockets, pipes
# and links.
_EXECUTE = 1 << 0
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_BETWEEN_DIRS, _TRUNCATE = 1 << 13, 1 << 14  # since versions 2 and 3

_READ = _READ_FILE | _READ_DIR
_OF_A_FILE = _READ_FILE | _WRITE_FILE | _TRUNCATE
_WRITE = _OF_A_FILE | _READ_DIR | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE
_WRITE |= _BETWEEN_DIRS


def _all_rights(version: int) -> int:
    bits = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    return (1 << bits) - 1


def _ruleset(version: int) -> bytes:
    """Return ``struct landlock_ruleset_attr`` with everything this kernel can refuse."""
    if version < WITH_NETWORK:
        return struct.pack("=Q", _all_rights(version))
    network = 0b11  # bind and connect TCP
    if version < _WITH_SCOPES:
        return struct.pack("=QQ", _all_rights(version), network)
    scope = 0b11  # abstract sockets and signals outside
    return struct.pack("=QQQ", _all_rights(version), network, scope)


def landlock_version() -> int:
    """Return which version of Landlock the kernel offers; below 1: none."""
    return int(_LIBC.syscall(_CREATE_RULESET, None, 0, _ABI))


def _restrict_files(
    read: Iterable[str], write: Iterable[str], executable: Iterable[str], ports: Iterable[int]
) -> bool:
    version = landlock_version()
    if version < 1:
        return False
    attributes = _ruleset(version)
    rules = _LIBC.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    try:
        for path in read:
            _allow(rules, path, _READ)
        for path in write:
            _allow(rules, path, _WRITE & _all_rights(version))
        for path in executable:
            _allow(rules, path, _READ_FILE | _EXECUTE)
        for port in ports if version >= WITH_NETWORK else ():
            _add(rules, _RULE_NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), str(port))
        return bool(_LIBC.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    """Add a path and all beneath it; one that does not exist needs no right."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112 - the descriptor's
                rights &= _OF_A_FILE | _EXECUTE
            _add(rules, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, fd), path)
        finally:
            os.close(fd)


def _add(rules: int, kind: int, rule: bytes, name: str) -> None:
    if _LIBC.syscall(_ADD_RULE, rules, kind, rule, 0) != 0:
        raise OSError(ctypes.get_errno(), "Landlock refuses a rule", name)


def _restrict_calls(opened: seccomp.Opened) -> bool:
    arch = seccomp.ARCHES.get(platform.machine())
    if arch is None or sys.maxsize < 1 << 32:
        return False
    steps_of = seccomp.program(*arch, os.getpid(), opened)
    program = b"".join(struct.pack("=HBBI", *step) for step in steps_of)
    steps = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a short, padding to a pointer, a pointer.
    count_and_steps = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    done = _LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, count_and_steps, 0, 0)
    return bool(done == 0)
