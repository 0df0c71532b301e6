"""Which calls a confined worker may not make, and the kernel's program that refuses them.

Theory of operation
-------------------
The kernel runs a program of its packet filter before each call of a worker. It sees the
call's number and its arguments, but not what a pointer points to. So a call is refused
outright (``DENIED``), or by one of its arguments (``JUDGED``), or, where what matters hides
behind a pointer, is said not to exist (``HIDDEN``): the C library then takes the older call.

Landlock judges paths, from the version on that knows the right. What it does not judge is
here: owners, modes, times and attributes, and everything that is no file.

Rules
-----
1. A denied call gets ``EPERM``, so that a library may do without.
2. A call younger than this table does not exist for a worker.
3. Only a call in another architecture's numbers, which nothing honest makes, kills.

References
----------
seccomp(2); fcntl(2); ioctl_iflags(2); Linux ``include/uapi/linux/{seccomp,audit,filter}.h``;
``arch/x86/entry/syscalls/syscall_64.tbl``; ``include/uapi/asm-generic/unistd.h`` (aarch64).
"""

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_Step = tuple[int, int, int, int]
"""(code, steps to skip if true, steps to skip if false, operand)."""

_Rows = dict[str, tuple[int | None, int | None]]
"""name: number on x86-64, number on aarch64 (None: there is no such call)."""

_Test = tuple[str, int, int, int]
"""Name of a call, number of an argument, mask, value."""

ARCHES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""machine: what the kernel calls it, column of the tables."""

DENIED: _Rows = {
    # programs and processes; clone is judged by its flags
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "kcmp": (312, 272),
    "ioprio_set": (251, 30),
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
    # memory and messages that outlive their maker, or that no resource limit counts
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # owners, modes, times, attributes: Landlock does not judge these
    "chmod": (90, None),
    "fchmod": (91, 52),
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
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "inotify_add_watch": (254, 27),  # would tell the names in a folder that may not be listed
    "truncate": (76, 45),  # judged by Landlock since version 3; ftruncate needs an open file
    # what a job never needs of the kernel
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "mount_setattr": (442, 442),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "listns": (470, 470),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "fchroot": (472, 472),
    "unshare": (272, 97),
    "setns": (308, 268),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425),  # would make calls that no filter sees
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    "lsm_set_self_attr": (460, 460),
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
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "vhangup": (153, 58),
}

HIDDEN: _Rows = {"clone3": (435, 435), "openat2": (437, 437)}
_FIRST_UNKNOWN = 473  # the kernel numbers new calls alike everywhere; Linux 7.3 ends below

# A thread, and in no namespace of its own.
_CLONE_THREAD, _CLONE_NEW = 0x0001_0000, 0x7E02_0000
_SET_ID = 0o6000  # the bits of a mode that lend the owner's rights
_TRUNC, _ACCESS = 0o1000, 0o3  # of the flags of open
_WHOLE = 0xFFFF_FFFF

_OWN = -1
"""Stands for the worker's process id."""

# name, argument, mask, value. The low half of an argument is enough: these are ints.
_ONLY_IF: tuple[_Test, ...] = (
    ("clone", 0, _CLONE_THREAD | _CLONE_NEW, _CLONE_THREAD),
    ("kill", 0, _WHOLE, _OWN),
    ("tgkill", 0, _WHOLE, _OWN),
    ("prlimit64", 0, _WHOLE, 0),
    ("sched_setaffinity", 0, _WHOLE, 0),
    ("sched_setattr", 0, _WHOLE, 0),
    ("sched_setparam", 0, _WHOLE, 0),
    ("sched_setscheduler", 0, _WHOLE, 0),
    ("setpriority", 0, _WHOLE, 0),  # PRIO_PROCESS
    ("setpriority", 1, _WHOLE, 0),
    ("open", 2, _SET_ID, 0),
    ("openat", 3, _SET_ID, 0),
    ("creat", 1, _SET_ID, 0),
    ("mknod", 1, _SET_ID, 0),
    ("mknodat", 2, _SET_ID, 0),
)
_NEVER_IF: tuple[_Test, ...] = (
    # Emptied by being opened to be read: judged by Landlock since version 3.
    ("open", 1, _TRUNC | _ACCESS, _TRUNC),
    ("openat", 2, _TRUNC | _ACCESS, _TRUNC),
    # A descriptor that sends signals to any process: F_SETOWN, F_SETOWN_EX, FIOSETOWN, SIOCSPGRP.
    ("fcntl", 1, _WHOLE, 8),
    ("fcntl", 1, _WHOLE, 15),
    ("ioctl", 1, _WHOLE, 0x8901),
    ("ioctl", 1, _WHOLE, 0x8902),
    # Attributes by another door: FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR.
    ("ioctl", 1, _WHOLE, 0x4008_6602),
    ("ioctl", 1, _WHOLE, 0x401C_5820),
    ("prctl", 0, _WHOLE, 1),  # PR_SET_PDEATHSIG: it dies with the daemon
)
# Granted instead of refused: TCP, of which Landlock holds the ports, and no protocol beside it.
_OF_NETWORK = ("socket", "connect")
_ONLY_TCP: tuple[_Test, ...] = (
    ("socket", 0, _WHOLE & ~8, 2),  # AF_INET is 2, AF_INET6 is 10
    ("socket", 1, 0xF, 1),  # SOCK_STREAM, whatever flags come with it
    ("socket", 2, _WHOLE & ~6, 0),  # 0 or IPPROTO_TCP; of MPTCP Landlock knows nothing
)
_NO_FAST_OPEN: tuple[_Test, ...] = (  # connects without ``connect``
    ("sendto", 3, 0x2000_0000, 0x2000_0000),
    ("sendmsg", 2, 0x2000_0000, 0x2000_0000),
    ("sendmmsg", 3, 0x2000_0000, 0x2000_0000),
)
# Of programs Landlock holds which; a process in a namespace of its own stays refused.
_OF_PROGRAMS = ("execve", "fork", "vfork")
_NO_NAMESPACE = (("clone", 0, _CLONE_NEW, 0),)
JUDGED: _Rows = {
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "clone": (56, 220),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "setpriority": (141, 140),
    "open": (2, None),
    "openat": (257, 56),
    "creat": (85, None),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "prctl": (157, 167),
}

# The filter's machine: its codes, the offsets in struct seccomp_data, its answers.
_LOAD, _MASK, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL_PROCESS = 0x7FFF_0000, 0x8000_0000
_REFUSE, _UNKNOWN = 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS


@dataclass(frozen=True)
class Opened:
    """What a worker keeps because its inbox grants it."""

    network: bool = False
    programs: bool = False
    signals: bool = False
    """To whom, Landlock decides."""


_NOTHING = Opened()


def program(arch: int, column: int, self_pid: int, opened: Opened = _NOTHING) -> list[_Step]:
    """Return the filter for the process `self_pid`, for a row of ``ARCHES``."""
    steps = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _FIRST_UNKNOWN),  # also the other set of numbers that x86-64 has
        (_RETURN, 0, 0, _UNKNOWN),
    ]
    free = _OF_NETWORK * opened.network + _OF_PROGRAMS * opened.programs
    for rows, answer in ((HIDDEN, _UNKNOWN), (DENIED, _REFUSE)):
        for name, row in rows.items():
            if name not in free and (number := row[column]) is not None:
                steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    for tests, when_equal in _tests(opened):
        for name, argument, mask, value in tests:
            if (number := (JUDGED | DENIED)[name][column]) is not None:
                wanted = self_pid if value == _OWN else value
                steps += _unless(number, argument, mask, (_EQUAL, *when_equal, wanted))
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _tests(opened: Opened) -> Iterator[tuple[Iterable[_Test], tuple[int, int]]]:
    """Yield tests of arguments, and the steps to skip when one is equal and when not."""
    only_if, never_if = list(_ONLY_IF), list(_NEVER_IF)
    if opened.network:
        only_if += _ONLY_TCP
        never_if += _NO_FAST_OPEN
    if opened.programs:
        only_if = [*(test for test in only_if if test[0] != "clone"), *_NO_NAMESPACE]
    if opened.signals:
        only_if = [test for test in only_if if test[0] != "kill"]
    yield only_if, (1, 0)
    yield never_if, (0, 1)


def _unless(number: int, argument: int, mask: int, test: _Step) -> list[_Step]:
    """Return steps that refuse call `number` unless its masked argument passes `test`."""
    return [
        (_EQUAL, 0, 5, number),
        (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),  # low half first: both are little-endian
        (_MASK, 0, 0, mask),
        test,
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
    ]
