"""What is drawn and cut by: the outline of a song, and where it is silent.

Rules
-----
Rule 1: a pixel is 512 frames, counted from frame 0; the last one may be shorter.

Rule 2: all channels make one outline, from the lowest sample of any to the highest, so that
sound of opposite polarity does not vanish from it.

Rule 3: silence is any number of frames below −60 dBFS in every channel, to the frame.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Block, Windows
from dsp.units import ratio_of

FRAMES_PER_PIXEL = 512
SILENCE_DBFS = -60.0

Outline = NDArray[np.int8]
"""``(pixels, 2)``: lowest and highest sample of each, full scale ±128."""


class OutlineMeter:
    """The outline of a stream.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        self._windows = Windows(FRAMES_PER_PIXEL, channels)
        self._pixels = bytearray()  # one object, and not one per block: there may be hours of it

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        whole = np.ascontiguousarray(self._windows.push(block))
        if len(whole):
            self._pixels += _pixels(whole.reshape(len(whole) // FRAMES_PER_PIXEL, -1)).tobytes()

    def outline(self) -> Outline:
        """Return the pixels so far, the one that is not full yet included."""
        rest = np.ascontiguousarray(self._windows.rest())
        last = _pixels(rest.reshape(1, -1)) if len(rest) else np.zeros((0, 2), np.int8)
        return np.concatenate([np.frombuffer(self._pixels, np.int8).reshape(-1, 2), last])


def _pixels(rows: NDArray[np.float32]) -> Outline:
    ends = np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1)
    return np.asarray(np.clip(np.rint(ends * 128), -128, 127), np.int8)


class SilenceMeter:
    """Frames of silence at the head, at the tail, and in the longest run of a stream."""

    def __init__(self) -> None:
        self._threshold = ratio_of(SILENCE_DBFS)
        self.head: int | None = None
        """``None`` as long as nothing sounded."""
        self.tail = 0
        self.longest = 0

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        loud = np.abs(block) >= self._threshold
        sounds = np.flatnonzero(np.logical_or.reduce(list(loud.T)))
        if not len(sounds):
            self.tail += len(block)
            self.longest = max(self.longest, self.tail)
            return
        first = self.tail + int(sounds[0])
        if self.head is None:
            self.head = first
        self.tail = len(block) - 1 - int(sounds[-1])
        between = int(np.diff(sounds).max(initial=1)) - 1
        self.longest = max(self.longest, first, between, self.tail)
