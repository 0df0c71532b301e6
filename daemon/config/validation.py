"""Validate settings with a pydantic model, and report the problems for people.

Pydantic's own messages are for programmers. Each problem is reported
as ``job.yaml:3:7: preset: …``: its place, its key, what was expected, what was found.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from daemon.config.yaml_reader import MAX_DEPTH, Document, Key, Path, Problem, quoted, refused

Model = TypeVar("Model")

_TOLD = 20
"""Problems of one document that are reported singly; the rest is counted."""
_LONGEST_KEY = 60


def assign(value: dict[str, Any], key: str, new: object) -> None:
    """Set the dotted `key` in `value`, creating the mappings on the way.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``: it is nested too deep.
    """
    *parents, last = key.split(".")
    if len(parents) > MAX_DEPTH:
        raise refused(Problem("", quoted(key), f"nested deeper than {MAX_DEPTH}"))
    holder = value
    for parent in parents:
        if not isinstance(holder.get(parent), dict):
            holder[parent] = {}
        holder = holder[parent]
    holder[last] = new


def validate(model: type[Model], document: Document) -> Model:
    """Return an instance of `model`: a pydantic model or any type pydantic understands.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``, with one line per problem: its place, its key, what was found,
        what was expected, the nearest known key. ``details["problems"]`` has them apart.
    """
    # `soundspool status` reads YAML and never validates; importing pydantic would double its start.
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    adapter = TypeAdapter(model)
    try:
        return adapter.validate_python({} if document.value is None else document.value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
    schema = cache(adapter.json_schema)
    problems = [_problem(document, one, schema) for one in found[:_TOLD]]
    if len(found) > _TOLD:
        more = f"and {len(found) - _TOLD} more problems"
        problems.append(Problem(document.name, "", more))
    raise refused(*problems)


def _problem(
    document: Document, error: Mapping[str, Any], schema: Callable[[], Mapping[str, Any]]
) -> Problem:
    """Translate one of pydantic's errors."""
    path = _path_in(document.value, error)
    key = ".".join(map(_step, path))
    place = document.place_of(path)
    if error["type"] == "missing":
        return Problem(place, key, "is missing")
    if error["type"] == "extra_forbidden":
        return Problem(place, key, "unknown key" + _nearest(schema(), path))
    if error["type"] in ("model_type", "dict_type", "dataclass_type"):
        return Problem(place, key, f"must hold keys and values, found {quoted(error['input'])}")
    expected = str(error["msg"]).removeprefix("Value error, ")
    found = "" if isinstance(error["input"], dict | list) else f", found {quoted(error['input'])}"
    return Problem(place, key, f"{expected[:1].lower()}{expected[1:]}{found}")


def _step(step: Key) -> str:
    text = str(step)
    return text if text.isprintable() and len(text) <= _LONGEST_KEY else quoted(text)


def _path_in(
    value: Any,  # noqa: ANN401 - whatever YAML held
    error: Mapping[str, Any],
) -> Path:
    """Return the error's location as keys of the document.

    Pydantic puts names of its own between them, such as the branch of a union it was in.
    """
    path: Path = ()
    for step in error["loc"]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            continue
        path = (*path, step)
    return (*path, error["loc"][-1]) if error["type"] == "missing" else path


def _nearest(schema: Mapping[str, Any], path: Path) -> str:
    known = sorted(set(_known_keys(schema, schema, path[:-1])))
    near = difflib.get_close_matches(str(path[-1]), known, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known are {', '.join(known)}" if known else ""


def _known_keys(root: Mapping[str, Any], schema: Mapping[str, Any], path: Path) -> Iterator[str]:
    """Yield the keys that a JSON Schema knows at `path`, through references and unions."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for branch in schema.get("anyOf", ()):
        yield from _known_keys(root, branch, path)
    if not path:
        yield from schema.get("properties", ())
        return
    inner = schema.get("properties", {}).get(path[0]) or schema.get("additionalProperties")
    inner = schema.get("items") if isinstance(path[0], int) else inner
    if isinstance(inner, dict):
        yield from _known_keys(root, inner, path[1:])
