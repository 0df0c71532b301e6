"""What inboxes grant, and whether it is what their handlers want: asked before anything is served.

Rules
-----
1. The daemon's own process imports no handler: one whose source says ``USES`` is asked in a
   process of its own, and only such.
2. What is wanted and not granted, and what is granted and not there, is ``BadConfig`` with the
   line to add.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daemon.config.models import Config, Inbox
from daemon.errors import BadConfig, SpoolError
from daemon.handlers.grants import programs_there, read_secrets
from daemon.pool.interface import Demand

_ROOT = str(Path(__file__).resolve().parents[2])
_BOOT = (
    "import sys; root = sys.argv[1]; root in sys.path or sys.path.insert(0, root); "
    "from daemon.supervisor.wants import answer; answer()"
)
_PATIENCE_S = 60.0
_USES = re.compile(r"^(USES\b|def USES\b)", re.MULTILINE)
_LOOPBACK = ("localhost", "127.", "[::1]", "[::]", "0.0.0.0:")
BESIDE: Mapping[str, tuple[str, ...]] = {"ffmpeg": ("ffprobe",)}
"""Programs that come along with another, which is of no use without them."""


def surroundings_of(inbox: Inbox, spool: Path) -> dict[str, Any]:
    """Return the fields of an order that say what an inbox grants.

    Raises
    ------
    SpoolError
        A secret that its options name cannot be read.
    """
    return {
        "roots": {name: str(path) for name, path in inbox.reads.items()},
        "spool": str(spool),
        "network": tuple(inbox.allow.network),
        "programs": programs_of(inbox),
        "secrets": read_secrets(inbox.options, os.environ),
    }


def programs_of(inbox: Inbox) -> dict[str, str]:
    """Return the absolute paths of the programs that are granted and there, by name."""
    return programs_there(_names_of(inbox))


def programs_wanted(config: Config) -> list[str]:
    """Return the names of the programs that any inbox grants."""
    return sorted({name for inbox in config.inboxes.values() for name in _names_of(inbox)})


def demand_of(name: str, config: Config) -> Demand:
    """Return what the jobs of an inbox ask of the machine that runs them.

    Folders outside the spool, and servers at a loopback address, are others elsewhere, or are not
    there. Members of a resource, such as gpus, belong to a machine.
    """
    inbox = config.inboxes[name]
    local = any(endpoint.startswith(_LOOPBACK) for endpoint in inbox.allow.network)
    devices = {
        name: count
        for name, count in inbox.needs.items()
        if isinstance(config.resources.get(name), list)
    }
    here = "" if local or inbox.reads else None
    return Demand(inbox.handler, tuple(_names_of(inbox)), devices=devices, place=here)


def _names_of(inbox: Inbox) -> list[str]:
    return [each for name in inbox.allow.programs for each in (name, *BESIDE.get(name, ()))]


def refuse_ungranted(config: Config) -> None:
    """Compare what handlers want with what their inboxes grant.

    Raises
    ------
    BadConfig
        Something is wanted and not granted, or granted and not there.
    """
    for name, inbox in config.inboxes.items():
        key = f"inboxes.{name}.allow.programs"
        there = programs_of(inbox)
        for program in inbox.allow.programs:
            if program not in there:
                raise BadConfig(key, f"{program} is not installed, or not in the daemon's PATH")
        try:
            read_secrets(inbox.options, os.environ)
        except SpoolError as error:
            raise BadConfig(f"inboxes.{name}.options", error.message) from None
    asked = {
        name: {"handler": inbox.handler, "options": inbox.options}
        for name, inbox in config.inboxes.items()
        if _may_want(inbox.handler, config)
    }
    for name, wants in (_answers(asked, config) if asked else {}).items():
        inbox = config.inboxes[name]
        if missing := sorted(ungranted(frozenset(wants), inbox)):
            raise BadConfig(f"inboxes.{name}.allow", refusal(inbox, missing))


def ungranted(wants: frozenset[str], inbox: Inbox) -> frozenset[str]:
    """Return what of it the inbox does not grant."""
    return wants - {*inbox.allow.network, *inbox.allow.programs}


def refusal(inbox: Inbox, missing: list[str]) -> str:
    """Return the sentence for what is missing, with the line to add."""
    network = [*inbox.allow.network, *(one for one in missing if ":" in one)]
    programs = [*inbox.allow.programs, *(one for one in missing if ":" not in one)]
    said = {"network": network, "programs": programs}
    line = ", ".join(f"{kind}: {json.dumps(names)}" for kind, names in said.items() if names)
    text = f"{inbox.handler} wants {' and '.join(missing)}, which is not granted"
    return f"{text}; add  allow: {{{line}}}"


def _may_want(handler: str, config: Config) -> bool:
    return any(
        _USES.search(path.read_text("utf-8", "replace")) for path in _source(handler, config)
    )


def _source(handler: str, config: Config) -> Iterator[Path]:
    """Yield where a worker would find the module; nothing of it is imported."""
    inner = Path(*handler.split("."))
    for folder in (_ROOT, *sys.path, *map(str, config.handler_paths)):
        for path in (Path(folder, inner).with_suffix(".py"), Path(folder, inner, "__init__.py")):
            if path.is_file():
                yield path
                return


def _answers(asked: Mapping[str, Any], config: Config) -> dict[str, list[str]]:
    """Return what handlers want; those that cannot be used are told of by the pool."""
    paths = [str(path) for path in config.handler_paths]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, our own words
            [sys.executable, "-I", "-c", _BOOT, _ROOT],
            input=json.dumps({"handler_paths": paths, "inboxes": asked}).encode(),
            capture_output=True,
            timeout=_PATIENCE_S,
            check=True,
            cwd="/",
        )
        found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        return {}
    return found
