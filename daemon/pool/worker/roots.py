"""The folders besides the drop that an inbox lets its workers read: opened, or said to be away.

A root lies where the operator says, often on a file system of another machine, which may be away
or may not answer. So the daemon never looks at it, but for hints (``intake/hints``), in a thread of
their own and on no network file system. The worker does, before it is confined, and
in a thread that it does not wait for longer than ``_PATIENCE_S``.

Rule: each of these is for the operator to mend, or for the other machine; the job waits for it
and pays nothing.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from daemon.errors import Postponed
from daemon.layout import touches

_PATIENCE_S = 10.0


@contextmanager
def opened(roots: Mapping[str, str], spool: str, stall_s: float) -> Iterator[list[str]]:
    """Open each root; give paths to the descriptors, which name what was opened and nothing else.

    Raises
    ------
    Postponed
        One is not there, does not answer, or leads to the spool.
    """
    found: dict[str, int] = {}
    try:
        for name, path in roots.items():
            found[name] = _within(min(_PATIENCE_S, stall_s / 2), name, path, spool)
        yield [f"/proc/self/fd/{fd}" for fd in found.values()]
    finally:
        for fd in found.values():
            os.close(fd)


def _within(patience_s: float, name: str, path: str, spool: str) -> int:
    answers: list[int | OSError | Postponed] = []

    def ask() -> None:
        try:
            answers.append(_open(name, path, spool))
        except (OSError, Postponed) as error:
            answers.append(error)

    thread = threading.Thread(target=ask, name=f"root-{name}", daemon=True)
    thread.start()
    thread.join(patience_s)
    answer = answers[0] if answers else None
    if isinstance(answer, int):
        return answer
    if isinstance(answer, OSError):
        text = f"the root {name} ({path}) cannot be opened: {answer.strerror}"
        raise Postponed("ROOT_MISSING", text, path=path)
    text = f"the root {name} ({path}) did not answer within {patience_s:g} s"
    raise answer or Postponed("ROOT_HANGS", text, path=path)


def _open(name: str, path: str, spool: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    # By their names the two lie apart; a link or a second mount may say otherwise.
    if spool and touches(Path(spool), Path(path)):
        os.close(fd)
        text = f"the root {name} ({path}) leads to the spool {spool}"
        raise Postponed("ROOT_REFUSED", text, path=path)
    return fd
