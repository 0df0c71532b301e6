"""Confinement, tried from inside: a handler that reaches for everything gets nothing.

Each of these runs a real worker. The same handler without confinement shows that the
attempts themselves work, so that a denial is a denial.
"""

import json
import platform
import re
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config.models import Pool as Settings
from daemon.pool.worker import seccomp
from tests.support.containers import noise_bytes
from tests.support.crew import ROOT, Crew

needs_confinement = pytest.mark.skipif(
    platform.machine() not in seccomp.ARCHES, reason="only x86-64 and aarch64 are known"
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
    """Threads, folders, temporary files, renames, late imports and large sorts go on as ever."""
    crew = Crew(tmp_path, Settings(slots=1, confine=True))
    end = crew.run_one("work_confined")
    crew.pool.close()

    assert "done" == end.outcome, end
    assert b"a drop\n" == (tmp_path / "job" / "out.1" / "deep" / "out.txt").read_bytes()


def test_confined_worker_mixes_a_song(tmp_path):
    """The handler that we ship needs nothing that confinement takes."""
    mix = "daemon.handlers.mix"
    crew = Crew(tmp_path, Settings(slots=1, confine=True), handlers=(mix,))
    order = crew.order("job", handler=mix)
    song = Path(order.source).with_name("song")
    song.mkdir()
    for name in ("kick.wav", "bass.flac"):
        (song / name).write_bytes(noise_bytes(name[-4:].strip(".")))
    end = crew.run([replace(order, source=str(song), options={})])["job"]
    crew.pool.close()

    assert ("done", ()) == (end.outcome, end.warnings)


@needs_confinement
def test_m4a_in_a_confined_worker_is_refused_with_its_remedy(tmp_path, monkeypatch):
    """Only ffmpeg reads M4A, and a confined worker starts nothing: convert it, says the error."""
    for name in ("ffmpeg", "ffprobe"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    mix = "daemon.handlers.mix"
    crew = Crew(tmp_path, Settings(slots=1, confine=True), handlers=(mix,))
    order = crew.order("job", handler=mix)
    song = Path(order.source).with_name("song.m4a")
    song.write_bytes(b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\0moov" + bytes(500))
    error = crew.run([replace(order, source=str(song), options={})])["job"].error
    crew.pool.close()

    assert "INPUT_NOT_SUPPORTED" == error["code"]
    assert error["message"].endswith(
        "the ffmpeg program, which would read it, may not be started here"
    )
    assert error["hint"].startswith("Convert it to FLAC, WAV or AIFF")


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


# What no handler does by itself: each claim tried by a process of its own.


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    command = [sys.executable, "-I", str(ROOT / "tests" / "support" / "claims.py")]
    place = str(tmp_path_factory.mktemp("claims"))
    done = subprocess.run([*command, place], capture_output=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    if missing := found["confined"]["missing"]:
        pytest.skip(f"this kernel offers no {missing}")
    return found


@needs_confinement
def test_confined_process_is_denied_what_is_forbidden(claims):
    """Files, modes, processes, signals, shared memory: permission is denied to each attempt."""
    came = claims["confined"]["forbidden"]

    assert len(came) > 50
    assert {} == {name: what for name, what in came.items() if what not in ("EPERM", "EACCES")}


@needs_confinement
def test_what_is_forbidden_would_succeed_unconfined(claims):
    """Every attempt is one that an ordinary process may make: the test can fail."""
    came = claims["bare"]["forbidden"]

    assert {"done"} == {what for name, what in came.items() if "C library" not in name}


@needs_confinement
@pytest.mark.parametrize("mode", ["bare", "confined"])
def test_confined_process_can_do_what_a_job_needs(claims, mode):
    """Reading the drop, writing in the work directory, threads, signals to itself: as ever."""
    came = claims[mode]["allowed"]

    assert {} == {name: what for name, what in came.items() if what != "done"}


@needs_confinement
def test_confined_process_leaves_other_files_as_they_were(claims):
    """After all attempts the drop and another job's file have the bytes that they had."""
    assert "soundsound" == claims["drop after confined"]


@needs_confinement
def test_every_denied_call_is_denied_by_its_number(claims):
    """Each number, called with nonsense, is denied, or unknown where that is wanted."""
    came = dict(claims["confined"]["numbers"])

    assert {"ENOSYS"} == {came.pop(name) for name in (*seccomp.HIDDEN, "a call to come")}
    assert {"EPERM"} == set(came.values())


@needs_confinement
def test_confined_process_may_end_itself_and_nothing_else(claims):
    """Its own signals and abort work; a call in foreign numbers ends it."""
    expected = [-signal.SIGTERM, -signal.SIGABRT, -signal.SIGSYS]

    assert expected == [claims[deed] for deed in ("kill", "abort", "i386")]


# The filter itself, for both machines on any machine.

ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050001, 0x00050026
SELF, OTHER = 4_000, 4_001


def _answer(arch, number, *arguments):
    """Run the filter as the kernel would."""
    kind, column = seccomp.ARCHES[arch]
    row = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<iIQ6Q", number, kind, 0, *row)
    steps, at, held = seccomp.program(kind, column, SELF), 0, 0
    while True:
        code, if_true, if_false, operand = steps[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            held = struct.unpack_from("<I", data, operand)[0]
        elif code == 0x54:
            held &= operand
        else:
            at += if_true if {0x15: held == operand, 0x35: held >= operand}[code] else if_false


@pytest.mark.parametrize("arch", seccomp.ARCHES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clone", (0x3D0F00,), ALLOW),  # a thread, as the C library starts one
        ("clone", (0x1200011,), REFUSE),  # a process
        ("clone", (0x2001_0000,), REFUSE),  # a thread in a namespace of its own
        ("kill", (SELF,), ALLOW),
        ("kill", (OTHER,), REFUSE),
        ("kill", ((1 << 64) - 1,), REFUSE),  # everybody
        ("tgkill", (SELF, 1), ALLOW),
        ("tgkill", (OTHER, 1), REFUSE),
        ("prlimit64", (0,), ALLOW),
        ("prlimit64", (OTHER,), REFUSE),
        ("setpriority", (0, 0), ALLOW),
        ("setpriority", (0, OTHER), REFUSE),
        ("setpriority", (2, 0), REFUSE),
        ("openat", (3, 0, 0o1101, 0o644), ALLOW),
        ("openat", (3, 0, 0o101, 0o4755), REFUSE),
        ("openat", (3, 0, 0o1000, 0), REFUSE),
        ("fcntl", (3, 1), ALLOW),
        ("fcntl", (3, 8), REFUSE),
        ("ioctl", (3, 0x5401), ALLOW),
        ("ioctl", (3, 0x40086602), REFUSE),
        ("prctl", (15,), ALLOW),
        ("prctl", (1,), REFUSE),
    ],
)
def test_calls_are_judged_by_their_arguments(arch, name, arguments, expected):
    """A call that a job needs is refused only where it reaches beyond the job."""
    number = seccomp.JUDGED[name][seccomp.ARCHES[arch][1]]

    assert expected == _answer(arch, number, *arguments)


@pytest.mark.parametrize("arch", seccomp.ARCHES)
def test_calls_of_a_later_kernel_are_unknown(arch):
    """What was not weighed is not there; so are the second numbers of x86-64."""
    assert [UNKNOWN] * 2 == [_answer(arch, 500), _answer(arch, 0x40000000 + 59)]


@pytest.mark.parametrize("column", [0, 1], ids=seccomp.ARCHES.keys())
def test_no_two_calls_have_one_number(column):
    """A number typed twice is a number typed wrong."""
    rows = [*seccomp.DENIED.values(), *seccomp.HIDDEN.values(), *seccomp.JUDGED.values()]
    numbers = [row[column] for row in rows if row[column] is not None]

    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("column", "header"),
    [
        (0, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
        (1, Path("/usr/include/asm-generic/unistd.h")),
    ],
    ids=seccomp.ARCHES.keys(),
)
def test_numbers_of_calls_are_the_kernels(column, header):
    """The kernel's headers, where they are installed, have the same numbers for both machines."""
    if not header.exists():
        pytest.skip(f"{header} is not here (Debian: linux-libc-dev)")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    numbers = {name: int(number) for name, number in defined}
    rows = seccomp.DENIED | seccomp.HIDDEN | seccomp.JUDGED
    ours = {name: row[column] for name, row in rows.items() if name in numbers}

    assert len(ours) > 90
    assert ours == {name: numbers[name] for name in ours}


def test_memory_and_files_are_bounded():
    """The limits asked for are set, or the machine's own where those are lower."""
    script = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from daemon.pool.worker import confinement
confinement.renounce_privileges()
confinement.limit(memory_mb=512)
assert resource.getrlimit(resource.RLIMIT_AS) == (512 << 20, 512 << 20)
assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] <= 1024
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert 0 < resource.getrlimit(resource.RLIMIT_FSIZE)[1] <= 64 << 30
"""
    subprocess.run([sys.executable, "-I", "-c", script], check=True, timeout=30)
