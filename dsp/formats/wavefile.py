"""WAV files, written by ourselves.

libsndfile would add a PEAK chunk with the time of day to float files, says "System error"
for a full disk, and cannot be told to sync. A WAV file is a header and the samples.

Rule 1: room for a ``ds64`` chunk is kept by a ``JUNK`` chunk of its size, so that a file
that outgrows 4 GiB becomes RF64 in place (EBU Tech 3306, section 3).

Rule 2: until ``close`` the header declares no sound, which readers take for "being written".
"""

import os
import struct

import numpy as np
from numpy.typing import NDArray

_PCM, _FLOAT = 1, 3
_MOST_RIFF_BYTES = 0xFFFF_FFFF
_DS64_BYTES = 28


def header_of(data_bytes: int, *, rate_hz: int, channels: int, bits: int) -> bytes:
    """Return all that stands before the samples; 32 bits are float."""
    frame_bytes = channels * bits // 8
    tag = _FLOAT if bits == 32 else _PCM  # noqa: PLR2004 - bits
    form = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits)
    frames = data_bytes // frame_bytes
    # A format other than PCM has an extension, if empty, and says its frames in a fact.
    extra = b"\0\0" if tag == _FLOAT else b""
    fact = _chunk(b"fact", struct.pack("<I", min(frames, 0xFFFF_FFFF))) if extra else b""
    middle = _chunk(b"fmt ", form + extra) + fact
    # WAVE, the ds64 or JUNK chunk, the middle, the data chunk and its pad byte.
    riff_bytes = 4 + 8 + _DS64_BYTES + len(middle) + 8 + data_bytes + data_bytes % 2
    if riff_bytes > _MOST_RIFF_BYTES:
        sizes = struct.pack("<QQQI", riff_bytes, data_bytes, frames, 0)
        riff, room, data_bytes = (b"RF64", 0xFFFF_FFFF), _chunk(b"ds64", sizes), 0xFFFF_FFFF
    else:
        riff, room = (b"RIFF", riff_bytes), _chunk(b"JUNK", bytes(_DS64_BYTES))
    return struct.pack("<4sI", *riff) + b"WAVE" + room + middle + _head(b"data", data_bytes)


class WaveFile:
    """A WAV file that grows.

    Parameters
    ----------
    fd : int
        Open for writing, at offset 0, empty; stays the caller's.
    rate_hz, channels : int
    bits : int
        16 or 24, or 32 for float.
    """

    def __init__(self, fd: int, *, rate_hz: int, channels: int, bits: int) -> None:
        self._fd, self._rate_hz, self._channels, self._bits = fd, rate_hz, channels, bits
        self._data_bytes = 0
        self._put(self._header(0))

    def write(self, samples: NDArray[np.int32] | NDArray[np.float32]) -> None:
        """Append ``(frames, channels)``: integers of ``bits`` bits, or float32.

        Raises
        ------
        OSError
            With the errno of the write: ``ENOSPC``, ``EDQUOT``, ``EFBIG``, ``EIO``.
        """
        data = _packed(samples, self._bits)
        self._put(data)
        self._data_bytes += len(data)

    def close(self) -> None:
        """Write what was not known at the beginning: how much there is."""
        if self._data_bytes % 2:
            self._put(b"\0")
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._put(self._header(self._data_bytes))

    def _header(self, data_bytes: int) -> bytes:
        return header_of(
            data_bytes, rate_hz=self._rate_hz, channels=self._channels, bits=self._bits
        )

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]


def _packed(samples: NDArray[np.int32] | NDArray[np.float32], bits: int) -> bytes:
    if bits == 32:  # noqa: PLR2004 - bits
        return samples.astype("<f4").tobytes()
    if bits == 16:  # noqa: PLR2004 - bits
        return samples.astype("<i2").tobytes()
    little = samples.astype("<i4").reshape(-1, 1).view(np.uint8)
    return little[:, : bits // 8].tobytes()


def _chunk(name: bytes, body: bytes) -> bytes:
    return _head(name, len(body)) + body


def _head(name: bytes, length: int) -> bytes:
    return struct.pack("<4sI", name, length)
