"""Title, author, chapters and cover of an episode: as ID3v2.4, Vorbis comments, or MP4's atoms.

No library under a permissive licence writes chapters; ``ffmpeg`` does for MP4.

References
----------
ID3 tag version 2.4.0, *Main Structure* and *Native Frames*; ID3v2 Chapter Frame Addendum 1.0.
Xiph wiki, *Chapter Extension* and *VorbisComment*; FLAC format, *METADATA_BLOCK_PICTURE*.
FFmpeg formats, *Metadata*.
"""

import base64
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsp.formats.decoders import Broken
from dsp.formats.m4b import with_metadata
from dsp.formats.ogg_tags import with_comments

_UTF8 = b"\x03"
_FRONT_COVER = 3
_TOP_AND_ORDERED = b"\x03"
_UNUSED = 0xFFFFFFFF
"""As a byte offset: times count."""
_MOST_LISTED, _MOST_COMMENTED = 255, 1_000
_TIME_LIMIT_MS = 0xFFFFFFFF
_AUDIOBOOK = 2
_PORTION_BYTES = 1 << 20


@dataclass(frozen=True)
class Chapter:
    """A part of an episode with a name."""

    start_s: float
    end_s: float
    title: str


@dataclass(frozen=True)
class Tags:
    """What a file says of itself."""

    title: str
    author: str = ""
    chapters: Sequence[Chapter] = ()
    cover: bytes = b""
    mime: str = ""
    """Of the cover: ``image/jpeg`` or ``image/png``."""


def put_tags(source: Path, tags: Tags, target: Path) -> bool:
    """Write a copy that has tags, in the format of its suffix; return whether the cover is in it.

    Raises
    ------
    Unsupported, Broken
        ``.m4b``: the ``ffmpeg`` program cannot write it.
    """
    return _WRITERS[target.suffix](source, tags, target)


def _put_id3(source: Path, tags: Tags, target: Path) -> bool:
    with source.open("rb") as sound, target.open("wb") as file:
        file.write(id3_tag(tags))
        while portion := sound.read(_PORTION_BYTES):
            file.write(portion)
    return True


def _put_comments(source: Path, tags: Tags, target: Path) -> bool:
    with_comments(source, vorbis_comments(tags), target)
    return True


def _put_atoms(source: Path, tags: Tags, target: Path) -> bool:
    metadata = ffmetadata(tags)
    if tags.cover:
        cover = target.with_name(".cover")
        cover.write_bytes(tags.cover)
        try:
            with_metadata(source, metadata, target, cover=cover, mime=tags.mime)
        except Broken:  # most likely over the picture, which is the only thing that is not ours
            with_metadata(source, metadata, target)
            return False
        finally:
            cover.unlink()
    else:
        with_metadata(source, metadata, target)
    return True


_WRITERS: dict[str, Callable[[Path, Tags, Path], bool]] = {
    ".mp3": _put_id3,
    ".opus": _put_comments,
    ".m4b": _put_atoms,
}


def id3_tag(tags: Tags) -> bytes:
    """Return the bytes that go before the first frame of an MP3.

    At most 255 chapters are listed: the table of contents counts them in one byte.
    """
    frames = _text(b"TIT2", tags.title) + (_text(b"TPE1", tags.author) if tags.author else b"")
    if tags.cover:
        head = b"\0" + tags.mime.encode("ascii") + b"\0" + bytes([_FRONT_COVER]) + b"\0"
        frames += _frame(b"APIC", head + tags.cover)
    listed = tags.chapters[:_MOST_LISTED]
    if listed:
        names = b"".join(b"ch%d\0" % place for place in range(len(listed)))
        frames += _frame(b"CTOC", b"toc\0" + _TOP_AND_ORDERED + bytes([len(listed)]) + names)
    for place, one in enumerate(listed):
        times = [min(_ms(at_s), _TIME_LIMIT_MS) for at_s in (one.start_s, one.end_s)]
        body = b"ch%d\0" % place + struct.pack(">IIII", *times, _UNUSED, _UNUSED)
        frames += _frame(b"CHAP", body + _text(b"TIT2", one.title))
    return b"ID3\x04\0\0" + _synchsafe(len(frames)) + frames


def vorbis_comments(tags: Tags) -> list[str]:
    """Return ``NAME=text``; at most 1,000 chapters, which have three digits."""
    said = [f"TITLE={tags.title}", *([f"ARTIST={tags.author}"] if tags.author else [])]
    for place, one in enumerate(tags.chapters[:_MOST_COMMENTED]):
        minutes, ms = divmod(_ms(one.start_s), 60_000)
        at = f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1_000:02}.{ms % 1_000:03}"
        said += [f"CHAPTER{place:03}={at}", f"CHAPTER{place:03}NAME={one.title}"]
    if tags.cover:
        mime = tags.mime.encode("ascii")
        head = struct.pack(">II", _FRONT_COVER, len(mime)) + mime
        # No description; size and colours are for the reader to find out.
        picture = head + bytes(20) + struct.pack(">I", len(tags.cover)) + tags.cover
        said.append(f"METADATA_BLOCK_PICTURE={base64.b64encode(picture).decode()}")
    return said


def ffmetadata(tags: Tags) -> bytes:
    """Return tags and chapters as ``ffmpeg`` reads them."""
    lines = [";FFMETADATA1", f"title={_escaped(tags.title)}", f"media_type={_AUDIOBOOK}"]
    lines += [f"artist={_escaped(tags.author)}"] if tags.author else []
    for one in tags.chapters:
        times = f"START={_ms(one.start_s)}\nEND={_ms(one.end_s)}"
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", times, f"title={_escaped(one.title)}"]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _escaped(text: str) -> str:
    text = text.replace("\0", "")
    # A backslash that ends a line carries it on, even one that is escaped.
    text = f"{text} " if text.endswith("\\") else text
    return re.sub(r"([=;#\\\n])", r"\\\1", text)


def _ms(seconds: float) -> int:
    return round(1_000 * seconds)


def _text(name: bytes, text: str) -> bytes:
    return _frame(name, _UTF8 + text.encode("utf-8", "replace"))


def _frame(name: bytes, body: bytes) -> bytes:
    return name + _synchsafe(len(body)) + b"\0\0" + body


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
