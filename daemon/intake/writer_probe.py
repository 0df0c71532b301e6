"""Open what others named, safely; and ask whether a file is still being written.

Theory of operation
-------------------
``open_beneath`` resolves a path below a directory and nowhere else: no symbolic link, no
``..``, no other mount, in the kernel's own walk (openat2) or, where that is missing, folder by
folder. What it opens is a plain file or the call fails; a pipe is not waited for.

``writer_of`` takes a *read lease* (fcntl(2), "Leases") and gives it back at once. The kernel
grants one only when no process has the file open for writing or mapped writably. It takes some
5 µs. It sees every local writer, smbd and sftp on this host included; it cannot see other
clients of a server of which we are a client ourselves.

Rules
-----
1. While a lease is held, an opening writer makes the kernel send SIGIO, which kills by default.
   Without ``ignore_lease_signals`` the probe therefore answers "unsupported".
2. Never open for writing to test, never rename to test: a writer follows its file.
"""

import ctypes
import errno
import fcntl
import os
import signal
import stat
from contextlib import suppress
from typing import Literal

Writer = Literal["none", "busy", "unsupported"]

_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_OPENAT2 = 437  # one number on all architectures
_RESOLVE = 0x01 | 0x02 | 0x04 | 0x08  # NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH
_LIBC = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def ignore_lease_signals() -> None:
    """Make the writer probe safe for this process; call once, from its main thread."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)


def open_beneath(folder: int, path: str) -> int:
    """Open the plain file `path` below the directory open as `folder`, for reading.

    Raises
    ------
    OSError
        ``ELOOP`` or ``EXDEV`` when the path leads elsewhere, ``EINVAL`` when no plain file is
        there, and whatever else open(2) says.
    """
    fd = _open(folder, path)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a plain file", path)
    return fd


def writer_of(fd: int) -> Writer:
    """Tell whether a process has the file that is open as `fd`, for reading, open for writing."""
    if signal.getsignal(signal.SIGIO) is not signal.SIG_IGN:
        return "unsupported"
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return "busy" if error.errno == errno.EAGAIN else "unsupported"
    # The lease may have been broken between the two calls; then there is nothing to give back.
    with suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return "none"


def _open(folder: int, path: str) -> int:
    how = _OpenHow(_OPEN, 0, _RESOLVE)
    name = os.fsencode(path)
    fd: int = _LIBC.syscall(_OPENAT2, folder, name, ctypes.byref(how), ctypes.sizeof(how))
    if fd >= 0:
        return fd
    code = ctypes.get_errno()
    # EPERM: a sandbox that does not know the call.
    if code in (errno.ENOSYS, errno.EPERM):
        return _open_by_steps(folder, path)
    raise OSError(code, os.strerror(code), path)


def _open_by_steps(folder: int, path: str) -> int:
    *folders, name = path.split("/")
    if ".." in (*folders, name) or path.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    at = os.dup(folder)
    try:
        for part in folders:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, _OPEN, dir_fd=at)
    finally:
        os.close(at)
