"""What the name and the structure of an archive tell without unpacking it. Pure but for reads.

Theory of operation
-------------------
A ZIP file ends with the directory of what is in it, and that directory says where it begins; a
tar file is a chain of headers that ends with a block of zeros; an XZ stream ends with a footer
that holds its own checksum. gzip and bzip2 tell nothing.

Rule 1: any bytes at all get an answer; the reader given bounds the work.

References
----------
APPNOTE.TXT (PKWARE) 4.3.12 to 4.3.16; POSIX.1-2017 pax, "ustar Interchange Format";
the .xz file format, 2.1.2.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Literal

ARCHIVE_SUFFIXES = (
    *(".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"),
)
Read = Callable[[int, int], bytes]
"""Returns up to so many bytes from an offset."""
Verdict = Literal["complete", "unknown", "short"]

_BLOCK = 512
_MOST_HEADERS = 8_000
_MOST_PADDING = 1 << 20  # GNU tar pads to 10 KiB; a file that was reserved ends in far more
_ZIP_END, _ZIP64_END = b"PK\x05\x06", b"PK\x06\x06"
_ZIP64_LOCATOR, _ZIP_ENTRY = b"PK\x06\x07", b"PK\x01\x02"
_ZIP_END_BYTES, _ZIP64_END_BYTES, _ZIP64_LOCATOR_BYTES = 22, 56, 20
_LONGEST_COMMENT = 0xFFFF
_IN_ZIP64 = 0xFFFFFFFF
_XZ_FOOTER_BYTES = 12


def archive_suffix(name: str) -> str:
    """Return the lower-case suffix by which a file is an archive; empty when it is none."""
    small = name.lower()
    return next(
        (each for each in ARCHIVE_SUFFIXES if small.endswith(each) and len(small) > len(each)), ""
    )


def completeness(read: Read, size: int, suffix: str) -> tuple[Verdict, str]:
    """Tell whether an archive of this size and suffix is all there, and by what."""
    if suffix == ".zip":
        return _of_zip(read, size)
    if suffix == ".tar":
        return _of_tar(read, size)
    if suffix in (".tar.xz", ".txz"):
        return _of_xz(read, size)
    return "unknown", "a compressed archive does not tell its length"


def zip_directory(read: Read, size: int) -> tuple[int, int] | None:
    """Return where the directory of a ZIP file lies and its bytes; ``None`` without an end."""
    start = max(0, size - _ZIP_END_BYTES - _LONGEST_COMMENT)
    tail = read(start, size - start)
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        end = tail[at : at + _ZIP_END_BYTES]
        comment = int.from_bytes(end[-2:], "little")
        if len(end) == _ZIP_END_BYTES and start + at + _ZIP_END_BYTES + comment == size:
            length = int.from_bytes(end[12:16], "little")
            return (
                _zip64(read, start + at) if length == _IN_ZIP64 else (start + at - length, length)
            )
        at = tail.rfind(_ZIP_END, 0, at)
    return None


def _zip64(read: Read, end: int) -> tuple[int, int] | None:
    at = end - _ZIP64_LOCATOR_BYTES - _ZIP64_END_BYTES
    record = read(max(0, at), _ZIP64_END_BYTES + _ZIP64_LOCATOR_BYTES)
    if not record.startswith(_ZIP64_END) or record[_ZIP64_END_BYTES:][:4] != _ZIP64_LOCATOR:
        return None
    (length,) = struct.unpack_from("<Q", record, 40)
    return at - length, length


def _of_zip(read: Read, size: int) -> tuple[Verdict, str]:
    if not read(0, 2).startswith(b"PK"[: min(size, 2)]):
        return "unknown", "not a ZIP file by its first bytes"
    found = zip_directory(read, size)
    if found is None:
        return "short", "the directory at the end of a ZIP file is missing"
    start, length = found
    if length and read(start, 4) != _ZIP_ENTRY:
        return "unknown", "the directory of the ZIP file is not where its end says"
    return "complete", "the directory of the ZIP file is complete"


def _of_tar(read: Read, size: int) -> tuple[Verdict, str]:
    at = 0
    for _ in range(_MOST_HEADERS):
        header = read(at, _BLOCK)
        if len(header) < _BLOCK:
            if at + _BLOCK > size:
                return "short", "the end of the tar file is missing"
            break
        if not any(header):
            if at == 0:
                return "short", "the tar file begins with zeros"
            if size - at > _MOST_PADDING:
                return "unknown", "the tar file ends in many zeros, perhaps not yet written"
            return "complete", "the tar file is complete"
        length = _tar_length(header)
        if length is None:
            return "unknown", "not a tar file that can be followed"
        at += _BLOCK + -(-length // _BLOCK) * _BLOCK
    return "unknown", "a tar file of very many parts"


def _tar_length(header: bytes) -> int | None:
    """Return how many bytes follow a header of a tar file; ``None`` when it is none."""
    kind, field = header[156:157], header[124:136]
    checksum = _octal(header[148:156])
    if checksum != sum(header[:148]) + 8 * 0x20 + sum(header[156:]) or kind == b"S":
        return None  # GNU's sparse files have further headers of their own
    if kind in b"123456" and kind:  # links, devices, folders, pipes
        return 0
    return int.from_bytes(field[1:], "big") if field[0] & 0x80 else _octal(field)


def _octal(field: bytes) -> int | None:
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        return None


def _of_xz(read: Read, size: int) -> tuple[Verdict, str]:
    if not read(0, 6).startswith(b"\xfd7zXZ\0"[: min(size, 6)]):
        return "unknown", "not an XZ file by its first bytes"
    footer = read(size - _XZ_FOOTER_BYTES, _XZ_FOOTER_BYTES)
    if footer[10:] == b"YZ" and zlib.crc32(footer[4:10]).to_bytes(4, "little") == footer[:4]:
        return "complete", "the XZ file ends with its footer"
    return "short", "the footer of the XZ file is missing"
