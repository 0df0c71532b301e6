"""An ID3v2.4 tag with chapters: no library under a permissive licence writes one.

References
----------
ID3 tag version 2.4.0, *Main Structure* and *Native Frames*; ID3v2 Chapter Frame Addendum 1.0.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_UTF8 = b"\x03"
_FRONT_COVER = b"\x03"
_TOP_AND_ORDERED = b"\x03"
_UNUSED = 0xFFFFFFFF
"""As a byte offset: times count."""
_MOST_LISTED = 255
_TIME_LIMIT_MS = 0xFFFFFFFF


@dataclass(frozen=True)
class Chapter:
    """A part of an episode with a name."""

    start_s: float
    end_s: float
    title: str


def id3_tag(
    *, title: str, author: str, chapters: Sequence[Chapter], cover: bytes = b"", mime: str = ""
) -> bytes:
    """Return the bytes that go before the first frame of an MP3.

    At most 255 chapters are listed: the table of contents counts them in one byte.
    """
    frames = _text(b"TIT2", title) + (_text(b"TPE1", author) if author else b"")
    if cover:
        head = b"\0" + mime.encode("ascii") + b"\0" + _FRONT_COVER + b"\0"
        frames += _frame(b"APIC", head + cover)
    listed = chapters[:_MOST_LISTED]
    if listed:
        names = b"".join(b"ch%d\0" % place for place in range(len(listed)))
        frames += _frame(b"CTOC", b"toc\0" + _TOP_AND_ORDERED + bytes([len(listed)]) + names)
    for place, one in enumerate(listed):
        times = [min(round(1_000 * at_s), _TIME_LIMIT_MS) for at_s in (one.start_s, one.end_s)]
        body = b"ch%d\0" % place + struct.pack(">IIII", *times, _UNUSED, _UNUSED)
        frames += _frame(b"CHAP", body + _text(b"TIT2", one.title))
    return b"ID3\x04\0\0" + _synchsafe(len(frames)) + frames


def _text(name: bytes, text: str) -> bytes:
    return _frame(name, _UTF8 + text.encode("utf-8", "replace"))


def _frame(name: bytes, body: bytes) -> bytes:
    return name + _synchsafe(len(body)) + b"\0\0" + body


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
