"""Try confinement on aarch64, in an emulated machine: ``tests/support/claims.py`` inside one.

    python tests/system/confine_on_arm.py KERNEL ROOT > claims.json

``KERNEL`` is an uncompressed arm64 Image, as Debian's packages have it. ``ROOT`` is a folder
with an arm64 Python and a static busybox. On Debian, ``qemu-system-arm`` apart:

    apt-get download linux-image-VERSION-arm64:arm64 libc6:arm64 libffi8:arm64 zlib1g:arm64 \\
        libexpat1:arm64 python3.13-minimal:arm64 libpython3.13-minimal:arm64 \\
        libpython3.13-stdlib:arm64 busybox-static:arm64
    for deb in *.deb; do dpkg-deb -x "$deb" root; done

What comes must be what tests/daemon/test_confinement.py asks of this machine. A boot takes half a
minute or one, and ends by itself.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
PATIENCE_S = 300

_INIT = """#!/usr/bin/busybox sh
export PATH=/usr/bin PYTHONDONTWRITEBYTECODE=1
for what in proc sysfs devtmpfs tmpfs; do
    case $what in proc) on=/proc;; sysfs) on=/sys;; devtmpfs) on=/dev;; tmpfs) on=/tmp;; esac
    busybox mkdir -p $on; busybox mount -t $what $what $on
done
for python in /usr/bin/python3.*; do :; done
$python -I /ours/tests/support/claims.py /tmp/place
busybox poweroff -f
"""
_LIBRARIES = {name: f"usr/{name}" for name in ("bin", "lib", "sbin")}
_NEEDED = ("daemon/__init__.py", "daemon/pool/__init__.py", "daemon/pool/worker/__init__.py")
_OURS = (
    *_NEEDED,
    "daemon/pool/worker/seccomp.py",
    "daemon/pool/worker/confinement.py",
    "tests/support/claims.py",
)

_FOLDER, _FILE, _LINK = 0o040755, 0o100755, 0o120777


def _entry(name: str, mode: int, data: bytes) -> bytes:
    """Return one entry of a cpio archive, as the kernel unpacks it (``newc``)."""
    numbers = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def _entries(root: Path) -> Iterator[bytes]:
    """Yield the emulated machine's files: `root`, this checkout's, and what begins."""
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            yield _entry(name, _LINK, str(path.readlink()).encode())
        elif path.is_dir():
            yield _entry(name, _FOLDER, b"")
        elif path.is_file():
            yield _entry(name, _FILE, path.read_bytes())
    for name, target in _LIBRARIES.items():  # the packages leave this to another one
        yield _entry(name, _LINK, target.encode())
    for folder in (
        "ours",
        "ours/daemon",
        "ours/daemon/pool",
        "ours/daemon/pool/worker",
        "ours/tests",
        "ours/tests/support",
    ):
        yield _entry(folder, _FOLDER, b"")
    for name in _OURS:
        yield _entry(f"ours/{name}", _FILE, (HERE / name).read_bytes())
    yield _entry("init", _FILE, _INIT.encode())
    yield _entry("TRAILER!!!", 0, b"")


def _boot(kernel: Path, files: Path) -> str:
    """Run the emulated machine to its end; return what it said."""
    command = shlex.split(
        "nice -n 10 qemu-system-aarch64 -M virt -cpu max -accel tcg,thread=single -m 1024"
        " -nographic -no-reboot -net none -append"
        " 'console=ttyAMA0 lsm=landlock quiet panic=-1'"
    )
    command += ["-kernel", str(kernel), "-initrd", str(files)]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE_S,
        check=True,
    ).stdout


def main(kernel: Path, root: Path) -> int:
    """Print what came of each claim; return whether anything came."""
    with tempfile.NamedTemporaryFile() as files:
        for entry in _entries(root):
            files.write(entry)
        files.flush()
        said = _boot(kernel, Path(files.name))
    found = re.search(r"^\{.*^\}", said.replace("\r", ""), re.DOTALL | re.MULTILINE)
    if found is None:
        sys.stderr.write(said)
        return 1
    sys.stdout.write(found.group() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
