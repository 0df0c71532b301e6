"""The wheel: everything that the program reads is in it, and nothing else."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests.support.sessions import make_session

pytest.importorskip("hatchling", reason="hatchling builds the wheel")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ASIDE = {
    "config.yaml": "daemon/config.yaml",
    "docs/soundspool.1": "share/man/man1/soundspool.1",
    **{
        f"systemd/{name}": f"daemon/systemd/{name}"
        for name in ("soundspool.service", "soundspool@.service", "soundspool.sysusers",
                     "soundspool.tmpfiles", "owners.conf", "network.conf")
    },
}  # fmt: skip
"""What lies elsewhere in the checkout → where it ends up."""


BINARY = "dsp/kernels/_compiled.abi3.so"


def built(folder, kind="wheel", **environment):
    """Return the package of this checkout."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    done = subprocess.run(
        build,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return next(path for path in folder.iterdir() if path.suffix in (".whl", ".gz"))


PURE = {"without a compiler": {"CC": "false"}, "when asked for": {"SOUNDSPOOL_PURE": "1"}}
KERNELS = {"with kernels": {}, **PURE}


@pytest.fixture(scope="module", params=KERNELS)
def wheel(request, tmp_path_factory):
    return built(tmp_path_factory.mktemp("wheel"), **KERNELS[request.param])


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def names(wheel):
    """Return the wheel's files, data files where an installer puts them."""
    with zipfile.ZipFile(wheel) as archive:
        return {name.partition(".data/data/")[2] or name for name in archive.namelist()}


def run(unpacked, cwd, *words):
    """Run the unpacked program in a folder that is not the checkout."""
    cwd.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-P", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_wheel_holds_every_file_of_both_packages(wheel):
    """Templates, styles, scripts, schemas and migrations beside the modules that read them."""
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("daemon", "dsp")
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.suffix not in (".c", ".h", ".so")
    }

    assert set() == wanted - names(wheel)


@pytest.mark.parametrize("why", PURE)
def test_wheel_is_pure_without_kernels(tmp_path, why):
    """It runs everywhere, and carries no binary that was left in the checkout."""
    wheel = built(tmp_path, **PURE[why])

    assert wheel.name.endswith("-py3-none-any.whl")
    assert BINARY not in names(wheel)


def test_one_wheel_with_kernels_serves_every_python(tmp_path):
    """It is named for the oldest Python and the stable interface, and holds one binary."""
    wheel = built(tmp_path)

    assert "-cp311-abi3-linux_" in wheel.name
    assert [BINARY] == [name for name in names(wheel) if name.endswith(".so")]
    assert not list(tmp_path.glob("*.so"))


def test_sources_hold_what_builds_the_kernels(tmp_path):
    """From them, a machine with a compiler makes its own."""
    with tarfile.open(built(tmp_path, "sdist")) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dsp/kernels").glob("*.[ch]")}

    assert {"hatch_build.py", *sources} <= held
    assert BINARY not in held


def test_wheel_holds_what_lies_outside_of_the_packages(wheel):
    """The manual that is the configuration, the service files and the man page."""
    assert set() == set(ASIDE.values()) - names(wheel)


def test_copies_in_the_wheel_are_the_files_of_the_checkout(wheel):
    """One file, byte for byte: nothing is generated on the way."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.partition(".data/data/")[2] or name: name for name in archive.namelist()}
        for source, target in ASIDE.items():
            assert (ROOT / source).read_bytes() == archive.read(packed[target]), source


def test_every_service_file_of_the_checkout_is_packed():
    """A new unit or drop-in cannot be forgotten."""
    here = {f"systemd/{p.name}" for p in (ROOT / "systemd").iterdir() if p.suffix != ".json"}

    assert {name for name in here if (ROOT / name).is_file()} <= set(ASIDE)


def test_wheel_holds_nothing_else(wheel):
    """No tests, no benchmarks, no caches, no second top-level package."""
    tops = {PurePosixPath(name).parts[0] for name in names(wheel)}

    assert {"daemon", "dsp", "share"} == {t for t in tops if not t.endswith(".dist-info")}
    assert not [name for name in names(wheel) if name.endswith((".pyc", ".orig", ".rej"))]


def test_command_is_on_the_path(wheel):
    """One command, named as the distribution, and the licence beside it."""
    with zipfile.ZipFile(wheel) as archive:
        told = {PurePosixPath(name).name: name for name in archive.namelist()}

        assert b"soundspool = daemon.cli.main:main" in archive.read(told["entry_points.txt"])
        assert "LICENSE" in told


def test_unpacked_wheel_finds_its_own_configuration(unpacked, tmp_path):
    """Without a checkout near, the packaged manual is the configuration, and in order."""
    done = run(unpacked, tmp_path, "-m", "daemon", "config", "check")

    assert 0 == done.returncode, done.stderr
    assert str(unpacked / "daemon" / "config.yaml") in "".join((done.stdout + done.stderr).split())


def test_unpacked_wheel_runs_its_kernels(wheel, unpacked, tmp_path):
    """Those of the binary where there is one, and NumPy's elsewhere."""
    said = run(unpacked, tmp_path, "-c", "from dsp import kernels; print(kernels.ENGINE)")

    assert ("numpy" if "none-any" in wheel.name else "compiled") == said.stdout.strip()


def test_unpacked_wheel_mixes(unpacked, tmp_path):
    """From stems to the report's page, in an empty folder, without the checkout."""
    session = make_session(tmp_path / "Song", seconds=3.0)
    done = run(unpacked, tmp_path / "empty", "-m", "daemon", "mix", str(session), "out")

    assert 0 == done.returncode, done.stderr
    assert ["final_mix.wav", "mix.yaml", "report.html", "report.json"] == sorted(
        path.name for path in (tmp_path / "empty" / "out").iterdir()
    )
