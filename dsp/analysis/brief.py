"""What can be said of a sound for the price of its decoding: length, loudness and outline."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsp.audio import BLOCK_FRAMES
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, Probe, StemReader, probe
from dsp.measure.loudness import FLOOR_LUFS, LoudnessMeter

PEAKS = 200
"""Points of an outline: what a row of a page can show."""

_PIECE_FRAMES = 512
_HIGHEST = 255
_UNKNOWN_S = 300
_BROKEN = {"INPUT_DAMAGED", "INPUT_TRUNCATED"}


@dataclass(frozen=True)
class Brief:
    """What was heard."""

    duration_s: float
    rate_hz: int
    channels: int
    integrated_lufs: float | None
    """``None``: nothing is louder than the absolute gate."""
    sample_peak_dbfs: float | None
    """``None``: digital silence."""
    peaks: bytes
    """The greatest sample of each of 200 stretches; 255 is full scale."""
    audio_md5: bytes
    """Of the frames as 32-bit floats: the same for the same sound in another lossless format."""
    trouble: str
    """Why it was not heard to its end; empty: it was."""


def brief_of(
    path: Path,
    *,
    name: str,
    limits: Limits | None = None,
    foreign: bool = True,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Brief:
    """Hear the file at ``path`` once, as far as it goes.

    Raises
    ------
    AudioFormatError
        There is no sound in it.
    """
    found = probe(path, name=name, limits=limits, allow_ffmpeg=foreign, accept_truncated=True)
    with StemReader(found, limits=limits, allow_ffmpeg=foreign, accept_truncated=True) as reader:
        return _heard(reader, found, on_progress)


def _heard(reader: StemReader, found: Probe, on_progress: Callable[[float], None]) -> Brief:
    meter = LoudnessMeter(found.rate_hz, found.channels)
    digest = hashlib.md5(usedforsecurity=False)
    peaks: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
    trouble = ""
    try:
        while len(block := reader.read(BLOCK_FRAMES)):
            meter.update(block)
            digest.update(block.tobytes())
            highest = np.abs(block).max(axis=1)
            starts = np.arange(0, len(highest), _PIECE_FRAMES)
            peaks.append(np.maximum.reduceat(highest, starts))
            heard = reader.frames_read
            on_progress(min(1.0, heard / (found.frames or heard + _UNKNOWN_S * found.rate_hz)))
    except AudioFormatError as error:
        if error.code not in _BROKEN or not reader.frames_read:
            raise
        trouble = error.code
    outline = np.concatenate(peaks)
    highest_of_all = float(outline.max())
    lufs = meter.integrated_lufs()
    return Brief(
        duration_s=round(reader.frames_read / found.rate_hz, 3),
        rate_hz=found.rate_hz,
        channels=found.channels,
        integrated_lufs=round(lufs, 2) if lufs > FLOOR_LUFS else None,
        sample_peak_dbfs=round(20 * float(np.log10(highest_of_all)), 2) if highest_of_all else None,
        peaks=_thinned(outline),
        audio_md5=digest.digest(),
        trouble=trouble or ("INPUT_TRUNCATED" if reader.cut else ""),
    )


def _thinned(outline: np.ndarray[tuple[int], np.dtype[np.float32]]) -> bytes:
    starts = np.arange(PEAKS) * len(outline) // PEAKS
    highest = np.maximum.reduceat(outline, starts)
    return bytes(np.clip(np.rint(highest * _HIGHEST), 0, _HIGHEST).astype(np.uint8))
