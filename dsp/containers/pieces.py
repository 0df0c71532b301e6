"""Pieces of one stream, as browsers hand them out: whether one goes on where the last one ended.

Theory of operation
-------------------
Elements of WebM and boxes of MP4 follow each other, each with its size, over the ends of pieces.
So it is known what a piece must begin with: the rest of an element, or the head of one that may
stand there. Where neither is the case the stream is lost. In WebM it is found again at the next
cluster, as decoders do; in MP4 it is not.

References
----------
RFC 8794 (EBML); RFC 9559 (Matroska), sections 5.1.3 and 10; ISO/IEC 14496-12, section 4.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from dsp.containers.matroska import number_of, width_of

EBML = bytes.fromhex("1a45dfa3")
_CLUSTER = bytes.fromhex("1f43b675")
_ENTERED = (bytes.fromhex("18538067"), _CLUSTER)
"""Segment and cluster: what is in them follows."""
_BLOCK, _GROUP = b"\xa3", b"\xa0"
_BLOCK_HEAD = 4
"""Track, time in two bytes, flags."""
_NUMBERS = (b"\xe7", b"\xa7", b"\xab", b"\xbf")
_OTHERS = (
    *(EBML, b"\xec"),
    *map(bytes.fromhex, ("114d9b74", "1549a966", "1654ae6b", "1c53bb6b")),
    *map(bytes.fromhex, ("1254c367", "1043a770", "1941a469")),
)
_LONGEST_IDENTITY, _LONGEST_NUMBER, _ONE_BYTE = 4, 8, 0x80
_RESERVED_FLAGS = 0x70
_BOXES = b"ftyp moov moof mdat free skip wide styp sidx ssix mfra emsg prft uuid".split()
_BOX_HEAD, _LONG_BOX_HEAD = 8, 16
_HEAD_BYTES = 16
"""Enough for the head of any element, and of the block in it."""
_NO_END = 1 << 62
_PORTION_BYTES = 1 << 16


@dataclass(frozen=True)
class Place:
    """Where in an element a piece ends."""

    skip: int = 0
    """Bytes of its body that are still to come."""
    head: bytes = b""
    """Of an element whose head is not whole yet."""


@dataclass(frozen=True)
class Followed:
    """What became of the stream over one piece."""

    end: Place
    lost: bool
    useless: bool
    """A decoder gets nothing of the piece; or, in MP4, of all that is behind it."""


@dataclass(frozen=True)
class _Piece:
    """The bytes of a piece, behind the head that the one before left."""

    file: BinaryIO
    before: bytes
    size: int

    def at(self, offset: int, count: int) -> bytes:
        self.file.seek(max(0, offset - len(self.before)))
        return self.before[offset:] + self.file.read(count)

    def cluster(self, offset: int) -> int:
        """Return where the next cluster begins, or the end."""
        while len(portion := self.at(offset, _PORTION_BYTES)) >= len(_CLUSTER):
            if (found := portion.find(_CLUSTER)) >= 0:
                return offset + found
            offset += len(portion) - len(_CLUSTER) + 1
        return self.size


def follow(file: BinaryIO, size: int, place: Place, *, webm: bool) -> Followed:
    """Return what becomes of a stream that stands at ``place`` over the next piece."""
    piece = _Piece(file, place.head, len(place.head) + size)
    length_of: Callable[[bytes], int | None] = _element if webm else _box
    offset, blocks, lost = place.skip, 0, False
    while offset < piece.size:
        head = piece.at(offset, _HEAD_BYTES)[:_HEAD_BYTES]
        length = length_of(head)
        if length is None:  # the rest of its head is in the next piece
            return Followed(Place(head=head), lost, useless=lost and not blocks)
        if length:
            blocks += head[:1] in (_BLOCK, _GROUP)
            offset += length
            continue
        lost = True
        offset = piece.cluster(offset + 1) if webm else piece.size
        blocks += offset < piece.size
    return Followed(Place(offset - piece.size), lost, useless=lost and not (webm and blocks))


def _element(head: bytes) -> int | None:
    """Return how far it is to the next element; 0: none may begin so; ``None``: it is too short."""
    width = width_of(head)
    if not 1 <= width <= _LONGEST_IDENTITY:
        return 0
    identity = head[:width]
    if len(identity) == width and identity not in (*_ENTERED, _BLOCK, _GROUP, *_NUMBERS, *_OTHERS):
        return 0
    size, bytes_of_size = number_of(head[width:])
    body = head[width + bytes_of_size :]
    if not bytes_of_size or (identity == _BLOCK and len(body) < _BLOCK_HEAD):
        return None if len(head) < _HEAD_BYTES else 0
    if identity in _ENTERED:
        return width + bytes_of_size
    if identity == _BLOCK:
        likely = body[0] > _ONE_BYTE and not body[_BLOCK_HEAD - 1] & _RESERVED_FLAGS
    else:
        likely = identity not in _NUMBERS or (size or 0) <= _LONGEST_NUMBER
    return width + bytes_of_size + size if likely and size is not None else 0


def _box(head: bytes) -> int | None:
    """Return the same of boxes."""
    if len(head) < _BOX_HEAD:
        return None
    size, kind = int.from_bytes(head[:4]), head[4:8]
    if kind not in _BOXES:
        return 0
    if size == 1:
        return int.from_bytes(head[8:16]) if len(head) == _LONG_BOX_HEAD else None
    if size == 0:  # to the end
        return _NO_END
    return size if size >= _BOX_HEAD else 0
