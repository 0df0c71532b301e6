"""MP4: boxes in a row, each with its size.

Without the index, which recorders write last, no sound can be found in it.

References
----------
ISO/IEC 14496-12 (the base media file format), 4.2: boxes.
"""

from dsp.containers.header import Format, Header, Window

_MP4 = Format(demuxer="mov")
_MOST_BOXES = 1_024
_INDEXES = (b"moov", b"moof")  # of the file, or of each of its fragments


def read_mp4(window: Window) -> Header:
    """Say whether all boxes of an MP4 file are there, and its index among them."""
    at, indexed = 0, False
    for _ in range(_MOST_BOXES):
        head = window.at(at, 16)
        if not head:
            break
        size, kind = int.from_bytes(head[:4]), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16])
        indexed = indexed or kind in _INDEXES
        if size == 0:  # to the end of the file
            at = window.size
            break
        if size < 8 or len(kind) < 4:  # noqa: PLR2004 - a box holds at least its own head
            return Header("unknown", "mp4", "mp4: its boxes cannot be followed", _MP4)
        at += size
    if at > window.size:
        found = f"{window.size} of {at} bytes"
        return Header("short", "mp4", f"has {found} that it declares", _MP4, bytes_expected=at)
    if at == window.size and not indexed:
        return Header("short", "mp4", "has no index: its recorder never finished it", _MP4)
    return Header("unknown", "mp4", "mp4: its length is not looked at", _MP4)
