"""The settings that come with a drop: ``job.yaml`` inside it, or ``<file>.job.yaml`` beside it.

Some keys speak to the daemon (``files``, ``priority``, ``force``); the rest, and ``force`` where
it is declared, are the handler's options and go over those of the inbox, key by key. What the
options *mean* is checked where the handler is known: in a worker, or in the process that works
by hand.

Rule: keys that speak to the daemon are read through ``DaemonKeys`` only, so each value is
checked before it is used.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from daemon.config import yaml_reader
from daemon.config.lanes import Lane
from daemon.config.manifest import Manifest
from daemon.config.validation import validate
from daemon.config.yaml_reader import Document, Problem, refused
from daemon.errors import is_ours
from daemon.layout import settings_beside

_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


OF_OPERATOR = frozenset({"endpoint", "api_key_file", "api_key_env"})
"""Options that no drop may set: they say where bytes and secrets go."""


class DaemonKeys(BaseModel):
    """The keys of ``job.yaml`` that speak to the daemon."""

    model_config = ConfigDict(frozen=True)

    files: Manifest = []
    priority: Lane | None = None
    force: bool = False


@dataclass(frozen=True)
class DropSettings:
    """What a drop asks for."""

    options: Document
    """Over the inbox's; the places of what the drop named are kept."""
    lane: Lane | None
    force: bool
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of the files that the manifest lists with one, by name."""


def daemon_keys(document: Document) -> DaemonKeys:
    """Return what settings say to the daemon.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``, with the line and the column.
    """
    value = document.value
    if isinstance(value, dict):
        value = {key: value[key] for key in DaemonKeys.model_fields if key in value}
    return validate(DaemonKeys, document.with_value(value))


def settings_of(drop: Path, defaults: Mapping[str, Any], *, max_bytes: int) -> DropSettings:
    """Return the settings of a drop over the defaults of its inbox.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``, with the line and the column.
    """
    path = settings_beside(drop)
    if path is None:
        return DropSettings(Document.of(dict(defaults), name="options"), None, force=False)
    data = read_plain(path, max_bytes + 1)
    document = yaml_reader.load(data, name=path.name, max_bytes=max_bytes)
    keys = daemon_keys(document)
    asked = document.value or {}
    _refuse_operators(document, asked, ())
    of_daemon = DaemonKeys.model_fields.keys() - {"force"}  # a handler may know it, too
    asked = {key: asked[key] for key in asked if key not in of_daemon}
    options = document.with_value(merged(defaults, asked))
    sha256 = {line.name: line.sha256 for line in keys.files if line.sha256}
    return DropSettings(options, keys.priority, force=keys.force, sha256=sha256)


def _refuse_operators(document: Document, asked: Mapping[str, Any], at: tuple[str, ...]) -> None:
    for key, value in asked.items():
        path = (*at, str(key))
        if key in OF_OPERATOR:
            text = "is the operator's to say, in config.yaml; a drop may not"
            raise refused(Problem(document.place_of(path), ".".join(path), text))
        if isinstance(value, Mapping):
            _refuse_operators(document, value, path)


def for_handler(options: Document, kind: type) -> Document:
    """Return options as a handler takes them: with ``force`` only when it declares that."""
    asked = options.value or {}
    known = (*getattr(kind, "model_fields", ()), *getattr(kind, "__dataclass_fields__", ()))
    if "force" in known or "force" not in asked:
        return options
    return options.with_value({key: asked[key] for key in asked if key != "force"})


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two mappings as one; what is above wins, mapping by mapping."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        result[key] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


def read_plain(path: Path, most: int) -> bytes:
    """Return the first bytes of a settings file, waiting for nothing: it may be a pipe by now.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``: it is a link or no plain file, or cannot be read.
    """
    try:
        with open(os.open(path, _OPEN), "rb") as file:  # noqa: PTH123 - a descriptor
            plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            data = file.read(most) if plain else b""
    except OSError as error:
        if is_ours(error):
            raise
        problem = f"cannot be read: {error.strerror}"
    else:
        if plain:
            return data
        problem = "is not a plain file"
    raise refused(Problem(path.name, "", problem))
