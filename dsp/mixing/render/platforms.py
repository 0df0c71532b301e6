"""What listeners will hear of a master: what services do to its level, codecs to its peaks.

References
----------
The targets that services publish, which they change without notice. Spotify and Apple Music
raise a soft master as far as its peaks allow; the others only turn down. EBU R 128: a programme
is delivered at -23 LUFS.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsp.audio import BLOCK_FRAMES, Block
from dsp.formats.reader import Limits, StemReader, probe
from dsp.formats.resample import Resampler
from dsp.formats.writer import Writer, formats_available
from dsp.measure.levels import TruePeakMeter
from dsp.measure.loudness import FLOOR_LUFS
from dsp.mixing.render.verify import Verified

LOSSY_PEAK_DBTP = -1.0
"""What services ask to be left free."""
CODEC_RATE_HZ = 48_000
CODECS = {"mp3": 192, "opus": 128, "ogg": 160}
"""Kilobits per second that services send."""
EXCERPT_S = 6.0


@dataclass(frozen=True)
class Service:
    """How a service plays masters of any loudness."""

    name: str
    target_lufs: float
    raises: bool = False
    """Whether a soft master is turned up."""


SERVICES = (
    Service("Spotify", -14.0, raises=True),
    Service("Apple Music", -16.0, raises=True),
    Service("YouTube", -14.0),
    Service("Tidal", -14.0),
    Service("Amazon Music", -14.0),
    Service("Deezer", -15.0),
    Service("EBU R 128", -23.0),
)


def turned_db(service: Service, integrated_lufs: float, true_peak_dbtp: float) -> float:
    """Return by how much a service turns a master up (> 0) or down."""
    wanted_db = service.target_lufs - integrated_lufs
    if wanted_db <= 0.0:
        return wanted_db
    free_db = LOSSY_PEAK_DBTP - true_peak_dbtp
    return max(0.0, min(wanted_db, free_db)) if service.raises else 0.0


def platforms_of(heard: Verified) -> list[dict[str, object]]:
    """Return a row per service: what it does, and how loud the master plays there."""
    if heard.integrated_lufs <= FLOOR_LUFS:
        return []
    rows: list[dict[str, object]] = []
    for service in SERVICES:
        turned = turned_db(service, heard.integrated_lufs, heard.true_peak_dbtp)
        rows.append(
            {
                "service": service.name,
                "target_lufs": service.target_lufs,
                "turned_db": round(turned, 1) + 0.0,
                "plays_at_lufs": round(heard.integrated_lufs + turned, 1),
            }
        )
    return rows


def lossy_peaks_dbtp(
    path: Path, heard: Verified, limits: Limits, threads: int = 1
) -> dict[str, float]:
    """Return the true peak after each codec, of the 6 s around the master's highest sample."""
    excerpt = np.concatenate([*_around_the_peak(path, heard, limits), np.zeros((0, 2), np.float32)])

    def peak_dbtp(codec: str) -> float:
        file, kbits = path.with_name(f"excerpt.{codec}"), CODECS[codec]
        try:
            with Writer(file, rate_hz=CODEC_RATE_HZ, channels=2, format=codec, kbits=kbits) as out:
                out.write(excerpt)
            return _true_peak_dbtp(file, limits)
        finally:
            file.unlink(missing_ok=True)

    known = [codec for codec in CODECS if codec in formats_available()]
    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(known, pool.map(peak_dbtp, known), strict=True))


def _around_the_peak(path: Path, heard: Verified, limits: Limits) -> Iterator[Block]:
    """Yield the part at the rate of the codecs."""
    shape = heard.shape
    highest = int(np.argmax(np.maximum(shape.high, -shape.low))) if len(shape.high) else 0
    middle = (highest + 0.5) / max(len(shape.high), 1) * heard.frames
    length = round(EXCERPT_S * heard.rate_hz)
    first = max(0, min(round(middle) - length // 2, heard.frames - length))
    resampler = Resampler(heard.rate_hz, CODEC_RATE_HZ, 2)
    for start, block in _blocks(path, limits):
        if start >= first + length:
            break  # what comes after it need not be decoded
        part = block[max(first - start, 0) : max(first + length - start, 0)]
        if len(part):
            yield resampler.process(part)
    yield resampler.finish()


def _true_peak_dbtp(path: Path, limits: Limits) -> float:
    meter = TruePeakMeter(CODEC_RATE_HZ, 2)
    for _, block in _blocks(path, limits):
        meter.update(block)
    return round(float(meter.true_peaks_dbtp().max()), 2)


def _blocks(path: Path, limits: Limits) -> Iterator[tuple[int, Block]]:
    with StemReader(probe(path, name=path.name, limits=limits), limits=limits) as reader:
        start = 0
        while len(block := reader.read(BLOCK_FRAMES)):
            yield start, block
            start += len(block)
