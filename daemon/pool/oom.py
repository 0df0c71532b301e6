"""How often the kernel has killed a process for memory."""

import math
from functools import cache
from pathlib import Path

CGROUP = Path("/proc/self/cgroup")


def oom_kills() -> float:
    """Return the number of out-of-memory kills so far, as near to us as can be read.

    Of our control group (version 2, then 1), else of the machine, else 0; ``nan``, of which
    nothing is more or less, when it cannot be read or understood at this moment.
    """
    for path in _counters():
        try:
            for line in path.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
        except (OSError, ValueError):
            return math.nan
    return 0


@cache
def _counters() -> tuple[Path, ...]:
    places = [*_groups(), Path("/proc/vmstat")]
    return tuple(path for path in places if path.is_file())


def _groups() -> list[Path]:
    try:
        lines = CGROUP.read_text().splitlines()
    except (OSError, ValueError):
        return []
    found = []
    for _, controllers, group in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if controllers == "":
            found.append(Path(f"/sys/fs/cgroup{group}/memory.events"))
        elif "memory" in controllers.split(","):
            found.append(Path(f"/sys/fs/cgroup/memory{group}/memory.oom_control"))
    return found
