"""Take chance out of an Ogg file: its serial number.

libsndfile draws one from the time of day, and the same mix must give the same bytes. A
serial only has to differ from others in the same file, where ours is alone (RFC 3533, 4).
"""

import os
import zlib
from collections.abc import Iterator

SERIAL = 1

HEAD_BYTES = 27
_SERIAL_AT, _CRC_AT, SEGMENTS_AT = 14, 22, 26
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def settle_serial(fd: int) -> None:
    """Give every page of the file our serial number, and the checksum that goes with it."""
    for offset, page in pages(fd):
        page[_SERIAL_AT : _SERIAL_AT + 4] = SERIAL.to_bytes(4, "little")
        seal(page)
        os.pwrite(fd, page[:HEAD_BYTES], offset)


def seal(page: bytearray) -> None:
    """Give a page the checksum that goes with it."""
    page[_CRC_AT : _CRC_AT + 4] = bytes(4)
    page[_CRC_AT : _CRC_AT + 4] = _crc(page).to_bytes(4, "little")


def pages(fd: int) -> Iterator[tuple[int, bytearray]]:
    """Yield where each page lies, and its bytes."""
    offset = 0
    while len(head := os.pread(fd, HEAD_BYTES + 255, offset)) >= HEAD_BYTES:
        segments = head[SEGMENTS_AT]
        length = HEAD_BYTES + segments + sum(head[HEAD_BYTES : HEAD_BYTES + segments])
        yield offset, bytearray(os.pread(fd, length, offset))
        offset += length


def _crc(page: bytearray) -> int:
    """Return Ogg's checksum: zlib's polynomial with the bits in the other order.

    zlib inverts the register before and after; Ogg does neither. So ours is undone.
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")
