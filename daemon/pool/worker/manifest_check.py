"""Hold a drop's files against the hashes that its manifest lists."""

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from daemon.errors import BadInput

STAGE = "comparing hashes"


def compare(source: Path, sha256: Mapping[str, str], report: Callable[[str, float], None]) -> None:
    """Return when every listed file of the drop `source` has the hash that is listed for it.

    Raises
    ------
    BadInput
        ``MANIFEST_MISMATCH``, naming the first file that has another one, or
        ``MANIFEST_MISSING_FILES``.
    """
    names_in = cache(_names_in)
    for number, (name, expected) in enumerate(sha256.items()):
        report(STAGE, number / len(sha256))
        path = _find(source, name, names_in)
        if path is None:
            message = f"{name}, which job.yaml lists, is not there"
            raise BadInput("MANIFEST_MISSING_FILES", message, path=name)
        found = _sha256_of(path)
        if found != expected:
            raise BadInput(
                "MANIFEST_MISMATCH",
                f"{name} has the SHA-256 {found}; job.yaml lists {expected}",
                "Copy it again from where it is whole, or correct job.yaml.",
                path=name,
                details={"expected": expected, "found": found},
            )


def _find(source: Path, name: str, names_in: Callable[[Path], Mapping[str, Path]]) -> Path | None:
    """Return the file of the drop that is called so, in either spelling of its accents."""
    if not source.is_dir():
        return source if _composed(source.name) == _composed(name) else None
    path: Path | None = source
    for part in _composed(name).split("/"):
        path = names_in(path).get(part) if path else None
    return path if path and path.is_file() else None


def _names_in(folder: Path) -> dict[str, Path]:
    entries = folder.iterdir() if folder.is_dir() else ()
    return {_composed(path.name): path for path in entries if not path.is_symlink()}


def _composed(name: str) -> str:
    """Return a name in the one form that is compared: disks of Macs decompose accents."""
    return unicodedata.normalize("NFC", name)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
