"""Integers of files to samples and back, and sums of rows, the plain version."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

_BATCH = 512
"""Columns that are filtered together, so that what a tap reads and writes stays in the cache."""


def unpack(data: bytes, width: int, big: bool, out: Samples) -> None:  # noqa: FBT001 - as in C
    """Write integers of 2 or 3 bytes as samples, full scale ±1.

    Parameters
    ----------
    data : bytes
    width : int
        Bytes of an integer: 2 or 3.
    big : bool
        The highest byte comes first.
    out : (count,) float32
    """
    order = ">" if big else "<"
    wide = np.zeros((len(out), 4), np.uint8)  # the upper bytes of 32 bits
    part = slice(0, width) if big else slice(4 - width, 4)
    wide[:, part] = np.frombuffer(data, np.uint8).reshape(-1, width)
    out[:] = wide.reshape(-1).view(f"{order}i4").astype(np.float32) * np.float32(2.0**-31)


def quantise(
    samples: Samples, words: NDArray[np.uint64], full_scale: float, out: NDArray[np.int32]
) -> None:
    """Write samples as integers, with noise of triangular density, and clipped.

    Parameters
    ----------
    samples : array of float32
        Full scale ±1. Exact zeros stay zero.
    words : array of uint64
        Of the same length; the noise is made of the halves of each.
    full_scale : float
        The integer of 1.0; the highest that fits is one less.
    out : array of int32
    """
    halves = (words >> np.uint64(32)) + (words & np.uint64(0xFFFF_FFFF))
    noise = halves.astype(np.float64) * 2.0**-32 - 1.0
    scaled = samples.astype(np.float64) * full_scale + np.where(samples == 0.0, 0.0, noise)
    out[...] = np.clip(np.rint(scaled), -full_scale, full_scale - 1.0)


def filtered(rows: Samples, frames: int, taps: Samples, sets: int, out: Samples) -> None:
    """Filter every column by every set of taps, tap after tap.

    Parameters
    ----------
    rows : (frames, columns) float32
        Streams side by side.
    frames : int
    taps : (sets, taps) float32
    sets : int
    out : (sets, frames − taps + 1, columns) float32
        Value n of a set is the sum of tap k times frame n + k; written.
    """
    rows, taps = rows.reshape(frames, -1), taps.reshape(sets, -1)
    left = frames - taps.shape[1] + 1
    for first in range(0, rows.shape[1], _BATCH):
        batch = np.ascontiguousarray(rows[:, first : first + _BATCH])
        total = np.zeros((sets, left, batch.shape[1]), np.float32)
        term = np.empty_like(total)
        for tap, weights in enumerate(taps.T[:, :, np.newaxis, np.newaxis]):
            total += np.multiply(batch[tap : tap + left], weights, out=term)
        out[..., first : first + _BATCH] = total
