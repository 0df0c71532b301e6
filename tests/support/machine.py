"""A machine to install on: this one's own root as an overlay, booted by systemd-nspawn.

What happens in it is forgotten, for all writing goes to a tmpfs. It has systemd as its first
process, its own network, users and journal. It has no controllers for memory and tasks where
the host keeps those in version 1 of cgroups, so limits are not enforced there.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CODE = Path(__file__).parents[2]
PATIENCE_S = 60.0

# The interpreter, its libraries and the checkout may lie in a home, of which a service sees
# nothing; here they lie in /opt.
_PYTHON, _LIBRARIES, _CHECKOUT = "/opt/test-python", "/opt/test-libraries", "/opt/test-code"


def why_not() -> str:
    """Return why no machine can be booted here; empty when one can."""
    if os.geteuid() != 0:
        return "run as root: only it can boot a container"
    if shutil.which("systemd-nspawn") is None:
        return "install systemd-nspawn (Debian: systemd-container)"
    if not Path("/usr/lib/systemd/systemd").exists():
        return "this machine has no systemd to boot"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        check=False,
    )
    return "mounting is not allowed here" if tried.returncode else ""


class Machine:
    """A booted machine."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    def run(self, *command: str, user: str = "", check: bool = True) -> str:
        """Run a command inside; return what it printed, both ways."""
        prefix = ["runuser", "-u", user, "--"] if user else []
        done = subprocess.run(
            ["nsenter", "-t", str(self._leader), "-a", *prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def shell(self, script: str, *, user: str = "", check: bool = True) -> str:
        """Run a script of the shell inside."""
        return self.run("sh", "-euc", script, user=user, check=check)

    def property(self, unit: str, name: str) -> str:
        """Return what systemd knows about a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def pids(self, unit: str) -> list[int]:
        """Return the unit's processes, as numbered inside."""
        path = f"/sys/fs/cgroup{self.property(unit, 'ControlGroup')}/cgroup.procs"
        return [int(pid) for pid in self.run("cat", path, check=False).split() if pid.isdigit()]

    def until(self, true: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
        """Wait until something is so; it is asked again and again, for it lies in there."""
        deadline = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < deadline, f"{what}: not within {within_s} s\n{self.journal()}"
            time.sleep(0.1)

    def journal(self, *matches: str) -> str:
        """Return the end of the services' log."""
        return self.run("journalctl", "--no-pager", "-n", "60", "-u", "soundspool*", *matches)


@contextmanager
def booted(scratch: Path, *, installed: bool = True) -> Iterator[Machine]:
    """Boot a machine, with Soundspool in /opt or bare; `scratch` is an empty folder for mounts."""
    with ExitStack() as undo:
        root = _overlay(scratch, undo)
        # The journal of this boot alone, and in memory.
        shutil.rmtree(root / "var/log/journal", ignore_errors=True)
        if installed:
            _make_installation(root)
        console = undo.enter_context((scratch / "console").open("w"))
        process = subprocess.Popen(
            [
                "systemd-nspawn",
                "--boot",
                f"--directory={root}",
                "--register=no",
                "--keep-unit",
                "--private-network",
                (
                    "--system-call-filter=landlock_create_ruleset landlock_add_rule"
                    " landlock_restrict_self"
                ),
                f"--bind-ro={sys.base_prefix}:{_PYTHON}",
                f"--bind-ro={sysconfig.get_path('purelib')}:{_LIBRARIES}",
            ],
            env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )
        undo.callback(_end, process)
        machine = Machine(root, _leader(process, scratch / "console"))
        machine.until(lambda: _is_up(machine), "boot")
        yield machine


def _overlay(scratch: Path, undo: ExitStack) -> Path:
    # On a tmpfs, because an overlay may not be written into its own lower layer.
    _mount(scratch, "-t", "tmpfs", "-o", "size=2g,mode=755", "tmpfs", undo=undo)
    upper, work, root = (scratch / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir()
    layers = f"lowerdir=/,upperdir={upper},workdir={work}"
    _mount(root, "-t", "overlay", "-o", layers, "overlay", undo=undo)
    return root


def _mount(place: Path, *what: str, undo: ExitStack) -> None:
    subprocess.run(["mount", *what, str(place)], check=True)
    undo.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)


def _make_installation(root: Path) -> None:
    """Make /opt/soundspool: a venv whose libraries and code are the test's own."""
    home = root / "opt/soundspool"
    site = home / f"lib/python{sysconfig.get_python_version()}/site-packages"
    site.mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "pyvenv.cfg").write_text(f"home = {_PYTHON}/bin\n")
    (home / "bin/python").symlink_to(f"{_PYTHON}/bin/python{sysconfig.get_python_version()}")
    (site / "test.pth").write_text(f"{_LIBRARIES}\n{_CHECKOUT}\n")
    for name in ("daemon", "dsp", "systemd"):
        shutil.copytree(CODE / name, root / _CHECKOUT.lstrip("/") / name)
    shutil.copy(CODE / "config.yaml", root / _CHECKOUT.lstrip("/"))
    script = home / "bin/soundspool"
    script.write_text("#!/opt/soundspool/bin/python\nfrom daemon.cli.main import main\nmain()\n")
    script.chmod(0o755)


def _leader(process: subprocess.Popen[bytes], console: Path) -> int:
    """Return the container's first process, as numbered outside."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, console.read_text()
        for pid in filter(_is_first, _descendants(process.pid)):
            return pid
        time.sleep(0.05)
    raise AssertionError(console.read_text())


def _is_first(pid: int) -> bool:
    """Tell whether a process is the first one of a container."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:  # it went meanwhile
        return False
    numbers = next(row for row in status.splitlines() if row.startswith("NSpid:")).split()
    return len(numbers) > 2 and numbers[-1] == "1"


def _descendants(pid: int) -> Iterator[int]:
    children = subprocess.run(
        ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
    )
    for child in map(int, children.stdout.split()):
        yield child
        yield from _descendants(child)


def _is_up(machine: Machine) -> bool:
    # "degraded": some service of the host has nothing to do in a container.
    return machine.run("systemctl", "is-system-running", check=False).strip() in (
        "running",
        "degraded",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    # systemd-nspawn, killed, would leave the container running; without its first process the
    # container is nothing, and systemd-nspawn goes by itself.
    for pid in (pid for pid in _descendants(process.pid) if _is_first(pid)):
        os.kill(pid, signal.SIGKILL)
    process.wait(PATIENCE_S)
