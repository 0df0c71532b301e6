"""The settings that come with a drop: ``job.yaml`` inside it, or ``<file>.job.yaml`` beside it.

Some keys speak to the daemon (``files``, ``priority``, ``force``); the rest are the
handler's options and go over those of the inbox, key by key. What the options *mean* is
checked where the handler is known: in a worker, or in the process that mixes by hand.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.config import yaml_reader
from daemon.config.manifest import listed_in
from daemon.config.models import ALLOWANCE_MS, Lane
from daemon.config.yaml_reader import Document
from daemon.errors import BadInput

DAEMON_KEYS = ("files", "force", "priority")


@dataclass(frozen=True)
class DropSettings:
    """What a drop asks for."""

    options: Document
    """Over the inbox's; the places of what the drop named are kept."""
    lane: Lane | None
    force: bool
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of the files that the manifest lists with one, by name."""


def settings_beside(drop: Path) -> Path | None:
    """Return the settings file that belongs to a drop, if there is one."""
    inside, beside = drop / "job.yaml", drop.with_name(f"{drop.name}.job.yaml")
    # Not Path.is_file(), which raises when the longer name is too long to exist.
    return next((path for path in (inside, beside) if os.path.isfile(path)), None)  # noqa: PTH113


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
    with path.open("rb") as file:
        document = yaml_reader.load(file.read(max_bytes + 1), name=path.name, max_bytes=max_bytes)
    value = document.value if document.value is not None else {}
    if not isinstance(value, dict):
        raise _invalid(document, (), "settings are a mapping of keys to values")
    lane, force = value.get("priority"), value.get("force", False)
    if lane is not None and lane not in ALLOWANCE_MS:
        raise _invalid(document, ("priority",), f"one of {', '.join(ALLOWANCE_MS)}, got {lane!r}")
    if not isinstance(force, bool):
        raise _invalid(document, ("force",), f"true or false, got {force!r}")
    asked = {key: inner for key, inner in value.items() if key not in DAEMON_KEYS}
    options = document.with_value(merged(defaults, asked))
    sha256 = {line.name: line.sha256 for line in listed_in(value) if line.sha256}
    return DropSettings(options, lane, force=force, sha256=sha256)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return two mappings as one; what is above wins, mapping by mapping."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        result[key] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


def _invalid(document: Document, path: tuple[str | int, ...], problem: str) -> BadInput:
    key = f"{path[0]}: " if path else ""
    return BadInput(
        "SETTINGS_INVALID",
        f"{document.place_of(path)}: {key}{problem}",
        "Correct the settings file and drop it again.",
    )
