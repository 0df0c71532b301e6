"""What a file is, told by its own first bytes: nothing else is let near the decoder.

Theory of operation
-------------------
libsndfile chooses a parser by content, not by name, and has parsers for thirty formats;
most of its memory errors were in the ones that nobody uses. So our own look comes first,
and only plain WAV, RF64, W64, AIFF, CAF, FLAC, Ogg (Vorbis, Opus) and MPEG audio pass. MP4,
AAC and Ogg FLAC, which libsndfile 1.2 opens in none of ffmpeg's files, are for ``foreign``.

A stream has no size to compare. FLAC counts its frames, so decoding shows what is missing.
Ogg marks its last page; a file that ends inside a page was cut. MP3 counts only where its
first frame is a Xing or Info frame.

References
----------
RFC 9639 (FLAC) 8.2; RFC 3533 (Ogg) 6; RFC 7845 (Opus) 5.1; Vorbis I 4.2; ISO 11172-3.
"""

# ruff: noqa: PLR2004 - the numbers are the formats', and are named by their paragraphs

from collections.abc import Callable

from dsp.formats.chunks import (
    W64_MAGIC,
    claim_of_aiff,
    claim_of_caf,
    claim_of_w64,
    claim_of_wav,
)
from dsp.formats.peek import Claim, Cut, Peek, Unsupported

_CHUNKED = (b"RIFF", b"RF64", b"BW64", b"FORM", b"riff")
_MOST_TAGS = 4
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
_MP3_RATES_HZ = (44_100, 48_000, 32_000)
_STRANGERS = (
    (0, bytes.fromhex("3026b2758e66cf11"), "WMA"),
    (0, bytes.fromhex("1a45dfa3"), "Matroska or WebM"),
    (0, b".snd", "AU"),
    (0, b"RIFX", "big-endian WAV"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "TrueAudio"),
    (0, b"DSD ", "DSF"),
    (0, b"FRM8", "DSDIFF"),
    (0, b"#!AMR", "AMR"),
)


def claim_of(peek: Peek) -> Claim | None:
    """Return what a file claims to be; ``None`` when nobody knows its first bytes.

    Raises
    ------
    Unsupported
        It is audio that is not let near the decoder.
    Cut
        It ends before its sound does.
    """
    tag_bytes = _id3_bytes(peek)
    head = peek.at(tag_bytes, 64)
    # After a tag only the two formats that carry one: RIFF there would be somebody's trick.
    walk = _walker(head) if not tag_bytes else None
    if walk:
        return walk(peek)
    if head[:4] == b"fLaC":
        return _claim_of_flac(head)
    if head[4:8] == b"ftyp" and not tag_bytes:
        return Claim("mp4", "", demuxer="mov")
    if head[:1] == b"\xff" and head[1:2] and head[1] & 0xF6 == 0xF0:
        return Claim("aac", "aac", demuxer="aac")
    if _is_mpeg(head):
        return _claim_of_mpeg(head, peek.at(tag_bytes, 200))
    _refuse_strangers(head)
    return None


def _walker(head: bytes) -> Callable[[Peek], Claim] | None:
    if len(head) < 16 and head[:4] in _CHUNKED:
        raise Cut("within its first bytes")
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return claim_of_wav
    if head[:16] == W64_MAGIC:
        return claim_of_w64
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return claim_of_aiff
    if head[:4] == b"caff":
        return claim_of_caf
    return _claim_of_ogg if head[:4] == b"OggS" else None


def _refuse_strangers(head: bytes) -> None:
    for offset, magic, kind in _STRANGERS:
        if head[offset:].startswith(magic):
            raise Unsupported(kind)


def _id3_bytes(peek: Peek) -> int:
    """Return the length of the ID3v2 tags at the beginning."""
    length = 0
    for _ in range(_MOST_TAGS):
        head = peek.at(length, 10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
            break
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        length += 10 + size + (10 if head[5] & 0x10 else 0)
    if length and length >= peek.size:
        raise Cut("within its ID3 tag")
    return length


def _claim_of_flac(head: bytes) -> Claim:
    info = head[8:42]
    if len(info) < 34:
        raise Cut("within its STREAMINFO")
    if head[4] & 0x7F:
        return Claim("flac", "flac", counted=False)  # libFLAC will say what is wrong with it
    packed = int.from_bytes(info[10:18], "big")
    return Claim(
        "flac",
        "flac",
        rate_hz=packed >> 44,
        channels=(packed >> 41 & 7) + 1,
        counted=packed & 0xF_FFFF_FFFF > 0,
    )


def _claim_of_ogg(peek: Peek) -> Claim:
    head = peek.at(0, 27 + 255 + 64)
    packet = head[27 + head[26] :] if len(head) > 27 else b""
    codecs = {b"\x01vorbis": "vorbis", b"OpusHead": "opus", b"\x7fFLAC": "flac"}
    codec = next((name for magic, name in codecs.items() if packet.startswith(magic)), None)
    if codec is None:
        if len(packet) < 8:
            raise Cut("within its first page")
        raise Unsupported("Ogg with neither Vorbis nor Opus nor FLAC in it")
    tail = peek.tail(_OGG_PAGE_BYTES)
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        raise Cut("within a page")
    # A recorder that was stopped leaves no mark on its last page, and that is legal.
    demuxer = "ogg" if codec == "flac" else ""
    return Claim("ogg", codec, demuxer=demuxer, counted=bool(page[5] & 4))


def _is_mpeg(head: bytes) -> bool:
    """Tell whether a frame of MPEG audio, layer I to III, begins here."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3


def _claim_of_mpeg(head: bytes, first: bytes) -> Claim:
    at = max(first.find(b"Xing"), first.find(b"Info"))
    counted = 0 <= at <= len(first) - 8 and bool(first[at + 7] & 1)
    version = head[1] >> 3 & 3
    rate_hz = _MP3_RATES_HZ[head[2] >> 2 & 3] // {3: 1, 2: 2, 0: 4}[version]
    return Claim(
        "mp3",
        "mpeg",
        rate_hz=rate_hz,
        channels=1 if head[3] >> 6 == 3 else 2,
        counted=counted,
    )
