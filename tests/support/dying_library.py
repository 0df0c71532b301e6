"""The library handler, which kills its daemon, and itself, at the commit that a test names.

Loaded by workers, by its dotted name. ``deaths`` in the kept folder holds the number of commits
that are let pass. Each folder is a commit of its own.
"""

import os
import signal
from functools import partial

from daemon.handlers import library
from daemon.handlers.contract import Result, Split, Task
from daemon.handlers.library import ACCEPTS, KEEPS, Options, part, rounds  # noqa: F401 - the contract
from daemon.handlers.library.catalogue import Catalogue
from daemon.handlers.library.runs import Look

rounds.Look = partial(Look, batch_entries=1)


def handle(task: Task) -> Result | Split:
    """Look at the library, as far as it goes."""
    assert task.kept is not None
    named = task.kept / "deaths"
    left = int(named.read_text()) if named.exists() else 1 << 40

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            named.unlink()
            for process in (os.getppid(), os.getpid()):
                os.kill(process, signal.SIGKILL)

    library.Catalogue = partial(Catalogue, after_commit=step)
    return library.handle(task)
