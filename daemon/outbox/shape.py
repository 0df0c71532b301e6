"""Whether a document has the shape that its JSON Schema promises to every reader.

The schemas that ship with the package are the only list of what each field is. A reader of
ours holds a file against them before it looks inside: a disk or a person may have damaged
it, and then it counts as absent. What is checked is what reading relies on: the type of each
field and the bounds of numbers. Any field may be missing, and any field may be new.
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

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
