"""One stream of frames out of libsndfile, from the first to the last."""

import os
from typing import Protocol

import soundfile

from dsp.audio import Block
from dsp.formats.peek import Cut

_MOST_FRAMES = 1 << 62
"""libsndfile reports 2⁶³−1 frames where a stream does not say."""

_LOOK_AHEAD_BYTES = 8192
"""What libFLAC reads at a time."""


class Broken(Exception):
    """The decoder gave up: what it said."""


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
            reason = self._reason(error)
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
            raise self._reason(error) from error
        return block

    def close(self) -> None:
        if not self._file.closed:
            self._file.close()
            os.close(self._fd)

    def _reason(self, error: soundfile.LibsndfileError) -> Cut | Broken:
        """Tell a cut file from a broken one: a cut one was read to its end."""
        left = os.fstat(self._fd).st_size - os.lseek(self._fd, 0, os.SEEK_CUR)
        if left < _LOOK_AHEAD_BYTES:
            return Cut("within its sound")
        return Broken(error.error_string)
