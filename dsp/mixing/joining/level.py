"""As loud as asked, with true peaks below the ceiling, in the file as it decodes.

Theory of operation
-------------------
The sound lies in a file of floats. The gain that makes it as loud as asked, behind a limiter, is
found before anything is encoded: encoding takes most of the time. Then it is limited once more and
encoded, and the result is decoded and measured. A lossy format changes loudness a little and puts
peaks where none were: whoever asks for one may name what it usually does. What is off even so is
made anew, with another goal or a lower ceiling.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsp.audio import BLOCK_FRAMES, HOP_FRAMES, Block
from dsp.formats.m4b import AacFile
from dsp.formats.reader import StemReader, probe
from dsp.formats.resample import Resampler
from dsp.formats.writer import Writer
from dsp.measure.levels import TruePeakMeter
from dsp.measure.loudness import LoudnessMeter
from dsp.processors.limiter import Limiter
from dsp.units import ratio_of

Sink = Writer | AacFile

CEILING_DBTP = -1.0
TOLERANCE_LU, TOLERANCE_DB = 0.05, 0.05
_MOST_ENCODINGS, _MOST_PASSES = 4, 8
_SETTLED_LU = 0.01
_LEAST_STEP_DB = 1e-3


@dataclass(frozen=True)
class Codec:
    """What a lossy format usually does."""

    loudness_lu: float = 0.0
    """Added to the loudness: negative where it gets quieter."""
    peaks_db: float = 0.0
    """Added to true peaks at the ceiling."""


@dataclass(frozen=True)
class Levelled:
    """What became of it; loudness and peak are those of the file, decoded."""

    integrated_lufs: float
    true_peak_dbtp: float
    reduction_db: float
    """The most that the limiter took."""


def levelled(
    source: Path,
    writer: Callable[[], Sink],
    path: Path,
    *,
    lufs: float,
    target_lufs: float,
    rate_hz: int,
    report: Callable[[float], None],
    codec: Codec = Codec(),
) -> Levelled:
    """Write ``source`` to ``path`` at the loudness that is asked for.

    Parameters
    ----------
    source : Path
        A WAV file of floats.
    writer : callable
        Begins ``path`` anew, at ``rate_hz``.
    lufs : float
        How loud the source is.
    codec : Codec
    """
    gain_db, goal_lufs = target_lufs - lufs, target_lufs - codec.loudness_lu
    ceiling_dbtp = CEILING_DBTP - TOLERANCE_DB - codec.peaks_db
    for number in range(_MOST_ENCODINGS):
        gain_db = _settled(source, gain_db, ceiling_dbtp, goal_lufs)
        report((number + 0.3) / _MOST_ENCODINGS)
        with writer() as out:
            reduction_db = _encoded(source, gain_db, ceiling_dbtp, out, rate_hz)
        heard = heard_of(path)
        report((number + 1) / _MOST_ENCODINGS)
        off_lu, over_db = target_lufs - heard[0], heard[1] - CEILING_DBTP
        if abs(off_lu) <= TOLERANCE_LU and over_db <= 0.0:
            break
        goal_lufs += off_lu
        ceiling_dbtp -= over_db + TOLERANCE_DB if over_db > 0.0 else 0.0
    return Levelled(*heard, reduction_db)


def _settled(source: Path, gain_db: float, ceiling_dbtp: float, goal_lufs: float) -> float:
    """Return the gain that makes the limited sound as loud as this."""
    tried: tuple[float, float] | None = None
    for _ in range(_MOST_PASSES):
        limited = _Limited(source, gain_db, ceiling_dbtp)
        meter = LoudnessMeter(limited.rate_hz, limited.channels)
        for block in limited:
            meter.update(block)
        lufs = meter.integrated_lufs()
        if abs(goal_lufs - lufs) <= _SETTLED_LU:
            break
        slope, tried = _slope(tried, gain_db, lufs), (gain_db, lufs)
        gain_db += (goal_lufs - lufs) / slope
    return gain_db


def _slope(before: tuple[float, float] | None, gain_db: float, lufs: float) -> float:
    """Return how much louder 1 dB of gain made it: less than 1 dB, where the limiter works."""
    if before is None or abs(gain_db - before[0]) < _LEAST_STEP_DB:
        return 1.0
    return min(1.0, max(0.25, (lufs - before[1]) / (gain_db - before[0])))


def heard_of(path: Path) -> tuple[float, float]:
    """Return loudness and true peak of a file as it decodes."""
    found = probe(path, name=path.name, allow_ffmpeg=True)
    meter = LoudnessMeter(found.rate_hz, found.channels)
    peaks = TruePeakMeter(found.rate_hz, found.channels)
    with StemReader(found, allow_ffmpeg=True) as reader:
        while len(block := reader.read(BLOCK_FRAMES)):
            meter.update(block)
            peaks.update(block)
    return meter.integrated_lufs(), float(peaks.true_peak_dbtp())


def _encoded(path: Path, gain_db: float, ceiling_dbtp: float, out: Sink, rate_hz: int) -> float:
    """Write the limited sound; return what the limiter took at the most."""
    limited = _Limited(path, gain_db, ceiling_dbtp)
    resampler = Resampler(limited.rate_hz, rate_hz, limited.channels)
    for block in limited:
        out.write(resampler.process(block))
    out.write(resampler.finish())
    return limited.limiter.reduction.max_db


class _Limited:
    """The limited sound, block by block, as long as before."""

    def __init__(self, path: Path, gain_db: float, ceiling_dbtp: float) -> None:
        self._probe = probe(path, name=path.name)
        self.rate_hz, self.channels = self._probe.rate_hz, self._probe.channels
        self.limiter = Limiter(
            ceiling_dbtp=ceiling_dbtp,
            rate_hz=self.rate_hz,
            channels=self.channels,
            gain=ratio_of(gain_db),
        )

    def __iter__(self) -> Iterator[Block]:
        late, left = self.limiter.latency, self._probe.frames or 0
        with StemReader(self._probe) as reader:
            for block in _with_tail(reader, self.limiter.latency, self.channels):
                done = self.limiter.process(block)
                skipped = min(late, len(done))
                late -= skipped
                sound = done[skipped : skipped + left]
                left -= len(sound)
                yield sound


def _with_tail(reader: StemReader, frames: int, channels: int) -> Iterator[Block]:
    """Yield the sound in whole hops, and silence enough to push out what the limiter holds."""
    while len(block := reader.read(BLOCK_FRAMES)):
        if rest := -len(block) % HOP_FRAMES:
            block = np.pad(block, ((0, rest), (0, 0)))
        yield block
    yield np.zeros((frames + -frames % HOP_FRAMES, channels), np.float32)
