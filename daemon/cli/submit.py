"""Submit a drop: copy it beside its place, whole and synced, and rename it in.

Theory of operation
-------------------
The copy is made in a hidden folder of the inbox itself, so on the same file system, where no
scan takes it for a drop. Beside its future name a marker says that nothing more will come.
Then one rename makes it a drop, and it starts without settling.

Rules
-----
Rule 1: what is copied is what the daemon would look at: no junk, no hidden files, no links.

Rule 2: until the rename the inbox holds nothing of it; whatever ends a submission before
leaves no trace.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daemon.cli.control import mark_whole, refuse_taken, unmark
from daemon.config import yaml_reader
from daemon.config.models import Limits
from daemon.config.validation import assign
from daemon.errors import BadInput, Unavailable
from daemon.files import Files
from daemon.intake.drop import Drop, look
from daemon.intake.filenames import kind_of
from daemon.layout import SETTINGS, SETTINGS_BESIDE
from daemon.text import shown

# The inbox's own limits are the daemon's to apply; these only bound the look.
_LIMITS = Limits(files=1_000_000, depth=100, bytes=1 << 62)


def submit(source: Path, inbox: Path, settings: Mapping[str, Any], files: Files) -> Path:
    """Copy `source` into the inbox as one drop; return its place there.

    `settings` go over those of the drop's own ``job.yaml``.

    Raises
    ------
    BadInput
        The daemon could not take it: links, devices, a name it would not look at.
    Unavailable
        The name is taken, or the source is still being written.
    """
    source = Path(os.path.abspath(source))  # noqa: PTH100 - resolve() would follow a link
    drop = _looked_at(source)
    target = inbox / drop.name
    refuse_taken(target)
    with _aside(inbox) as aside:
        _copy(source, drop, aside / drop.name, _mode(inbox), files)
        beside = _write_settings(source, drop, aside, settings, files)
        mark_whole(target)
        try:
            if beside is not None:
                files.rename("submit.settings", beside, inbox / beside.name)
            files.rename("submit.drop", aside / drop.name, target)
        except BaseException:
            unmark(target)
            raise
    return target


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """Return ``KEY=VALUE`` texts as keys and values; values are YAML.

    Raises
    ------
    BadInput
        One is not of this form.
    """
    pairs = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not re.fullmatch(r"[^=\s]+", key):
            message = f"--set {shown(assignment)!r} is not KEY=VALUE"
            raise BadInput("SETTINGS_INVALID", message, "Write for example --set preset=podcast.")
        pairs[key] = yaml_reader.load(text.encode(), name=f"--set {key}").value
    return pairs


def _looked_at(source: Path) -> Drop:
    name = source.name
    if (kind := kind_of(name)) != "plain" or not name:
        message = f"the name {shown(name)!r} is one of {kind} files; no inbox takes those"
        raise BadInput("REFUSED_NAME", message, "Rename it.")
    parent = os.open(source.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        drop = look(parent, name, _LIMITS)
    finally:
        os.close(parent)
    if drop is None:
        raise BadInput("NOT_FOUND", f"there is no {shown(str(source))}")
    if drop.problem is not None:
        raise drop.problem
    if drop.arriving:
        message = f"{shown(drop.arriving[0])} is still arriving, by its name"
        raise Unavailable("STILL_ARRIVING", message, "Submit when it is complete, or remove it.")
    return drop


@contextmanager
def _aside(inbox: Path) -> Iterator[Path]:
    folder = inbox / f".submit-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _mode(inbox: Path) -> int:
    """Return the mode of a new folder: who may use the inbox must be able to move it on."""
    return inbox.stat().st_mode & 0o777


def _copy(source: Path, drop: Drop, target: Path, mode: int, files: Files) -> None:
    if drop.kind == "file":
        files.copy_tree("submit.copy", source, target)
        target.chmod(mode & 0o666)
        return
    _make(target, mode)
    for file in drop.files:
        place = target / file.path
        for folder in reversed(place.relative_to(target).parents[:-1]):
            _make(target / folder, mode)
        files.copy_tree("submit.copy", source / file.path, place)
        place.chmod(mode & 0o666)


def _make(folder: Path, mode: int) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(mode | 0o700)


def _write_settings(
    source: Path, drop: Drop, aside: Path, wanted: Mapping[str, Any], files: Files
) -> Path | None:
    """Write the drop's settings with `wanted` over them; return what goes beside a file."""
    folder = drop.kind == "folder"
    place = aside / drop.name / SETTINGS if folder else aside / (drop.name + SETTINGS_BESIDE)
    data = b""
    if drop.settings is not None:
        inside = source / drop.settings.path
        data = (inside if inside.is_file() else source.parent / drop.settings.path).read_bytes()
    if wanted:
        data = _merged(data, wanted)
    if not data:
        return None
    files.write("submit.settings", place, data, durable=True)
    return None if folder else place


def _merged(data: bytes, wanted: Mapping[str, Any]) -> bytes:
    """Return settings with some keys replaced; JSON, which is YAML too."""
    value = yaml_reader.load(data, name=SETTINGS).value or {}
    if not isinstance(value, dict):
        raise BadInput("SETTINGS_INVALID", f"{SETTINGS}: settings are a mapping of keys to values")
    for key in wanted:
        assign(value, key, wanted[key])
    return json.dumps(value, indent=1).encode() + b"\n"
