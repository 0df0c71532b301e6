"""What is this file, and is all of it there? Its header and its end tell; nothing is decoded.

Theory of operation
-------------------
"It decodes" proves nothing: libsndfile opens WAV, RF64, W64, AIFF and Ogg files that were cut
in half, and decodes them with no error, just shorter. A half-copied stem would give a plausible
wrong master. So what the header declares is compared with the size of the file.

libsndfile chooses a parser by content, not by name, and has parsers for thirty formats; most of
its memory errors were in the ones that are never used. So the engine asks here first, and only what
is not ``unsupported`` passes. MP4, AAC, Matroska, WMA, WavPack, compressed chunks, and Ogg FLAC,
which libsndfile 1.2 opens in none of ffmpeg's files, name the ``demuxer`` with which ffmpeg reads
them.

Rules
-----
1. Any bytes at all get an answer: nothing raises (a failing disk raises ``OSError``).
2. The work is bounded, whatever a header claims: 4 MiB read, 1,024 chunks walked.
3. The daemon's own process parses no more of a file than this, so the standard library is
   all that is imported.
4. What is recognised but not walked (ADTS …) is ``unknown``: it waits longer and then its
   handler says whether it can read such a thing. Only unknown bytes are ``not_audio``.
"""

from collections.abc import Callable

from dsp.containers.boxes import read_mp4
from dsp.containers.chunked import is_w64, read_aiff, read_caf, read_w64, read_wav
from dsp.containers.header import Format, Header, Window
from dsp.containers.matroska import read_matroska
from dsp.containers.streams import id3_bytes, read_flac, read_mp3, read_ogg

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".bw64", ".w64", ".aif", ".aiff", ".aifc", ".caf"}
    | {".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".m4a", ".m4b", ".mp4", ".aac", ".wma"}
    | {".webm", ".weba", ".mka"}
)
"""Names under which audio comes. More than can be read: a refusal with a reason beats silence."""

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
    bytes.fromhex("1a45dfa3"): read_matroska,
}
# ISO 14496-3: a window of 2,048, half of it overlap. Encoders differ, ADTS does not say by what.
_ADTS = Format("aac", demuxer="aac", delay_frames=1_024)
_NOT_WALKED = (  # offset, magic, container, what is known of its format
    *((0, bytes((0xFF, second)), "aac", _ADTS) for second in (0xF0, 0xF1, 0xF8, 0xF9)),
    (0, bytes.fromhex("3026b2758e66cf11"), "asf", Format("wma", demuxer="asf")),
    (0, b".snd", "au", Format(demuxer="au")),
    (0, b"RIFX", "rifx", Format(unsupported="big-endian WAV")),
    (0, b"wvpk", "wavpack", Format(demuxer="wv")),
    (0, b"MAC ", "ape", Format(unsupported="Monkey's Audio")),
    (0, b"TTA1", "tta", Format(demuxer="tta")),
    (0, b"DSD ", "dsf", Format(unsupported="DSF")),
    (0, b"FRM8", "dff", Format(unsupported="DSDIFF")),
    (0, b"#!AMR", "amr", Format(unsupported="AMR")),
)


def read_header(fd: int, size: int, *, to_end: bool = True) -> Header:
    """Say what the file open as `fd` is, of which `size` bytes are there.

    Whether the end of a FLAC file is there costs more than all the rest; without ``to_end`` it is
    not looked for, and the verdict is ``unknown``.
    """
    if size == 0:
        return Header("empty", detail="no bytes")
    window = Window(fd, size)
    head = window.at(0, 64)
    if not any(head):
        return Header("short", detail="begins with zeros: room reserved, not written")
    tag = id3_bytes(window)
    if tag >= size:
        return Header("short", "mp3", "ends within its ID3 tag")
    return _walked(window, window.at(tag, 64), tag, to_end=to_end)


def ends_in_zeros(fd: int, size: int) -> bool:
    """Tell whether more than 1 MiB at the end is zeros: perhaps reserved and not yet written."""
    if size <= ZERO_TAIL_BYTES:
        return False
    return not any(Window(fd, size).tail(ZERO_TAIL_BYTES + 1))


def _walker_of(head: bytes) -> Callable[[Window], Header] | None:
    if is_w64(head):
        return read_w64
    return read_mp4 if head[4:8] == b"ftyp" else _WALKERS.get(head[:4])


def _walked(window: Window, head: bytes, tag: int, *, to_end: bool) -> Header:
    if head[:4] == b"fLaC":
        return read_flac(window, tag, to_end=to_end)
    # FLAC, MPEG audio and ADTS may carry an ID3 tag; anything else behind one is a trick.
    if not tag and (read := _walker_of(head)):
        return read(window)
    for offset, magic, container, format_ in _NOT_WALKED:
        if head[offset:].startswith(magic) and (not tag or container == "aac"):
            detail = f"{container}: its length is not looked at"
            return Header("unknown", container, detail, format_)
    if header := read_mp3(window, tag):
        return header
    if len(head) < _FEW_BYTES:
        return Header("short", detail="too few bytes to tell what it is")
    return Header("not_audio", detail="no audio format that we know")
