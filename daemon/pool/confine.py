"""What a worker gives up before it touches a stranger's bytes.

Theory of operation
-------------------
Decoders have been broken by the files they read, and will be again. So, after its imports
and before its job, a worker takes from itself whatever the job does not need:

* *resource limits*: a bomb of memory or of disk becomes an exception;
* *Landlock*: it reads the drop and the installed libraries, writes its work directory, and
  no other file exists for it;
* *seccomp*: it starts no program and no process, opens no socket, signals nobody but
  itself, and leaves owners, modes and kernel settings alone. Threads stay allowed.

None of this can be taken back or widened, by anybody. That is why a confined worker serves
one job. The alternatives were weighed: rights on the whole of ``work/`` would show each job
the others; confining a *thread* per job, which Landlock allows, leaves the rest of the same
memory free; a directory per worker, into which drops are moved, would add a place where a
crash can lose one.

Rules
-----
1. Call ``confine`` with one thread: what exists already stays free.
2. What the machine does not offer is said, not demanded: an old kernel runs jobs all the same.
3. A denied call gets ``EPERM``, so that a library may do without; only a call in another
   architecture's numbers, which nothing honest makes, kills.

References
----------
landlock(7); seccomp(2); Linux ``include/uapi/linux/{landlock,seccomp,audit,filter}.h``;
``arch/x86/entry/syscalls/syscall_64.tbl``; ``include/uapi/asm-generic/unistd.h`` (aarch64).
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

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


def confine(*, read: Iterable[str], write: Iterable[str]) -> list[str]:
    """Give up everything but threads, `read`, `write`, and reading what is installed.

    Returns
    -------
    list of str
        What the machine does not offer: of ``Landlock``, ``seccomp``.
    """
    missing = []
    if not _restrict_files([*read, *_installed()], [*write, "/dev/null"]):
        missing.append("Landlock")
    if not _restrict_calls():
        missing.append("seccomp")
    return missing


def _installed() -> Iterator[str]:
    """Yield where modules, shared libraries, time zones and locales are loaded from."""
    ours = Path(__file__).resolve().parents[2]
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
_RULE_PATH_BENEATH = 1
_WITH_NETWORK, _WITH_SCOPES = 4, 6  # versions
_ABI = 1  # flag of landlock_create_ruleset: tell the version

# Bits of ``access_fs``, in the kernel's order. Not granted to anybody: executing; making
# devices, sockets, pipes and links.
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
    if version < _WITH_NETWORK:
        return struct.pack("=Q", _all_rights(version))
    network = 0b11  # bind and connect TCP
    if version < _WITH_SCOPES:
        return struct.pack("=QQ", _all_rights(version), network)
    scope = 0b11  # abstract sockets and signals outside
    return struct.pack("=QQQ", _all_rights(version), network, scope)


def landlock_version() -> int:
    """Return which version of Landlock the kernel offers; below 1: none."""
    return int(_LIBC.syscall(_CREATE_RULESET, None, 0, _ABI))


def _restrict_files(read: Iterable[str], write: Iterable[str]) -> bool:
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
        return bool(_LIBC.syscall(_RESTRICT_SELF, rules, 0) == 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    """Add a path and all beneath it; one that does not exist needs no right."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112 - the descriptor's
                rights &= _OF_A_FILE
            rule = struct.pack("=Qi", rights, fd)
            if _LIBC.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, 0) != 0:
                raise OSError(ctypes.get_errno(), "Landlock refuses a rule", path)
        finally:
            os.close(fd)


# seccomp. A program for the kernel's packet filter that looks at the number of each call.

_ARCHES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# name: number on x86-64, number on aarch64 (None: there is no such call)
_DENIED: dict[str, tuple[int | None, int | None]] = {
    # programs and processes; clone is judged by its flags, see below
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "tkill": (200, 130),
    # sockets
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    # owners, modes, attributes: Landlock does not judge these
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    # what a job never needs of the kernel
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425),  # would make calls that no filter sees
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "syslog": (103, 116),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_KILL, _TGKILL, _PRLIMIT = (62, 129), (234, 131), (302, 261)

_CLONE_THREAD = 0x0001_0000
_X32_CALLS = 0x4000_0000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF codes
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _KILL_PROCESS = 0x7FFF_0000, 0x8000_0000
_REFUSE = 0x0005_0000 | errno.EPERM
_UNKNOWN = 0x0005_0000 | errno.ENOSYS


def _restrict_calls() -> bool:
    arch = _ARCHES.get(platform.machine())
    if arch is None or sys.maxsize < 1 << 32:
        return False
    program = b"".join(struct.pack("=HBBI", *step) for step in _filter(*arch, os.getpid()))
    steps = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: a short, padding to a pointer, a pointer.
    count_and_steps = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    done = _LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, count_and_steps, 0, 0)
    return bool(done == 0)


def _filter(arch: int, column: int, self_pid: int) -> list[tuple[int, int, int, int]]:
    """Return the program: (code, jump if true, jump if false, operand) per step."""
    numbers = [number for row in _DENIED.values() if (number := row[column]) is not None]
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32_CALLS),
        (_RETURN, 0, 0, _REFUSE),
        # The C library falls back to clone, whose flags a filter can see.
        (_EQUAL, 0, 1, _CLONE3[column]),
        (_RETURN, 0, 0, _UNKNOWN),
    ]
    for number in numbers:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    program += _when(_CLONE[column], (_ANY_BIT, 1, 0, _CLONE_THREAD))
    for number in (_KILL[column], _TGKILL[column]):
        program += _when(number, (_EQUAL, 1, 0, self_pid))
    program += _when(_PRLIMIT[column], (_EQUAL, 1, 0, 0))
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _when(number: int, test: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    """Return steps that refuse call `number` unless its first argument passes `test`."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),  # the low half: both architectures are little-endian
        test,
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
