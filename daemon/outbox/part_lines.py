"""What is said of the parts of a job, on the front page and in terminals."""

from collections.abc import Iterator, Mapping
from typing import Any

from daemon.text import shown

_SHOWN = 5


def parts_of(parts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what there is to say of the parts of a job, a line each."""
    if total := int(parts.get("total") or 0):
        states = ("done", "failed", "skipped", "cancelled", "running", "queued")
        counts = [f"{parts[state]} {state}" for state in states if parts.get(state)]
        yield f"{total} parts: {', '.join(counts)}"
    if parts.get("waits_for"):
        yield shown(parts["waits_for"])
    words = {"failed": "failed", "queued": "waits"}
    told = [part for part in parts.get("listed") or () if part.get("state") in words]
    for part in told[:_SHOWN]:
        until = f", next try {shown(part['until'])}" if part.get("until") else ""
        why = f"{shown(part.get('name'))}: {shown(part.get('message'))}{until}"
        yield f"{words[part['state']]}: {why}"
