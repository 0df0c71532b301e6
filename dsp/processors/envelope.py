"""How much to reduce, and how fast: the gain computer and its ballistics.

Theory of operation
-------------------
The *gain computer* maps a level to the reduction of the static curve. The *ballistics* give
it time: the paper's smooth decoupled peak detector, run on the reduction in dB,

    held[n]   = max(x[n], r · held[n−1] + (1 − r) · x[n])          release
    smooth[n] = a · smooth[n−1] + (1 − a) · held[n]                attack

The attack is one recursive filter. The release is a recursion with a ``max`` in it, which
no array function computes. But let F be x through the release's own one-pole filter and
write held = F + D; then D obeys

    D[n] = max(x[n] − F[n], r · D[n−1])

and that, divided by rⁿ, is a running maximum. So both are whole-array operations, and the
result is that of the plain loop to rounding (``test_release_is_that_of_the_plain_loop``).

Rules
-----
Rule 1: rⁿ must neither overflow nor depend on how the stream was cut. So n counts from the
start of a *segment*, a fixed number of hops counted from the first. Inside a segment the
running maximum is carried as it is: a maximum is exact. It is scaled at segment ends only.

Rule 2: what has decayed to ``_REST_DB`` is set to zero, at segment ends only. As a gain in
float32 it was exactly 1 already.

References
----------
D. Giannoulis, M. Massberg, J. D. Reiss, Digital dynamic range compressor design - a
tutorial and analysis, JAES 60(6), 2012: eq. 4 (curve), 17 (detector). The form with D is
derived here.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import lfilter

from dsp.audio import Curve
from dsp.errors import ParameterError

_REST_DB = 1e-7
_SEGMENT_HOPS = 4_096
_LARGEST_EXPONENT = 600.0
"""Of e, in r⁻ⁿ: with a reduction of some hundred dB still far from overflow."""


def static_reduction_db(
    level_db: ArrayLike, *, threshold_db: float, ratio: float, knee_db: float
) -> NDArray[np.float64]:
    """Return the reduction of the static curve, positive, shaped as ``level_db``.

    Parameters
    ----------
    level_db : array
    threshold_db : float
        The middle of the knee.
    ratio : float
        At least 1; infinite limits.
    knee_db : float
        Width of the parabola around the threshold; 0 is a corner.
    """
    over = np.asarray(level_db, np.float64) - threshold_db
    reduction = np.maximum(over - 0.5 * knee_db, 0.0)
    if knee_db > 0.0:
        inside = np.minimum(np.maximum(over + 0.5 * knee_db, 0.0), knee_db)
        reduction += inside * inside / (2.0 * knee_db)
    return np.asarray((1.0 - 1.0 / ratio) * reduction)


def check_curve(ratio: float, knee_db: float) -> None:
    """Raise ``ParameterError`` unless this is a curve that only reduces."""
    if not ratio >= 1.0:
        raise ParameterError(f"ratio must be at least 1, got {ratio:g}")
    if not knee_db >= 0.0:
        raise ParameterError(f"knee_db must be at least 0, got {knee_db:g}")


def reduction_curve_db(
    level_db: Curve,
    *,
    threshold_db: float,
    ratio: float,
    knee_db: float,
    attack_ms: float,
    release_ms: float,
    hop_s: float,
) -> Curve:
    """Return what a compressor would take per hop, ``(hops,)`` in dB, from levels per hop."""
    ballistics = Ballistics(attack_ms=attack_ms, release_ms=release_ms, hop_s=hop_s)
    target = static_reduction_db(level_db, threshold_db=threshold_db, ratio=ratio, knee_db=knee_db)
    return np.asarray(ballistics.follow(target[np.newaxis])[0])


class Ballistics:
    """Attack and release of a reduction in dB.

    Parameters
    ----------
    attack_ms : float
        Until 63 % of a step up is there; 0: at once.
    release_ms : float
        Until 63 % of a step down is gone. Above 0; a slow attack rounds it.
    hop_s : float
    rows : int
        Independent ones, side by side.

    Raises
    ------
    ParameterError
    """

    def __init__(self, *, attack_ms: float, release_ms: float, hop_s: float, rows: int = 1) -> None:
        if attack_ms < 0.0:
            raise ParameterError(f"attack_ms must be at least 0, got {attack_ms:g}")
        if not release_ms > 0.0:
            raise ParameterError(f"release_ms must be above 0, got {release_ms:g}")
        hops_per_ms = 0.001 / hop_s
        self._attack = math.exp(-1.0 / (attack_ms * hops_per_ms)) if attack_ms else 0.0
        pace = 1.0 / (release_ms * hops_per_ms)
        self._release = math.exp(-pace)
        self._segment = max(1, min(_SEGMENT_HOPS, int(_LARGEST_EXPONENT / pace)))
        hops = np.arange(self._segment)
        self._shrink, self._grow = np.exp(-pace * hops), np.exp(pace * hops)
        self._rows = rows
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._hop = 0
        """Of the segment."""
        self._follower = np.zeros((self._rows, 1))
        """State of the filter that makes F."""
        self._above = np.zeros((self._rows, 1))
        """D, divided by rⁿ."""
        self._smoother = np.zeros((self._rows, 1))
        self.at_rest = True
        """Nothing is being reduced."""

    def follow(self, target_db: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the reduction ``(rows, hops)`` that follows a target of this shape."""
        hops = target_db.shape[1]
        if self.at_rest and not target_db.any():
            self._hop = (self._hop + hops) % self._segment
            return np.zeros_like(target_db)
        self.at_rest = False
        out = np.empty_like(target_db)
        start = 0
        while start < hops:
            stop = min(hops, start + self._segment - self._hop)
            out[:, start:stop] = self._follow_in_segment(target_db[:, start:stop])
            start = stop
        return out

    def _follow_in_segment(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        here = slice(self._hop, self._hop + target.shape[1])
        held, self._follower = _one_pole(target, self._release, self._follower)
        above = (target - held) * self._grow[here]
        above[:, :1] = np.maximum(above[:, :1], self._above)
        np.maximum.accumulate(above, axis=1, out=above)
        self._above = above[:, -1:].copy()
        above *= self._shrink[here]
        held += above
        self._hop = here.stop
        if self._attack:
            held, self._smoother = _one_pole(held, self._attack, self._smoother)
        if self._hop == self._segment:
            self._end_segment()
        return held

    def _end_segment(self) -> None:
        self._hop = 0
        self._above *= self._shrink[-1] * self._release
        states = (self._follower, self._above, self._smoother)
        for state in states:
            state[state < _REST_DB] = 0.0
        self.at_rest = not any(state.any() for state in states)


def _one_pole(
    x: NDArray[np.float64], pole: float, state: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``y[n] = pole · y[n−1] + (1 − pole) · x[n]`` and the state after it."""
    y, state = lfilter([1.0 - pole], [1.0, -pole], x, axis=1, zi=state)
    return y, state
