"""Weigh which notes start together: the lag of one stem against others, and its doubts.

Rules
-----
Rule 1: a doubt is a reason that a person can read; the first one found is given.

Rule 2: no reason is weighed against another. One is enough to leave a stem where it lies.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.measure.onsets import Onsets
from dsp.sums import moving_maximum, smoothed

RIGHT_MS = 40.0
"""Players are this far apart on purpose; sound crosses 14 m of room in it."""

BEYOND_MS = 350
"""Rivals are sought this far beyond the window: in most songs, a beat."""

# Chosen on one real song under hundreds of random offsets, subsets and excerpts, where none of
# the looser values tried moved a stem wrongly, and on made-up songs whose parts all avoid the
# beat, where they did; there 1 right stem in 90 is still moved.
_CONFIDENCE = 1.3  # against the next best lag in the window
_CONFIDENCE_BEYOND = 1.05  # against any lag up to 350 ms beyond it
_CONFIDENCE_STAYING = 3.0  # against where the stem lies
_FEWEST_VOTES = 8.0
_HALVES_MS = 5.0
_RIVAL_MS = 30
_CLOSE_MS = 6.0
_BELL = np.exp(-0.5 * (np.arange(-24, 25) / _CLOSE_MS) ** 2)  # to four times its width
_BELL *= _CLOSE_MS * math.sqrt(2.0 * math.pi) / _BELL.sum()

_LONGEST_INTERVAL_MS = 1200
_SHORTEST_INTERVAL_MS = 60
_INTERVAL_SHARE = 0.25
_LONGEST_STEP_MS = 120.0
_ON_STEP_MS = 10.0


@dataclass(frozen=True)
class LagEstimate:
    """What the votes say of one stem."""

    lag_ms: float
    confidence: float
    doubt: str
    """Empty when the lag is sure."""


def estimate_of(
    halves: NDArray[np.float64], window_ms: int, step_ms: float, *, timed: bool
) -> LagEstimate:
    """Return the lag with most votes and the first reason to doubt it."""
    votes = halves.sum(axis=0)
    lags_ms = np.arange(len(votes)) - len(votes) // 2
    near = np.abs(lags_ms) <= window_ms
    lag_ms = float(lags_ms[np.argmax(np.where(near, votes, 0.0))])
    rival = np.abs(lags_ms - lag_ms) > _RIVAL_MS
    most = float(votes[near].max())
    confidence = most / max(float(votes[near & rival].max()), 1.0)
    beyond = most / max(float(votes[rival].max()), 1.0)
    staying = most / max(float(votes[rival & (np.abs(lags_ms) <= RIGHT_MS)].max(initial=0.0)), 1.0)
    apart_ms = float(np.ptp(lags_ms[np.argmax(np.where(near, halves, 0.0), axis=1)]))
    moves = abs(lag_ms) > RIGHT_MS
    reasons = {
        "too few notes start together": most < _FEWEST_VOTES,
        "no clear lag": confidence < _CONFIDENCE or beyond < _CONFIDENCE_BEYOND,
        f"halves disagree by {apart_ms:.0f} ms": apart_ms > _HALVES_MS,
        f"fits nearly as well where it is as at {lag_ms:+.0f} ms": (
            moves and staying < _CONFIDENCE_STAYING
        ),
        f"{lag_ms:+.0f} ms is a step of the beat, and may be intended": moves
        and _on(lag_ms, step_ms),
        f"{lag_ms:+.0f} ms is likely, but its attacks are too soft to be timed": moves
        and not timed,
    }
    doubt = next((reason for reason, holds in reasons.items() if holds), "")
    return LagEstimate(lag_ms, confidence, doubt)


def _on(lag_ms: float, step_ms: float) -> bool:
    """Return whether a lag is a whole number of steps; never without a beat."""
    return step_ms > 0.0 and abs(lag_ms - step_ms * round(lag_ms / step_ms)) < _ON_STEP_MS


def step_of(anchor: Onsets) -> float:
    """Return the finest step that players of this beat may count in, ms; 0 without a beat.

    That is the shortest interval common in the beat, halved until it lies in 60..120 ms.
    """
    votes = votes_of(anchor, 0.0, anchor, _LONGEST_INTERVAL_MS)[:, _LONGEST_INTERVAL_MS:].sum(
        axis=0
    )
    votes[:_SHORTEST_INTERVAL_MS] = 0.0
    common = votes > _INTERVAL_SHARE * max(float(votes.max()), 1.0)
    tops = np.flatnonzero(common & (votes == moving_maximum(votes, 2 * _RIVAL_MS + 1)))
    if len(tops) == 0:
        return 0.0
    step_ms = float(tops[0])
    while step_ms > _LONGEST_STEP_MS:
        step_ms /= 2.0
    return step_ms


def votes_of(
    anchor: Onsets, anchor_lag_ms: float, own: Onsets, reach_ms: int
) -> NDArray[np.float64]:
    """Return how many notes would start together, for each lag of ``own``.

    Returns
    -------
    (2, 2 * reach_ms + 1) float64
        One row per half of the notes of ``own``; a column per ms. Two notes that coincide
        exactly are one vote times the weaker note's weight.
    """
    reach_s = reach_ms / 1000.0
    anchor_s = anchor.times_s - anchor_lag_ms / 1000.0
    first = np.searchsorted(anchor_s, own.times_s - reach_s)
    last = np.searchsorted(anchor_s, own.times_s + reach_s, side="right")
    mine = np.repeat(np.arange(len(first)), last - first)
    its = np.arange(len(mine)) - np.repeat(np.cumsum(last - first) - last, last - first)
    apart_ms = np.rint((own.times_s[mine] - anchor_s[its]) * 1000.0).astype(np.intp)
    lags = np.clip(apart_ms + reach_ms, 0, 2 * reach_ms)  # rounding may step over the edge
    weights = np.minimum(own.weights[mine], anchor.weights[its])
    columns = 2 * reach_ms + 1
    rows = (2 * mine >= len(first)).astype(np.intp)
    counts = np.bincount(rows * columns + lags, weights, 2 * columns).reshape(2, columns)
    return np.stack([smoothed(row, _BELL) for row in counts])
