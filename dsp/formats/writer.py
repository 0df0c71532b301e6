"""Write what was made: WAV, FLAC, Ogg Vorbis, Opus, MP3.

Theory of operation
-------------------
A ``Writer`` takes blocks of float32. 16 and 24 bits are dithered (``dither``); 32 bits and
the lossy encoders take the floats as they are. ``close`` returns when the bytes are on the
disk. Whether they hold what was meant, ``mixing.master`` finds out: it decodes them.

Rules
-----
Rule 1: the same sound gives the same bytes. No file holds a date or a random number, and
encoders see blocks of one size: libsndfile's Vorbis encoder shows the blocks it was given.
(It also overruns the stack when it gets millions of frames at once.)

Rule 2: a full disk is an ``OSError`` with its errno. What was written until then is the
caller's to remove.

Rule 3: no rate is changed here. Opus takes 8, 12, 16, 24 and 48 kHz only, MP3 the nine
rates of MPEG audio; for others, resample first.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp.audio import BLOCK_FRAMES, Block, Windows, blocks_of
from dsp.errors import ParameterError
from dsp.formats.dither import quantise
from dsp.formats.encode import Coding, EncodedFile
from dsp.formats.wavefile import WaveFile

__all__ = ["Writer", "formats_available", "quantise"]

BITS = {"wav": (16, 24, 32), "flac": (16, 24)}
"""Bits that a format can have; 32 is float. Lossy formats have none."""

OPUS_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
MP3_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

_MASTER_KBITS = {"ogg": 256, "opus": 192, "mp3": 320}
_LOSSY = {"ogg": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}
FORMAT_RATES_HZ = {"opus": OPUS_HZ, "mp3": MP3_HZ}
_LOW_HZ, _HIGH_HZ = 8_000, 192_000  # Vorbis in libsndfile crashes above 200 kHz
_MOST_CHANNELS, _MOST_CHANNELS_LOSSLESS = 2, 8
_FLOAT_BITS = 32
_VORBIS_KBITS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
_MOST_LEVEL = 0.99  # libsndfile's MP3 encoder refuses the 1 that it documents


class Writer:
    """A file that grows block by block.

    Parameters
    ----------
    path : Path
        Made, or emptied.
    rate_hz : int
        8,000 to 192,000; fewer for Opus and MP3 (Rule 3).
    channels : int
        1 or 2; of WAV and FLAC up to 8.
    format : str
        One of ``formats_available()``.
    bits : int
        16, 24 or 32 (float) for WAV, 16 or 24 for FLAC. Lossy formats take no notice.
    kbits : int
        About how many kilobits per second a lossy format may take; of MP3, the nearest that
        there is. 0: as many as a master deserves.
    integers : bool
        Samples that are integers of this width already are written as they are, without dither.

    Raises
    ------
    ParameterError
        The format cannot hold this.
    OSError
        From every method, with the disk's errno.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate_hz: int,
        channels: int,
        format: str,  # noqa: A002 - the word for it
        bits: int = 24,
        kbits: int = 0,
        integers: bool = False,
    ) -> None:
        _check(rate_hz, channels, format, bits)
        self._bits = bits if format in BITS else _FLOAT_BITS
        self._integers = integers
        self._left_bits = 32 - bits if format == "flac" else 0
        self._frames, self._windows = 0, Windows(BLOCK_FRAMES, channels)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o666)
        self._open = True
        try:
            self._file: WaveFile | EncodedFile = (
                WaveFile(self._fd, rate_hz=rate_hz, channels=channels, bits=bits)
                if format == "wav"
                else EncodedFile(
                    self._fd,
                    _coding(format, bits, rate_hz, channels, kbits),
                    rate_hz=rate_hz,
                    channels=channels,
                )
            )
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except OSError:
            if error is None:  # else the first error is the one to tell
                raise

    def write(self, block: Block) -> None:
        """Append ``(frames, channels)`` float32, of full scale ±1.0."""
        self._put(self._windows.push(block))

    def close(self) -> None:
        """Finish the file; return when it is on the disk. May be called twice."""
        if not self._open:
            return
        self._open = False
        try:
            try:
                self._put(self._windows.rest())
            finally:
                self._file.close()
            os.fsync(self._fd)
        finally:
            os.close(self._fd)

    def _put(self, block: Block) -> None:
        for start, length in blocks_of(len(block)):
            self._file.write(self._samples(block[start : start + length]))
            self._frames += length

    def _samples(self, block: Block) -> NDArray[np.int32] | NDArray[np.float32]:
        if self._bits == _FLOAT_BITS:
            return np.ascontiguousarray(block, np.float32)
        return self._quantised(block) << self._left_bits

    def _quantised(self, block: Block) -> NDArray[np.int32]:
        if not self._integers:
            return quantise(block, self._bits, self._frames)
        full = 1 << (self._bits - 1)
        scaled = block * np.float32(full)  # a power of two: exact
        whole = scaled == np.rint(scaled)
        kept: NDArray[np.int32] = np.clip(scaled, -full, full - 1).astype(np.int32)
        if whole.all():
            return kept
        np.copyto(kept, quantise(block, self._bits, self._frames), where=~whole)
        return kept


def formats_available() -> dict[str, tuple[int, ...]]:
    """Return the formats that can be written here, and the bits of each; none where lossy."""
    there = soundfile.available_formats()
    lossy = {
        name: ()
        for name, (container, subtype) in _LOSSY.items()
        if container in there and subtype in soundfile.available_subtypes(container)
    }
    return {name: bits for name, bits in BITS.items() if name == "wav" or "FLAC" in there} | lossy


def _check(rate_hz: int, channels: int, format: str, bits: int) -> None:  # noqa: A002 - as above
    available = formats_available()
    if format not in available:
        raise ParameterError(f"format must be one of {', '.join(available)}, got {format!r}")
    if format in BITS and bits not in BITS[format]:
        raise ParameterError(f"bits of {format} must be one of {BITS[format]}, got {bits}")
    most = _MOST_CHANNELS_LOSSLESS if format in BITS else _MOST_CHANNELS
    if not 1 <= channels <= most:
        raise ParameterError(f"channels of {format} must be 1 to {most}, got {channels}")
    rates_hz = FORMAT_RATES_HZ.get(format, ())
    if rates_hz and rate_hz not in rates_hz:
        raise ParameterError(f"rate_hz of {format} must be one of {rates_hz}, got {rate_hz}")
    if not _LOW_HZ <= rate_hz <= _HIGH_HZ:
        raise ParameterError(f"rate_hz must be {_LOW_HZ} to {_HIGH_HZ}, got {rate_hz}")


def _coding(format: str, bits: int, rate_hz: int, channels: int, kbits: int) -> Coding:  # noqa: A002 - as above
    if format == "flac":
        return Coding("FLAC", f"PCM_{bits}")
    container, subtype = _LOSSY[format]
    level = _LEVEL_OF[format](kbits or _MASTER_KBITS[format], rate_hz, channels)
    return Coding(container, subtype, level, "CONSTANT" if format == "mp3" else None)


# What follows undoes libsndfile's mapping of its one level, 0..1, to each encoder's own measure.


def _mp3_level(kbits: int, rate_hz: int, _channels: int) -> float:
    """MPEG-1, -2 and -2.5 have ranges of their own (ISO 11172-3, 13818-3)."""
    if rate_hz >= MP3_HZ[-3]:
        lowest, highest = 32, 320
    else:
        lowest, highest = 8, 160 if rate_hz >= MP3_HZ[3] else 64
    return min((highest - min(kbits, highest)) / (highest - lowest), _MOST_LEVEL)


def _opus_level(kbits: int, _rate_hz: int, channels: int) -> float:
    """6 to 256 kbit/s a channel."""
    return float(np.interp(kbits / channels, (6.0, 256.0), (1.0, 0.0)))


def _vorbis_level(kbits: int, _rate_hz: int, channels: int) -> float:
    """Vorbis is asked for a quality; these are its nominal rates for 44.1 kHz stereo."""
    quality = np.interp(kbits * 2 / channels, _VORBIS_KBITS, np.linspace(0.0, 1.0, 11))
    return float(1.0 - quality)


_LEVEL_OF = {"mp3": _mp3_level, "opus": _opus_level, "ogg": _vorbis_level}
