"""Nothing below the root of a library is ever written: asked of the kernel, by its system calls."""

import re
import subprocess
import sys

import pytest

from tests.support.daemons import ROOT
from tests.support.sample_packs import sample_packs
from tests.support.surroundings import needs

pytestmark = [needs("strace", debian="strace"), pytest.mark.slow]

READS = frozenset(
    {
        *("read", "pread64", "readv", "preadv", "lseek", "close", "dup", "dup2", "dup3", "fcntl"),
        *("stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access"),
        *("faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getxattr", "ioctl"),
        *("fgetxattr", "lgetxattr", "listxattr", "fadvise64", "mmap", "flock", "execve"),
    }
)
"""Calls that change nothing of what they are given, ``openat`` apart."""
CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)")


def changes(trace, root):
    """Yield the calls that could change something below a folder."""
    for line in trace:
        if str(root) not in line or not (found := CALL.match(line)):
            continue
        call, rest = found.groups()
        if call in {"open", "openat"}:
            if re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)", rest):
                yield line
        elif (call not in READS) or (call == "mmap" and "MAP_SHARED" in rest and "WRITE" in rest):
            yield line


def test_no_call_changes_anything_below_the_root(tmp_path):
    """Listed, hashed, decoded, analysed and recognised, by a process that may do anything."""
    root, out, trace = tmp_path / "a root of music", tmp_path / "out", tmp_path / "trace"
    many = sample_packs(root)
    follow = "follow=[tags, peaks, loudness, analysis, transcript]"
    engine = "transcript={engine: pocketsphinx, detector: energy}"
    subprocess.run(
        ["strace", "-f", "-y", "-qq", "-s", "0", "-e", "trace=%file,%desc", "-o", trace,
         sys.executable, "-m", "daemon", "library", root, out, "--set", follow, "--set", engine],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    lines = trace.read_text(errors="replace").splitlines()

    assert sum("openat(" in line and ".wav" in line for line in lines) > 2 * many
    assert [] == list(changes(lines, root))
    # What is looked for would be found.
    assert list(changes([line.replace(str(out.parent), str(root)) for line in lines], root))
