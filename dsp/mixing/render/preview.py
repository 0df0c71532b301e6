"""The small copy of the mix that the report plays: encoded beside the rendering.

Ogg Vorbis: measured here at a third of the CPU that MP3 takes, and every browser of today
plays it; one that does not is given the master beside the page. A thread of its own
encodes, so that the pass that writes the master does not wait; at most ``AHEAD`` blocks wait
for it.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from dsp.audio import Block
from dsp.formats.resample import Resampler
from dsp.formats.writer import Writer
from dsp.mixing.render.excerpts import ExcerptFile, Passage

RATE_HZ = 24_000
"""Mono, and enough for a listen: encoding it takes two fifths of what 32 kHz stereo takes."""
KBITS = 40
AHEAD = 4


class Preview:
    """A writer of the preview, in a thread of its own.

    Parameters
    ----------
    path : Path
    rate_hz : int
        Of what is put.
    excerpt : (Path, Passage)
        Where a passage is kept as it is, and which; if it is wanted.
    """

    def __init__(
        self, path: Path, rate_hz: int, excerpt: tuple[Path, Passage] | None = None
    ) -> None:
        self._excerpt = ExcerptFile(*excerpt) if excerpt else None
        self._resampler = Resampler(rate_hz, RATE_HZ, 1)
        self._writer = Writer(path, rate_hz=RATE_HZ, channels=1, format="ogg", kbits=KBITS)
        self._pool = ThreadPoolExecutor(1)
        self._waiting: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._excerpt:
            self._excerpt.close()
        with self._pool:
            if kind is None:
                self._waiting.append(self._pool.submit(self._finish))
        failure = error or next(filter(None, (one.exception() for one in self._waiting)), None)
        self._writer.__exit__(kind, failure, traceback)  # its own error, if there is no other
        if failure is not None and error is None:
            raise failure

    def put(self, block: Block) -> None:
        """Take the next ``(frames, 2)``; waits when the encoder is behind."""
        if self._excerpt:
            self._excerpt.put(block)
        self._waiting.append(self._pool.submit(self._encode, block))
        while len(self._waiting) > AHEAD:
            self._waiting.pop(0).result()

    def _encode(self, block: Block) -> None:
        middle = (block[:, :1] + block[:, 1:]) * np.float32(0.5)
        self._writer.write(self._resampler.process(middle))

    def _finish(self) -> None:
        self._writer.write(self._resampler.finish())
