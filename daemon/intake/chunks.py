"""Containers made of chunks: WAV, RF64, BW64, W64, AIFF, AIFC, CAF.

Theory of operation
-------------------
All of them are one idea in five spellings: a name, a size, that many bytes, the next name.
A *grammar* holds the spelling; the walk is common. The chunk with the sound in it is compared
with the size of the file: that is the whole test. Decoders do not make it: a WAV cut in half
opens and decodes with no error, just shorter.

Three sizes mean something else. **0** is what a writer leaves until it closes the file.
**All ones** (or CAF's −1) is what a writer to a pipe leaves for ever, so it is legal. Sox and
other pipe writers leave a number just under 2 GiB for the same reason.

References
----------
Multimedia Programming Interface 1.0 (RIFF); EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64);
Sony Wave64 1.0; Apple AIFF 1.3 and AIFF-C; Apple Core Audio Format 1.0.
"""

# ruff: noqa: PLR2004 - the numbers are the formats', and are named by their paragraphs

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from daemon.intake.peek import Header, Verdict, Window

_MOST_CHUNKS = 1024
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_FIRST = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")


@dataclass(frozen=True)
class _Grammar:
    container: str
    order: Literal["little", "big"]
    first: int
    """Where the first chunk begins."""
    name_bytes: int = 4
    size_bytes: int = 4
    align: int = 2
    counts_itself: bool = False
    """The size includes the chunk's own name and size."""

    @property
    def head_bytes(self) -> int:
        return self.name_bytes + self.size_bytes


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    """Of the body."""
    declared: int
    """Bytes of the body, as the file claims."""


_WAV = _Grammar("wav", "little", 12)
_W64 = _Grammar("w64", "little", 40, name_bytes=16, size_bytes=8, align=8, counts_itself=True)
_AIFF = _Grammar("aiff", "big", 12)
_CAF = _Grammar("caf", "big", 8, size_bytes=8, align=1)


def read_wav(window: Window) -> Header:
    """Judge a file that begins with RIFF, RF64 or BW64."""
    head = window.at(0, 12)
    if len(head) == _WAV.first and head[8:] != b"WAVE":
        return Header("not_audio", "riff", detail="RIFF, but not WAVE")
    rate = declared = 0
    for chunk in _walk(window, _WAV):
        if chunk.name == b"fmt ":
            rate = _little(window.at(chunk.start + 8, 4))
        elif chunk.name == b"ds64":
            declared = _little(window.at(chunk.start + 8, 8))
        elif chunk.name == b"data":
            long = head[:4] in (b"RF64", b"BW64") and chunk.declared == 0xFFFFFFFF
            size = declared if long else chunk.declared
            found = _judge("wav", window, chunk.start, size, rate)
            return found if long else _doubt_outer(found, window, 8 + _little(head[4:8]))
    return _no_data(_WAV, window, 8 + _little(head[4:8]))


def read_w64(window: Window) -> Header:
    """Judge a file that begins with Wave64's first GUID."""
    rate = 0
    for chunk in _walk(window, _W64):
        if chunk.name == b"fmt " + _W64_TAIL:
            rate = _little(window.at(chunk.start + 8, 4))
        elif chunk.name == b"data" + _W64_TAIL:
            return _judge("w64", window, chunk.start, chunk.declared, rate)
    return _no_data(_W64, window, _little(window.at(16, 8)))


def read_aiff(window: Window) -> Header:
    """Judge a file that begins with FORM."""
    head = window.at(0, 12)
    if len(head) == _AIFF.first and head[8:] not in (b"AIFF", b"AIFC"):
        return Header("not_audio", "iff", detail="FORM, but neither AIFF nor AIFC")
    rate = 0.0
    for chunk in _walk(window, _AIFF):
        if chunk.name == b"COMM":
            rate = _aiff_bytes_per_second(window.at(chunk.start, 18))
        elif chunk.name == b"SSND":
            # The body begins with an offset and a block size, 4 bytes each.
            return _judge("aiff", window, chunk.start + 8, max(0, chunk.declared - 8), rate)
    return _no_data(_AIFF, window, 8 + int.from_bytes(head[4:8], "big"))


def read_caf(window: Window) -> Header:
    """Judge a file that begins with caff."""
    rate = 0.0
    for chunk in _walk(window, _CAF):
        if chunk.name == b"desc":
            rate = _caf_bytes_per_second(window.at(chunk.start, 32))
        elif chunk.name == b"data":
            # The body begins with an edit count of 4 bytes.
            return _judge("caf", window, chunk.start + 4, max(0, chunk.declared - 4), rate)
    return _no_data(_CAF, window, 0)


def is_w64(head: bytes) -> bool:
    """Tell whether a file begins as Wave64 does."""
    return head.startswith(_W64_FIRST)


def _walk(window: Window, grammar: _Grammar) -> Iterator[_Chunk]:
    offset = grammar.first
    for _ in range(_MOST_CHUNKS):
        head = window.at(offset, grammar.head_bytes)
        if len(head) < grammar.head_bytes:
            return
        declared = int.from_bytes(head[grammar.name_bytes :], grammar.order)
        if grammar.counts_itself:
            declared = max(0, declared - grammar.head_bytes)
        start = offset + grammar.head_bytes
        yield _Chunk(head[: grammar.name_bytes], start, declared)
        offset = start + -(-declared // grammar.align) * grammar.align


def _judge(container: str, window: Window, start: int, declared: int, rate: float) -> Header:
    """Compare the declared payload with what lies there; `rate` is in bytes per second."""
    there = max(0, window.size - start)
    expected: int | None = start + declared
    verdict: Verdict
    if declared == 0:
        verdict, expected = ("growing" if there else "empty"), None
        detail = "the header declares no audio yet"
    elif declared <= there:
        verdict, detail = "complete", f"{declared} bytes of audio declared and there"
    elif _left_by_a_pipe(declared):
        verdict, expected, detail = "unknown", None, "written to a pipe: no length declared"
    else:
        verdict, detail = "short", f"{there} of {declared} declared bytes of audio"
    seconds = (there if expected is None else declared) / rate if rate > 0 else None
    return Header(verdict, container, expected, seconds, detail)


def _left_by_a_pipe(declared: int) -> bool:
    """Tell whether a size is one that writers leave when they cannot go back.

    ffmpeg, gstreamer: all ones (W64: 2⁶³−1, CAF: −1). sox: 0x7ffff000 less a partial frame for
    WAV, 0x7f000000 for AIFF. opusdec, arecord: 2³¹−1 and 2³¹ and a little less.
    """
    return (
        0x7EFFFFF8 <= declared <= 0x7F000008
        or 0x7FFFE000 <= declared <= 0x80000000
        or 0xFFFFE000 <= declared <= 0xFFFFFFFF
        or declared >= (1 << 63) - 64
    )


def _doubt_outer(found: Header, window: Window, outer: int) -> Header:
    """Wait longer when all the sound is there but the container announces more.

    Not ``short``: there are writers that get this number wrong and never mind.
    """
    if found.verdict != "complete" or outer <= window.size + 1 or _left_by_a_pipe(outer):
        return found
    detail = f"the sound is whole, but the container declares {outer} bytes"
    return Header("unknown", found.container, None, found.seconds, detail)


def _no_data(grammar: _Grammar, window: Window, outer: int) -> Header:
    expected = outer if outer > window.size and not _left_by_a_pipe(outer) else None
    return Header("short", grammar.container, expected, None, "ends before its audio begins")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _aiff_bytes_per_second(comm: bytes) -> float:
    channels, bits = int.from_bytes(comm[:2], "big"), int.from_bytes(comm[6:8], "big")
    # An 80-bit float; what is outside 1 Hz … 4 GHz is a lie and tells nothing.
    exponent = (int.from_bytes(comm[8:10], "big") & 0x7FFF) - 16383
    if not 0 <= exponent < 32:
        return 0.0
    rate_hz = math.ldexp(int.from_bytes(comm[10:18], "big"), exponent - 63)
    return rate_hz * channels * -(-bits // 8)


def _caf_bytes_per_second(desc: bytes) -> float:
    if len(desc) < 32:
        return 0.0
    rate_hz = float(struct.unpack(">d", desc[:8])[0])
    packet_bytes, packet_frames = (int.from_bytes(desc[at : at + 4], "big") for at in (16, 20))
    if not (packet_frames and 1 <= rate_hz <= 1e9):
        return 0.0
    return rate_hz * packet_bytes / packet_frames
