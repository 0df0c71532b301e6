"""A stem as a stream of blocks at the rate of the song, in its place in time.

Rules
-----
Rule 1: more than two channels are folded to two before anything listens, so that the
analysis hears what the mix will use.

Rule 2: frame n of a stem that is ``lag`` frames late is frame n − lag of the song; what
falls before the song's first frame is dropped, what is missing is silence.
"""

from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import numpy as np

from dsp.audio import BLOCK_FRAMES, Block, Fifo
from dsp.containers.speakers import Speakers
from dsp.formats.reader import Limits, Probe, StemReader, probe
from dsp.formats.resample import Resampler
from dsp.mixing.copies import Copies, CopyReader
from dsp.mixing.pairs import PairReader

# ITU-R BS.775-3, table 2: centre and surrounds join the front pair at -3 dB, what is behind the
# middle each side at -6 dB; the low frequency channel is left out, as it is in loudness.
_HALF_POWER = float(np.sqrt(0.5))

LEAST_FRAMES = 1_024
"""Fewer are not worth a call of the decoder and the resampler."""


@dataclass(frozen=True)
class Resources:
    """What a mix may use. How many threads it has changes nothing but its speed."""

    limits: Limits = field(default_factory=Limits)
    foreign: bool = True
    """Whether the ``ffmpeg`` program may decode what libsndfile does not know."""
    accept_truncated: bool = False
    """Whether a stem whose writer never finished its header is used as far as it goes."""
    threads: int = 2
    copies: Copies | None = None
    """Of what was decoded once; ``None``: it is decoded again."""

    def probe(self, path: Path, name: str) -> Probe:
        """Return what the file at `path` is; see ``reader.probe``."""
        return probe(
            path,
            name=name,
            limits=self.limits,
            allow_ffmpeg=self.foreign,
            accept_truncated=self.accept_truncated,
        )

    def second_reader(self, probe: Probe) -> StemReader | PairReader | CopyReader:
        """Return a reader of a stem that was read before: the same sound."""
        copy = self.copies.reader(probe) if self.copies else None
        return copy or self.reader(probe)

    def reader(self, probe: Probe) -> StemReader | PairReader:
        """Return a reader of a stem; see ``reader.StemReader``."""
        if probe.sides:
            return PairReader(*map(self._file_reader, probe.sides))
        return self._file_reader(probe)

    def _file_reader(self, probe: Probe) -> StemReader:
        return StemReader(
            probe,
            limits=self.limits,
            allow_ffmpeg=self.foreign,
            accept_truncated=self.accept_truncated,
        )


def fold(block: Block, speakers: Speakers = ()) -> Block:
    """Return mono and stereo as they are, and any other layout as stereo.

    Channels whose speakers are not known are taken for pairs: even ones to the left, odd ones to
    the right, at equal power.
    """
    channels = block.shape[1]
    if channels <= 2:  # noqa: PLR2004 - mono and stereo
        return block
    pairs = float(np.sqrt(2.0 / channels))
    folded = np.zeros((len(block), 2), np.float32)
    for channel in range(channels):
        to_pair = (pairs, 0.0) if channel % 2 == 0 else (0.0, pairs)
        gains = _gains(speakers[channel]) if speakers else to_pair
        for side, gain in enumerate(gains):
            if gain:
                folded[:, side] += np.float32(gain) * block[:, channel]
    return folded


def _gains(speaker: str) -> tuple[float, float]:
    """Return a speaker's share in left and right."""
    if speaker in ("L", "R"):
        return (1.0, 0.0) if speaker == "L" else (0.0, 1.0)
    if speaker == "LFE":
        return 0.0, 0.0
    if "C" in speaker:
        return (_HALF_POWER, _HALF_POWER) if speaker == "C" else (0.5, 0.5)
    return (_HALF_POWER, 0.0) if "L" in speaker else (0.0, _HALF_POWER)


class Source:
    """One stem's frames on the song's timeline.

    Parameters
    ----------
    probe : Probe
    rate_hz : int
        The song's.
    lag : int
        Frames, at the song's rate, that the stem is late.
    polarity : int
        +1 or −1.
    """

    def __init__(
        self, probe: Probe, *, rate_hz: int, lag: int, polarity: int, resources: Resources
    ) -> None:
        self.channels, self._speakers = min(probe.channels, 2), probe.speakers
        self._reader = resources.second_reader(probe)
        self._resampler = Resampler(probe.rate_hz, rate_hz, self.channels)
        self._stretch = probe.rate_hz / rate_hz
        self._polarity = np.float32(polarity)
        self._skip, self._before = max(0, lag), max(0, -lag)
        self._fifo = Fifo(self.channels)
        self._ended = False

    def read(self, frames: int) -> Block:
        """Return the next ``(frames, channels)`` of the song, silence after the stem's end."""
        # Silence before the stem is made as it is asked for: it may last an hour.
        if early := min(frames - self._fifo.frames, self._before):
            self._before -= early
            self._fifo.put(np.zeros((early, self.channels), np.float32))
        while self._fifo.frames < frames and not self._ended:
            self._fetch(frames - self._fifo.frames)
        missing = frames - self._fifo.frames
        if missing > 0:
            self._put(np.zeros((missing, self.channels), np.float32))
        return self._fifo.take(frames)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _fetch(self, missing: int) -> None:
        """Read what becomes so many frames: what waits in the queue costs memory per stem."""
        wanted = min(BLOCK_FRAMES, max(LEAST_FRAMES, ceil(missing * self._stretch)))
        block = self._reader.read(wanted)
        self._ended = len(block) < wanted
        arrived = self._resampler.process(fold(block, self._speakers))
        if self._polarity < 0:
            arrived = -arrived
        self._put(arrived)
        if self._ended:
            self._put(self._polarity * self._resampler.finish())

    def _put(self, block: Block) -> None:
        dropped = min(self._skip, len(block))
        self._skip -= dropped
        self._fifo.put(block[dropped:])
