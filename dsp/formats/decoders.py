"""One stream of frames out of a file, from the first to the last."""

import os
from typing import Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp import kernels
from dsp.audio import Block
from dsp.containers.header import Format, Header, Sound

_MOST_FRAMES = 1 << 62
"""libsndfile reports 2⁶³−1 frames where a stream does not say."""

_LOOK_AHEAD_BYTES = 8192
"""What libFLAC reads at a time."""

_UNPACKED = (("pcm", 2), ("pcm", 3), ("float", 4))
"""Samples, and their bytes, that are unpacked faster here than by libsndfile."""

_SUBTYPES = {
    ("pcm", 1): "PCM_S8",
    ("pcm", 2): "PCM_16",
    ("pcm", 3): "PCM_24",
    ("pcm", 4): "PCM_32",
    ("float", 4): "FLOAT",
    ("float", 8): "DOUBLE",
    ("alaw", 1): "ALAW",
    ("ulaw", 1): "ULAW",
}


def _alaw() -> NDArray[np.float32]:
    """Return what each byte means, as 16 bits of full scale ±1 (ITU-T G.711, table 1)."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, (code & 15) << 4
    level = np.where(exponent, (mantissa + 0x108) << np.maximum(exponent - 1, 0), mantissa + 8)
    return (np.where(code & 0x80, level, -level) / 32_768).astype(np.float32)


def _ulaw() -> NDArray[np.float32]:
    """Return the same of G.711, table 2."""
    code = np.arange(256) ^ 0xFF
    level = (((code & 15) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return (np.where(code & 0x80, -level, level) / 32_768).astype(np.float32)


_COMPANDED = {"alaw": _alaw(), "ulaw": _ulaw()}


class Unsupported(Exception):
    """A file that is audio, but of a kind that is not decoded here: which."""


class Cut(Exception):
    """A file that ends before its sound does: where."""


class Broken(Exception):
    """The decoder gave up: why, in our words."""


class Decoder(Protocol):
    """Frames of an open file, in order, once."""

    rate_hz: int
    channels: int
    subtype: str
    frames: int | None
    """As the decoder counts before decoding; ``None`` where it cannot."""

    def read(self, frames: int) -> Block:
        """Return the next ``(frames, channels)``, fewer only at the end.

        Raises
        ------
        Cut
            The file ended within its sound.
        Broken
            The sound cannot be decoded.
        """
        ...

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        ...


class _Forwards(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no types
    """A file that is read in one direction.

    soundfile seeks to where it already is after every read of a seekable file. That costs
    more than decoding at times, and decoders of lossy formats are not bit exact after it.
    """

    def seekable(self) -> bool:
        return False


class Sndfile:
    """libsndfile on a descriptor of its own.

    Parameters
    ----------
    fd : int
        At offset 0; stays the caller's.

    Raises
    ------
    Cut, Broken
        libsndfile does not open it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = os.dup(fd)
        try:
            self._file = _Forwards(self._fd, closefd=False)
        except soundfile.LibsndfileError as error:
            reason = self._reason()
            os.close(self._fd)
            raise reason from error
        self.rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.subtype: str = self._file.subtype
        count: int = self._file.frames
        self.frames = count if count < _MOST_FRAMES else None

    def read(self, frames: int) -> Block:
        try:
            block: Block = self._file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise self._reason() from error
        return block

    def close(self) -> None:
        if not self._file.closed:
            self._file.close()
            os.close(self._fd)

    def _reason(self) -> Cut | Broken:
        """Tell a cut file from a broken one: a cut one was read to its end."""
        left = os.fstat(self._fd).st_size - os.lseek(self._fd, 0, os.SEEK_CUR)
        if left < _LOOK_AHEAD_BYTES:
            return Cut("within its sound")
        return Broken("its sound is damaged")


class Pcm:
    """Plain samples, decoded here.

    Those of a file that holds more than its size field can say, where libsndfile stops; and those
    of 16 and 24 bits and floats, which take a fifth of its time here.

    Parameters
    ----------
    fd : int
        Stays the caller's.
    form : Format
    sound : Sound

    Raises
    ------
    Broken
        The format's numbers fit no kind of sample.
    """

    def __init__(self, fd: int, form: Format, sound: Sound) -> None:
        channels, self.rate_hz = form.channels or 0, form.rate_hz or 0
        width = form.frame_bytes // channels if channels > 0 else 0
        subtype = _SUBTYPES.get((form.codec, width))
        if subtype is None or width * channels != form.frame_bytes:
            raise Broken(f"{form.frame_bytes} bytes for {channels} channels of {form.codec}")
        self.channels, self._width, self._form = channels, width, form
        self.subtype = subtype if form.signed else "PCM_U8"
        self.frames: int | None = sound.declared // form.frame_bytes
        self._left = self.frames
        self._at = sound.start
        self._fd = os.dup(fd)
        self._open = True

    def read(self, frames: int) -> Block:
        frames = min(frames, self._left)
        data = os.pread(self._fd, frames * self._form.frame_bytes, self._at)
        if len(data) < frames * self._form.frame_bytes:
            raise Cut("within its sound")
        self._at += len(data)
        self._left -= frames
        return self._samples(data).reshape(-1, self.channels)

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._fd)

    def _samples(self, data: bytes) -> Block:
        """Return the samples as libsndfile does, full scale ±1."""
        order = "<" if self._form.order == "little" else ">"
        if self._form.codec == "float":
            return np.frombuffer(data, f"{order}f{self._width}").astype(np.float32)
        if self._form.codec in _COMPANDED:
            return _COMPANDED[self._form.codec][np.frombuffer(data, np.uint8)]
        if self._width == 1:
            raw = np.frombuffer(data, np.int8 if self._form.signed else np.uint8)
            return (raw.astype(np.float32) - (0 if self._form.signed else 128)) / np.float32(128)
        if (self._form.codec, self._width) in _UNPACKED:
            out = np.empty(len(data) // self._width, np.float32)
            kernels.unpack(data, self._width, order == ">", out)
            return out
        return np.frombuffer(data, f"{order}i4").astype(np.float32) / np.float32(2**31)


def unpacks(header: Header) -> bool:
    """Return whether samples are read without libsndfile: all of them there, and nothing odd."""
    form, sound = header.format, header.sound
    if sound is None or sound.outgrown:
        return sound is not None
    whole = header.verdict == "complete" and sound.found == sound.declared
    width = form.frame_bytes / (form.channels or 1)
    return whole and ((form.codec, width) in _UNPACKED or form.codec in _COMPANDED)
