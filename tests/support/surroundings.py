"""Surroundings that really fail: mounts, disks, limits. Who calls must be root."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.daemons import read_json, until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="run as root: only it may mount")


def needs(*programs: str, debian: str) -> pytest.MarkDecorator:
    """Skip a test where none of these programs is, and say what to install."""
    missing = not any(shutil.which(program) for program in programs)
    return pytest.mark.skipif(missing, reason=f"install {programs[0]} (Debian: {debian})")


def mount(*words: str | Path) -> None:
    """Mount something, or skip the test: a root in a container may not."""
    said = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if said.returncode:
        pytest.skip(f"this root may not mount: {said.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Take a mount away, even from under those who use it."""
    subprocess.run(["umount", "--lazy", folder], capture_output=True, check=False)


@contextmanager
def mount_of_its_own(folder: Path) -> Iterator[None]:
    """Make a folder a mount, so that it alone can be made read-only."""
    mount("--bind", folder, folder)
    try:
        yield
    finally:
        unmount(folder)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing be written below a mount, as long as it lasts."""
    mount("-o", "remount,bind,ro", folder)
    try:
        yield
    finally:
        mount("-o", "remount,bind,rw", folder)


@contextmanager
def memory_disk(folder: Path, options: str) -> Iterator[None]:
    """Give a folder a small file system of its own."""
    folder.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", options, "tmpfs", folder)
    try:
        yield
    finally:
        unmount(folder)


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Go on with the rights of a plain user, in a folder of its own."""
    nobody, was = 65534, os.geteuid()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "own"
        folder.mkdir()
        if was == 0:
            Path(made).chmod(0o755)
            os.chown(folder, nobody, -1)
            os.seteuid(nobody)
        try:
            yield folder
        finally:
            os.seteuid(was)


@contextmanager
def limited(process: int, what: int, most: int) -> Iterator[None]:
    """Lower a limit of a process that runs, as long as it lasts."""
    soft, hard = resource.prlimit(process, what)
    resource.prlimit(process, what, (most, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(process, what, (soft, hard))


def descriptors_of(process: int) -> int:
    """Return how many files a process has open all the time, not for a moment only."""
    enough_s, fewest = time.monotonic() + 0.1, sys.maxsize
    while time.monotonic() < enough_s:
        fewest = min(fewest, len(os.listdir(f"/proc/{process}/fd")))  # noqa: PTH208 - one number
    return fewest


def memory_mb_of(process: int) -> float:
    """Return how much memory of a process is resident."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def rounds_pass(daemon, beats: int = 2) -> None:
    """Wait until the daemon has shown itself alive a few times more."""
    seq = read_json(daemon.root / "daemon.json")["seq"]
    until(lambda: read_json(daemon.root / "daemon.json")["seq"] >= seq + beats, "it goes round")


IMPATIENT = (
    sys.executable,
    "-c",
    (
        "from daemon.cli.main import main; from daemon.intake import watcher;"
        " from daemon.supervisor import outage, watchers;"
        " outage.RETRY_S = watcher._POLLING_S = watchers._STOPPING_S = 0.3; main()"
    ),
)
"""The daemon's command, but what waits for no event is tried again soon: tests wait for it."""


class Disk:
    """A small ext4 in a file, on a loop device: it can be broken as a disk breaks."""

    def __init__(self, image: Path, folder: Path, *options: str) -> None:
        self._image, self._folder = image, folder
        with image.open("wb") as file:
            file.truncate(32 << 20)
        made = subprocess.run(
            ["mkfs.ext4", "-qF", *options, image], capture_output=True, check=False
        )
        if made.returncode:
            pytest.skip("install mkfs.ext4 (Debian: e2fsprogs)")
        folder.mkdir()
        self.mount()

    def mount(self) -> None:
        """Mount it; on an error of its own it turns read-only."""
        mount("-o", "loop,errors=remount-ro", self._image, self._folder)

    def fail(self) -> None:
        """Let the kernel find an error on it, as on a disk that dies."""
        source = subprocess.run(
            ["findmnt", "-no", "SOURCE", self._folder], capture_output=True, text=True, check=True
        ).stdout.strip()
        trigger = Path("/sys/fs/ext4") / Path(source).name / "trigger_fs_error"
        if not trigger.exists():
            pytest.skip("this kernel offers no trigger_fs_error")
        trigger.write_text("1")

    def repair(self) -> None:
        """Unmount it, check it, and mount it again."""
        self.unmount()
        said = subprocess.run(
            ["fsck.ext4", "-p", self._image], capture_output=True, text=True, check=False
        )
        assert said.returncode in (0, 1), said.stdout
        self.mount()

    def unmount(self) -> None:
        """Unmount it when nobody uses it any more."""
        subprocess.run(["umount", self._folder], check=True)


def fill(folder: Path) -> None:
    """Leave no byte and no inode on the file system of a folder; see ``free``."""
    ballast = folder / ".ballast"
    ballast.mkdir()
    with suppress(OSError), (ballast / "bytes").open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    with suppress(OSError):
        for number in range(100_000):
            (ballast / str(number)).touch()


def free(folder: Path) -> None:
    """Give back what ``fill`` took."""
    shutil.rmtree(folder / ".ballast", ignore_errors=True)
