"""Containers made of chunks: what a WAV, RF64, BW64, W64, AIFF, AIFC or CAF says it is.

Theory of operation
-------------------
libsndfile trims what a header declares to what is there, and a WAV that was cut in half
decodes with no error, just shorter. So the chunks are walked here, and the one that holds
the sound is compared with the size of the file.

Some sizes mean "written to a pipe, the length was never known": all ones (CAF: −1), the
numbers that sox and others leave, and 0 with sound behind it. Those are legal.

Rule 1: only plain PCM and float pass; the parsers of compressed chunks are where
libsndfile's memory errors were found.

References
----------
Multimedia Programming Interface 1.0 (RIFF), EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64),
EBU Tech 3285 (bext), Sony Wave64 1.0, Apple AIFF 1.3 and AIFF-C, Apple Core Audio Format.
"""

# ruff: noqa: PLR2004 - the numbers are the formats', and are named by their paragraphs

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dsp.formats.peek import Claim, Cut, Peek, Unsupported

W64_MAGIC = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")

_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the format tag in WAVE_FORMAT_EXTENSIBLE's SubFormat."""
_MOST_CHUNKS = 1024
_TIME_REFERENCE_AT = 338
_TAGS = {1: "pcm", 3: "float"}
_AIFC_PCM = (b"NONE", b"twos", b"sowt", b"raw ", b"in24", b"in32", b"42n1", b"23ni")
_AIFC_FLOAT = (b"fl32", b"FL32", b"fl64", b"FL64")
_AIFC = dict.fromkeys(_AIFC_PCM, "pcm") | dict.fromkeys(_AIFC_FLOAT, "float")


@dataclass(frozen=True)
class _Spelling:
    """How a container writes a chunk's name and size."""

    order: str
    first: int
    """Where the first chunk begins."""
    name_bytes: int = 4
    size_bytes: int = 4
    align: int = 2
    counts_itself: bool = False


_WAV = _Spelling("little", 12)
_W64 = _Spelling("little", 40, name_bytes=16, size_bytes=8, align=8, counts_itself=True)
_AIFF = _Spelling("big", 12)
_CAF = _Spelling("big", 8, size_bytes=8, align=1)


def claim_of_wav(peek: Peek) -> Claim:
    """Return the claim of a file that begins with RIFF, RF64 or BW64 and WAVE."""
    long = peek.at(0, 4) != b"RIFF"
    claim = Claim("rf64" if long else "wav", "")
    long_bytes, stamp = 0, None
    for name, start, declared in _walk(peek, _WAV):
        if name == b"fmt ":
            claim = _with_format(claim, peek.at(start, min(declared, 40)))
        elif name == b"ds64":
            long_bytes = int.from_bytes(peek.at(start + 8, 8), "little")
        elif name == b"bext":
            stamp = int.from_bytes(peek.at(start + _TIME_REFERENCE_AT, 8), "little")
        elif name == b"data":
            ours = long_bytes if long and declared == 0xFFFFFFFF else declared
            claim = _with_sound(claim, peek, start, ours)
            if long or not claim.counted or claim.cut:
                break
    return replace(_finished(claim), time_stamp_frames=stamp)


def claim_of_w64(peek: Peek) -> Claim:
    """Return the claim of a file that begins with ``W64_MAGIC``."""
    claim = Claim("w64", "")
    for name, start, declared in _walk(peek, _W64):
        if name == b"fmt " + _W64_TAIL:
            claim = _with_format(claim, peek.at(start, min(declared, 40)))
        elif name == b"data" + _W64_TAIL:
            claim = _with_sound(claim, peek, start, declared)
            break
    return _finished(claim)


def claim_of_aiff(peek: Peek) -> Claim:
    """Return the claim of a file that begins with FORM and AIFF or AIFC."""
    claim = Claim("aiff", "")
    for name, start, declared in _walk(peek, _AIFF):
        if name == b"COMM":
            claim = _with_common(claim, peek.at(start, 22)[: max(declared, 18)])
        elif name == b"SSND":
            # The body begins with an offset and a block size, 4 bytes each.
            claim = _with_sound(claim, peek, start + 8, max(0, declared - 8))
        if claim.codec and claim.declared_bytes is not None:
            break
    return _finished(claim)


def claim_of_caf(peek: Peek) -> Claim:
    """Return the claim of a file that begins with caff."""
    claim = Claim("caf", "")
    for name, start, declared in _walk(peek, _CAF):
        if name == b"desc":
            claim = _with_description(claim, peek.at(start, 32))
        elif name == b"data":
            # The body begins with an edit count of 4 bytes.
            claim = _with_sound(claim, peek, start + 4, max(0, declared - 4))
            break
    return _finished(claim)


def _walk(peek: Peek, spelling: _Spelling) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and declared bytes of the body of each chunk."""
    offset, head_bytes = spelling.first, spelling.name_bytes + spelling.size_bytes
    for _ in range(_MOST_CHUNKS):
        head = peek.at(offset, head_bytes)
        if len(head) < head_bytes:
            return
        declared = int.from_bytes(head[spelling.name_bytes :], spelling.order)  # type: ignore[arg-type]  # "little" or "big"
        declared -= head_bytes if spelling.counts_itself else 0
        start = offset + head_bytes
        yield head[: spelling.name_bytes], start, max(0, declared)
        offset = start + -(-max(0, declared) // spelling.align) * spelling.align


def _with_format(claim: Claim, body: bytes) -> Claim:
    if len(body) < 16:
        raise Cut("within its format")
    tag, channels, rate_hz = struct.unpack_from("<HHI", body)
    if tag == 0xFFFE and len(body) < 40:
        raise Cut("within its format")
    if tag == 0xFFFE:
        tag = int.from_bytes(body[24:26], "little") if body[26:40] == _GUID_TAIL else tag
    if tag not in _TAGS:
        raise Unsupported(f"{claim.container.upper()} with the compressed format 0x{tag:04x}")
    return replace(claim, codec=_TAGS[tag], rate_hz=rate_hz, channels=channels)


def _with_common(claim: Claim, body: bytes) -> Claim:
    if len(body) < 18:
        raise Cut("within its format")
    coding = body[18:22] or b"NONE"
    if coding not in _AIFC:
        raise Unsupported(f"AIFC with the compressed format {coding.decode('latin-1')!r}")
    channels, exponent = struct.unpack_from(">h", body)[0], struct.unpack_from(">H", body, 8)[0]
    # An 80-bit float. What is not between 1 Hz and 4 GHz is a lie, and 0 will be refused.
    power = (exponent & 0x7FFF) - 16383
    mantissa = int.from_bytes(body[10:18], "big")
    rate_hz = round(math.ldexp(mantissa, power - 63)) if 0 <= power < 32 else 0
    return replace(claim, codec=_AIFC[coding], rate_hz=rate_hz, channels=channels)


def _with_description(claim: Claim, body: bytes) -> Claim:
    if len(body) < 32:
        raise Cut("within its format")
    rate_hz, coding, flags = struct.unpack_from(">d4sI", body)
    if coding != b"lpcm":
        raise Unsupported(f"CAF with the compressed format {coding.decode('latin-1')!r}")
    known = math.isfinite(rate_hz) and 1.0 <= rate_hz < 2.0**32
    channels = int.from_bytes(body[24:28], "big")
    codec = "float" if flags & 1 else "pcm"
    return replace(claim, codec=codec, rate_hz=round(rate_hz) if known else 0, channels=channels)


def _with_sound(claim: Claim, peek: Peek, start: int, declared: int) -> Claim:
    found = max(0, peek.size - start)
    open_ended = declared > found and _left_by_a_pipe(declared)
    if open_ended or (declared == 0 and found > 0):
        return replace(claim, counted=False, found_bytes=found, declared_bytes=found)
    return replace(claim, found_bytes=found, declared_bytes=declared)


def _left_by_a_pipe(declared: int) -> bool:
    """Tell whether a size is one that writers leave when they cannot go back.

    ffmpeg: all ones (W64: 2⁶³−1, CAF: −1). sox: 0x7ffff000 less a partial frame for WAV,
    0x7f000000 for AIFF. arecord, opusdec: 2³¹ and a little less.
    """
    return (
        0x7EFFFFF0 <= declared <= 0x7F000008
        or 0x7FFFE000 <= declared <= 0x80000000
        or 0xFFFFE000 <= declared <= 0xFFFFFFFF
        or declared >= (1 << 63) - 64
    )


def _finished(claim: Claim) -> Claim:
    if not claim.codec or claim.declared_bytes is None:
        raise Cut("before its sound begins")
    return claim
