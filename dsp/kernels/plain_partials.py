"""Partials, the plain version: what stands out of a spectrum."""

import numpy as np
from numpy.typing import NDArray


def partials(
    powers: NDArray[np.float32],
    bins: int,
    start: int,
    stop: int,
    around: int,
    ratio: float,
    sums: NDArray[np.float64],
    places: NDArray[np.int64],
    values: NDArray[np.float32],
) -> int:
    """Find the peaks of spectra, and return how many there are.

    A peak is larger than the bin below, no smaller than the one above, and larger than the mean
    of the bins around it, so many on either side, times a ratio.

    Parameters
    ----------
    powers : (frames, bins) float32
        Squared magnitudes; written over with magnitudes.
    bins : int
    start, stop : int
        The bins that may be peaks; neither the first nor the last of a spectrum.
    around : int
    ratio : float
    sums : (bins + 1,) float64
        Room to work in.
    places : (most,) int64
        ``frame * bins + bin`` of each peak; written. As many as every second bin of every frame.
    values : (most, 3) float32
        The magnitudes below it, at it and above it; written.
    """
    del sums  # the compiled one works there
    np.sqrt(powers, out=powers)
    width = 2 * around + 1
    edges = np.arange(start, stop)
    low, high = np.maximum(edges - around, 0), np.minimum(edges + around + 1, bins)
    below, here, above = (powers[:, start + k : stop + k] for k in (-1, 0, 1))
    totals = np.zeros((len(powers), bins + 1))
    np.cumsum(powers, axis=1, dtype=np.float64, out=totals[:, 1:])
    means = ((totals[:, high] - totals[:, low]) / width).astype(np.float32)
    rows, columns = np.nonzero(
        (here > below) & (here >= above) & (here > np.float32(ratio) * means)
    )
    count = len(rows)
    places[:count] = rows * bins + columns + start
    for k in (-1, 0, 1):
        values[:count, k + 1] = powers[rows, columns + start + k]
    return count
