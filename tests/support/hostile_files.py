"""Things of every kind in a place where a small plain file is expected."""

import os
import socket
from pathlib import Path

KINDS = ("folder", "pipe", "link", "dangling", "socket", "huge", "unreadable", "noise")


def make(place: Path, kind: str) -> None:
    """Make something of this kind."""
    if kind == "folder":
        (place / "deep" / "er").mkdir(parents=True)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to("/dev/zero")
    elif kind == "dangling":
        place.symlink_to("nowhere")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            here = Path.cwd()
            os.chdir(place.parent)  # a path of a socket has room for 108 bytes
            listener.bind(place.name)
            os.chdir(here)
    elif kind == "huge":
        with place.open("wb") as file:
            file.truncate(1 << 40)
    elif kind == "unreadable":
        place.write_text("priority: rush\n")
        place.chmod(0)
    else:
        place.write_bytes(os.urandom(4_000))
