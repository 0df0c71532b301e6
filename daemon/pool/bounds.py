"""What a worker may say at the most: the types of its messages' fields.

Rule: every text is fit for a screen, every number is finite and within 64 bits, every nesting
has an end, and every path stays inside the work directory. What passes here can be stored,
shown and published without another look.
"""

import math
import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Required

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    with_config,
)
from typing_extensions import TypedDict

from daemon.text import shown

_LARGEST = (1 << 63) - 1  # of SQLite, and of most that reads JSON
_DEPTH = 16
_KEY_CHARS = 200
_TEXT_CHARS = 64_000
_PATH_CHARS, _NAME_BYTES, _PATH_DEPTH = 4_000, 255, 32
_COMPLAINT_CHARS = 400


def cleaned(text: str) -> str:
    """Return text in which nothing but the ends of lines is beyond print."""
    return "\n".join(map(shown, text.split("\n")))


def _bounded(value: Any, depth: int = _DEPTH) -> Any:  # noqa: ANN401 - JSON has no type
    """Return a value of JSON with its texts cleaned; ``ValueError`` when it is out of bounds."""
    if depth < 0:
        raise ValueError(f"nested deeper than {_DEPTH}")
    if isinstance(value, str):
        if len(value) > _TEXT_CHARS:
            raise ValueError(f"a text of more than {_TEXT_CHARS} characters")
        return cleaned(value)
    if isinstance(value, Mapping):
        return {_key(key): _bounded(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_bounded(item, depth - 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that is not finite")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("a number beyond 64 bits")
    if value is None or isinstance(value, int | float):
        return value
    raise ValueError(f"a {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str) or len(key) > _KEY_CHARS:
        raise ValueError(f"a key of more than {_KEY_CHARS} characters")
    return shown(key)


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or str(parts) in ("", "."):
        raise ValueError("not a path inside the work directory")
    if str(parts) != path or shown(path) != path:
        raise ValueError("not a path in its plain form")
    if len(parts.parts) > _PATH_DEPTH or any(
        len(os.fsencode(part)) > _NAME_BYTES for part in parts.parts
    ):
        raise ValueError("a path that is too long")
    return path


Word = Annotated[str, Field(max_length=_KEY_CHARS), AfterValidator(shown)]
Sentence = Annotated[str, Field(max_length=4_000), AfterValidator(cleaned)]
Text = Annotated[str, Field(max_length=_TEXT_CHARS), AfterValidator(cleaned)]
Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Megabytes = Annotated[float, Field(ge=0.0, le=1e9)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
InsidePath = Annotated[str, Field(max_length=_PATH_CHARS), AfterValidator(_inside)]
Values = Annotated[dict[str, Any], BeforeValidator(_bounded)]
"""Whatever a handler measured."""


@with_config(ConfigDict(extra="allow", strict=True))
class _File(TypedDict, total=False):
    path: Required[str]
    bytes: Count | None
    sha256: Sha256 | None
    frames: Count | None
    rate_hz: Count | None
    channels: Count | None


InputFile = Annotated[_File, BeforeValidator(_bounded)]
"""What a handler read, and what else it has to say about it."""


def complaint(error: ValidationError) -> str:
    """Return the first thing that is wrong, and where, in a line that fits on a screen."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"])) or "start"
    message = str(first["msg"]).removeprefix("Value error, ")
    return shown(f"{message[:1].lower()}{message[1:]} at {where}"[:_COMPLAINT_CHARS])
