"""A file's bytes at any offset, and what a file says about itself."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """What a file's own header says it is. Nothing here has been decoded."""

    container: str
    """``wav rf64 w64 aiff caf flac ogg mp3 mp4 aac``."""
    codec: str
    """``pcm float flac vorbis opus mpeg``; MP4 keeps its own to itself."""
    demuxer: str = ""
    """ffmpeg's name for the container, where libsndfile cannot read it."""
    rate_hz: int | None = None
    channels: int | None = None
    counted: bool = True
    """The decoder's count of frames is the writer's own word, not a guess from the size."""
    found_bytes: int | None = None
    declared_bytes: int | None = None
    """Of sound; both ``None`` where the container does not say."""
    time_stamp_frames: int | None = None
    """BWF: frames since midnight (EBU Tech 3285, TimeReference)."""

    @property
    def cut(self) -> bool:
        """Whether sound that was declared is not there."""
        return self.declared_bytes is not None and (self.found_bytes or 0) < self.declared_bytes


class Unsupported(Exception):
    """A file that is audio, but of a kind that is not let near the decoder: which."""


class Cut(Exception):
    """A file that ends before its sound does: where."""


class Peek:
    """Read-only bytes of an open file; its offset never moves, so a decoder starts at 0.

    Parameters
    ----------
    fd : int
        Of a regular file.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size

    def at(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes at ``offset``, fewer where the file ends."""
        return os.pread(self._fd, length, offset) if 0 <= offset < self.size else b""

    def tail(self, length: int) -> bytes:
        """Return the last ``length`` bytes, all of a shorter file."""
        return self.at(max(0, self.size - length), length)
