"""Matroska and WebM: elements in a row and in each other, each with its identity and its size.

A finished file says how many bytes its segment has. A browser's recorder never does: then nothing
tells whether all of it is there.

References
----------
RFC 8794 (EBML), sections 4 to 6: variable-size integers, element sizes, sizes that are unknown.
RFC 9559 (Matroska), section 5: the elements.
"""

import struct
from collections.abc import Iterator, Mapping

from dsp.containers.header import Format, Header, Verdict, Window

_SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_SCALE, _DURATION = 0x2AD7B1, 0x4489
_TRACK, _KIND, _CODEC, _AUDIO, _RATE, _CHANNELS = 0xAE, 0x83, 0x86, 0xE1, 0xB5, 0x9F
_SOUND = 2
_USUAL_SCALE_NS, _USUAL_HZ = 1_000_000, 8_000.0  # where the elements are left out
_LONGEST_S = _HIGHEST_HZ = 1e9  # what claims more tells nothing
_LONGEST_IDENTITY, _LONGEST_VALUE = 4, 64
_CODECS = {
    b"A_OPUS": "opus",
    b"A_VORBIS": "vorbis",
    b"A_AAC": "aac",
    b"A_FLAC": "flac",
    b"A_MPEG": "mpeg",
    b"A_PCM/INT": "pcm",
    b"A_PCM/FLOAT": "float",
}
_DEMUXER = "matroska"
_MOST_ELEMENTS = 256

_Element = tuple[int, int, int | None]
"""Identity, where its body starts, and its bytes; ``None``: not told."""
_Span = tuple[int, int]
"""Where the body of an element starts and ends."""


def read_matroska(window: Window) -> Header:
    """Say what the first track of sound is, and whether the segment is all there."""
    for identity, at, size in _elements(window, 0, window.size):
        if identity == _SEGMENT:
            return _segment(window, at, size)
    return Header("short", "matroska", "ends before its segment", Format(demuxer=_DEMUXER))


def _segment(window: Window, start: int, size: int | None) -> Header:
    end = window.size if size is None else start + size
    duration_s, form = 0.0, Format(demuxer=_DEMUXER)
    for identity, at, length in _elements(window, start, end):
        if identity == _CLUSTER or length is None:
            break
        if identity == _INFO:
            duration_s = _duration_s(window, (at, at + length))
        elif identity == _TRACKS and not form.codec:
            form = _first_sound(window, (at, at + length))
    known = form.rate_hz and 0.0 < duration_s < _LONGEST_S
    frames = round(duration_s * (form.rate_hz or 0)) if known else None
    verdict: Verdict = "unknown"
    detail, expected = "matroska: its recorder did not say how long it is", None
    if size is not None:
        verdict = "complete" if end == window.size else "unknown"
        detail = "" if end == window.size else "matroska: there is more behind its end"
    if end > window.size:
        verdict, expected = "short", end
        detail = f"has {window.size} of {end} bytes that it declares"
    return Header(verdict, "matroska", detail, form, frames, counted=False, bytes_expected=expected)


def _first_sound(window: Window, span: _Span) -> Format:
    for identity, at, size in _elements(window, *span):
        if identity != _TRACK or size is None:
            continue
        track = _children(window, (at, at + size))
        if int.from_bytes(_value(window, track, _KIND)) != _SOUND:
            continue
        name = _value(window, track, _CODEC)
        audio = _children(window, track[_AUDIO]) if _AUDIO in track else {}
        rate_hz = _float(_value(window, audio, _RATE), _USUAL_HZ)
        return Format(
            next((word for start, word in _CODECS.items() if name.startswith(start)), ""),
            round(rate_hz) if 0.0 < rate_hz < _HIGHEST_HZ else None,
            int.from_bytes(_value(window, audio, _CHANNELS)) or 1,
            demuxer=_DEMUXER,
        )
    return Format(demuxer=_DEMUXER)


def _duration_s(window: Window, span: _Span) -> float:
    info = _children(window, span)
    scale_ns = int.from_bytes(_value(window, info, _SCALE)) or _USUAL_SCALE_NS
    return _float(_value(window, info, _DURATION), 0.0) * scale_ns / 1e9


def _elements(window: Window, at: int, end: int) -> Iterator[_Element]:
    for _ in range(_MOST_ELEMENTS):
        head = window.at(at, 12) if at < end else b""
        width = width_of(head)
        if not 1 <= width <= _LONGEST_IDENTITY:
            return
        size, bytes_of_size = number_of(head[width:])
        if not bytes_of_size:
            return
        body = at + width + bytes_of_size
        yield int.from_bytes(head[:width]), body, size
        if size is None:
            return
        at = body + size


def _children(window: Window, span: _Span) -> dict[int, _Span]:
    found: dict[int, _Span] = {}
    for identity, at, size in _elements(window, *span):
        if size is not None:
            found.setdefault(identity, (at, at + size))
    return found


def _value(window: Window, elements: Mapping[int, _Span], identity: int) -> bytes:
    start, end = elements.get(identity, (0, 0))
    return window.at(start, min(end - start, _LONGEST_VALUE))


def width_of(data: bytes) -> int:
    """Return how many bytes a number takes, as its first one tells; 0: it is none."""
    return 9 - data[0].bit_length() if data and data[0] else 0


def number_of(data: bytes) -> tuple[int | None, int]:
    """Return a size and how many bytes it takes; all ones: not told. 0 bytes: there is none."""
    width = width_of(data)
    if not width or len(data) < width:
        return None, 0
    ones = (1 << 7 * width) - 1
    number = int.from_bytes(data[:width]) & ones
    return None if number == ones else number, width


def _float(data: bytes, default: float) -> float:
    form = {4: ">f", 8: ">d"}.get(len(data))
    return float(struct.unpack(form, data)[0]) if form else default
