"""A folder served through FUSE by this process, so that a mount can be made to stop answering.

``python -m tests.support.passthrough SOURCE MOUNTPOINT [NAME]`` shows SOURCE at MOUNTPOINT until
its standard input ends. A byte there makes it fall silent, and the next one answer again; it
repeats each when it has been heard, and says ``w`` when the first request waits. It also falls
silent, once, when it has told somebody that there is a NAME. Silent, it leaves
whoever touches the mount waiting, as a dead file server does, but it has taken no request: the
kernel lets a killed process give up only those that no server has seen. Root only; no library,
just the kernel's protocol.

References
----------
linux/fuse.h, protocol 7.31.
"""

import ctypes
import errno
import os
import select
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_HEAD = struct.Struct("=IIQQIIIHH")  # length, call, number, node, uid, gid, pid, extensions
_WRITE_MAX = 128 * 1024
# protocol 7.31, read-ahead, no options, queues, the longest write, times to the nanosecond
_OURS = struct.pack("=IIIIHHIIHH8I", 7, 31, 65_536, 0, 12, 9, _WRITE_MAX, 1, *[0] * 10)
_LIBC = ctypes.CDLL(None, use_errno=True)


class Passthrough:
    """The node numbers that the kernel knows, and what each call does."""

    def __init__(self, source: Path) -> None:
        self.paths = {1: str(source)}
        self.calls: dict[int, Callable[[int, bytes], bytes]] = {
            1: lambda node, body: self.entry(self.child(node, body)),
            3: lambda node, _: struct.pack("=QII", 0, 0, 0) + attributes(self.paths[node]),
            4: self.set_attributes,
            9: lambda node, body: self.make_dir(self.child(node, body[8:])),
            10: lambda node, body: done(Path(self.child(node, body)).unlink()),
            11: lambda node, body: done(Path(self.child(node, body)).rmdir()),
            12: lambda node, body: self.rename(node, body, 8),
            14: lambda node, body: self.open(self.paths[node], _flags(body)),
            15: lambda _, body: os.pread(_u64(body), _u32(body, 16), _u64(body, 8)),
            16: self.write,
            17: self.free_space,
            18: lambda _, body: done(os.close(_u64(body))),
            20: lambda _, body: done(os.fsync(_u64(body))),
            26: lambda *_: _OURS,
            27: lambda *_: bytes(16),
            28: self.list,
            29: lambda *_: b"",
            30: lambda *_: b"",
            35: self.create,
            45: lambda node, body: self.rename(node, body, 16),
        }  # fmt: skip

    def child(self, node: int, name: bytes) -> str:
        return os.path.join(self.paths[node], os.fsdecode(name.split(b"\0")[0]))  # noqa: PTH118 - bytes

    def entry(self, path: str) -> bytes:
        shown = attributes(path)
        node = 1_000 + _u64(shown)
        self.paths[node] = path
        return struct.pack("=QQQQII", node, 0, 0, 0, 0, 0) + shown

    def set_attributes(self, node: int, body: bytes) -> bytes:
        valid, path = _u32(body), self.paths[node]
        if valid & 1:
            os.chmod(path, _u32(body, 68))  # noqa: PTH101 - a str
        if valid & 8:
            os.truncate(path, _u64(body, 16))
        if valid & 48:
            os.utime(path, (_u64(body, 32), _u64(body, 40)))
        return struct.pack("=QII", 0, 0, 0) + attributes(path)

    def make_dir(self, path: str) -> bytes:
        os.mkdir(path)  # noqa: PTH102 - a str
        return self.entry(path)

    def rename(self, node: int, body: bytes, names_at: int) -> bytes:
        old, new, *_ = body[names_at:].split(b"\0")
        source, target = self.child(node, old), self.child(_u64(body), new)
        if names_at == 16 and _u32(body, 8) and os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "taken")
        os.rename(source, target)  # noqa: PTH104 - a str
        self.entry(target)
        return b""

    def open(self, path: str, flags: int) -> bytes:
        return struct.pack("=QII", os.open(path, flags), 1, 0)  # 1: not through the page cache

    def write(self, _: int, body: bytes) -> bytes:
        return struct.pack("=II", os.pwrite(_u64(body), body[40:], _u64(body, 8)), 0)

    def create(self, node: int, body: bytes) -> bytes:
        path = self.child(node, body[16:])
        opened = self.open(path, _flags(body) | os.O_CREAT)
        return self.entry(path) + opened

    def list(self, node: int, body: bytes) -> bytes:
        answer, size = b"", _u32(body, 16)
        names = [".", "..", *sorted(os.listdir(self.paths[node]))]  # noqa: PTH208 - a str
        for number, name in enumerate(names[_u64(body, 8) :], start=_u64(body, 8) + 1):
            raw = os.fsencode(name)
            one = struct.pack("=QQII", number, number, len(raw), 0) + raw
            one += bytes(-len(one) % 8)
            if len(answer) + len(one) > size:
                break
            answer += one
        return answer

    def free_space(self, node: int, _: bytes) -> bytes:
        found = os.statvfs(self.paths[node])
        blocks = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        return struct.pack("=5Q4I6I", *blocks, found.f_bsize, 255, found.f_frsize, 0, *[0] * 6)


def done(_: None) -> bytes:
    """Return the empty answer of a call that has been made."""
    return b""


def attributes(path: str) -> bytes:
    """Return ``struct fuse_attr``."""
    one = os.lstat(path)
    times = (one.st_atime_ns, one.st_mtime_ns, one.st_ctime_ns)
    return struct.pack(
        "=6Q10I",
        *(one.st_ino, one.st_size, one.st_blocks),
        *(ns // 10**9 for ns in times),
        *(ns % 10**9 for ns in times),
        *(one.st_mode, one.st_nlink, one.st_uid, one.st_gid, one.st_rdev, 4_096, 0),
    )


def serve(source: Path, mountpoint: Path, trap: bytes) -> None:
    """Mount, and answer until standard input ends or the mount goes."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if _LIBC.mount(b"passthrough", os.fsencode(mountpoint), b"fuse.passthrough", 6, options):
        raise OSError(ctypes.get_errno(), "cannot mount", str(mountpoint))
    served = Passthrough(source)
    with suppress(OSError):  # ENODEV: unmounted
        while True:
            if sys.stdin.fileno() not in readable(device, sys.stdin.fileno()):
                if serve_one(device, served) == trap != b"":
                    trap = b""
                    if not (waited_for(device) and heard()):
                        return
            elif not (heard() and waited_for(device) and heard()):
                return


def readable(*descriptors: int) -> list[int]:
    """Wait until one of these has something to read; return which."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll()]


def heard() -> bool:
    """Wait for a byte of standard input, and repeat it; return whether there was one."""
    return bool(os.write(sys.stdout.fileno(), os.read(sys.stdin.fileno(), 1)))


def waited_for(device: int) -> bool:
    """Say when a request waits, unless we are to go on before."""
    if sys.stdin.fileno() not in readable(device, sys.stdin.fileno()):
        os.write(sys.stdout.fileno(), b"w")
    return True


def serve_one(device: int, served: Passthrough) -> bytes:
    """Answer one request; return the name that it looks up, if it does."""
    request = os.read(device, _WRITE_MAX + 4_096)
    _, call, number, node, *_ = _HEAD.unpack_from(request)
    if call not in (2, 42, 36):  # forget, and interrupt: they want no answer
        answer(device, number, served.calls.get(call), node, request[_HEAD.size :])
    return request[_HEAD.size :].rstrip(b"\0") if call == 1 else b""


def answer(device: int, number: int, call: Callable | None, node: int, body: bytes) -> None:
    """Make the call and tell the kernel."""
    code, content = -errno.ENOSYS, b""
    if call is not None:
        try:
            code, content = 0, call(node, body)
        except OSError as error:
            code = -(error.errno or errno.EIO)
    with suppress(FileNotFoundError):  # whoever asked has gone
        os.write(device, struct.pack("=IiQ", 16 + len(content), code, number) + content)


def _u32(body: bytes, at: int = 0) -> int:
    return struct.unpack_from("=I", body, at)[0]


def _u64(body: bytes, at: int = 0) -> int:
    return struct.unpack_from("=Q", body, at)[0]


def _flags(body: bytes) -> int:
    return _u32(body) & (os.O_ACCMODE | os.O_TRUNC | os.O_EXCL | os.O_APPEND)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), b"".join(map(os.fsencode, sys.argv[3:])))
