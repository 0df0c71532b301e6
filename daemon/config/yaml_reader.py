"""Read the plain part of YAML, and remember the place of every value for messages.

Theory of operation
-------------------
Settings come with drops (``job.yaml``), so from anyone, and from the operator
(``config.yaml``). Both are read here, so that both get the same messages:
``job.yaml:3:7: preset: …``. PyYAML scans and parses; this module composes the value itself
and remembers where each key stands. What YAML offers beyond plain data is refused.
What the values mean is checked in ``validation``.

Rules
-----
Rule 1: no anchors, aliases, merge keys or tags: 450 bytes of aliases make a value that takes
years to walk. No key twice: the later one would win in silence. Keys are strings.

Rule 2: bounded: bytes, depth, digits, and what a message repeats of them. Whatever the bytes
are, the answer is a ``Document`` or ``BadInput``.

Rule 3: scalars are those of JSON (YAML 1.2, core schema). ``2026-11-20``, ``12:30`` and
``no`` stay strings, as their writer meant them; where a model wants a bool, it takes ``no``.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NoReturn

import yaml

from daemon.errors import BadInput

Key = str | int
Path = tuple[Key, ...]
Value = str | int | float | bool | dict[str, "Value"] | list["Value"] | None

MAX_DEPTH = 20
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_MAX_DIGITS = 40
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_REPEATED = 60
"""Characters of a found value that a message repeats."""


@dataclass(frozen=True)
class Document:
    """A value, and where each part of it stands."""

    value: Any
    name: str
    places: Mapping[Path, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object, *, name: str) -> "Document":
        """Return a document that was not read from text; every place in it is `name`."""
        return cls(value, name)

    def with_value(self, value: object, places: Mapping[Path, str] | None = None) -> "Document":
        """Return this document with another value, parts of which come from other `places`."""
        return replace(self, value=value, places={**self.places, **(places or {})})

    def place_of(self, path: Sequence[Key]) -> str:
        """Return ``file:line:col`` of the key at `path`, or of what should have held it."""
        for length in range(len(path), -1, -1):
            if place := self.places.get(tuple(path[:length])):
                return place
        return self.name


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a document."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.message) if part)


def load(data: bytes, *, name: str, max_bytes: int = 65_536) -> Document:
    """Return the document in `data`.

    Raises
    ------
    BadInput
        ``SETTINGS_INVALID``: not YAML, or more than plain data. The message begins with
        ``name:line:col`` where that is known.
    """
    if len(data) > max_bytes:
        raise refused(Problem(name, "", f"{len(data)} bytes; at most {max_bytes} are read"))
    try:
        return _Composer(data, name).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = str(error.problem or error.context)
        raise refused(Problem(_place(name, mark), "", said)) from None
    except (yaml.YAMLError, ValueError, OverflowError):
        # PyYAML leaves it to chr() and int() to refuse "\UFFFFFFFF" and %YAML 1.999….
        raise refused(Problem(name, "", "not text in UTF-8")) from None


class _Composer:
    """Builds the value of one document from the parser's events."""

    def __init__(self, data: bytes, name: str) -> None:
        self._parser = yaml.SafeLoader(data)
        self._name = name
        self._places: dict[Path, str] = {}

    def document(self) -> Document:
        """Return the only document."""
        self._next()  # the stream starts
        if self._at(yaml.StreamEndEvent):
            return Document(None, self._name)
        self._next()  # the document starts
        value = self._node(())
        self._next()  # the document ends
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse(event, "a second document; only one is allowed")
        return Document(value, self._name, self._places)

    def _next(self) -> yaml.Event:
        event: yaml.Event = self._parser.get_event()  # type: ignore[no-untyped-call]
        return event

    def _at(self, kind: type[yaml.Event]) -> bool:
        return bool(self._parser.check_event(kind))

    def _node(self, path: Path) -> Value:
        event = self._next()
        self._places.setdefault(path, _place(self._name, event.start_mark))
        self._refuse_more_than_data(event, path)
        match event:
            case yaml.MappingStartEvent():
                return self._mapping(path)
            case yaml.SequenceStartEvent():
                return self._sequence(path)
            case yaml.ScalarEvent():
                return self._scalar(event)
            case _:  # an alias; it carries an anchor and was refused above
                raise AssertionError(event)

    def _refuse_more_than_data(self, event: yaml.Event, path: Path) -> None:
        if len(path) > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH}")
        if getattr(event, "anchor", None) is not None:
            self._refuse(event, "anchors (&) and aliases (*) are not read; quote the text")
        if getattr(event, "tag", None) is not None:
            self._refuse(event, "tags (!) are not read; quote the text")

    def _mapping(self, path: Path) -> dict[str, Value]:
        value: dict[str, Value] = {}
        while not self._at(yaml.MappingEndEvent):
            event = self._next()
            key = self._key(event, path)
            if key in value:
                self._refuse(event, f"{quoted(key)} is set twice")
            self._places[*path, key] = _place(self._name, event.start_mark)
            value[key] = self._node((*path, key))
        self._next()
        return value

    def _key(self, event: yaml.Event, path: Path) -> str:
        self._refuse_more_than_data(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "a key must be plain text")
        if event.value == "<<" and event.implicit[0]:
            self._refuse(event, "merge keys (<<) are not read")
        return self._text(event)

    def _text(self, event: yaml.ScalarEvent) -> str:
        text = str(event.value)
        if _NO_TEXT.search(text):  # escapes can write what UTF-8 cannot
            self._refuse(event, f"{quoted(text)} contains characters that are not text")
        return text

    def _sequence(self, path: Path) -> list[Value]:
        value: list[Value] = []
        while not self._at(yaml.SequenceEndEvent):
            value.append(self._node((*path, len(value))))
        self._next()
        return value

    def _scalar(self, event: yaml.ScalarEvent) -> Value:
        text = self._text(event)
        if not event.implicit[0]:  # quoted
            return text
        if text.lower() in _CONSTANTS:
            return _CONSTANTS[text.lower()]
        whole = _INTEGER.fullmatch(text)
        if not whole and not _FLOAT.fullmatch(text):
            return text
        if len(text) > _MAX_DIGITS or not math.isfinite(float(text)):
            self._refuse(event, f"{quoted(text)}: too large a number")
        return int(text) if whole else float(text)

    def _refuse(self, event: yaml.Event, problem: str) -> NoReturn:
        raise refused(Problem(_place(self._name, event.start_mark), "", problem))


def refused(*problems: Problem) -> BadInput:
    """Return the error that reports these problems."""
    lines = "\n".join(str(problem) for problem in problems)
    return BadInput(
        "SETTINGS_INVALID", lines, details={"problems": [asdict(one) for one in problems]}
    )


def quoted(value: object) -> str:
    """Return a value as a message repeats it: escaped, and cut when it is long."""
    text = repr(value)
    return text if len(text) <= _REPEATED else text[: _REPEATED - 1] + "…"


def _place(name: str, mark: Any) -> str:  # noqa: ANN401 - PyYAML has two classes of marks
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
