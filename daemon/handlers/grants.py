"""What a handler wants of network and programs, and what its inbox grants.

A handler says by ``USES`` what it can use: a set of ``host:port`` and names of programs, or a
function that returns such a set for its options. An inbox grants by ``allow``. What is wanted and
not granted is refused when the daemon starts.
"""

import os
import shutil
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from daemon.errors import Postponed

Address = tuple[int, tuple[Any, ...]]
"""An address family, and a socket address of it."""


@dataclass(frozen=True)
class Grants:
    """What one attempt may use."""

    network: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)
    """``host:port`` to where it was found before the worker was confined; empty: nowhere."""
    programs: Mapping[str, Path] = field(default_factory=dict)
    """Name to the absolute path."""


def programs_there(names: Iterable[str]) -> dict[str, str]:
    """Return the absolute paths of the programs that this machine has, by name."""
    found = {name: shutil.which(name) for name in names}
    return {name: os.path.realpath(path) for name, path in found.items() if path}


def endpoint_of(url: str) -> str:
    """Return the ``host:port`` of a URL, as ``allow`` writes it; ``ValueError``: it has none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("must begin with http:// or https:// and name a host, and no user")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _checked(url: str) -> str:
    if url:
        endpoint_of(url)
    return url


Url = Annotated[str, Field(max_length=2_000), AfterValidator(_checked)]
"""Of a server, or empty."""


def looked_up(host: str, port: int) -> tuple[Address, ...]:
    """Return the addresses of a host; ``OSError`` when it is not known."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple((int(family), address) for family, _, _, _, address in found)


def granted(network: Iterable[str], programs: Mapping[str, str]) -> Grants:
    """Look up what an order grants; a host that is not known now has no address."""
    found: dict[str, tuple[Address, ...]] = {}
    for endpoint in network:
        host, _, port = endpoint.rpartition(":")
        try:
            found[endpoint.lower()] = looked_up(host.strip("[]"), int(port))
        except OSError:
            found[endpoint.lower()] = ()
    return Grants(found, {name: Path(path) for name, path in programs.items()})


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


_SECRET_CHARS = 16_384
