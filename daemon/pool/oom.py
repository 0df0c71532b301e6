"""How often the kernel has killed a process for memory."""

import math
from functools import cache
from pathlib import Path


def oom_kills() -> float:
    """Return the number of out-of-memory kills so far, as near to us as can be read.

    Of our control group (version 2, then 1), else of the machine, else 0; ``nan``, of which
    nothing is more or less, when it cannot be read at this moment.
    """
    for path in _counters():
        try:
            lines = path.read_text().splitlines()
        except OSError:
            return math.nan
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


@cache
def _counters() -> tuple[Path, ...]:
    places = [*_groups(), Path("/proc/vmstat")]
    return tuple(path for path in places if path.is_file())


def _groups() -> list[Path]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            found.append(Path(f"/sys/fs/cgroup{group}/memory.events"))
        elif "memory" in controllers.split(","):
            found.append(Path(f"/sys/fs/cgroup/memory{group}/memory.oom_control"))
    return found
