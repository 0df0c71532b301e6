"""Which channel is for which speaker, as far as a file says or its format rules.

Names are those of ITU-R BS.2051, short: ``L R C LFE``, ``Lc Rc`` between them, ``Ls Rs`` at the
sides, ``Lb Rb Cb`` behind, a ``T`` before what is above.

References
----------
WAVEFORMATEXTENSIBLE, dwChannelMask; Core Audio Format 1.0, Channel Layout chunk, and
CoreAudioTypes, AudioChannelLayoutTag; RFC 9639 (FLAC), 9.1.3; Vorbis I, 4.3.9 (Opus: RFC 7845,
5.1.1.2); AIFF 1.3, Common Chunk.
"""

Speakers = tuple[str, ...]
"""One name per channel; empty: not known."""

_MASK = (
    "L", "R", "C", "LFE", "Lb", "Rb", "Lc", "Rc", "Cb", "Ls", "Rs",
    "TC", "TL", "TCf", "TR", "TLb", "TCb", "TRb",
)  # fmt: skip
_CAF_BITMAP = 0x10000
_CAF_TAGS = {  # number of the tag without its count of channels
    108: "L R Lb Rb",
    113: "L R C",
    114: "C L R",
    115: "L R C Cb",
    116: "C L R Cb",
    117: "L R C Ls Rs",
    118: "L R Ls Rs C",
    119: "L C R Ls Rs",
    120: "C L R Ls Rs",
    121: "L R C LFE Ls Rs",
    122: "L R Ls Rs C LFE",
    123: "L C R Ls Rs LFE",
    124: "C L R Ls Rs LFE",
    125: "L R C LFE Ls Rs Cb",
    126: "L R C LFE Ls Rs Lc Rc",
    127: "C Lc Rc L R Ls Rs LFE",
    128: "L R C LFE Ls Rs Lb Rb",
}
_FLAC = ("L R C", "L R Lb Rb", "L R C Ls Rs", "L R C LFE Ls Rs", "L R C LFE Cb Ls Rs",
         "L R C LFE Lb Rb Ls Rs")  # fmt: skip
_VORBIS = ("L C R", "L R Lb Rb", "L C R Ls Rs", "L C R Ls Rs LFE", "L C R Ls Rs Cb LFE",
           "L C R Ls Rs Lb Rb LFE")  # fmt: skip
_BY_FORMAT = {
    (codec, len(order.split())): tuple(order.split())
    for codec, orders in (("flac", _FLAC), ("aac", _FLAC), ("vorbis", _VORBIS), ("opus", _VORBIS))
    for order in orders
}
_SURROUND = {count: _BY_FORMAT["flac", count] for count in (5, 6)}
_BY_FORMAT |= {("aiff", count): _BY_FORMAT["flac", count] for count in (3, 4)}


def of_mask(mask: int, channels: int) -> Speakers:
    """Return the speakers of WAVE's channel mask, when it names one for each channel."""
    named = tuple(name for bit, name in enumerate(_MASK) if mask >> bit & 1)
    return named if len(named) == channels else ()


def of_caf(body: bytes, channels: int) -> Speakers:
    """Return the speakers of the first 8 bytes of a CAF ``chan`` chunk."""
    tag, bitmap = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    if tag == _CAF_BITMAP:
        return of_mask(bitmap, channels)
    named = tuple(_CAF_TAGS.get(tag >> 16, "").split())
    return named if len(named) == channels else ()


def usual(codec: str, channels: int) -> Speakers:
    """Return the speakers where the file names none: by rule of the format, else 5.0 and 5.1.

    What says nothing and has another count of channels may be anything: so many microphones.
    """
    ruled = _BY_FORMAT.get((codec, channels), ())
    return ruled or (_SURROUND.get(channels, ()) if codec in ("pcm", "float", "aiff") else ())
