"""Build the kernels: into a wheel, into the checkout of an editable install, or by hand.

    python hatch_build.py        compile into this checkout

Rules
-----
Rule 1: a package comes out in any case. Without a compiler (or with one that fails), and with
``SOUNDSPOOL_PURE`` set, it is a pure one, and NumPy does the kernels' work.

Rule 2: one binary for every Python from 3.11 on: the kernels keep to the limited API.
"""

import hashlib
import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

FOLDER = Path("dsp", "kernels")
BINARY = FOLDER / "_compiled.abi3.so"

# No contraction and no fast mathematics: every machine is to make the same bits. Nobody looks at
# the exceptions of the floating-point unit, and a loop that has a choice in it goes into lanes.
FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
FLAGS += ("-Wall", "-Wno-psabi")
_LINK = ("-shared", "-fPIC", "-fvisibility=hidden")
_ATTEMPTS: tuple[tuple[str, ...], ...] = ((), ("-DNO_CLONES",))
"""Some compilers cannot compile one function for several processors."""


class BuildError(Exception):
    """No compiler, or one that failed; says which and why."""


def source_digest(root: Path) -> str:
    """Return what the sources hash to: a binary carries it, so that a stale one is found."""
    digest = hashlib.sha256()
    for path in sorted((root / FOLDER).glob("*.[ch]")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compile_kernels(root: Path, target: Path, extra: tuple[str, ...] = ()) -> None:
    """Compile all sources into one extension module.

    Raises
    ------
    BuildError
    """
    sources = [str(path) for path in sorted((root / FOLDER).glob("*.c"))]
    compiler = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS, *_LINK, *extra]
    compiler += [f'-DSOURCE="{source_digest(root)}"', f"-I{sysconfig.get_path('include')}"]
    compiler += shlex.split(os.environ.get("CFLAGS", ""))
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    problem = ""
    for attempt in _ATTEMPTS:
        command = [*compiler, *attempt, *sources, "-o", str(fresh), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - the builder's own compiler
        except OSError as error:
            problem = str(error)
        except subprocess.CalledProcessError as error:
            problem = error.stderr or str(error)
        else:
            fresh.replace(target)  # a process that has the old one loaded keeps it
            return
    raise BuildError(problem.strip() or "the compiler failed")


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # by hand, where nothing is packed
    BuildHookInterface = object


class KernelsHook(BuildHookInterface):  # type: ignore[misc]
    """What hatchling calls before it packs a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the kernels to the wheel, or to the checkout when it is an editable one."""
        if os.environ.get("SOUNDSPOOL_PURE"):
            return
        root = Path(self.root)
        target = root / BINARY if version == "editable" else Path(self.directory, BINARY.name)
        try:
            compile_kernels(root, target)
        except BuildError as error:
            self.app.display_warning(f"no kernels were built, NumPy will do their work: {error}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"
        if version != "editable":
            build_data["force_include"][str(target)] = BINARY.as_posix()
            self._packed = target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing beside the wheel."""
        del version, build_data, artifact_path
        if packed := getattr(self, "_packed", None):
            packed.unlink()


if __name__ == "__main__":
    try:
        compile_kernels(Path(__file__).parent, Path(__file__).parent / BINARY)
    except BuildError as error:
        sys.exit(f"no kernels were built: {error}")
