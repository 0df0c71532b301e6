"""Read a stem as a stream of blocks, to its declared end or not at all.

Theory of operation
-------------------
``probe`` says what a file is without decoding it; ``StemReader`` decodes it block by block.
Both open the file themselves: no symbolic link, no pipe, no device, and never by a name
again once it is open. ``dsp.containers`` looks at the bytes before libsndfile does.

Rules
-----
Rule 1: "it decodes" proves nothing. What the header declares is compared with the bytes
that are there, and with the frames that came out.

Rule 2: every limit is on decoded frames, declared and counted: one megabyte of Ogg can hold
two hours.

Rule 3: libsndfile gets an integer descriptor. It calls back into no Python, and no thread
waits for another's lock.

Rule 4: no seek, ever. libsndfile's decoders of lossy formats are not bit exact after one,
so blocks would show.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from dsp.audio import Block
from dsp.containers.header import LOWEST_RATE_HZ, MOST_FRAMES, Header
from dsp.containers.identify import read_header
from dsp.containers.speakers import Speakers, usual
from dsp.errors import AudioFormatError
from dsp.formats import refusals
from dsp.formats.decoders import Broken, Cut, Decoder, Pcm, Sndfile, Unsupported, unpacks
from dsp.formats.ffmpeg import Foreign
from dsp.formats.opened import opened
from dsp.formats.wild_samples import WildSamples

_FLOATS = ("FLOAT", "DOUBLE")
"""Subtypes that hold samples above full scale as they are."""
_PIECE_FRAMES, _MOST_FRAMES = 16_384, 1 << 62
_HIGHEST = 1e10
"""+200 dBFS. Integers of 32 bits that were written as floats reach +187 dBFS; what is higher is
no sound in any scale, and its square no number."""


@dataclass(frozen=True)
class Limits:
    """What a stem may be, at the most."""

    rate_hz_min: int = LOWEST_RATE_HZ
    rate_hz_max: int = 192_000
    channels: int = 8
    frames: int = MOST_FRAMES


@dataclass(frozen=True)
class Probe:
    """What a stem is, before any of it was decoded."""

    path: Path
    name: str
    """As the drop has it."""
    container: str
    """As ``Header`` names it."""
    subtype: str
    """``PCM_24``, ``FLOAT``, ``VORBIS`` … as libsndfile names them; ``AAC``."""
    rate_hz: int
    channels: int
    frames: int | None
    """As declared; ``None`` where the writer could not know."""
    time_stamp_frames: int | None
    """When its sound began, in frames since midnight; ``None`` where the file does not say."""
    speakers: Speakers = ()
    """Of each channel; empty where nobody can say."""
    delay_frames: int = 0
    """Frames before the sound, which are left out of what is read and counted."""
    sides: tuple["Probe", ...] = ()
    """Left and right, where two mono files are one stem."""

    @property
    def files(self) -> tuple["Probe", ...]:
        """The files that hold it."""
        return self.sides or (self,)

    @property
    def start_s(self) -> float | None:
        """The time stamp in seconds."""
        return None if self.time_stamp_frames is None else self.time_stamp_frames / self.rate_hz


def probe(
    path: Path,
    *,
    name: str,
    limits: Limits | None = None,
    allow_ffmpeg: bool = False,
    accept_truncated: bool = False,
) -> Probe:
    """Return what the file at ``path`` is.

    Parameters
    ----------
    path : Path
        Opened once, read only.
    name : str
        What messages call it.
    limits : Limits
    allow_ffmpeg : bool
        The ``ffmpeg`` program may decode M4A, AAC and WebM.
    accept_truncated : bool
        Sound that was declared may be missing; the file is read as far as it goes. One that
        ends within its header is refused even so.

    Raises
    ------
    AudioFormatError
        It cannot be used; the code says why.
    OSError
        The file is gone, or the disk failed.
    """
    limits = limits or Limits()
    with opened(path, name) as fd:
        header = _header(fd, name, accept_truncated=accept_truncated)
        _hold(header.format.rate_hz, header.format.channels, limits, name)
        decoder = _decoder(fd, header, name, allow_ffmpeg=allow_ffmpeg)
    decoder.close()
    _hold(decoder.rate_hz, decoder.channels, limits, name)
    if decoder.frames == 0:
        raise refusals.empty(name, "no frames of sound")
    if decoder.frames is not None and decoder.frames > limits.frames:
        raise refusals.too_long(name, decoder.frames, limits.frames)
    delay = header.format.delay_frames
    return Probe(
        path=path,
        name=name,
        container=header.container,
        subtype=decoder.subtype,
        rate_hz=decoder.rate_hz,
        channels=decoder.channels,
        frames=max(1, decoder.frames - delay) if header.counted and decoder.frames else None,
        time_stamp_frames=header.time_stamp_frames,
        delay_frames=delay,
        speakers=header.format.speakers or usual(_rules(header), decoder.channels),
    )


class StemReader:
    """A stem's frames from the first to the last, once.

    Parameters
    ----------
    probe : Probe
        The file is looked at again: it may have been changed since.
    limits : Limits
    allow_ffmpeg, accept_truncated : bool
        As in ``probe``.

    Raises
    ------
    AudioFormatError
        The file cannot be used any more.
    """

    def __init__(
        self,
        probe: Probe,
        *,
        limits: Limits | None = None,
        allow_ffmpeg: bool = False,
        accept_truncated: bool = False,
    ) -> None:
        self.nonfinite = 0
        """Samples that were no numbers, or beyond all scales; silence stands in their place."""
        self.frames_read = 0
        self._probe, self._limits = probe, limits or Limits()
        self._accept_truncated = accept_truncated
        self._ended = False
        self._broken: AudioFormatError | None = None
        """Why there is no more; said once what came before was read."""
        with opened(probe.path, probe.name) as fd:
            header = _header(fd, probe.name, accept_truncated=accept_truncated)
            self._decoder = _decoder(fd, header, probe.name, allow_ffmpeg=allow_ffmpeg)
        self._delay = header.format.delay_frames
        self._chained = header.chained and not header.format.demuxer
        self.cut = self._chained or header.verdict == "short"
        """The file has or declares more sound than is read; known for sure at the end."""
        if (self._decoder.rate_hz, self._decoder.channels) != (probe.rate_hz, probe.channels):
            self._decoder.close()
            raise refusals.damaged(probe.name, "was changed while it was being read")
        # Of what is decoded here nothing is lost but what is not there.
        self._piece_frames = _MOST_FRAMES if isinstance(self._decoder, Pcm) else _PIECE_FRAMES
        self.wild = WildSamples(self._decoder) if probe.subtype in _FLOATS else None
        """What was found of wild samples; ``None`` where the format has none."""
        self._decoder = self.wild or self._decoder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._decoder.close()

    def read(self, frames: int) -> Block:
        """Return the next ``(frames, channels)``, fewer only at the end, then none.

        Raises
        ------
        AudioFormatError
            ``INPUT_DAMAGED``, ``INPUT_TRUNCATED``, ``INPUT_TOO_LONG`` or ``INPUT_EMPTY``.
        """
        if self._broken:
            raise self._broken
        block = self._none() if self._ended else self._decoded(frames)
        self.frames_read += len(block)
        if self.frames_read > self._limits.frames:
            raise refusals.too_long(self._probe.name, self.frames_read, self._limits.frames)
        if len(block) < frames and not self._ended and not self._broken:
            self._end()
        return self._finite(block)

    def _none(self) -> Block:
        return np.zeros((0, self._probe.channels), np.float32)

    def _decoded(self, frames: int) -> Block:
        """Return what can be decoded, in pieces: a decoder that fails gives nothing of its last."""
        pieces: list[Block] = []
        try:
            while self._delay:
                early = len(self._decoder.read(min(self._delay, frames)))
                self._delay = self._delay - early if early else 0
            whole = True
            while frames and whole:
                piece = self._decoder.read(asked := min(frames, self._piece_frames))
                pieces.append(piece)
                frames, whole = frames - len(piece), len(piece) == asked
        except Cut as error:
            self.cut = True
            if not self._accept_truncated:
                raise self._truncated() from error
        except Broken as error:
            place = self.frames_read + sum(map(len, pieces))
            found = f"cannot be decoded after frame {place}: {error}"
            self._broken = refusals.damaged(self._probe.name, found)
            if not pieces:
                raise self._broken from error
        return pieces[0] if len(pieces) == 1 else np.concatenate([self._none(), *pieces])

    def _end(self) -> None:
        self._ended = True
        if self.frames_read == 0:
            raise refusals.empty(self._probe.name, "no frames of sound")
        if self._chained and not self._accept_truncated:
            raise refusals.chained(self._probe.name, self.frames_read / self._probe.rate_hz)
        if self.frames_read < (self._probe.frames or 0):
            self.cut = True
            if not self._accept_truncated:
                raise self._truncated()

    def _truncated(self) -> AudioFormatError:
        declared = self._probe.frames
        expected = "and more were expected" if declared is None else f"of the {declared} declared"
        found = f"ends after {self.frames_read} frames {expected}"
        return refusals.truncated(self._probe.name, found)

    def _finite(self, block: Block) -> Block:
        if self._probe.subtype.startswith("PCM"):  # integers are finite
            return block
        finite = np.abs(block) <= _HIGHEST
        if not finite.all():
            self.nonfinite += int(np.count_nonzero(~finite))
            block[~finite] = 0.0
        return block


def _rules(header: Header) -> str:
    """Return the format that rules the order of channels; ffmpeg gives that of WAVE."""
    if header.format.demuxer:
        return "aac"
    return "aiff" if header.container == "aiff" else header.format.codec


def _header(fd: int, name: str, *, accept_truncated: bool) -> Header:
    """Return what the file says it is, once that may be believed."""
    size = os.fstat(fd).st_size
    header = read_header(fd, size)
    if header.verdict == "not_audio" or not header.container:
        raise refusals.not_audio(name, os.pread(fd, 8, 0))
    if header.format.unsupported:
        raise refusals.not_supported(name, header.format.unsupported)
    if header.verdict == "damaged":
        raise refusals.damaged(name, f"has {header.detail}")
    if header.verdict == "short" and not (accept_truncated and header.format.codec):
        found = f"{header.detail}, after {size} bytes"
        if sound := header.sound:
            found = f"has {sound.found} of the {sound.declared} bytes of sound it declares"
        raise refusals.truncated(name, found)
    return header


def _decoder(fd: int, header: Header, name: str, *, allow_ffmpeg: bool) -> Decoder:
    demuxer, sound = header.format.demuxer, header.sound
    kind = f"{header.container} {header.format.codec}".strip().upper()
    if demuxer and not allow_ffmpeg:
        found = f"{kind}, and the ffmpeg program may not be used here"
        raise refusals.not_supported(name, found, foreign=True)
    try:
        if demuxer:
            return Foreign(fd, demuxer)
        return Pcm(fd, header.format, sound) if sound and unpacks(header) else Sndfile(fd)
    except Unsupported as error:
        found = f"{kind}, and {error}"
        raise refusals.not_supported(name, found, foreign=bool(demuxer)) from error
    except Cut as error:
        raise refusals.truncated(name, _where(error, fd)) from error
    except Broken as error:
        raise refusals.damaged(name, f"cannot be decoded: {error}") from error


def _where(cut: Cut, fd: int) -> str:
    return f"ends {cut}, after {os.fstat(fd).st_size} bytes"


def _hold(rate_hz: int | None, channels: int | None, limits: Limits, name: str) -> None:
    """Refuse a rate or a count of channels outside the limits."""
    low_hz, high_hz = limits.rate_hz_min, limits.rate_hz_max
    if rate_hz is not None and not low_hz <= rate_hz <= high_hz:
        raise refusals.wrong_rate(name, rate_hz, low_hz, high_hz)
    if channels is not None and not 1 <= channels <= limits.channels:
        raise refusals.wrong_channels(name, channels, limits.channels)
