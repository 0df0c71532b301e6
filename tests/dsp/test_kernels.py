"""Compiled kernels: the same bits as the plain versions, from every build, and safe to call."""

import math
import os
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hatch_build import source_digest
from tests.support.kernels import (
    CASES,
    FRAMES,
    GOOD,
    KINDS,
    PLAIN,
    ROOT,
    SMALLEST,
    BuildError,
    compile_kernels,
    cut,
    flushed,
    sounds,
)

_compiled = pytest.importorskip(
    "dsp.kernels._compiled", reason="python hatch_build.py compiles the kernels"
)

case_of = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
CUTS = st.lists(st.sampled_from([0, 1, 15, 16, 17, 333, 2_048, 4_097]), max_size=12)


def test_kernels_in_use_are_those_of_the_sources():
    """Who edits a source and forgets to compile is told, and does not test the old one."""
    assert source_digest(ROOT) == _compiled.SOURCE, "run: python hatch_build.py"


@case_of
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=CUTS, orders=st.sampled_from(["F", "C", "CF"]))
def test_kernel_makes_the_bits_of_the_plain_version(case, kind, cuts, orders):
    """However the stream is cut, and however its blocks lie in memory."""
    for channels in case.channels:
        sound = sounds(kind, FRAMES, channels)
        wanted = case.run(PLAIN, [sound])
        got = case.run(_compiled, cut(sound, cuts, orders))

        if kind == "denormals":  # which the compiled ones take for silence
            np.testing.assert_allclose(wanted[0], got[0], rtol=0, atol=FRAMES * SMALLEST)
            continue
        for one, other in zip(wanted, got, strict=True):
            atol = case.close * np.abs(one).max(initial=0.0)
            np.testing.assert_allclose(flushed(one), flushed(other), rtol=0, atol=atol)


def test_filters_without_scipy_make_the_same_bits(monkeypatch):
    """A pure installation needs no SciPy."""
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    spec = find_spec("dsp.kernels.plain_filters")
    alone = type(sys)("plain_filters_alone")
    exec(Path(spec.origin).read_text(), vars(alone))
    sound = sounds("rests", FRAMES, 2)
    case = next(case for case in CASES if case.name == "cascade of 5")

    assert alone._sosfilt is None
    for one, other in zip(case.run(PLAIN, [sound]), case.run(alone, [sound]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_no_kernel_leaves_its_buffers(tmp_path):
    """Under the compiler's own watch (ASan, UBSan), with lengths, steps and numbers at random."""
    binary = tmp_path / "_compiled.abi3.so"
    watched = ("-O1", "-g", "-DNO_CLONES", "-fsanitize=address,undefined")
    watch = subprocess.run(
        ["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=False
    ).stdout.strip()
    try:
        compile_kernels(ROOT, binary, (*watched, "-fno-sanitize-recover=all"))
    except BuildError as error:
        pytest.skip(f"no compiler that can watch: {error}")
    said = subprocess.run(
        [sys.executable, "tests/fuzz/fuzz_kernels.py", binary, "20000"],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": watch, "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == said.returncode, said.stderr[-3000:]
    assert "taken" in said.stdout


@case_of
def test_kernel_leaves_denormals_to_others(case):
    """What it sets in the floating-point unit it puts back: NumPy still computes denormals."""
    case.run(_compiled, [sounds("noise", 96, case.channels[0])])

    assert 0.0 != float(np.full(8, 1e-39, np.float32).sum())
    assert 0.0 != 5e-324 * float(1 + case.channels[0])


@case_of
def test_kernel_gives_up_the_gil(case):
    """Another thread runs while a kernel does, though Python would never switch by itself.

    On a busy machine the other may come too late; one of some tries is enough, for with the
    GIL kept there is none.
    """
    sound = sounds("noise", 1 << 20, case.channels[-1])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e6)
    try:
        assert any(_ran_beside(case, sound) for _ in range(20))
    finally:
        sys.setswitchinterval(interval)


def _ran_beside(case, sound):
    begun, done = threading.Event(), []

    def work():
        begun.set()
        case.run(_compiled, [sound])
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    beside = not done
    thread.join()
    return beside


SOUNDED = (
    "band_powers",
    "bin_powers",
    "cascade",
    "energies",
    "hop_peaks",
    "levels",
    "ramp",
    "saturate",
    "widen",
)
TAKEN = {
    *((kernel, 0, "not contiguous") for kernel in SOUNDED),
    *((kernel, 0, "too short") for kernel in ("energies", "levels", "hop_peaks")),
    ("levels", 2, "not contiguous"), ("cascade", 5, "not contiguous"),
    *((kernel, place, "too short") for kernel, place in (("steps", 0), ("steps", 4), ("tally", 0))),
    *((kernel, place, bad)
      for kernel, place in (("unpack", 0), ("best_tracks", 7), ("best_tracks", 8),
                            ("reduce", 4), ("tally", 1))
      for bad in ("unaligned", "big-endian")),  # bytes are neither
    ("follow", 4, "too short"), ("band_powers", 2, "too short"),
    ("ramp", 1, "not contiguous"), ("ramp", 5, "not contiguous"),
    ("saturate", 4, "not contiguous"), *(("widen", place, "not contiguous") for place in (1, 3)),
}  # fmt: skip
"""What looks bad, and is not: sounds lie in any order, and some may have any length."""


def _unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return raw.view(array.dtype).reshape(array.shape)


BAD = {
    "float64": lambda array: array.astype(np.float64 if array.dtype != np.float64 else np.float32),
    "not contiguous": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "too short": lambda array: array[:-1] if len(array) > 1 else array[:0],
    "unaligned": _unaligned,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "not an array": lambda _: "text",
}


@pytest.mark.parametrize(
    ("kernel", "place", "bad"),
    [
        pytest.param(kernel, place, bad, id=f"{kernel}-{place}-{bad}")
        for kernel, good in GOOD.items()
        for place, argument in enumerate(good(_compiled))
        if isinstance(argument, np.ndarray)
        for bad in BAD
        if (kernel, place, bad) not in TAKEN
    ],
)
def test_kernel_refuses_what_it_cannot_take(kernel, place, bad):
    """A wrong buffer is an error in Python, and nothing is read or written past its end."""
    arguments = GOOD[kernel](_compiled)
    getattr(_compiled, kernel)(*arguments)
    arguments[place] = BAD[bad](arguments[place])

    with pytest.raises((TypeError, ValueError, BufferError)):
        getattr(_compiled, kernel)(*arguments)


@pytest.mark.parametrize(
    ("kernel", "place", "wrong"),
    [
        ("cascade", 3, -1),
        ("cascade", 3, 1 << 62),
        ("cascade", 4, 0),
        ("cascade", 4, -13),
        ("hop_peaks", 1, -1),
        ("hop_peaks", 1, 16),
        ("hop_peaks", 1, 11),
        ("decibels", 1, 0.0),
        ("decibels", 1, -1.0),
        ("decibels", 1, math.nan),
        ("reduce", 1, np.zeros(10)),
        ("borders", 1, 0),
        ("borders", 1, 3),
        ("steps", 1, -1),
        ("steps", 1, 1 << 62),
        ("steps", 2, 0.0),
        ("steps", 2, math.nan),
        ("tally", 2, 0),
        ("tally", 2, 2),
        ("tally", 3, np.array([0.0, 3.0, 0.0, 0.0, 0.0, 0.0])),
        ("tally", 3, np.array([0.0, math.nan, 0.0, 0.0, 0.0, 0.0])),
        ("ramp", 3, 0),
        ("ramp", 3, 1),
        ("ramp", 3, -2),
        ("ramp", 4, -1),
        ("ramp", 4, 1),
        ("ramp", 4, 16),
        ("band_powers", 1, np.array([0, 13])),
        ("band_powers", 1, np.array([-1, 12])),
        ("band_powers", 2, np.ones(9, np.float32)),
        ("band_powers", 4, np.array([0, 2, 6])),
        ("band_powers", 4, np.array([0, 2, 1])),
        ("band_powers", 4, np.array([-1, 2, 5])),
        ("bin_powers", 0, np.zeros((20, 2), np.float32)),
        ("bin_powers", 1, np.array([0, 13])),
        ("bin_powers", 2, np.ones(9, np.float32)),
        ("bin_powers", 4, 6),
        ("bin_powers", 4, -1),
        ("unpack", 1, 4),
        ("unpack", 1, 0),
        ("unpack", 1, 2),
        ("quantise", 2, 0.0),
        ("quantise", 2, math.nan),
        ("quantise", 2, 1e10),
        ("filtered", 1, 0),
        ("filtered", 1, 1),
        ("filtered", 1, -5),
        ("filtered", 1, 1 << 62),
        ("filtered", 3, 0),
        ("filtered", 3, 1),
        ("plan", 0, 0),
        ("plan", 0, 11),
        ("plan", 0, -8),
        ("plan", 0, 1 << 40),
        ("energies", 5, -1),
        ("energies", 5, 4),
        ("energies", 6, np.array([4, 0, 10])),
        ("energies", 6, np.array([4, 1 << 62, 10])),
        ("energies", 6, np.array([4, -6, 20])),
        ("energies", 6, np.array([4, 3, 4])),
        ("best_tracks", 1, -1),
        ("best_tracks", 1, 1 << 62),
        ("best_tracks", 2, 0),
        ("best_tracks", 2, 3),
        ("best_tracks", 2, 1 << 62),
        ("partials", 1, 0),
        ("partials", 1, 19),
        ("partials", 2, 0),
        ("partials", 3, 20),
        ("partials", 3, 2),
        ("partials", 4, -1),
        ("partials", 4, 1 << 62),
    ],
)
def test_kernel_refuses_numbers_that_lead_astray(kernel, place, wrong):
    """A count that would leave a buffer is an error, however large."""
    arguments = GOOD[kernel](_compiled)
    arguments[place] = wrong

    with pytest.raises((ValueError, OverflowError)):
        getattr(_compiled, kernel)(*arguments)


def test_read_only_output_is_refused():
    """What is written must be writable."""
    arguments = GOOD["cascade"](_compiled)
    arguments[-1].flags.writeable = False

    with pytest.raises((BufferError, ValueError), match="read-only"):
        _compiled.cascade(*arguments)


def test_compiled_engine_loads_no_scipy():
    """Even where it is installed: it would double what a worker takes and how long it starts."""
    code = "import sys, dsp.mixing.mix; print('scipy' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DSP_KERNELS": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "False" == said.stdout.strip()


@pytest.mark.parametrize("stale", ["no library at all", "of other sources"])
def test_binary_of_other_sources_is_not_used(stale, tmp_path):
    """After a pull that changed a kernel the engine works on, slower, and says what to do."""
    package = tmp_path / "dsp" / "kernels"
    shutil.copytree(ROOT / "dsp" / "kernels", package)
    (package.parent / "__init__.py").touch()
    if stale == "of other sources":
        (package / "pcm.c").write_text("/* a kernel that the binary does not know */")
    else:
        (package / "_compiled.abi3.so").write_bytes(b"text")
    said = subprocess.run(
        [sys.executable, "-c", "from dsp import kernels; print(kernels.ENGINE)"],
        cwd=tmp_path,
        env={**os.environ, "DSP_KERNELS": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "numpy" == said.stdout.strip()
    assert "python hatch_build.py" in said.stderr


def test_engine_can_be_chosen():
    """To compare, the plain versions are used where the environment says so."""
    code = "from dsp import kernels; print(kernels.ENGINE)"
    for wanted, environment in (
        ("compiled", {"DSP_KERNELS": ""}),
        ("numpy", {"DSP_KERNELS": "numpy"}),
    ):
        said = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )

        assert wanted == said.stdout.strip()
