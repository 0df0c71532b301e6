"""As loud as asked, with true peaks below the ceiling, in the file as it decodes.

Theory of operation
-------------------
The sound lies in a file of floats. It is limited and encoded, the result is decoded and measured,
and that is repeated with another gain or a lower ceiling until both are as asked.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsp.audio import BLOCK_FRAMES, HOP_FRAMES, Block
from dsp.formats.reader import StemReader, probe
from dsp.formats.resample import Resampler
from dsp.formats.writer import Writer
from dsp.measure.levels import TruePeakMeter
from dsp.measure.loudness import LoudnessMeter
from dsp.processors.limiter import Limiter
from dsp.units import ratio_of

CEILING_DBTP = -1.0
TOLERANCE_LU, TOLERANCE_DB = 0.05, 0.05
_PASSES = 8
_LEAST_STEP_DB = 1e-3


@dataclass(frozen=True)
class Levelled:
    """What became of it; loudness and peak are those of the file, decoded."""

    integrated_lufs: float
    true_peak_dbtp: float
    reduction_db: float
    """The most that the limiter took."""


def levelled(
    source: Path,
    writer: Callable[[], Writer],
    path: Path,
    *,
    lufs: float,
    target_lufs: float,
    rate_hz: int,
    report: Callable[[float], None],
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
    """
    gain_db, ceiling_dbtp = target_lufs - lufs, CEILING_DBTP - TOLERANCE_DB
    tried: tuple[float, float] | None = None
    for number in range(_PASSES):
        with writer() as out:
            reduction_db = _limited(source, gain_db, ceiling_dbtp, out, rate_hz)
        heard = heard_of(path)
        report((number + 1) / _PASSES)
        off_lu, over_db = target_lufs - heard[0], heard[1] - CEILING_DBTP
        if abs(off_lu) <= TOLERANCE_LU and over_db <= 0.0:
            break
        slope = _slope(tried, gain_db, heard[0])
        tried = gain_db, heard[0]
        gain_db += off_lu / slope
        ceiling_dbtp -= max(0.0, over_db + TOLERANCE_DB) if over_db > 0.0 else 0.0
    return Levelled(*heard, reduction_db)


def _slope(before: tuple[float, float] | None, gain_db: float, lufs: float) -> float:
    """Return how much louder 1 dB of gain made it: less than 1 dB, where the limiter works."""
    if before is None or abs(gain_db - before[0]) < _LEAST_STEP_DB:
        return 1.0
    return min(1.0, max(0.25, (lufs - before[1]) / (gain_db - before[0])))


def heard_of(path: Path) -> tuple[float, float]:
    """Return loudness and true peak of a file as it decodes."""
    found = probe(path, name=path.name)
    meter = LoudnessMeter(found.rate_hz, found.channels)
    peaks = TruePeakMeter(found.rate_hz, found.channels)
    with StemReader(found) as reader:
        while len(block := reader.read(BLOCK_FRAMES)):
            meter.update(block)
            peaks.update(block)
    return meter.integrated_lufs(), float(peaks.true_peak_dbtp())


def _limited(path: Path, gain_db: float, ceiling_dbtp: float, out: Writer, rate_hz: int) -> float:
    """Write the limited sound, as long as before; return what the limiter took at the most."""
    found = probe(path, name=path.name)
    limiter = Limiter(
        ceiling_dbtp=ceiling_dbtp,
        rate_hz=found.rate_hz,
        channels=found.channels,
        gain=ratio_of(gain_db),
    )
    resampler = Resampler(found.rate_hz, rate_hz, found.channels)
    late, left = limiter.latency, found.frames or 0
    with StemReader(found) as reader:
        for block in _with_tail(reader, limiter.latency, found.channels):
            done = limiter.process(block)
            skipped = min(late, len(done))
            late -= skipped
            sound = done[skipped : skipped + left]
            left -= len(sound)
            out.write(resampler.process(sound))
    out.write(resampler.finish())
    return limiter.reduction.max_db


def _with_tail(reader: StemReader, frames: int, channels: int) -> Iterator[Block]:
    """Yield the sound in whole hops, and silence enough to push out what the limiter holds."""
    while len(block := reader.read(BLOCK_FRAMES)):
        if rest := -len(block) % HOP_FRAMES:
            block = np.pad(block, ((0, rest), (0, 0)))
        yield block
    yield np.zeros((frames + -frames % HOP_FRAMES, channels), np.float32)
