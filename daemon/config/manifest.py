"""The manifest: what a drop's settings list under ``files``. Pure.

::

    files:
      - {name: drums.wav, bytes: 52920044, sha256: 9f86d081884c7d65…}

Sizes say when a drop is whole; hashes are compared by the worker, before anything is read.
"""

import re
from dataclasses import dataclass

from daemon.errors import BadInput

_SHA256 = re.compile("[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Listed:
    """A line of a manifest; `bytes` and `sha256` as far as it gives them."""

    name: str
    bytes: int | None = None
    sha256: str | None = None


def listed_in(value: object) -> tuple[Listed, ...]:
    """Return what settings list under ``files``; nothing when they do not.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``: it is no such list, or a line names no file of the drop, or gives
        a size or a hash that is none.
    """
    lines = value.get("files", []) if isinstance(value, dict) else []
    if not isinstance(lines, list):
        raise BadInput("SETTINGS_INVALID", "files must be a list of {name, bytes, sha256}")
    return tuple(_listed(line) for line in lines)


def _listed(line: object) -> Listed:
    if not isinstance(line, dict) or not isinstance(name := line.get("name"), str):
        raise BadInput("SETTINGS_INVALID", "each of files must be {name, bytes, sha256}")
    if name.startswith("/") or ".." in name.split("/"):
        raise BadInput("SETTINGS_INVALID", f"files: {name} lies outside the drop")
    size, sha256 = line.get("bytes"), line.get("sha256")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise BadInput("SETTINGS_INVALID", f"files: bytes of {name} must be a count, got {size}")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        message = f"files: sha256 of {name} must be 64 hexadecimal digits, got {sha256}"
        raise BadInput("SETTINGS_INVALID", message)
    return Listed(name, size, sha256.lower() if sha256 else None)
