"""What a handler wants of network and programs, and what its inbox grants.

A handler says by ``USES`` what it can use: a set of ``"network"`` and names of programs, or a
function that returns such a set for its options. An inbox grants by ``allow``. What is wanted and
not granted is refused when the daemon starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.errors import Postponed

NETWORK = "network"

Address = tuple[int, tuple[Any, ...]]
"""An address family, and a socket address of it."""


@dataclass(frozen=True)
class Grants:
    """What one attempt may use."""

    network: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    """``host:port`` to where it was found before the worker was confined; empty: nowhere."""
    programs: Mapping[str, Path] = field(default_factory=dict)
    """Name to the absolute path."""


def wanted(handler: object, options: object) -> frozenset[str]:
    """Return what a handler's module wants with these (validated) options."""
    uses = getattr(handler, "USES", ())
    return frozenset(map(str, uses(options) if callable(uses) else uses))


def read_secrets(options: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets that options name, by the path of the option: ``summary.api_key``.

    ``api_key_file`` names a file, ``api_key_env`` a variable of the daemon's environment.

    Raises
    ------
    Postponed
        The file cannot be read, or the variable is not set.
    """
    found: dict[str, str] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            inner = read_secrets(value, environment)
            found |= {f"{key}.{name}": secret for name, secret in inner.items()}
        elif value and key == "api_key_file":
            found["api_key"] = _in_file(Path(str(value)))
        elif value and key == "api_key_env":
            if str(value) not in environment:
                raise Postponed("SECRET_UNREADABLE", f"the variable {value} is not set")
            found["api_key"] = environment[str(value)].strip()
    return found


def _in_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_SECRET_CHARS).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "it is no text"
        raise Postponed("SECRET_UNREADABLE", f"{path} cannot be read: {why}") from None


OF_OPERATOR = frozenset({"endpoint", "api_key_file", "api_key_env"})
"""Options that no drop may set: they say where bytes and secrets go."""
_SECRET_CHARS = 16_384
