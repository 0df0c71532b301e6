"""A handler that reaches for the network and for programs, and says what it got."""

import json
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.handlers.contract import Output, Result, Task

ACCEPTS = frozenset({".txt"})


@dataclass
class Options:
    how: str = ""
    more: dict[str, object] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    api_key_file: str = ""
    api_key_env: str = ""
    break_with_key: bool = False


def USES(options: Options) -> set[str]:  # noqa: N802 - a constant of a handler
    return set(options.uses)


def _connects(family: int, kind: int, address: object) -> Callable[[], object]:
    def connect() -> None:
        with socket.socket(family, kind) as one:
            one.settimeout(5.0)
            one.connect(address)

    return connect


def _started(*command: str) -> Callable[[], object]:
    return lambda: subprocess.run(command, check=True, capture_output=True, timeout=20)


def _served() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()


def _stopped(program: str) -> None:
    child = subprocess.Popen([program, "100"])
    child.kill()
    child.wait(20)


def _fast_open(port: int) -> None:
    with socket.socket() as one:
        one.sendto(b"x", 0x2000_0000, ("127.0.0.1", port))


def handle(task: Task) -> Result:
    more = task.options.more
    ports, programs = more.get("ports", {}), more.get("programs", {})
    tries = {
        f"connect to {name}": _connects(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))
        for name, port in ports.items()
    }
    tries |= {f"start {name}": _started(*command) for name, command in programs.items()}
    tries |= {
        "send datagrams": _connects(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 9)),
        "open a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255).close(),
        "open MPTCP": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).close(),
        "serve": _served,
        **({"connect by data": lambda: _fast_open(ports["other"])} if "other" in ports else {}),
        **({"stop a child": lambda: _stopped(more["sleep"])} if "sleep" in more else {}),
    }
    came = {}
    for name, attempt in tries.items():
        try:
            attempt()
            came[name] = "done"
        except PermissionError:
            came[name] = "denied"
        except (OSError, subprocess.SubprocessError) as error:
            came[name] = repr(error)
    if task.options.break_with_key:
        raise ValueError("broken")
    (task.workdir / "came.json").write_text(json.dumps(came))
    granted = task.grants and {
        "network": sorted(task.grants.network),
        "programs": sorted(task.grants.programs),
    }
    measured = {"came": came, "granted": granted, "secrets": sorted(task.secrets)}
    return Result((Output("came.json", "data"),), measured)
