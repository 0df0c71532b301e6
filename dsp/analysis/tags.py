"""What a file says of itself, to be shown beside what was found. Nothing is decided by it."""

import math
import os
from pathlib import Path
from typing import BinaryIO

from tinytag import TinyTag

from dsp.analysis.document import Tags
from dsp.formats.opened import opened

_MOST_CHARACTERS = 1_000
_MOST_TAGS, _NAME_CHARACTERS = 60, 60


def every_tag(file: BinaryIO) -> dict[str, str]:
    """Return all tags of an open file by their names; none where they cannot be read."""
    try:
        read = TinyTag.get(file_obj=file, duration=False)
    except Exception:  # noqa: BLE001 - as in ``tags_of``
        return {}
    plain = ("title", "artist", "album", "albumartist", "composer", "genre", "year", "track",
             "track_total", "disc", "disc_total", "comment")  # fmt: skip
    found = {name: getattr(read, name, None) for name in plain}
    found |= {name.lower(): values[0] for name, values in read.other.items() if values}
    texts = ((name[:_NAME_CHARACTERS], _text(value)) for name, value in found.items())
    return {name: text for name, text in list(texts)[:_MOST_TAGS] if text}


def length_s(file: BinaryIO) -> float | None:
    """Return what an open MP4 file declares as its length, in seconds, where it can be read."""
    try:
        found = float(TinyTag.get(file_obj=file, tags=False).duration or 0.0)
    except Exception:  # noqa: BLE001 - as in ``tags_of``
        return None
    return found if 0 < found < math.inf else None


def tags_of(path: Path) -> Tags:
    """Return the tags as they are written; none where they cannot be read."""
    try:
        with opened(path, path.name) as fd, os.fdopen(fd, "rb", closefd=False) as file:
            read = TinyTag.get(path, file, duration=False)
    except Exception:  # noqa: BLE001 - a parser of untrusted bytes fails in any way, and tags are no sound
        return Tags()
    other = {name.lower(): values for name, values in read.other.items()}

    def first(*names: str) -> str | None:
        return next((_text(value) for name in names for value in other.get(name, ())), None)

    return Tags(
        title=_text(read.title),
        artist=_text(read.artist),
        album=_text(read.album),
        bpm=first("bpm", "tbpm", "tmpo", "tempo"),
        key=first("initial_key", "initialkey", "key"),
        replaygain=first("replaygain_track_gain"),
    )


def _text(value: object) -> str | None:
    """Return a value without what is no text, or too long to be a name."""
    if value is None:
        return None
    text = str(value)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    clean = text.replace("\0", " ").strip()
    return clean[:_MOST_CHARACTERS] or None
