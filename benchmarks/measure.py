"""Run a command and say what it cost, its children included."""

import os
import subprocess
import sys
import time
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


def cost_of(command: Sequence[str | Path], *, log: Path | None = None) -> Cost:
    """Run a command to its end; exit with its output when it fails."""
    with open(log or os.devnull, "wb") as output:  # noqa: PTH123 - may be the null device
        began = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = log.read_text(errors="replace")[-2000:] if log else ""
        sys.exit(f"{command[0]} failed with {child.returncode}\n{said}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
