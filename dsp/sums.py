"""Weighted sums that round alike at every place and on every machine.

A product of matrices does not: BLAS chooses its kernel by the processor and by the shape, so the
last bits of a value depend on its place in the batch, and blocks and machines show. Here every
sum is made tap by tap, first tap first, one multiplication and one addition for all values at
once: IEEE 754 leaves nothing open in that.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from dsp import kernels


def filtered(rows: NDArray[np.float32], taps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return every column filtered by every set of taps.

    Parameters
    ----------
    rows : (frames, columns) float32
        Streams side by side.
    taps : (sets, taps) float32

    Returns
    -------
    (sets, frames − taps + 1, columns) float32
        Value n of a set is the sum of tap k times frame n + k.
    """
    out = np.empty((len(taps), len(rows) - taps.shape[1] + 1, rows.shape[1]), np.float32)
    kernels.filtered(np.ascontiguousarray(rows), len(rows), taps, len(taps), out)
    return out


def moving_sum(values: ArrayLike, weights: ArrayLike, *, hop: int = 1) -> NDArray[np.float64]:
    """Return the weighted sum of every ``len(weights)`` neighbours, first weight first.

    Parameters
    ----------
    values, weights : array
    hop : int
        How many values further each sum begins.

    Returns
    -------
    ((len(values) − len(weights)) // hop + 1,) float64
        Empty when there are fewer values than weights.
    """
    values = np.asarray(values, np.float64)
    weights = np.asarray(weights, np.float64)
    last = len(values) - len(weights)
    if last < 0:
        return np.zeros(0)
    total = np.zeros(last // hop + 1)
    for place, weight in enumerate(weights):
        total += weight * values[place : place + last + 1 : hop]
    return total


def smoothed(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Return as many weighted sums as there are values, each around its own, 0 beyond the ends."""
    size = len(np.asarray(weights))
    return moving_sum(np.pad(np.asarray(values, np.float64), (size // 2, (size - 1) // 2)), weights)


def moving_maximum(values: ArrayLike, size: int) -> NDArray[np.float64]:
    """Return as many maxima as there are values, each of the ``size`` around its own; 0 beyond."""
    around = np.pad(np.asarray(values, np.float64), (size // 2, (size - 1) // 2))
    if len(around) < size:  # there are none
        return np.zeros(0)
    return np.asarray(sliding_window_view(around, size).max(axis=1))
