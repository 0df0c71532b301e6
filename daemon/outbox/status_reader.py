"""Status documents and ``daemon.json``, as any reader of a spool takes them.

The schemas that ship with the package are the only list of what each field is. A file is held
against them before anything in it is used: a disk or a person may have damaged it, and then it
counts as absent. What is checked is what reading relies on: the type of each field and the
bounds of numbers. Any field may be missing, and any field may be new.

Rule 1: whoever looks again and again (``StatusCache``) reads a file once for each time it was
replaced; what has not changed costs one ``lstat``.

Rule 2: memory is bounded: of what failed and of what ended otherwise only the latest ``KEEP``
stay, of what has not ended at most as many as the queue may hold.
"""

import json
import math
import os
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from daemon.errors import is_ours
from daemon.outbox.health import Document
from daemon.outbox.overview import ENDED, ended

SCHEMA = 1
SUFFIX = ".status.json"
TERMINAL = frozenset(ENDED)
KEEP = 100
"""Documents of finished jobs; failures are counted apart, so that success cannot hide them."""
_LARGEST_BYTES = 1 << 22
_ALIKE = 10
"""Failures of one name that lie beside each other, ``Song`` to ``Song (9)``."""
_NAMES_KEPT_BYTES = 240
"""Longer names are cut where another must fit beside them."""

_LARGEST = 2**63
_DEEPEST = 20
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def read_status(path: Path, kind: Literal["status", "daemon"] = "status") -> dict[str, Any] | None:
    """Return a document, ``None`` when there is none of this schema that can be read.

    Raises
    ------
    OSError
        No descriptor or no memory is left to read with: it may well be there.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor
            found = document_of(file.read(_LARGEST_BYTES), kind)
    except OSError as error:
        if is_ours(error):
            raise
        return None
    return found if found and found.get("schema") == SCHEMA else None


def drop_in(document: Mapping[str, Any]) -> str:
    """Return the name on disk of the drop that a status tells of."""
    with suppress(ValueError):  # damaged
        if encoded := document.get("name_base64"):
            return os.fsdecode(b64decode(encoded))
    return str(document.get("name"))


def standing(root: Path, documents: Iterable[Document]) -> list[Document]:
    """Return these documents without the failures that a person has cleared away.

    That is done with a file manager: the drop is taken out of ``failed/``, for good or back
    into an inbox.
    """
    return [one for one in documents if one.get("state") != "failed" or _lies_there(root, one)]


def _lies_there(root: Path, failure: Document) -> bool:
    folder = root / "failed" / str(failure.get("inbox"))
    name = drop_in(failure)
    try:
        cut = len(os.fsencode(name)) > _NAMES_KEPT_BYTES
    except ValueError:  # a name that no file could have
        return True
    # Without its folder, as when a mount is gone, there is nothing to go by.
    if failure.get("job") is None or cut or not folder.is_dir():
        return True
    names = (name, *(f"{name} ({number})" for number in range(2, _ALIKE)))
    return any(os.path.lexists(folder / each) for each in names)


@dataclass
class _Kept:
    signature: tuple[int, int, int]
    document: Document | None
    """``None``: unreadable, or finished too long ago to be shown."""


class StatusCache:
    """What the status files below an outbox said when they were last looked at."""

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox
        self._kept: dict[str, _Kept] = {}

    def documents(self) -> list[Document]:
        """Look, and return the documents of what is not finished and of the latest that is."""
        self._kept = {entry.path: self._looked_at(entry) for entry in self._entries()}
        self._forget(lambda document: document.get("state") == "failed")
        self._forget(lambda document: document.get("state") in TERMINAL - {"failed"})
        return [kept.document for kept in self._kept.values() if kept.document]

    def _forget(self, among: Callable[[Document], bool]) -> None:
        """Forget all but the latest of these documents."""
        these = [kept for kept in self._kept.values() if kept.document and among(kept.document)]
        these.sort(key=lambda kept: ended(kept.document or {}), reverse=True)
        for kept in these[KEEP:]:
            kept.document = None

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        for inbox in _listed(self._outbox):
            if inbox.is_dir(follow_symlinks=False):
                yield from (one for one in _listed(inbox.path) if one.name.endswith(SUFFIX))

    def _looked_at(self, entry: os.DirEntry[str]) -> _Kept:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:  # gone since it was listed
            return _Kept((0, 0, 0), None)
        signature = found.st_mtime_ns, found.st_ino, found.st_size
        kept = self._kept.get(entry.path)
        if kept and kept.signature == signature:
            return kept
        return _Kept(signature, read_status(Path(entry.path)))


def _listed(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing, when it is not there or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


# The shape of a document


@cache
def schema_of(kind: Literal["status", "daemon"]) -> Mapping[str, Any]:
    """Return the schema of ``NAME.status.json`` or of ``daemon.json``."""
    path = Path(__file__).with_name("schema") / f"{kind}-1.json"
    found: Mapping[str, Any] = json.loads(path.read_bytes())
    return found


def document_of(data: bytes, kind: Literal["status", "daemon"]) -> dict[str, Any] | None:
    """Return the document in `data`; ``None`` when it is none of this kind."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _fits(value, schema_of(kind), 0) else None


def _fits(value: object, schema: Mapping[str, Any], depth: int) -> bool:
    """Tell whether `value` and all in it have the types that `schema` gives them."""
    # A later version may know more words than our enumerations; words they are even so.
    types = schema.get("type", "string" if "enum" in schema else ())
    if depth > _DEEPEST or not (_is_one_of(value, types) and _in(value, schema)):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if isinstance(value, dict):
        inner, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        rest = rest if isinstance(rest, dict) else {}
        return all(_fits(item, inner.get(key, rest), depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return all(_fits(item, schema.get("items", {}), depth + 1) for item in value)
    return True


def _is_one_of(value: object, names: str | list[str]) -> bool:
    wanted = [names] if isinstance(names, str) else names
    if isinstance(value, bool):
        return not wanted or "boolean" in wanted
    return not wanted or any(isinstance(value, _TYPES[name]) for name in wanted)


def _in(value: object, schema: Mapping[str, Any]) -> bool:
    """Tell whether a number is one, and within its bounds."""
    if not isinstance(value, int | float):
        return True
    least, most = schema.get("minimum", -_LARGEST), schema.get("maximum", _LARGEST)
    return math.isfinite(value) and bool(least <= value <= most)
