"""The manifest: what a drop's settings list under ``files``. Pure.

::

    files:
      - {name: drums.wav, bytes: 52920044, sha256: 9f86d081884c7d65…}

Sizes say when a drop is whole; hashes are compared by the worker, before anything is read.
"""

import re
import unicodedata
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

_LARGEST_FILE = 1 << 62
_SHA256 = re.compile("[0-9a-fA-F]{64}")


def _inside_the_drop(name: str) -> str:
    path = PurePosixPath(unicodedata.normalize("NFC", name))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError("must be the path of a file inside the drop")
    return str(path)


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError("must be 64 hexadecimal digits")
    return text.lower()


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Listed:
    """A line of a manifest; `bytes` and `sha256` as far as it gives them."""

    name: Annotated[str, Field(max_length=4096), AfterValidator(_inside_the_drop)]
    """Relative to the drop, in NFC: Macs store accents decomposed."""
    bytes: Annotated[int, Field(strict=True, ge=0, le=_LARGEST_FILE)] | None = None
    sha256: Annotated[str, AfterValidator(_sha256)] | None = None


def _each_once(lines: list[Listed]) -> list[Listed]:
    first: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if (before := first.setdefault(line.name, number)) != number:
            raise ValueError(f"entries {before} and {number} both name {line.name!r}")
    return lines


Manifest = Annotated[list[Listed], AfterValidator(_each_once)]
