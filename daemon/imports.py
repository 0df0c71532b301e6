"""Import a library without the parts of it that a process never uses."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from types import ModuleType


class _Later(ModuleType):
    """A module whose functions import it when they are called."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            found: Callable[..., object] = getattr(import_module(self.__name__), name)
            return found(*args, **named)

        return call


@contextmanager
def importing(*, absent: str = "", later: str = "") -> Iterator[None]:
    """Let what is imported meanwhile miss one module, and get another only when it is used."""
    # None is Python's own mark of absence, though its type stubs do not know it.
    stand_ins = {absent: None, later: _Later(later)}
    used = {name: each for name, each in stand_ins.items() if name and name not in sys.modules}
    sys.modules.update(used)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in used:
            del sys.modules[name]


def importing_pydantic() -> AbstractContextManager[None]:
    """Let pydantic be imported meanwhile, and never look for plugins of it: none is wanted.

    Looking costs a sixth of a worker's start, and 3 MB of a daemon.
    """
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    return importing(later="importlib.metadata")
