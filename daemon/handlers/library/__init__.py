"""The ``library`` handler: a folder that stays where it is, and what is known of it.

A drop is a ``.scan`` file, which the daemon's own timer drops too; the library is what its inbox
``reads``. A job looks at all of it, finds out what is new of it, and replaces the views in the
outbox. Nothing below a root is ever written.
"""

from daemon.clock import Clock
from daemon.errors import BadInput
from daemon.handlers.contract import Result, Split, Task
from daemon.handlers.grants import endpoint_of
from daemon.handlers.library.catalogue import Catalogue
from daemon.handlers.library.options import Options, Request, request_in
from daemon.handlers.library.publish import CATALOGUE, published
from daemon.handlers.library.rounds import Rounds, part

__all__ = ["Options", "handle", "part"]

ACCEPTS = frozenset({".scan"})
HEADLINE = ("files", "added", "changed", "moved", "removed")
STAGES = ("look", "tags", "decode", "follow", "transcript", "publish")
KEEPS = True


def USES(options: Options) -> set[str]:  # noqa: N802 - a constant of a handler
    """Return the server that these options name."""
    endpoint = options.transcript.endpoint
    return {endpoint_of(endpoint)} if endpoint and "transcript" in options.follow else set()


def handle(task: Task, clock: Clock | None = None) -> Result | Split:
    """Look at the library, or publish what its parts found out.

    Raises
    ------
    BadInput
        The drop cannot be understood; ``ROOT_CHANGED``: the root is not the one of before.
    NothingToDo
        Nothing changed.
    Postponed
        The root is away.
    """
    by_hand = task.source.is_dir()
    if not by_hand and not task.roots:
        raise BadInput("NO_ROOT", "the inbox reads no folder, so there is no library")
    request = Request() if by_hand else request_in(task.source)
    place = (task.kept or task.workdir) / CATALOGUE
    with Catalogue(place) as catalogue:
        rounds = Rounds(task, request, catalogue, (clock or Clock()).wall_ms())
        if (split := rounds.go()) is not None:
            return split
        return published(task, rounds, catalogue)
