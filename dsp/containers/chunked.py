"""Containers made of chunks: WAV, RF64, BW64, W64, AIFF, AIFC, CAF.

Theory of operation
-------------------
All of them are one idea in five spellings: a name, a size, that many bytes, the next name.
A *grammar* holds the spelling; the walk is common. The chunk with the sound in it is compared
with the size of the file: that is the whole test. Decoders do not make it: a WAV cut in half
opens and decodes with no error, just shorter.

Three sizes mean something else. **0** is what a writer leaves until it closes the file.
**All ones** (or CAF's −1) is what a writer to a pipe leaves, so it is legal. Sox and other pipe
writers leave a number just under 2 GiB for the same reason.

A file that outgrew 4 GiB has a 32-bit size that **wrapped**, so that it declares a few seconds.
What lies behind the declared sound tells: whole chunks up to the end of the file are tags and
markers. If instead the size fits once a multiple of 2³² is added, all of it is sound. Anything
else of more than 1 MiB contradicts the header, as in a file whose recorder died: ``damaged``.

Rule 1: only plain PCM, float, A-law and µ-law are read without ffmpeg, the latter by tables of our
own: the parsers of compressed chunks are where libsndfile's memory errors were found.

References
----------
Multimedia Programming Interface 1.0 (RIFF); EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64);
EBU Tech 3285 (bext); iXML 3.01, SPEED; Sony Wave64 1.0; Apple AIFF 1.3 and AIFF-C; Apple Core
Audio Format 1.0.
"""

# ruff: noqa: PLR2004 - the numbers are the formats', and are named by their paragraphs

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from dsp.containers.header import Format, Header, Sound, Verdict, Window
from dsp.containers.speakers import of_caf, of_mask

_MOST_CHUNKS = 1024
_FOREIGN_TAIL_BYTES = 1 << 20
"""Behind the sound, what is no chunk: tags and padding that some programs append."""
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_W64_FIRST = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format tag in WAVE_FORMAT_EXTENSIBLE's SubFormat."""
_TIME_REFERENCE_AT = 338
_IXML_BYTES = 64 << 10
_IXML_STAMP = re.compile(rb"<TIMESTAMP_(SAMPLES_SINCE_MIDNIGHT_(?:HI|LO)|SAMPLE_RATE)>(\d{1,10})<")
_TAGS = {1: "pcm", 3: "float", 6: "alaw", 7: "ulaw"}
_AIFC = dict.fromkeys((b"NONE", b"twos", b"sowt", b"raw ", b"in24", b"in32"), "pcm")
_AIFC |= dict.fromkeys((b"42n1", b"23ni"), "pcm")
_AIFC |= dict.fromkeys((b"fl32", b"FL32", b"fl64", b"FL64"), "float")
_COMPANDED = (b"alaw", b"ulaw", b"ALAW", b"ULAW")
_AIFC |= {coding: coding.decode().casefold() for coding in _COMPANDED}
_FOREIGN_TAGS = {0x02: "adpcm", 0x11: "adpcm", 0x31: "gsm", 0x50: "mpeg", 0x55: "mpeg"}
_FOREIGN_CODINGS = {b"ima4": "adpcm", b"GSM ": "gsm", b"alac": "alac", b"aac ": "aac"}
_AIFC_LITTLE = (b"sowt", b"42n1", b"23ni")


@dataclass(frozen=True)
class _Grammar:
    order: Literal["little", "big"]
    first: int
    """Where the first chunk begins."""
    name_bytes: int = 4
    size_bytes: int = 4
    align: int = 2
    counts_itself: bool = False
    """The size includes the chunk's own name and size."""
    wraps: bool = True
    """The size of the sound is a number of 32 bits."""


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    start: int
    """Of the body."""
    declared: int
    """Bytes of the body, as the file claims."""


@dataclass(frozen=True)
class _File:
    container: str
    window: Window
    grammar: _Grammar
    outer: int
    """Bytes of the whole file, as its first size claims; 0: it has none."""


_WAV = _Grammar("little", 12)
_W64 = _Grammar("little", 40, name_bytes=16, size_bytes=8, align=8, counts_itself=True, wraps=False)
_AIFF = _Grammar("big", 12)
_CAF = _Grammar("big", 8, size_bytes=8, align=1, wraps=False)


def read_wav(window: Window) -> Header:
    """Read a file that begins with RIFF, RF64 or BW64."""
    head = window.at(0, 12)
    if len(head) == 12 and head[8:] != b"WAVE":
        return Header("not_audio", "riff", "RIFF, but not WAVE")
    chunks, outer = _chunks(window, _WAV), 8 + _little(head[4:8])
    container = "wav" if head[:4] == b"RIFF" else "rf64"
    data, grammar = chunks.get(b"data"), _WAV
    if container == "rf64" and data and data.declared == 0xFFFFFFFF:
        size = _body(window, chunks.get(b"ds64"), 16)[8:]
        data, grammar, outer = replace(data, declared=_little(size)), replace(_WAV, wraps=False), 0
    form = _wav_format(container, _body(window, chunks.get(b"fmt "), 40))
    header = _compared(_File(container, window, grammar, outer), form, data)
    return replace(header, time_stamp_frames=_time_stamp(window, chunks, header.format.rate_hz))


def read_w64(window: Window) -> Header:
    """Read a file that begins with Wave64's first GUID."""
    chunks = _chunks(window, _W64)
    form = _wav_format("w64", _body(window, chunks.get(b"fmt " + _W64_TAIL), 40))
    data, outer = chunks.get(b"data" + _W64_TAIL), _little(window.at(16, 8))
    return _compared(_File("w64", window, _W64, outer), form, data)


def read_aiff(window: Window) -> Header:
    """Read a file that begins with FORM."""
    head = window.at(0, 12)
    if len(head) == 12 and head[8:] not in (b"AIFF", b"AIFC"):
        return Header("not_audio", "iff", "FORM, but neither AIFF nor AIFC")
    chunks, outer = _chunks(window, _AIFF), 8 + int.from_bytes(head[4:8], "big")
    form = _aiff_format(_body(window, chunks.get(b"COMM"), 22))
    # The body begins with an offset and a block size, 4 bytes each.
    return _compared(_File("aiff", window, _AIFF, outer), form, _behind(chunks.get(b"SSND"), 8))


def read_caf(window: Window) -> Header:
    """Read a file that begins with caff."""
    chunks = _chunks(window, _CAF)
    form = _caf_format(_body(window, chunks.get(b"desc"), 32))
    if form and form.channels:
        layout = _body(window, chunks.get(b"chan"), 8)
        form = replace(form, speakers=of_caf(layout, form.channels))
    # The body begins with an edit count of 4 bytes.
    return _compared(_File("caf", window, _CAF, 0), form, _behind(chunks.get(b"data"), 4))


def is_w64(head: bytes) -> bool:
    """Tell whether a file begins as Wave64 does."""
    return head.startswith(_W64_FIRST)


def _walk(window: Window, grammar: _Grammar, offset: int) -> Iterator[_Chunk]:
    head_bytes = grammar.name_bytes + grammar.size_bytes
    for _ in range(_MOST_CHUNKS):
        head = window.at(offset, head_bytes)
        if len(head) < head_bytes:
            return
        declared = int.from_bytes(head[grammar.name_bytes :], grammar.order)
        if grammar.counts_itself:
            declared = max(0, declared - head_bytes)
        start = offset + head_bytes
        yield _Chunk(head[: grammar.name_bytes], start, declared)
        offset = start + -(-declared // grammar.align) * grammar.align


def _chunks(window: Window, grammar: _Grammar) -> dict[bytes, _Chunk]:
    """Return the first chunk of each name."""
    found: dict[bytes, _Chunk] = {}
    for chunk in _walk(window, grammar, grammar.first):
        found.setdefault(chunk.name, chunk)
    return found


def _body(window: Window, chunk: _Chunk | None, count: int) -> bytes:
    return window.at(chunk.start, min(chunk.declared, count)) if chunk else b""


def _behind(chunk: _Chunk | None, count: int) -> _Chunk | None:
    """Return the chunk without the first bytes of its body."""
    if chunk is None:
        return None
    return _Chunk(chunk.name, chunk.start + count, max(0, chunk.declared - count))


def _compared(file: _File, form: Format | None, data: _Chunk | None) -> Header:
    """Compare the payload that the file declares with what lies there."""
    size, outer = file.window.size, file.outer
    if data is None or form is None:
        expected = outer if outer > size and not _left_by_a_pipe(outer) else None
        text = "ends before its audio begins"
        return Header("short", file.container, text, form or Format(), bytes_expected=expected)
    start, declared, there = data.start, data.declared, max(0, size - data.start)
    sound = Sound(start, there, declared)
    header = Header(
        "complete", file.container, format=form, sound=sound, bytes_expected=start + declared
    )
    pipe = _left_by_a_pipe(declared)
    if declared == 0 or (pipe and (declared > there or _contradicted(file, start + declared))):
        header = _open_ended(header, sound)
    elif declared > there:
        text = f"{there} of {declared} declared bytes of audio"
        header = replace(header, verdict="short", detail=text)
    else:
        header = _with_tail(header, sound, file)
    declared = header.sound.declared if header.sound else 0
    return replace(header, frames=declared // form.frame_bytes if form.frame_bytes else None)


def _open_ended(header: Header, sound: Sound) -> Header:
    """Return the header of a file whose writer did not, or could not, say how long it is."""
    verdict: Verdict = "unknown"
    text = "written to a pipe: no length declared"
    if sound.declared == 0:
        verdict, text = "growing" if sound.found else "empty", "the header declares no audio yet"
    outgrown = 0 < sound.declared < sound.found
    sound = replace(sound, declared=sound.found, outgrown=outgrown)
    return Header(verdict, header.container, text, header.format, counted=False, sound=sound)


def _with_tail(header: Header, sound: Sound, file: _File) -> Header:
    """Look at what lies behind the sound that the header declares."""
    window, end, declared = file.window, sound.start + sound.declared, sound.declared
    contradicted = _contradicted(file, end)
    wrapped = end + ((window.size - end) >> 32 << 32)
    fits = file.grammar.wraps and wrapped > end and not _contradicted(file, wrapped)
    if contradicted and fits:
        text = f"its 32-bit size has wrapped: it declares {declared} bytes of audio"
        text += f" and has {wrapped - sound.start}"
        sound = replace(sound, declared=wrapped - sound.start, outgrown=True)
        return replace(header, sound=sound, bytes_expected=wrapped, warning=text, detail=text)
    # Not ``short``: there are writers that get the outer size wrong and never mind.
    if file.outer > window.size + 1 and not _left_by_a_pipe(file.outer):
        text = f"the sound is whole, but the container declares {file.outer} bytes"
        return replace(header, verdict="unknown", detail=text, bytes_expected=None)
    if contradicted and any(window.at(end, 1 << 16)):
        text = f"{window.size - end} bytes behind the {declared} bytes of audio that it declares"
        return replace(header, verdict="damaged", detail=text)
    return replace(header, detail=f"{declared} bytes of audio declared and there")


def _contradicted(file: _File, end: int) -> bool:
    """Tell whether more lies behind `end` than chunks, and the little that programs append."""
    window, grammar = file.window, file.grammar
    if window.size - end <= _FOREIGN_TAIL_BYTES:
        return False
    # An odd length wants a pad byte, which many writers forget.
    padded = end + (grammar.first - end) % grammar.align
    return all(_unexplained(window, grammar, at) > _FOREIGN_TAIL_BYTES for at in {end, padded})


def _unexplained(window: Window, grammar: _Grammar, offset: int) -> int:
    """Return how many bytes from `offset` to the end no chunk accounts for."""
    for chunk in _walk(window, grammar, offset):
        named = all(0x20 <= letter < 0x7F for letter in chunk.name[:4])
        if not named or chunk.start + chunk.declared > window.size + 1:
            break
        offset = chunk.start + chunk.declared
    return window.size - offset


def _left_by_a_pipe(declared: int) -> bool:
    """Tell whether a size is one that writers leave when they cannot go back.

    ffmpeg, gstreamer: all ones (W64: 2⁶³−1, CAF: −1). sox: 0x7ffff000 for WAV and 0x7f000000
    for AIFF, both less a partial frame, of up to 64 channels of 64 bits here. opusdec, arecord:
    2³¹−1 and 2³¹ and a little less.
    """
    return (
        0x7F000000 - 520 <= declared <= 0x7F000008
        or 0x7FFFE000 <= declared <= 0x80000000
        or 0xFFFFE000 <= declared <= 0xFFFFFFFF
        or declared >= (1 << 63) - 64
    )


def _time_stamp(window: Window, chunks: dict[bytes, _Chunk], rate_hz: int | None) -> int | None:
    """Return the time stamp of a ``bext`` chunk, else of an ``iXML`` chunk, in frames."""
    reference = _body(window, chunks.get(b"bext"), _TIME_REFERENCE_AT + 8)[_TIME_REFERENCE_AT:]
    if len(reference) == 8:
        return _little(reference)
    found = dict(_IXML_STAMP.findall(_body(window, chunks.get(b"iXML"), _IXML_BYTES)))
    if b"SAMPLES_SINCE_MIDNIGHT_LO" not in found:
        return None
    high, low = (int(found.get(b"SAMPLES_SINCE_MIDNIGHT_" + part, 0)) for part in (b"HI", b"LO"))
    stamped_hz = int(found.get(b"SAMPLE_RATE", 0)) or rate_hz or 1
    return (high << 32 | low) * (rate_hz or stamped_hz) // stamped_hz


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _wav_format(container: str, body: bytes) -> Format | None:
    if len(body) < 16:
        return None
    tag, channels, rate_hz, _, frame_bytes = struct.unpack_from("<HHIIH", body)
    extensible = tag == 0xFFFE
    if extensible and len(body) < 40:
        return None
    if extensible and body[26:40] == _GUID_TAIL:
        tag = _little(body[24:26])
    if tag in _FOREIGN_TAGS:
        demuxer = "w64" if container == "w64" else "wav"
        return Format(_FOREIGN_TAGS[tag], rate_hz, channels, demuxer=demuxer)
    if tag not in _TAGS:
        kind = f"{container.upper()} with the compressed format 0x{tag:04x}"
        return Format(rate_hz=rate_hz, channels=channels, unsupported=kind)
    signed = frame_bytes > channels
    speakers = of_mask(_little(body[20:24]), channels) if extensible else ()
    return Format(_TAGS[tag], rate_hz, channels, frame_bytes, signed=signed, speakers=speakers)


def _aiff_format(body: bytes) -> Format | None:
    if len(body) < 18:
        return None
    channels, bits = struct.unpack_from(">h4xh", body)
    coding = body[18:22] if len(body) == 22 else b"NONE"
    # An 80-bit float. What is not between 1 Hz and 4 GHz is a lie, and 0 will be refused.
    power = int.from_bytes(body[8:10], "big") - 16383
    mantissa = int.from_bytes(body[10:18], "big")
    rate_hz = round(math.ldexp(mantissa, power - 63)) if 0 <= power < 32 else 0
    if coding in _FOREIGN_CODINGS:
        return Format(_FOREIGN_CODINGS[coding], rate_hz, channels, demuxer="aiff")
    if coding not in _AIFC:
        kind = f"AIFC with the compressed format {coding.decode('latin-1')!r}"
        return Format(rate_hz=rate_hz, channels=channels, unsupported=kind)
    # Bits are those that A-law and µ-law are decoded to.
    frame_bytes = max(0, channels * (1 if coding in _COMPANDED else -(-bits // 8)))
    order: Literal["little", "big"] = "little" if coding in _AIFC_LITTLE else "big"
    signed = coding != b"raw "
    return Format(_AIFC[coding], rate_hz, channels, frame_bytes, order, signed)


def _caf_format(body: bytes) -> Format | None:
    if len(body) < 32:
        return None
    exact_hz, coding, flags, packet_bytes, packet_frames, channels = struct.unpack_from(
        ">d4sIIII", body
    )
    known = math.isfinite(exact_hz) and 1.0 <= exact_hz < 2.0**32
    rate_hz = round(exact_hz) if known else 0
    if coding in _FOREIGN_CODINGS:
        return Format(_FOREIGN_CODINGS[coding], rate_hz, channels, demuxer="caf")
    frame_bytes = packet_bytes if packet_frames == 1 else 0
    if coding in _COMPANDED:
        return Format(coding.decode(), rate_hz, channels, frame_bytes)
    if coding != b"lpcm":
        kind = f"CAF with the compressed format {coding.decode('latin-1')!r}"
        return Format(rate_hz=rate_hz, channels=channels, unsupported=kind)
    order: Literal["little", "big"] = "little" if flags & 2 else "big"
    return Format("float" if flags & 1 else "pcm", rate_hz, channels, frame_bytes, order)
