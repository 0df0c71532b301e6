"""Beats: the best way through the onsets at about a tempo, exactly.

Theory of operation
-------------------
A semi-Markov model: a state is the interval, in whole frames, that ends in a beat. A track
earns the strength of the onset at each beat, and pays for each change of interval by the
logarithm of the ratio, and a little for each interval by its distance from the tempo. So drift,
ramps and steps are followed, and a missing or an added note is not. The best track is found by
dynamic programming (Viterbi).

Rules
-----
Rule 1: memory is a byte per frame and interval for ``_STRETCH`` frames; of what lies further
back the track is settled. Best tracks that end anywhere now have run together long before.

References
----------
Ellis, "Beat tracking by dynamic programming", JNMR 36(1), 2007 (the objective, one interval);
Rabiner 1989 (semi-Markov models).
"""

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.analysis.features import FRAMES_PER_S

Frames = NDArray[np.intp]

SPREAD = 0.36
"""Octaves, ±28 %: as far as intervals may stray from the tempo. Not 4:3, where triplets lie."""

_CHANGE_PRICE = 60.0
_HOME_PRICE = 2.0
_NEVER = np.float32(-1e9)
_STRETCH = int(1_200 * FRAMES_PER_S)
_SETTLED = int(60 * FRAMES_PER_S)


def track(
    strength: NDArray[np.float32],
    bpm: float,
    *,
    frames_per_s: float = FRAMES_PER_S,
    spread: float = SPREAD,
) -> Frames:
    """Return the frames of the beats, ascending.

    Parameters
    ----------
    strength : (frames,) float32
        From ``onsets.beat_strength``.
    bpm : float
        What the tempo is about.
    frames_per_s : float
    spread : float
        Octaves on either side of ``bpm``.
    """
    longest = 60 * frames_per_s / bpm * 2**spread
    shortest = 60 * frames_per_s / bpm / 2**spread
    intervals = np.arange(max(4, int(shortest)), int(np.ceil(longest)) + 1)
    return _Search(intervals, 60 * frames_per_s / bpm).track(strength)


class _Search:
    """The best track so far, for every way to go on."""

    def __init__(self, intervals: Frames, home: float) -> None:
        self._intervals = intervals
        self._shortest, self._longest = int(intervals[0]), int(intervals[-1])
        logs = np.log2(intervals / home)
        self._home = (_HOME_PRICE * np.abs(logs)).astype(np.float32)
        steps = np.abs(logs[:, np.newaxis] - logs[np.newaxis, :]) * np.log(2.0)
        self._change = (_CHANGE_PRICE * steps).astype(np.float32)
        shape = (self._longest, len(intervals))
        # Rings, the row of a frame is ``frame % longest``: best score of arriving by an
        # interval, and of leaving by one.
        self._arrived = np.full(shape, _NEVER, np.float32)
        self._leaving = np.full(shape, _NEVER, np.float32)
        self._first = np.zeros(shape, np.uint8)
        """Whether the track begins with the beat, by frame and interval; no later frames do."""
        self._came: list[NDArray[np.uint8]] = []
        """For each frame and next interval, the interval that ended there."""
        self._base = 0
        """The frame that ``_came`` begins with."""

    def track(self, strength: NDArray[np.float32]) -> Frames:
        """Return the best track through all of it."""
        settled: list[int] = []
        frame = 0
        while frame < len(strength):
            part = strength[frame : self._base + _STRETCH + _SETTLED]
            self._advance(part, frame)
            frame += len(part)
            if frame - self._base == _STRETCH + _SETTLED:
                beats = self._back(frame)
                settled += [beat for beat in beats if self._new(beat, settled)
                            and beat < frame - _SETTLED]  # fmt: skip
                self._forget(frame - _SETTLED)
        beats = self._back(frame) if frame else []
        return np.array([*settled, *(b for b in beats if self._new(b, settled))], np.intp)

    def _new(self, beat: int, settled: list[int]) -> bool:
        """Return whether a beat follows those that are settled; two may be told of one beat."""
        return not settled or beat >= settled[-1] + self._shortest // 2

    def _advance(self, strength: NDArray[np.float32], frame: int) -> None:
        """Take the next frames."""
        came = np.empty((len(strength), len(self._intervals)), np.uint8)
        kernels.best_tracks(
            *(strength, frame, self._shortest, self._home, self._change),
            *(self._arrived, self._leaving, self._first, came),
        )
        self._came.append(came)

    def _back(self, frames: int) -> list[int]:
        """Return the best track that ends within the longest interval before ``frames``."""
        recent = np.arange(max(0, frames - self._longest), frames)
        best = int(self._arrived[recent % self._longest].argmax())
        beat, way = int(recent[best // len(self._intervals)]), best % len(self._intervals)
        came = np.concatenate(self._came)
        self._came = [came]
        beats = [beat]
        while beat >= self._longest or not self._first[beat, way]:
            beat -= int(self._intervals[way])
            if beat < self._base:
                break
            way = int(came[beat - self._base, way])
            beats.append(beat)
        return beats[::-1]

    def _forget(self, until: int) -> None:
        self._came = [self._came[0][until - self._base :].copy()]
        self._base = until
        top = self._arrived.max()
        self._arrived -= top
        self._leaving -= top
