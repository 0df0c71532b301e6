"""A handler that reads a root, and tries everything that would change it.

Loaded by workers, by its dotted name.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from daemon.handlers.contract import Output, Result, Task


@dataclass
class Options:
    how: str = "well"
    more: dict[str, object] = field(default_factory=dict)


def handle(task: Task) -> Result:
    """Measure what came of each deed: ``done``, or the name of the error."""
    root, song = task.roots["music"], task.roots["music"] / "song.wav"
    deeds: dict[str, Callable[[], object]] = {
        "write": lambda: song.open("r+b").close(),
        "append": lambda: song.open("ab").close(),
        "truncate": lambda: os.truncate(song, 1),
        "empty while opened to be read": lambda: os.open(song, os.O_RDONLY | os.O_TRUNC),
        "create": (root / "new").touch,
        "mkdir": (root / "new folder").mkdir,
        "symlink": lambda: (root / "pointer").symlink_to(song),
        "pipe": lambda: os.mkfifo(root / "pipe"),
        "link within": lambda: os.link(song, root / "twin"),
        "link out": lambda: os.link(song, task.workdir / "twin"),
        "link in": lambda: os.link(_own(task), root / "own"),
        "rename within": lambda: (root / "fifth.wav").rename(root / "renamed.wav"),
        "rename out": lambda: (root / "other.wav").rename(task.workdir / "other.wav"),
        "rename in": lambda: _own(task).rename(root / "own"),
        "replace": lambda: _own(task).replace(root / "third.wav"),
        "unlink": (root / "fourth.wav").unlink,
        "rmdir": (root / "empty").rmdir,
        "chmod": lambda: song.chmod(0o600),
        "chmod of the root": lambda: root.chmod(0o700),
        "chown": lambda: os.chown(song, os.getuid(), os.getgid()),
        "setxattr": lambda: os.setxattr(song, "user.rating", b"5"),
        "utime": lambda: os.utime(song, (1, 1)),
        "utime of what is open": lambda: os.utime(os.open(song, os.O_RDONLY), (1, 1)),
        "utime of the root": lambda: os.utime(root, (1, 1)),
    }
    names, sound = sorted(os.listdir(root)), song.read_bytes()  # noqa: PTH208 - as a scan does
    came = {name: _tried(deed) for name, deed in deeds.items()}
    (task.workdir / "out.txt").write_text("made\n")
    seen = {"names": names, "sound": sound.decode()}
    return Result((Output("out.txt", "data"),), {**seen, "came": came})


def _own(task: Task) -> Path:
    path = task.workdir / "own"
    path.write_text("own")
    return path


def _tried(deed: Callable[[], object]) -> str:
    try:
        deed()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
