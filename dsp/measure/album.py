"""The loudness of several sounds together, as if they were one: of an album.

Loudness is gated over all of its blocks (BS.1770-5), so it cannot be told from the loudness of
each song: what is soft beside the whole album does not count. How many blocks are how loud is
enough, in steps of 0.1 LU, and small enough to be kept of every song.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.measure.loudness import FLOOR_LUFS, HOP_S, MOMENTARY_S, Energy, lufs_of, sliding_lufs

Counts = NDArray[np.int64]
"""Blocks of 400 ms per 0.1 LU, from the absolute gate up, ``(levels,)``."""

_STEP_LU = 0.1
_GATE_LU = -10.0
_OFFSET_LUFS = -0.691


def block_counts(energy: Energy, *, step_s: float) -> Counts:
    """Return how many blocks of a sound are how loud.

    Parameters
    ----------
    energy : (steps,) float64
        Channel-weighted sums of mean squares.
    step_s : float
    """
    lufs = sliding_lufs(energy, step_s=step_s, window_s=MOMENTARY_S, hop_s=HOP_S)
    audible = lufs[lufs > FLOOR_LUFS]
    return np.bincount(((audible - FLOOR_LUFS) / _STEP_LU).astype(np.int64))


def lufs_of_blocks(counts: Counts) -> float:
    """Return the gated loudness of blocks, to a hundredth of a LU; of none the floor."""
    lufs = FLOOR_LUFS + (np.arange(len(counts)) + 0.5) * _STEP_LU
    power = np.asarray(10.0 ** ((lufs - _OFFSET_LUFS) / 10.0), np.float64)
    heard = power > _mean(power, counts) * 10.0 ** (_GATE_LU / 10.0)
    return lufs_of(_mean(power[heard], counts[heard]))


def added(one: Counts, other: Counts) -> Counts:
    """Return the blocks of two sounds together."""
    total = np.zeros(max(len(one), len(other)), np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total


def _mean(power: Energy, counts: Counts) -> float:
    return float((power * counts).sum() / counts.sum()) if counts.any() else 0.0
