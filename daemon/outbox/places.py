"""Where the outputs that a status names lie.

Most lie in the folder of their result. One of the role ``live`` is a *live view*: it lies in the
outbox itself, under its own name, and the next job's takes its place as a whole.
"""

from collections.abc import Mapping
from typing import Any

LIVE = "live"


def folder_of(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parts of the path of the folder that holds a result; empty when there is none."""
    inbox, label = str(status.get("inbox")), status.get("output_folder")
    if label:
        return ("outbox", inbox, str(label))
    views = any(one.get("role") == LIVE for one in status.get("outputs") or ())
    return ("outbox", inbox) if views else ()


def place_of(status: Mapping[str, Any], output: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parts of an output's path below the root; empty when there is none."""
    path = str(output.get("path")).split("/")
    if output.get("role") == LIVE:
        return ("outbox", str(status.get("inbox")), *path)
    return (*folder_of(status), *path) if status.get("output_folder") else ()


def is_page(output: Mapping[str, Any]) -> bool:
    """Tell whether an output is a page for people: a report, or a live view to be looked at."""
    role, path = output.get("role"), str(output.get("path"))
    return role == "report" or (role == LIVE and path.endswith(".html"))
