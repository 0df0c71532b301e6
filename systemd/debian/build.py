"""Build the Debian package: ``python3 systemd/debian/build.py``, from the checkout.

Theory of operation
-------------------
The package holds a virtual environment, made for the place where it will lie: everything that
a daemon of months depends on is in it, in the versions that were tested, and no Python package
of the system can change it. Only the interpreter is the system's, for security updates; hence
one package per minor version of Python.

A virtual environment is made in a staging folder and moved: what names the staging folder in
it (first lines of scripts, ``pyvenv.cfg``) is rewritten.

Needs ``dpkg-deb``, and a Python with ``pip`` to run this. Nothing here needs root.

References
----------
deb-control(5), deb-conffiles(5), deb-postinst(5); Debian Policy, chapter 6 (maintainer scripts).
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
HOME = "/opt/soundspool"

CONTROL = """\
Package: soundspool
Version: {version}
Architecture: {architecture}
Maintainer: Soundspool <soundspool@localhost>
Installed-Size: {size_kib}
Depends: python3 (>= {python}), python3 (<< {python_after}), systemd (>= 252)
Recommends: ffmpeg
Section: sound
Priority: optional
Description: turns folders of stems into finished mixes
 A daemon that turns a folder into the back room of a recording studio.
 Drop a folder of stems into an inbox; find the finished, mastered mix in the
 outbox, beside a status file that any tool can read.
"""


def main() -> None:
    """Build the package and say where it lies."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "root")
        _make_environment(root, arguments.python)
        _place_files(root)
        _write_control(root, arguments.python)
        arguments.out.mkdir(exist_ok=True)
        _run(
            "dpkg-deb",
            "--build",
            "--root-owner-group",  # as if root had made it
            "-Zzstd",  # known since Debian 12; a sixth of the time that xz takes
            str(root),
            str(arguments.out),
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the Debian package of Soundspool.")
    parser.add_argument(
        "--python",
        default="/usr/bin/python3",
        help="the interpreter that the package will run with; of the system it is for",
    )
    parser.add_argument("--out", type=Path, default=Path("dist"), help="where the package goes")
    return parser.parse_args()


def _make_environment(root: Path, python: str) -> None:
    home = root / HOME.lstrip("/")
    _run(python, "-m", "venv", "--without-pip", str(home))
    _run(
        *(sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "install"),
        *("--quiet", "--no-warn-script-location", str(CHECKOUT)),
    )
    for path in [home / "pyvenv.cfg", *(home / "bin").iterdir()]:
        if not path.is_symlink() and str(home).encode() in (text := path.read_bytes()):
            path.write_bytes(text.replace(str(home).encode(), HOME.encode()))
    # Compiled once more, so that a traceback names the file where it will lie.
    _run(python, "-m", "compileall", "-q", "-f", "-s", str(root), "-p", "/", str(home / "lib"))


def _place_files(root: Path) -> None:
    units, ours = root / "usr/lib/systemd/system", CHECKOUT / "systemd"
    for name in ("soundspool.service", "soundspool@.service"):
        _copy(ours / name, units / name)
    for drop_in in ("owners.conf", "network.conf"):
        _copy(ours / drop_in, root / f"usr/share/doc/soundspool/examples/{drop_in}")
    _copy(ours / "soundspool.sysusers", root / "usr/lib/sysusers.d/soundspool.conf")
    _copy(ours / "soundspool.tmpfiles", root / "usr/lib/tmpfiles.d/soundspool.conf")
    _copy(CHECKOUT / "LICENSE", root / "usr/share/doc/soundspool/copyright")
    _compress(CHECKOUT / "CHANGELOG.md", root / "usr/share/doc/soundspool/changelog.gz")
    _compress(CHECKOUT / "docs/soundspool.1", root / "usr/share/man/man1/soundspool.1.gz")
    manual = (CHECKOUT / "config.yaml").read_text()
    _write(
        root / "etc/soundspool/config.yaml",
        manual.replace("\nroot: spool\n", "\nroot: /srv/soundspool\n"),
    )
    (root / "usr/bin").mkdir()
    (root / "usr/bin/soundspool").symlink_to(f"{HOME}/bin/soundspool")
    for shell, place in (
        ("bash", "usr/share/bash-completion/completions/soundspool"),
        ("zsh", "usr/share/zsh/vendor-completions/_soundspool"),
        ("fish", "usr/share/fish/vendor_completions.d/soundspool.fish"),
    ):
        _write(root / place, _completion(root, shell))


def _completion(root: Path, shell: str) -> str:
    """Return what the command line says a shell needs to complete it."""
    # Not by the script, whose first line names the place where it will lie.
    code = "import sys; sys.argv = ['soundspool']; from daemon.cli.main import main; main()"
    return subprocess.run(  # noqa: S603 - what was built a moment ago
        [str(root / HOME.lstrip("/") / "bin/python"), "-I", "-c", code],
        env={"_SOUNDSPOOL_COMPLETE": f"source_{shell}", "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _write_control(root: Path, python: str) -> None:
    major, minor = _output(python, "-c", "import sys; print(*sys.version_info[:2])").split()
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    size = sum(path.lstat().st_size for path in root.rglob("*"))
    fields = {
        "version": project["version"],
        "architecture": _output("dpkg", "--print-architecture"),
        "size_kib": size // 1024,
        "python": f"{major}.{minor}",
        "python_after": f"{major}.{int(minor) + 1}",
    }
    _write(root / "DEBIAN/control", CONTROL.format(**fields))
    _write(root / "DEBIAN/conffiles", "/etc/soundspool/config.yaml\n")
    for script in _maintainer_scripts():
        _copy(script, root / "DEBIAN" / script.name, mode=0o755)


def _maintainer_scripts() -> Iterator[Path]:
    yield from (CHECKOUT / "systemd/debian" / name for name in ("postinst", "prerm", "postrm"))


def _copy(source: Path, target: Path, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _compress(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(source.read_bytes(), mtime=0))


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return done.stdout.strip()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - ours


if __name__ == "__main__":
    main()
