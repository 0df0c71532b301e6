"""A real daemon in a process of its own, on real folders."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0
"""A limit for what hangs; no measure of what is slow."""
_LOOK_S, _LONGEST_LOOK_S = 0.005, 0.1


def settings_for(root: Path, **changes: Any) -> dict[str, Any]:
    """Return a configuration in which nothing waits longer than it must."""
    settling = dict.fromkeys(
        (
            "settle_s",
            "settle_folder_s",
            "settle_single_s",
            "settle_network_s",
            "settle_folder_network_s",
        ),
        0.05,
    )
    given = {
        "root": str(root),
        "inboxes": {"mix": {"handler": "tests.support.counting", "settling": settling}},
        "handler_paths": [str(ROOT)],
        "pool": {"slots": 2, "confine": False},
        "budgets": {"backoff_s": 0.05, "backoff_max_s": 0.1, "interruptions": 100_000},
        "disk": {"reserve_mb": 0},
        "memory_reserve_mb": 0,
        "heartbeat_s": 0.5,
    }
    return given | changes


def until(
    condition: Callable[[], Any],
    what: str,
    patience_s: float = PATIENCE_S,
    every_s: float = _LOOK_S,
) -> Any:
    """Look again and again until `condition` holds; return what it returned."""
    looks_s = time.monotonic()
    give_up_s = looks_s + patience_s
    while not (found := condition()):
        looked_s = time.monotonic()
        assert looked_s < give_up_s, f"waited in vain until {what}"
        # Whoever is waited for needs the processor more than looking does.
        time.sleep(max(every_s, min(_LONGEST_LOOK_S, 4 * (looked_s - looks_s))))
        looks_s = time.monotonic()
    return found


@dataclass
class Daemon:
    """``soundspool run`` on a spool; ``started_in_s`` is how long its last start took."""

    root: Path
    settings: dict[str, Any]
    command: tuple[str, ...] = (sys.executable, "-m", "daemon")
    environment: dict[str, str] = field(default_factory=dict)
    started_in_s: float = 0.0
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start a process, and do not wait for it."""
        self.root.mkdir(parents=True, exist_ok=True)
        config = self.root.with_name(f"{self.root.name}.yaml")
        config.write_text(yaml.safe_dump(self.settings))
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.command, "run", "--config", str(config)],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> Path:
        """Where everything goes that the daemon says."""
        return self.root.with_name(f"{self.root.name}.log")

    def start(self) -> None:
        """Start it, and wait until it serves."""
        began_s = time.monotonic()
        self.process = self.spawn()
        until(self._serves, f"it serves; it said: {self.log}")
        self.started_in_s = time.monotonic() - began_s

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        told = read_json(self.root / "daemon.json")
        return told.get("pid") == self.process.pid and told.get("phase") == "running"

    def kill(self) -> None:
        """Kill it as ``kill -9`` does, and see that nothing of it is left."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        until(lambda: not list(workers_of(self.process.pid)), "its workers are gone")

    def stop(self, patience_s: float = PATIENCE_S) -> int:
        """Ask it to stop; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(patience_s)

    def at_rest(self) -> bool:
        """Tell whether nothing is under way any more."""
        # The inbox first: a drop that leaves it has its room in work/ before.
        inbox, work = self.root / "inbox" / "mix", self.root / "work" / "mix"
        return not (any(inbox.glob("[!.]*")) or any(work.iterdir()))


def read_json(path: Path) -> dict[str, Any]:
    """Return a document, empty when there is none yet."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}


def workers_of(daemon: int) -> Iterator[int]:
    """Yield the workers of a daemon, alive or not, by the daemon's process id."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if len(words) > 2 and words[-2] == str(daemon).encode() and b"pool.worker" in words[3]:
            yield int(entry.name)
