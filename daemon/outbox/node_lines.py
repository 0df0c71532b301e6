"""Other machines that run jobs, in words: for the page, ``top``, ``status`` and ``nodes``."""

from collections.abc import Mapping
from typing import Any

from daemon.text import count, shown


def health_of(node: Mapping[str, Any]) -> tuple[str, bool, str]:
    """Return what a node is called, whether it is well, and how it stands."""
    problem = (node.get("problem") or {}).get("message") or node.get("degraded")
    slots = f"{node.get('free', 0)} of {count(node.get('slots', 0), 'slot')} free"
    notes = problem or (f"{slots}, host {node['host']}" if node.get("host") else slots)
    name = f"node {node.get('name')}"
    return shown(name.capitalize()), not problem, shown(notes.removeprefix(f"{name}: "))


def stage_of(running: Mapping[str, Any]) -> str:
    """Return the stage of what runs, and where, when that is another machine."""
    stage = shown(running.get("stage") or "starting").replace("_", " ")
    return f"{stage} on {shown(running['node'])}" if running.get("node") else stage
