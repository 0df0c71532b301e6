"""A worker that a damaged file took over: it says whatever the order asks it to say.

Run in place of Python by a ``LocalPool``, so that it costs a hundredth of a real worker. An
order whose ``more`` has ``says`` (texts, to be sent as Latin-1, and how often) is answered with
just that; any other is done as an honest worker would do it.
"""

import hashlib
import json
import os
import socket
import sys
from pathlib import Path

HONEST = {"kind": "verdict", "warnings": [], "max_rss_mb": 1.0, "clean": True}


def program(folder: Path) -> str:
    """Write a program that takes the place of the interpreter; return its path."""
    path = folder / "forger"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} "$@"\n')
    path.chmod(0o755)
    return str(path)


def made(workdir: str) -> dict[str, object]:
    """Write an output; return the verdict of an honest worker."""
    text = b"made\n"
    Path(workdir, "out.txt").write_bytes(text)
    file = {
        "path": "out.txt",
        "role": "data",
        "bytes": len(text),
        "sha256": hashlib.sha256(text).hexdigest(),
        "measurements": {},
    }
    result = {"outputs": [file], "measurements": {}, "notes": [], "inputs": []}
    return HONEST | {"outcome": "done", "result": result, "error": None}


def main(fd: int) -> None:
    connection = socket.socket(fileno=fd)
    lines = connection.makefile("rb")
    hello = json.loads(lines.readline())
    ready = {"kind": "ready", "handlers": {name: {} for name in hello["handlers"]}}
    connection.sendall(json.dumps(ready).encode() + b"\n")
    while line := lines.readline():
        order = json.loads(line)
        connection.sendall(b'{"kind":"begun"}\n')
        says = order["options"]["more"].get("says")
        try:
            if says is None:
                connection.sendall(json.dumps(made(order["workdir"])).encode() + b"\n")
            else:
                made(order["workdir"])
                for text, times in says:
                    connection.sendall(text.encode("latin-1") * times)
        except OSError:
            os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[-2]))
