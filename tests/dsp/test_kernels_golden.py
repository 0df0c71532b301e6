"""Compiled kernels make the same bits on every machine: those that are written down.

python -m tests.dsp.test_kernels_golden      write them down anew
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kernels import CASES, ROOT, BuildError, compile_kernels, digest_of, loaded
from tests.support.replay import Replay, compiled
from tests.support.sessions import make_session

GOLDEN = Path(__file__).parent / "references" / "kernels.json"
"""By case of ``tests.support.kernels``: what the outputs hash to."""

BUILDS = {
    "x86-64": ("-march=x86-64", "-DNO_CLONES", "-DNO_LANES"),
    "x86-64-v3": ("-march=x86-64-v3", "-DNO_CLONES"),
    "x86-64-v4": ("-march=x86-64-v4", "-DNO_CLONES"),
}
NEEDED = {"x86-64": "sse2", "x86-64-v3": "avx2", "x86-64-v4": "avx512vl"}

ELSEWHERE = {
    "aarch64": (["aarch64-linux-gnu-gcc"], ["qemu-aarch64"]),
    "musl": (["musl-gcc", "-DNO_CLONES"], []),
    "x86-64 emulated": (["cc", "-march=x86-64", "-DNO_CLONES"], ["qemu-x86_64"]),
}
"""Another machine or C library: what compiles for it, and what runs that here."""


def digests_of(engine):
    return {case.name: digest_of(case, engine) for case in CASES}


def golden():
    return json.loads(GOLDEN.read_text("utf-8"))


def test_kernels_in_use_make_the_golden_bits():
    """The clones that this processor gets."""
    engine = pytest.importorskip("dsp.kernels._compiled", reason="python hatch_build.py")

    assert golden() == digests_of(engine)


@pytest.mark.parametrize("march", BUILDS)
def test_every_build_makes_the_golden_bits(march, tmp_path):
    """Processors of twenty years, with and without wide lanes, agree."""
    if platform.machine() != "x86_64" or NEEDED[march] not in Path("/proc/cpuinfo").read_text():
        pytest.skip(f"{march} does not run here")
    try:
        compile_kernels(ROOT, tmp_path / "_compiled.abi3.so", BUILDS[march])
    except BuildError as error:
        pytest.skip(f"no compiler for {march}: {error}")

    assert golden() == digests_of(loaded(tmp_path / "_compiled.abi3.so"))


@pytest.mark.slow
@pytest.mark.parametrize("where", ELSEWHERE)
def test_other_machines_make_the_golden_bits(where, tmp_path):
    """The same sources for another processor, and for another C library, which has no clones."""
    compiler, emulator = ELSEWHERE[where]
    if missing := [tool for tool in (compiler[0], *emulator) if not shutil.which(tool)]:
        pytest.skip(f"{missing[0]} is not installed")
    try:
        compiled(ROOT, compiler, tmp_path / "replay")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr)
    with Replay([*emulator, tmp_path / "replay"]) as engine:
        assert golden() == digests_of(engine)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86-64")
def test_song_has_the_same_bytes_on_an_older_processor(tmp_path):
    """With kernels and NumPy of processors that have no wide lanes: master, sheet and report."""
    older = tmp_path / "older"
    for package in ("daemon", "dsp"):
        shutil.copytree(ROOT / package, older / package)
    shutil.copy(ROOT / "config.yaml", older)
    compile_kernels(ROOT, older / "dsp/kernels/_compiled.abi3.so", BUILDS["x86-64"])
    session = make_session(tmp_path / "Song", seconds=3.0)
    made = []
    for root, features in ((ROOT, ""), (older, "AVX2 FMA3")):
        out = tmp_path / f"out{len(made)}"
        subprocess.run(
            [sys.executable, "-m", "daemon", "mix", session, out],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root), "NPY_DISABLE_CPU_FEATURES": features},
            check=True,
            capture_output=True,
        )
        made.append({path.name: path.read_bytes() for path in out.iterdir()})

    assert "final_mix.wav" in made[0]
    assert made[0] == made[1]


if __name__ == "__main__":
    from dsp.kernels import _compiled

    GOLDEN.write_text(json.dumps(digests_of(_compiled), indent=1) + "\n", "utf-8")
