"""Run a command and say what it cost, its children included."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a command cost."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    """Largest resident set of any one process of it."""

    def plus(self, other: "Cost") -> "Cost":
        """Return the cost of one after the other."""
        return Cost(
            self.wall_s + other.wall_s,
            self.cpu_s + other.cpu_s,
            max(self.peak_mib, other.peak_mib),
        )


# What a process starts counts the memory of its parent until it runs a program of its own
# (``ru_maxrss``), so a small one starts it, and not the benchmark with its sounds.
_STARTER = """
import os, subprocess, sys, time
began = time.perf_counter()
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
took = time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
os.write(int(sys.argv[1]), " ".join(map(str, took)).encode())
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def cost_of(command: Sequence[str | Path], *, log: Path | None = None) -> Cost:
    """Run a command to its end; exit with its output when it fails."""
    told, tell = os.pipe()
    with open(log or os.devnull, "wb") as output:  # noqa: PTH123 - may be the null device
        ended = subprocess.run(
            [sys.executable, "-ISc", _STARTER, str(tell), *(str(part) for part in command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[tell],
            check=False,
        )
    os.close(tell)
    with os.fdopen(told) as figures:
        found = figures.read().split()
    if ended.returncode or not found:
        said = log.read_text(errors="replace")[-2000:] if log else ""
        sys.exit(f"{command[0]} failed\n{said}")
    return Cost(*map(float, found))
