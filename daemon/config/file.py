"""Find the configuration file in use, and the root of the spool; without pydantic.

The first of these that exists is used, alone: what the caller names (``--config``),
``$SOUNDSPOOL_CONFIG``, ``./config.yaml``, ``/etc/soundspool/config.yaml``, the copy inside the
package. Files are not merged.

A variable ``SOUNDSPOOL_POOL__SLOTS=2`` overrides the key ``pool.slots``.

Rule: relative paths in a file start at the file's folder, so that it means the same from
everywhere; those of the packaged copy start where the daemon was started.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from daemon.config import yaml_reader
from daemon.config.validation import assign
from daemon.errors import BadConfig, BadInput

DEFAULT_ROOT = "spool"
PREFIX = "SOUNDSPOOL_"
NAMES_THE_FILE = "SOUNDSPOOL_CONFIG"
_SYSTEM = Path("/etc/soundspool/config.yaml")
_MAX_BYTES = 256 * 1024


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file that exists."""

    path: Path
    folder: Path
    """Where relative paths in it start."""


def find(named: Path | None = None, environment: Mapping[str, str] = os.environ) -> ConfigFile:
    """Return the configuration file in use.

    Raises
    ------
    BadConfig
        A file was named and does not exist.
    """
    wanted = named or (Path(text) if (text := environment.get(NAMES_THE_FILE)) else None)
    if wanted and not wanted.is_file():
        raise BadConfig("config", "there is no such file", str(wanted))
    for path in (wanted, Path("config.yaml"), _SYSTEM):
        if path and path.is_file():
            return ConfigFile(path, path.absolute().parent)
    return ConfigFile(packaged(), Path.cwd())


def packaged() -> Path:
    """Return the copy inside the package; in a checkout, the file at its root."""
    installed = Path(__file__).parents[1] / "config.yaml"
    return installed if installed.is_file() else Path(__file__).parents[2] / "config.yaml"


def read(file: ConfigFile, environment: Mapping[str, str] = os.environ) -> yaml_reader.Document:
    """Return the content of the file, overridden by the environment.

    Raises
    ------
    BadConfig
        It cannot be read or is not plain YAML.
    """
    try:
        data = file.path.read_bytes()
        document = yaml_reader.load(data, name=str(file.path), max_bytes=_MAX_BYTES)
        return _overruled(document, environment)
    except OSError as error:
        raise BadConfig("config", error.strerror or repr(error), str(file.path)) from None
    except BadInput as error:
        raise as_bad_config(error) from None


def root_of(named: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the root of the spool, absolute, checking nothing else.

    Raises
    ------
    BadConfig
        See ``find`` and ``read``.
    """
    file = find(named, environment)
    value = read(file, environment).value
    root = value.get("root") if isinstance(value, dict) else None
    return absolute(file, Path(str(root or DEFAULT_ROOT)))


def absolute(file: ConfigFile, path: Path) -> Path:
    """Return a path of the configuration as an absolute one.

    Raises
    ------
    BadConfig
        ``~user`` names no user.
    """
    try:
        return file.folder / path.expanduser()
    except RuntimeError:
        raise BadConfig("config", f"{path} names no user with a home", str(file.path)) from None


def as_bad_config(error: BadInput) -> BadConfig:
    """Return an error in settings as a ``BadConfig``: the first problem leads."""
    lines = error.message.splitlines()
    first = error.details["problems"][0]  # type: ignore[index]
    problem = "\n".join([first["message"], *lines[1:]])
    return BadConfig(first["key"] or "config", problem, first["place"])


def _overruled(
    document: yaml_reader.Document, environment: Mapping[str, str]
) -> yaml_reader.Document:
    """Return the document with each ``SOUNDSPOOL_A__B`` in place of its key ``a.b``."""
    value = deepcopy(document.value) if isinstance(document.value, dict) else {}
    places: dict[yaml_reader.Path, str] = {}
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name == NAMES_THE_FILE:
            continue
        path = name.removeprefix(PREFIX).lower().split("__")
        new = yaml_reader.load(os.fsencode(text), name=f"${name}")
        assign(value, ".".join(path), new.value)
        places[tuple(path)] = f"${name}"
    return document.with_value(value, places) if places else document
