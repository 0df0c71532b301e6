"""One passage of the song in several versions, to compare by ear at equal loudness.

The mix, the plain sum of its stems, and, where it is asked for, each stem as it goes to the sum:
the same fifteen seconds, so that a page can switch between them while it plays.

Rules
-----
Rule 1: what is compared is equally loud, and none is raised into clipping: when the plain sum
would, all of them are turned down by the same.

Rule 2: the plain sum is the stems as they came, placed in time and nothing else. It is added up
in integers, in which the order does not matter: the same bytes for any number of threads.

Rule 3: a passage is bounded, however long the song and however many its stems.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from dsp.audio import BLOCK_FRAMES, Block, blocks_of
from dsp.formats.resample import Resampler
from dsp.formats.writer import Writer
from dsp.measure.loudness import LoudnessMeter
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.track import Track
from dsp.units import db_of, ratio_of

LENGTH_S = 15.0
RATE_HZ = 32_000
"""What a switch between versions is about lies below 16 kHz; 44.1 kHz take two fifths more CPU."""
KBITS = 96
FREE_DB = 1.0
"""What stays free above the highest sample: lossy coding adds to it."""

_PER_UNIT = 1 << 20
"""Steps of the plain sum per full scale: 120 dB below it, and 66 dB of room above."""
_MOST = 8.0
"""Beyond it a stem is cut off: no number of stems that a song has may overflow the sum."""


@dataclass(frozen=True)
class Passage:
    """Which frames of the song."""

    first: int
    frames: int

    def of(self, start: int, block: Block) -> tuple[int, Block]:
        """Return where in the passage the part of a block begins that lies in it, and that part."""
        begin = max(start, self.first)
        end = min(start + len(block), self.first + self.frames)
        return begin - self.first, block[begin - start : max(end, begin) - start]


def passage_of(tracks: Sequence[Track], *, song_s: float, rate_hz: int) -> Passage:
    """Return the passage in which most stems sound; of several, the loudest."""
    song, frames = round(song_s * rate_hz), round(LENGTH_S * rate_hz)
    steps = round(LENGTH_S / STEP_S)
    heard = [track for track in tracks if len(track.active) > steps]
    if song <= frames or not heard:
        return Passage(0, min(song, frames))
    active = np.sum([track.active for track in heard], axis=0, dtype=np.float64)
    power = np.sum([track.energy for track in heard], axis=0, dtype=np.float64)
    likes = active / len(heard) + 0.1 * power / max(power.max(), 1e-12)
    sums = np.concatenate([[0.0], np.cumsum(likes)])
    first = round(int(np.argmax(sums[steps:] - sums[:-steps])) * STEP_S * rate_hz)
    return Passage(min(first, song - frames), frames)


class PlainSum:
    """The stems as they came, added up over a passage; several threads may add."""

    def __init__(self, passage: Passage) -> None:
        self.passage, self._lock = passage, Lock()
        self._total = np.zeros((passage.frames, 2), np.int32)

    def add(self, start: int, block: Block) -> None:
        """Add the ``(frames, channels)`` of one stem that begin at a frame of the song."""
        place, part = self.passage.of(start, block)
        if len(part):
            steps = np.rint(np.clip(part, -_MOST, _MOST) * np.float32(_PER_UNIT)).astype(np.int32)
            with self._lock:
                self._total[place : place + len(part)] += steps  # mono goes to both sides

    def blocks(self) -> Iterator[Block]:
        """Yield the sum."""
        for start, length in blocks_of(len(self._total)):
            part = self._total[start : start + length]
            yield np.multiply(part, np.float32(1.0 / _PER_UNIT), dtype=np.float32)


class ExcerptFile:
    """A passage of what passes by, kept in a work file of raw float32."""

    def __init__(self, path: Path, passage: Passage) -> None:
        self._passage, self._at = passage, 0
        self._file = path.open("wb")

    def put(self, block: Block) -> None:
        """Take the next ``(frames, 2)``."""
        _, part = self._passage.of(self._at, block)
        self._at += len(block)
        if len(part):
            np.ascontiguousarray(part, np.float32).tofile(self._file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def blocks_in(path: Path) -> Iterator[Block]:
    """Yield what an ``ExcerptFile`` kept."""
    with path.open("rb") as file:
        while len(part := np.fromfile(file, np.float32, 2 * BLOCK_FRAMES)):
            yield part.reshape(-1, 2)


@dataclass(frozen=True)
class Level:
    """How loud a passage is, and its highest sample."""

    lufs: float
    peak_dbfs: float


def level_of(blocks: Iterable[Block], rate_hz: int) -> Level:
    """Return the level of a passage."""
    meter, highest = LoudnessMeter(rate_hz, 2), 0.0
    for block in blocks:
        meter.update(block)
        highest = max(highest, float(np.abs(block).max(initial=0.0)))
    return Level(float(meter.integrated_lufs()), db_of(highest))


def gains_db(mix: Level, plain: Level) -> tuple[float, float]:
    """Return what makes both equally loud, in dB (rule 1)."""
    wanted_db = mix.lufs - plain.lufs
    over_db = FREE_DB + max(-FREE_DB, mix.peak_dbfs, plain.peak_dbfs + wanted_db)
    return -over_db, wanted_db - over_db


def encode(blocks: Iterable[Block], gain_db: float, path: Path, rate_hz: int) -> None:
    """Write a passage as Ogg Vorbis."""
    resampler, gain = Resampler(rate_hz, RATE_HZ, 2), np.float32(ratio_of(gain_db))
    with Writer(path, rate_hz=RATE_HZ, channels=2, format="ogg", kbits=KBITS) as writer:
        for block in blocks:
            writer.write(resampler.process(block * gain))
        writer.write(resampler.finish())
