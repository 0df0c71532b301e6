"""Comments of an Ogg Opus file: libsndfile writes some of them, but neither chapters nor pictures.

References
----------
RFC 3533 (pages), RFC 7845 §5.2 (the comment header).
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from dsp.formats.ogg_serial import HEAD_BYTES, SEGMENTS_AT, SERIAL, pages, seal

_MAGIC = b"OpusTags"
_NUMBER_AT = 18
_MOST_SEGMENTS, _SEGMENT_BYTES = 255, 255
_CONTINUED = 1
_UNFINISHED = (1 << 64) - 1
"""The position of a page on which no packet ends."""


def with_comments(source: Path, comments: Sequence[str], target: Path) -> None:
    """Write a copy with these comments (``NAME=text``) instead of its own; its sound stays."""
    with source.open("rb") as file, target.open("wb") as out:
        number, old, done = 0, b"", False
        for _, page in pages(file.fileno()):
            if number and not done:
                lacing = page[HEAD_BYTES : HEAD_BYTES + page[SEGMENTS_AT]]
                old += page[HEAD_BYTES + len(lacing) :]
                done = lacing[-1] < _SEGMENT_BYTES
                written = list(_pages_of(_packet(old, comments), number)) if done else []
            else:
                struct.pack_into("<I", page, _NUMBER_AT, number)
                written = [page]
            for one in written:
                seal(one)
                out.write(one)
            number += len(written)


def _packet(old: bytes, comments: Sequence[str]) -> bytes:
    """Return the header; who wrote the sound stays named."""
    vendor = old[: len(_MAGIC) + 4 + int.from_bytes(old[len(_MAGIC) :][:4], "little")]
    texts = [one.encode("utf-8", "replace") for one in comments]
    listed = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return vendor + struct.pack("<I", len(texts)) + listed


def _pages_of(packet: bytes, number: int) -> Iterator[bytearray]:
    lacing = [_SEGMENT_BYTES] * (len(packet) // _SEGMENT_BYTES) + [len(packet) % _SEGMENT_BYTES]
    for at in range(0, len(lacing), _MOST_SEGMENTS):
        segments = bytes(lacing[at : at + _MOST_SEGMENTS])
        ends = at + _MOST_SEGMENTS >= len(lacing)
        head = struct.pack(
            "<4sBBQIIIB",
            b"OggS",
            0,
            _CONTINUED if at else 0,
            0 if ends else _UNFINISHED,
            SERIAL,
            number + at // _MOST_SEGMENTS,
            0,
            len(segments),
        )
        start = at * _SEGMENT_BYTES
        yield bytearray(head + segments + packet[start : start + sum(segments)])
