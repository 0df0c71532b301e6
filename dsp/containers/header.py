"""What a few kilobytes of a file can say about the rest of it.

The answer (``Header``) and the only way in which the walkers look at bytes (``Window``).
"""

import os
from dataclasses import dataclass
from typing import Literal

from dsp.containers.speakers import Speakers

Verdict = Literal[
    "complete", "unknown", "short", "growing", "damaged", "empty", "not_audio", "unreadable"
]

MOST_FRAMES = 4 * 3600 * 192_000
"""Four hours at 192 kHz: the default limit of a file's length, declared or decoded."""

LOWEST_RATE_HZ = 8_000
"""The default lower limit of a file's sample rate."""

_MOST_BYTES = 4 << 20
"""All that one look may read, whatever a header claims."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a header says of one frame. All of it is the file's own word."""

    codec: str = ""
    """``pcm float alaw ulaw flac vorbis opus mpeg aac adpcm …``; empty: not told."""
    rate_hz: int | None = None
    channels: int | None = None
    frame_bytes: int = 0
    """Of PCM; 0 where the header does not tell."""
    order: Literal["little", "big"] = "little"
    signed: bool = True
    """Only PCM of 8 bits comes unsigned."""
    speakers: Speakers = ()
    """As the file names them, one per channel."""
    delay_frames: int = 0
    """What encoder and decoder put before the sound, where no decoder takes it away."""
    demuxer: str = ""
    """ffmpeg's name for a container that libsndfile cannot read."""
    unsupported: str = ""
    """The kind of an audio file that is not let near the decoder."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Where the sound of a container made of chunks lies, in bytes."""

    start: int
    found: int
    declared: int
    """Equal to ``found`` where the writer could not know."""
    outgrown: bool = False
    """The size field holds less than that: a decoder that trusts it stops too early."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says about the file that it heads.

    ============== =====================================================================
    Verdict        Meaning
    ============== =====================================================================
    ``complete``   all the bytes that the header declares are there
    ``unknown``    audio, or something like it, whose length the header does not tell
    ``short``      fewer bytes than declared, or an end in the middle of something
    ``growing``    the header declares nothing and there is a payload: a writer at work
    ``damaged``    far more bytes than the header accounts for
    ``empty``      no payload, and none declared
    ``not_audio``  no format that we know
    ``unreadable`` the file could not be opened (said by who tried, not by a walk)
    ============== =====================================================================
    """

    verdict: Verdict
    container: str = ""
    """``wav rf64 w64 aiff caf flac ogg mp3 mp4 aac`` …; empty: none that we know."""
    detail: str = ""
    format: Format = Format()
    frames: int | None = None
    """As declared, or guessed from the size; ``None`` where nothing tells."""
    counted: bool = True
    """The decoder's count of frames is the writer's own word, not a guess from the size."""
    sound: Sound | None = None
    bytes_expected: int | None = None
    """Size of the whole file, where the header tells."""
    time_stamp_frames: int | None = None
    """When the sound began, in frames since midnight: of ``bext`` or ``iXML``."""
    chained: bool = False
    """Another stream follows the first, as in two files put together; decoders stop between."""
    warning: str = ""
    """What is wrong with the header although the file can be used."""

    def seconds(
        self, most_frames: int = MOST_FRAMES, lowest_rate_hz: int = LOWEST_RATE_HZ
    ) -> float | None:
        """Return the rough length of the audio, for deadlines; within the limits given.

        A header can claim 2⁶² frames at 1 Hz: what it claims beyond the limits does not count.
        """
        if self.frames is None or not self.format.rate_hz:
            return None
        return min(self.frames, most_frames) / max(self.format.rate_hz, lowest_rate_hz)


class Window:
    """A bounded, read-only look at an open file, at given offsets, with no position."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size
        self._left = _MOST_BYTES

    def at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer at the end or when all is spent."""
        count = min(count, self.size - offset, self._left)
        if offset < 0 or count <= 0:
            return b""
        found = os.pread(self._fd, count, offset)
        self._left -= len(found)
        return found

    def tail(self, count: int) -> bytes:
        """Return the last `count` bytes, or all."""
        return self.at(max(0, self.size - count), count)
