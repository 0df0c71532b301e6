"""Paths, the plain version: the best tracks of beats through the strength of onsets."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def best_tracks(
    strength: Scores,
    frame: int,
    shortest: int,
    home: Scores,
    change: Scores,
    arrived: Scores,
    leaving: Scores,
    first: Bytes,
    came: Bytes,
) -> None:
    """Take the next frames into a Viterbi search.

    A way is an interval from beat to beat: way k has ``shortest + k`` frames, up to ``longest``.
    What is kept by frame lies in rings: that of a frame is row ``frame % longest``.

    Parameters
    ----------
    strength : (frames,) float32
        What a beat earns.
    frame : int
        The number of the first of them.
    shortest : int
    home : (ways,) float32
        What each way costs; 256 at the most.
    change : (ways, ways) float32
        What it costs to go on by one way after another; symmetric.
    arrived, leaving : (longest, ways) float32
        The score of the best track that arrives at a beat by each way, and of that which goes on
        by it; read and written.
    first : (longest, ways) uint8
        1 where such a track begins with that beat; written for the first ``longest`` frames, and
        no later one may be the first.
    came : (frames, ways) uint8
        By which way the track that goes on by each arrived, of equal ones the first; written.
    """
    longest, ways = arrived.shape
    each = np.arange(ways)
    # None of as many frames as the shortest way has can come after another of them.
    for start in range(0, len(strength), shortest):
        part = strength[start : start + shortest, np.newaxis]
        places = frame + start + np.arange(len(part))
        rows = (places[:, np.newaxis] - shortest - each) % longest
        earned = part - home
        scores = leaving[rows, each] + earned
        early = places < longest
        first[places[early]] = scores[early] <= earned[early]
        scores[early] = np.maximum(scores[early], earned[early])
        onward = scores.reshape(-1, 1, ways) - change
        best = onward.argmax(axis=2)
        # Through one index: ``take_along_axis`` takes as long as the search.
        flat = np.arange(best.size) * ways + best.ravel()
        came[start : start + len(part)] = best
        arrived[places % longest] = scores
        leaving[places % longest] = onward.ravel()[flat].reshape(best.shape)
