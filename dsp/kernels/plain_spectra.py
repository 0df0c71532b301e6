"""Powers of windows of a stream, the plain version: by the transform of NumPy."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.int64]


def plan(size: int) -> int:
    """Return what the other two need to know of transforms of this size."""
    return size


def band_powers(
    block: Samples,
    starts: Indices,
    window: Samples,
    size: int,
    bins: Indices,
    below: Doubles,
    work: Samples,
    out: Doubles,
) -> None:
    """Take the power of windows of a block, per band, channels summed.

    Parameters
    ----------
    block : (frames, channels) float32
    starts : (windows,) int64
        The first frame of each window.
    window : (length,) float32
        What its frames are weighed with.
    size : plan
        Of transforms of at least that length; of no other factors than 2, 3, 5 and 7.
    bins : (bands + 1,) int64
        The bins that the edges of the bands cut, rising; half the size and one at most.
    below : (bands + 1,) float64
        Which part of each lies below its edge.
    work : (4, size + 8) float32
        Room to work in; overwritten.
    out : (windows, bands) float64
        Sums of the squared magnitudes; written. A window of silence has exactly 0.
    """
    del work
    out[:] = 0.0
    looks = starts[:, np.newaxis] + np.arange(len(window))
    for channel in block.T:
        spectra = np.fft.rfft(channel[looks] * window, size)
        powers = np.zeros((len(starts), size // 2 + 2))
        powers[:, :-1] = np.square(spectra.real) + np.square(spectra.imag)
        cut = below * powers[:, bins]
        whole = np.add.reduceat(powers, bins, axis=1)[:, :-1]
        whole[:, bins[1:] == bins[:-1]] = 0.0  # where reduceat gives the bin itself
        out += np.maximum(whole + np.diff(cut, axis=1), 0.0)


def bin_powers(
    block: Samples,
    starts: Indices,
    window: Samples,
    half: int,
    bins: int,
    work: Samples,
    out: Samples,
) -> None:
    """Take the power of windows of a block, per bin, each on its own.

    Parameters
    ----------
    block : (frames, 1) float32
    starts : (windows,) int64
        The first frame of each window.
    window : (2 * half,) float32
        What its frames are weighed with.
    half : plan
        Of transforms of half that length.
    bins : int
        How many, from the lowest on; ``half + 1`` at most.
    work : (4, half + 8) float32
        Room to work in; overwritten.
    out : (windows, bins) float32
        Squared magnitudes; written. A window of silence has exactly 0.
    """
    del work
    looks = block[starts[:, np.newaxis] + np.arange(2 * half), 0]
    spectra = np.fft.rfft(looks * window)[:, :bins]
    out[:] = np.square(spectra.real) + np.square(spectra.imag)
