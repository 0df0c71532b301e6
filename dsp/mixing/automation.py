"""Gains that move along the song: levelled phrases, closed microphones, music under speech.

Theory of operation
-------------------
One value per 100 ms of the song, straight lines between, all in one curve: a fader that is moved
by somebody who knows what comes. A gate is open 0.2 s before a word begins, so no onset is cut;
a duck is down when speech begins and comes back after it, and not in the pauses between sentences.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.mixing.balance import ride_curve_db
from dsp.mixing.recall_sheet import Duck, Stem
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.track import Steps, Track

GATE_AHEAD_STEPS, GATE_HOLD_STEPS = 2, 3
_FAR = 1 << 30


def automation_db(stem: Stem, track: Track, lead_active: NDArray[np.bool_]) -> Steps | None:
    """Return the gain of a strip per 100 ms of the song, in dB; ``None`` where none moves.

    Parameters
    ----------
    lead_active : (steps,) bool
        Where a lead sounds.
    """
    curves = []
    if stem.ride is not None:
        heard = track.energy if stem.gate is None else np.where(track.active, track.energy, 0.0)
        ride = stem.ride
        curves.append(ride_curve_db(heard, amount=ride.amount, range_db=ride.range_db))
    if stem.gate is not None:
        curves.append(np.where(opened(track.active), 0.0, -stem.gate.range_db))
    if stem.duck is not None:
        curves.append(duck_curve_db(lead_active, stem.duck))
    return np.sum(curves, axis=0) if curves else None


def opened(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a gate is open: while something sounds, a little before and after."""
    since, until = _distances(active)
    return np.asarray((since <= GATE_HOLD_STEPS) | (until <= GATE_AHEAD_STEPS))


def duck_curve_db(active: NDArray[np.bool_], duck: Duck) -> Steps:
    """Return the curve that is down while something is active, and slopes before and after."""
    since, until = _distances(active)
    hold = duck.hold_ms / 1000.0 / STEP_S
    after = np.maximum(since - hold, 0.0) * STEP_S * 1000.0 / max(duck.release_ms, 1.0)
    before = until * STEP_S * 1000.0 / max(duck.attack_ms, 1.0)
    return np.asarray(-duck.depth_db * np.clip(1.0 - np.minimum(after, before), 0.0, 1.0))


def _distances(active: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many steps ago something was active last, and in how many it is next."""
    steps = np.arange(len(active))
    last = np.maximum.accumulate(np.where(active, steps, -_FAR))
    following = np.minimum.accumulate(np.where(active, steps, _FAR)[::-1])[::-1]
    return steps - last, following - steps
