"""Is all of an audio file there? Ask its header and its end; decode nothing.

Theory of operation
-------------------
"It decodes" proves nothing: libsndfile opens WAV, RF64, W64, AIFF and Ogg files that were cut
in half, and decodes them with no error, just shorter. A half-copied stem would give a plausible
wrong master. So what the header declares is compared with the size of the file.

Rules
-----
1. Any bytes at all get an answer: nothing raises (a failing disk raises ``OSError``).
2. The work is bounded, whatever a header claims: 4 MiB read, 1,024 chunks walked.
3. The daemon's own process parses no more of a file than this.
4. What is recognised but not walked (MP4, ADTS …) is ``unknown``: it waits longer and then its
   handler says whether it can read such a thing. Only what nobody knows is ``not_audio``.
"""

from daemon.intake.chunks import is_w64, read_aiff, read_caf, read_w64, read_wav
from daemon.intake.peek import Header, Window
from daemon.intake.streams import id3_bytes, read_flac, read_mp3, read_ogg

__all__ = ["Header", "ends_in_zeros", "read_header"]

ZERO_TAIL_BYTES = 1 << 20
_FEW_BYTES = 16
"""The longest magic: below it, the beginning of anything is possible."""

_WALKERS = {
    b"RIFF": read_wav,
    b"RF64": read_wav,
    b"BW64": read_wav,
    b"FORM": read_aiff,
    b"caff": read_caf,
    b"OggS": read_ogg,
}
_STRANGERS = {  # offset, magic -> container
    (4, b"ftyp"): "mp4",
    (0, b"\xff\xf1"): "aac",
    (0, b"\xff\xf9"): "aac",
    (0, bytes.fromhex("3026b2758e66cf11")): "asf",
    (0, bytes.fromhex("1a45dfa3")): "matroska",
    (0, b".snd"): "au",
    (0, b"RIFX"): "rifx",
    (0, b"wvpk"): "wavpack",
    (0, b"MAC "): "ape",
    (0, b"DSD "): "dsf",
    (0, b"FRM8"): "dff",
}


def read_header(fd: int, size: int) -> Header:
    """Judge the file open as `fd`, of which `size` bytes are there."""
    if size == 0:
        return Header("empty", "", None, None, "no bytes")
    window = Window(fd, size)
    head = window.at(0, 64)
    if not any(head):
        return Header("short", "", None, None, "begins with zeros: room reserved, not written")
    tag = id3_bytes(head)
    if tag > size:
        return Header("short", "mp3", None, None, "ends within its ID3 tag")
    return _walked(window, window.at(tag, 4) if tag else head, tag) or _unwalked(head)


def ends_in_zeros(fd: int, size: int) -> bool:
    """Tell whether more than 1 MiB at the end is zeros: perhaps reserved and not yet written."""
    if size <= ZERO_TAIL_BYTES:
        return False
    return not any(Window(fd, size).tail(ZERO_TAIL_BYTES + 1))


def _walked(window: Window, head: bytes, tag: int) -> Header | None:
    if head[:4] == b"fLaC":
        return read_flac(window, tag)
    if not tag and (read := _WALKERS.get(head[:4])):
        return read(window)
    if is_w64(head):
        return read_w64(window)
    return read_mp3(window, tag)


def _unwalked(head: bytes) -> Header:
    for (offset, magic), container in _STRANGERS.items():
        if head[offset : offset + len(magic)] == magic:
            detail = f"{container}: its length is not looked at"
            return Header("unknown", container, None, None, detail)
    if len(head) < _FEW_BYTES:
        return Header("short", "", None, None, "too few bytes to tell what it is")
    return Header("not_audio", "", None, None, "no audio format that we know")
