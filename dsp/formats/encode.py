"""FLAC, Ogg, Opus and MP3 through libsndfile, and what went wrong when it only says "error"."""

import errno
import os
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp.errors import ParameterError
from dsp.formats.ogg_serial import settle_serial

_TRIAL_BYTES = 1 << 16
_FAILURES = (soundfile.LibsndfileError, AssertionError)
"""What soundfile raises; it asserts that as many frames were written as were given."""


@dataclass(frozen=True)
class Coding:
    """What libsndfile is told: a container, a codec, and how hard to try."""

    container: str
    subtype: str
    level: float | None = None
    """0 is the best sound, 1 the smallest file; for FLAC the fastest and the smallest."""
    mode: str | None = None
    """``CONSTANT`` or ``VARIABLE`` bit rate."""


class EncodedFile:
    """An encoded file that grows.

    Parameters
    ----------
    fd : int
        Open for reading and writing, at offset 0, empty; stays the caller's.
    coding : Coding
    rate_hz, channels : int

    Raises
    ------
    OSError
        The disk's reason, from every method.
    ParameterError
        The encoder does not take this rate.
    """

    def __init__(self, fd: int, coding: Coding, *, rate_hz: int, channels: int) -> None:
        self._fd, self._ogg = fd, coding.container == "OGG"
        try:
            self._file = soundfile.SoundFile(
                os.dup(fd),  # its own: whenever it is closed, it writes to no other file
                "w",
                samplerate=rate_hz,
                channels=channels,
                format=coding.container,
                subtype=coding.subtype,
                compression_level=coding.level,
                bitrate_mode=coding.mode,
            )
        except soundfile.LibsndfileError as error:
            raise cause_of(self._fd) or ParameterError(
                f"{coding.subtype} does not take {channels} channels at {rate_hz} Hz"
            ) from error

    def write(self, samples: NDArray[np.int32] | NDArray[np.float32]) -> None:
        """Append ``(frames, channels)``, few enough: int32 or float32, of full scale."""
        try:
            self._file.write(samples)
        except _FAILURES as error:
            raise self._reason() from error

    def close(self) -> None:
        """Let the encoder write its last bytes."""
        try:
            self._file.close()
        except _FAILURES as error:
            raise self._reason() from error
        if self._ogg:
            settle_serial(self._fd)

    def _reason(self) -> OSError:
        return cause_of(self._fd) or OSError(errno.EIO, "the encoder failed")


def cause_of(fd: int) -> OSError | None:
    """Ask the disk what it told an encoder, which keeps only that it failed."""
    size = os.fstat(fd).st_size
    try:
        os.pwrite(fd, bytes(_TRIAL_BYTES), size)
        os.fsync(fd)
        os.ftruncate(fd, size)
    except OSError as cause:
        return cause
    return None
