"""Other machines that run jobs, in words: for the page, ``top``, ``status`` and ``nodes``."""

from collections.abc import Iterator, Mapping
from typing import Any

from daemon.text import count, shown


def health_of(node: Mapping[str, Any]) -> tuple[str, bool, str]:
    """Return what a node is called, whether it is well, and how it stands."""
    problem = (node.get("problem") or {}).get("message") or node.get("degraded")
    slots = f"{node.get('free', 0)} of {count(node.get('slots', 0), 'slot')} free"
    has = [f"{what} {' '.join(of)}" for what, of in (node.get("resources") or {}).items()]
    host = [f"host {node['host']}"] if node.get("host") else []
    notes = problem or ", ".join([slots, *has, *host])
    name = f"node {node.get('name')}"
    return shown(name.capitalize()), not problem, shown(notes.removeprefix(f"{name}: "))


def broker_line(broker: Mapping[str, Any]) -> str:
    """Return how the broker that carries orders stands."""
    problem = broker.get("problem")
    return str(problem["message"]) if problem else f"broker {broker.get('url')}"


def attempts_at_nodes(document: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the attempts of a status that another machine works on or has worked on, and where."""
    for one in document.get("attempts") or ():
        if one.get("node"):
            verb = "runs" if one.get("outcome") is None else f"ended as {shown(one['outcome'])}"
            yield one, f"{verb} on {shown(one['node'])}"


def stage_of(running: Mapping[str, Any]) -> str:
    """Return the stage of what runs, and where, when that is another machine."""
    stage = shown(running.get("stage") or "starting").replace("_", " ")
    return f"{stage} on {shown(running['node'])}" if running.get("node") else stage
