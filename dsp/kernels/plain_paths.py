"""Paths, the plain version: the best way to go on from every way to arrive."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


def best_ways(
    arrived: Scores, ways: int, change: Scores, leaving: Scores, came: NDArray[np.uint8]
) -> None:
    """Take one step of a Viterbi search, for all frames at once.

    Parameters
    ----------
    arrived : (frames, ways) float32
        The score of the best path that arrives by each way.
    ways : int
        256 at the most.
    change : (ways, ways) float32
        What it costs to go on by one way after another; symmetric.
    leaving : (frames, ways) float32
        The score of the best path that goes on by each way; written.
    came : (frames, ways) uint8
        By which way that path arrived, of equal ones the first; written.
    """
    onward = arrived.reshape(-1, 1, ways) - change
    best = onward.argmax(axis=2)
    # Through one index: ``take_along_axis`` takes as long as the search.
    each = np.arange(best.size) * ways + best.ravel()
    came[:] = best
    leaving[:] = onward.ravel()[each].reshape(best.shape)
