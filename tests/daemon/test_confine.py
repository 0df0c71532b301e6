"""Confinement, tried from inside: a handler that reaches for everything gets nothing.

Each of these runs a real worker. The same handler without confinement shows that the
attempts themselves work, so that a denial is a denial.
"""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.config import Pool as Settings
from daemon.pool.confine import _ARCHES, _DENIED, _filter
from tests.support.crew import ROOT, Crew

needs_confinement = pytest.mark.skipif(
    platform.machine() not in _ARCHES, reason="numbers of calls are known for two machines"
)


def _reached(tmp_path, *, confine):
    secret = tmp_path / "other job" / "secret"
    secret.parent.mkdir()
    secret.write_text("of another job")
    crew = Crew(tmp_path, Settings(slots=1, confine=confine))
    end = crew.run_one("touch", more={"secret": str(secret)})
    crew.pool.close()
    if any(warning["code"] == "NOT_CONFINED" for warning in end.warnings):
        pytest.skip(f"this kernel offers less: {end.warnings}")
    assert end.result is not None, end
    return end.result["measurements"]["let through"]


@needs_confinement
def test_confined_handler_reaches_nothing(tmp_path):
    """No other job's file, no program, no process, no socket, no signal, no mode."""
    assert [] == _reached(tmp_path, confine=True)


def test_unconfined_handler_reaches_everything(tmp_path):
    """Without confinement each of these attempts succeeds: the test can fail."""
    assert 12 == len(_reached(tmp_path, confine=False))


def test_confined_handler_can_do_its_work(tmp_path):
    """Threads, folders, temporary files, renames and late imports go on as ever."""
    crew = Crew(tmp_path, Settings(slots=1, confine=True))
    end = crew.run_one("work_confined")
    crew.pool.close()

    assert "done" == end.outcome, end
    assert b"a drop\n" == (tmp_path / "job" / "out.1" / "deep" / "out.txt").read_bytes()


def test_paths_that_an_order_grants_are_open(tmp_path):
    """An order may open more to read and to write; the drop itself stays read-only."""
    place = tmp_path / "other job"
    place.mkdir()
    (place / "secret").write_text("shared")
    crew = Crew(tmp_path, Settings(slots=1, confine=True))
    more = {"secret": str(place / "secret")}
    granted = {"read_paths": (str(place),), "write_paths": (str(place),)}
    end = crew.run_one("touch", more=more, **granted)
    crew.pool.close()

    expected = ["read elsewhere", "list elsewhere", "write elsewhere"]
    assert expected == end.result["measurements"]["let through"]


@pytest.mark.parametrize(("arch", "column"), _ARCHES.values(), ids=_ARCHES.keys())
def test_filter_is_a_program_the_kernel_would_take(arch, column):
    """Every jump lands inside, the end is a return, and no step is out of range."""
    program = _filter(arch, column, self_pid=1)

    assert 0x06 == program[-1][0]
    assert len(program) <= 4096
    for place, (code, if_true, if_false, operand) in enumerate(program):
        assert 0 <= operand < 1 << 32
        if code in (0x15, 0x35, 0x45):
            assert place + 1 + max(if_true, if_false) < len(program)


@pytest.mark.parametrize("column", [0, 1], ids=_ARCHES.keys())
def test_no_two_calls_have_one_number(column):
    """A number typed twice is a number typed wrong."""
    numbers = [row[column] for row in _DENIED.values() if row[column] is not None]

    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("column", "header"),
    [
        (0, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
        (1, Path("/usr/include/asm-generic/unistd.h")),
    ],
)
def test_numbers_of_calls_are_the_kernels(column, header):
    """The C library's headers, where they are installed, have the same numbers."""
    if not header.exists():
        pytest.skip(f"needs {header}")
    numbers = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text()))

    for name, row in _DENIED.items():
        if name in numbers:
            assert int(numbers[name]) == row[column], name


@needs_confinement
def test_numbers_of_calls_are_this_machines():
    """Each number, called with nonsense, is denied once the filter stands, and not before."""
    column = _ARCHES[platform.machine()][1]
    script = f"""
import ctypes, sys
sys.path.insert(0, {str(ROOT)!r})
from daemon.pool import confine
libc = ctypes.CDLL(None, use_errno=True)
confine.renounce_privileges()
assert confine._restrict_calls()
for name, row in confine._DENIED.items():
    if (number := row[{column}]) is not None:
        ctypes.set_errno(0)
        answer = libc.syscall(number, -1, -1, -1, -1, -1, -1)
        assert (answer, ctypes.get_errno()) == (-1, 1), name
"""
    subprocess.run([sys.executable, "-I", "-c", script], check=True, timeout=30)


def test_memory_and_files_are_bounded():
    """The limits asked for are set, or the machine's own where those are lower."""
    script = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from daemon.pool import confine
confine.renounce_privileges()
confine.limit(memory_mb=512)
assert resource.getrlimit(resource.RLIMIT_AS) == (512 << 20, 512 << 20)
assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= 1024
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert 0 < resource.getrlimit(resource.RLIMIT_FSIZE)[1] <= 64 << 30
"""
    subprocess.run([sys.executable, "-I", "-c", script], check=True, timeout=30)
