"""Levels, the plain version: peaks, sums and products, and the peak of every control hop."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Doubles = NDArray[np.float64]

_HOP_FRAMES = 16  # dsp.audio.HOP_FRAMES, which stands on a floor above


def levels(block: Samples, totals: Doubles, cross: Doubles) -> float:
    """Add a block to what is known of a stream.

    Parameters
    ----------
    block : (frames, channels) float32
    totals : (channels, 3) float64
        Sample peak, sum and sum of squares of every channel; changed.
    cross : (1,) float64
        Sum of the products of the first two channels; changed.

    Returns
    -------
    float
        The sample peak of the block.
    """
    wide = block.T.astype(np.float64)
    peaks = np.abs(wide).max(axis=1, initial=0.0)
    totals[:, 0] = np.maximum(totals[:, 0], peaks)
    totals[:, 1] = _added(totals[:, 1], wide)
    totals[:, 2] = _added(totals[:, 2], np.square(wide))
    if len(wide) > 1:
        cross[:] = _added(cross, wide[:1] * wide[1:2])
    return float(peaks.max(initial=0.0))


def _added(sums: Doubles, rows: Doubles) -> Doubles:
    """Add frame after frame: the bits of any other order may differ."""
    return np.concatenate([sums[:, np.newaxis], rows], axis=1).cumsum(axis=1)[:, -1]


def hop_peaks(block: Samples, begun: int, peaks: Samples, out: Samples) -> int:
    """Take the sample peak of every hop that a block completes.

    Parameters
    ----------
    block : (frames, channels) float32
    begun : int
        Frames of the hop that has begun.
    peaks : (1,) or (channels,) float32
        Peaks of that hop, over all channels or of each; changed.
    out : (len(peaks), (begun + frames) // 16) float32
        Written.

    Returns
    -------
    int
        Frames of the hop that has begun now.
    """
    rows = np.abs(block.T)
    if len(peaks) == 1:
        rows = rows.max(axis=0, keepdims=True, initial=0.0)
    held = np.repeat(peaks[:, np.newaxis], begun, axis=1)
    rows = np.concatenate([held, rows], axis=1)
    whole = rows.shape[1] - rows.shape[1] % _HOP_FRAMES
    out[:] = rows[:, :whole].reshape(len(rows), -1, _HOP_FRAMES).max(axis=2, initial=0.0)
    peaks[:] = rows[:, whole:].max(axis=1, initial=0.0)
    return int(rows.shape[1] - whole)
