"""Formats made of frames or pages: FLAC, Ogg, MP3.

Theory of operation
-------------------
None of them says how many *bytes* it has, so the end is looked at instead.

* FLAC declares its samples. The last frame must carry the number that reaches exactly that
  count, and its checksum must agree; then nothing is missing at the end.
* Ogg flags its last page. A file that ends within a page is cut; one that ends on a page
  without the flag may be a recorder's legal dump: length unknown.
* MP3 may carry its byte count in a Xing or Info frame; without one its length is unknown.

References
----------
RFC 9639 (FLAC), sections 8.2, 9.1 and 9.3; RFC 3533 (Ogg), section 6; ISO 11172-3;
id3.org, ID3v2.4 structure.
"""

# ruff: noqa: PLR2004 - the numbers are the formats', and are named by their paragraphs

import re
from dataclasses import replace
from functools import cache
from itertools import islice

from dsp.containers.header import Format, Header, Verdict, Window

_FLAC_TAIL, _FLAC_LONGEST = 128 << 10, 2 << 20
_FLAC_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_FLAC_SYNCS = 1000
_OGG_PAGE = 65_307
"""The longest page there can be: 27 + 255 + 255 · 255 bytes."""
_MOST_TAGS = 4
_MP3_SEARCH = 8 << 10
_MP3_RATES_HZ = (44_100, 48_000, 32_000)
# The decoder's filters, and what LAME's own and ISO's encoders add before the sound.
_MP3_DELAY, _MP2_DELAY = 529 + 576, 241 + 240
_MP3_KBITS = {  # (MPEG 1?, layer) -> by bit-rate index 1..14
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def read_flac(window: Window, start: int, *, to_end: bool = True) -> Header:
    """Read a FLAC stream whose ``fLaC`` is at `start`; ``to_end``: look for its last frame."""
    head = window.at(start + 4, 38)
    if len(head) < 38:
        return Header("short", "flac", "ends within STREAMINFO")
    if head[0] & 0x7F:  # libFLAC will say what is wrong with it
        return Header("unknown", "flac", "no STREAMINFO", Format("flac"), counted=False)
    info = head[4:]
    packed = int.from_bytes(info[10:18], "big")
    total = packed & 0xF_FFFF_FFFF
    form = Format("flac", packed >> 44, (packed >> 41 & 7) + 1)
    header = Header("unknown", "flac", "no count of samples", form, total or None)
    if not total:
        return replace(header, counted=False)
    if not to_end or not any(info[18:]):
        return replace(header, detail="no checksum" if to_end else "its end was not looked for")
    longest_frame = int.from_bytes(info[7:10], "big")
    tail = window.tail(min(max(_FLAC_TAIL, longest_frame), _FLAC_LONGEST) + 128)
    if tail[-128:-125] == b"TAG":
        tail = tail[:-128]
    if _flac_ends_at(total, int.from_bytes(info[2:4], "big"), tail):
        seen = f"the last of {total} samples seen"
        return replace(header, verdict="complete", bytes_expected=window.size, detail=seen)
    return replace(header, verdict="short", detail=f"the last of {total} samples is missing")


def read_ogg(window: Window) -> Header:
    """Read a file that begins with OggS."""
    form, tail = _ogg_format(window), window.tail(_OGG_PAGE + 4)
    at = tail.rfind(b"OggS")
    page = tail[at:] if at >= 0 else b""
    if form is None or len(page) < 27 or len(page) < _ogg_page_bytes(page):
        return Header("short", "ogg", "ends within a page", form or Format(), counted=False)
    granule = int.from_bytes(page[6:14], "little")
    if not granule:
        return Header("short", "ogg", "ends before its audio begins")
    frames = granule if granule < 1 << 62 else None
    # Every stream has a serial number of its own; the count of frames begins anew with each.
    chained = page[14:18] != window.at(14, 4)
    header = Header("complete", "ogg", "ends with its last page", form, frames, chained=chained)
    if page[5] & 4:
        return replace(header, bytes_expected=window.size)
    # A recorder that was stopped leaves no mark on its last page, and that is legal.
    text = "ends on a page not marked as the last"
    return replace(header, verdict="unknown", detail=text, counted=False)


def read_mp3(window: Window, start: int) -> Header | None:
    """Read MPEG audio that begins at `start` or a little later; ``None``: none is there."""
    near = window.at(start, _MP3_SEARCH)
    for skip in range(len(near) - 4):
        if near[skip] == 0xFF and (frame := _mp3_frame(near[skip : skip + 4])):
            length, samples, form = frame
            if start + skip + length > window.size:
                return Header("short", "mp3", "ends within its first frame")
            following = window.at(start + skip + length, 4)
            # 0xFF and three bits are found in anything; two frames in a row are not.
            if len(following) == 4 and not _mp3_frame(following):
                continue
            return _mp3_header(window, start + skip, length, samples, form)
        if not start and near[skip]:
            return None  # without a tag before it, MPEG audio begins at once or after zeros
    return None


def id3_bytes(window: Window, start: int = 0) -> int:
    """Return the length of the ID3v2 tags that begin at `start`; 0 for none."""
    length = 0
    for _ in range(_MOST_TAGS):
        head = window.at(start + length, 10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
            break
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        length += 10 + size + (10 if head[5] & 0x10 else 0)
    return length


def _flac_ends_at(total: int, block: int, tail: bytes) -> bool:
    """Tell whether `tail` ends with the whole frame that brings the count to `total`."""
    # The bounds are for files made to cost much: chance alone gives a sync every 32 KiB, and a
    # header that ends at the very count, never.
    syncs = [match.start() for match in _FLAC_SYNC.finditer(tail)][-_FLAC_SYNCS:]
    ends = (at for at in reversed(syncs) if _flac_frame_end(tail[at : at + 16], block) == total)
    return any(_crc(tail[at:], 0x8005, 16) == 0 for at in islice(ends, 2))


def _flac_frame_end(head: bytes, block: int) -> int | None:
    """Return the count of samples up to the end of the frame that begins `head`, if one does.

    `block` is STREAMINFO's largest block: frames of a fixed size are numbered, not counted.
    """
    if len(head) < 7 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    number, at = _flac_number(head)
    code, rate_code = head[2] >> 4, head[2] & 0xF
    extra = {6: 1, 7: 2}.get(code, 0)
    samples = int.from_bytes(head[at : at + extra], "big") + 1 if extra else _flac_block(code)
    at += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if number is None or not samples or _crc(head[: at + 1], 0x07, 8) != 0:
        return None
    return (number if head[1] & 1 else number * block) + samples


def _flac_number(head: bytes) -> tuple[int | None, int]:
    """Return the coded number of a frame (RFC 9639, 9.1.5) and where it ends in `head`."""
    lead = head[4]
    more = next((n for n in range(8) if not lead & (0x80 >> n)), 8)
    if more == 0:
        return lead, 5
    if more in (1, 8):
        return None, 5
    number = lead & (0x7F >> more)
    for byte in head[5 : 4 + more]:
        number = number << 6 | (byte & 0x3F)
    return number, 4 + more


def _flac_block(code: int) -> int:
    """Return the samples of a block by its 4-bit code; 0 for the reserved one."""
    if code < 2:
        return 192 * code
    return 576 << (code - 2) if code <= 5 else 256 << (code - 8)


@cache
def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return tuple(table)


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """Return the remainder of `data`; 0 when it ends with its own checksum."""
    table, mask = _crc_table(polynomial, bits), (1 << bits) - 1
    value = 0
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> (bits - 8) ^ byte]
    return value


def _ogg_page_bytes(page: bytes) -> int:
    segments = page[26]
    return 27 + segments + sum(page[27 : 27 + segments])


def _ogg_format(window: Window) -> Format | None:
    """Return what the first packet says; ``None`` when the file ends before it does."""
    head = window.at(0, 27 + 255 + 64)
    packet = head[27 + head[26] :] if len(head) > 27 else b""
    if packet.startswith(b"\x01vorbis"):
        return Format("vorbis", int.from_bytes(packet[12:16], "little"))
    if packet.startswith(b"OpusHead"):
        return Format("opus", 48_000)
    if packet.startswith(b"\x7fFLAC"):
        return Format("flac", demuxer="ogg")
    if len(packet) < 8:
        return None
    return Format(unsupported="Ogg with neither Vorbis nor Opus nor FLAC in it")


def _mp3_frame(head: bytes) -> tuple[int, int, Format] | None:
    """Return bytes, samples and format of the frame whose 4-byte header is `head`."""
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    index, rate = head[2] >> 4, head[2] >> 2 & 3
    known = head[0] == 0xFF and head[1] >= 0xE0 and version != 1 and layer < 4
    if not known or rate == 3 or index in (0, 15):
        return None
    first = version == 3
    rate_hz = _MP3_RATES_HZ[rate] // {3: 1, 2: 2, 0: 4}[version]
    bits_per_second = _MP3_KBITS[first, layer][index - 1] * 1000
    padding = head[2] >> 1 & 1
    delay = _MP3_DELAY if layer == 3 else _MP2_DELAY
    form = Format("mpeg", rate_hz, 1 if head[3] >> 6 == 3 else 2, delay_frames=delay)
    if layer == 1:
        return (12 * bits_per_second // rate_hz + padding) * 4, 384, form
    samples = 1152 if first or layer == 2 else 576
    return samples // 8 * bits_per_second // rate_hz + padding, samples, form


def _tells_its_delay(first: bytes, at: int, flags: int) -> bool:
    """Return whether a Xing frame has LAME's extension: decoders cut the delay that it tells."""
    extension = at + 8 + 4 * (flags & 1) + 2 * (flags & 2) + 25 * (flags & 4) + (flags & 8) // 2
    return bool(flags) and any(first[extension + 21 : extension + 24])


def _mp3_header(window: Window, start: int, length: int, samples: int, form: Format) -> Header:
    first = window.at(start, min(length, 200))
    at = max(first.find(b"Xing"), first.find(b"Info"))
    flags = first[at + 7] if 0 <= at <= len(first) - 16 else 0
    if _tells_its_delay(first, at, flags):
        form = replace(form, delay_frames=0)
    guess = (window.size - start) * samples // length
    header = Header("unknown", "mp3", "no byte count in the first frame", form, guess)
    header = replace(header, counted=bool(flags & 1))
    if flags & 3 != 3:
        return header
    frames = int.from_bytes(first[at + 8 : at + 12], "big") * samples
    declared = int.from_bytes(first[at + 12 : at + 16], "big")
    if not declared:
        return replace(header, detail="byte count not filled in")
    # Some writers leave the first frame out of the count; then one frame may be missing unseen.
    verdict: Verdict = "complete" if start + declared <= window.size else "short"
    detail = f"{window.size - start} of {declared} declared bytes"
    behind = start + declared
    further = window.at(behind + id3_bytes(window, behind), 4)
    longer = window.size - behind > length + _MP3_SEARCH
    chained = longer and len(further) == 4 and _mp3_frame(further) is not None
    header = Header(verdict, "mp3", detail, form, frames, chained=chained)
    return replace(header, bytes_expected=None if chained else behind)
