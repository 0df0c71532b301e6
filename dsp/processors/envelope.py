"""How much to reduce, and how fast: the gain computer and its ballistics.

Theory of operation
-------------------
The *gain computer* maps a level to the reduction of the static curve. The *ballistics* give
it time: the paper's smooth decoupled peak detector, run on the reduction in dB,

    held[n]   = max(x[n], r · held[n−1] + (1 − r) · x[n])          release
    smooth[n] = a · smooth[n−1] + (1 − a) · held[n]                attack

Rules
-----
Rule 1: what has decayed to ``_REST_DB`` is set to zero, whatever hop that happens at. As a gain
in float32 it was exactly 1 already.

References
----------
D. Giannoulis, M. Massberg, J. D. Reiss, Digital dynamic range compressor design - a
tutorial and analysis, JAES 60(6), 2012: eq. 4 (curve), 17 (detector).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp import kernels
from dsp.audio import Curve
from dsp.errors import ParameterError
from dsp.processors.gain_reduction import ACTIVE_DBFS
from dsp.units import SILENCE

_REST_DB = 1e-8


def static_reduction_db(
    level_db: ArrayLike,
    *,
    threshold_db: float,
    ratio: float,
    knee_db: float,
    range_db: float = math.inf,
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
    range_db : float
        The most that is taken away.
    """
    levels = np.asarray(level_db, np.float64, order="C")
    out = np.empty_like(levels)
    kernels.curve(levels, threshold_db, 1.0 - 1.0 / ratio, knee_db, range_db, out)
    return out


def panel_of(
    threshold_db: float, ratio: float, knee_db: float, range_db: float = math.inf
) -> tuple[float, float, float, float]:
    """Return a static curve as ``Ballistics.reduce`` takes it; see ``static_reduction_db``."""
    check_curve(ratio, knee_db)
    return threshold_db, 1.0 - 1.0 / ratio, knee_db, range_db


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
        self._release = math.exp(-1.0 / (release_ms * hops_per_ms))
        self._rows = rows
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._state = np.zeros((self._rows, 2))
        """What is held, and what is smoothed."""

    @property
    def at_rest(self) -> bool:
        """Nothing is being reduced."""
        return not self._state.any()

    def reduce(
        self, peaks: NDArray[np.float32], panel: tuple[float, float, float, float], link: float
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Return the reduction ``(rows, hops)`` for peaks of this shape, and which hops sound.

        Parameters
        ----------
        peaks : (rows, hops) float32
        panel : tuple of float
            See ``panel_of``.
        link : float
            How far a row follows the one that is reduced most, 0..1.
        """
        reduction_db = np.empty(peaks.shape)
        active = np.empty(peaks.shape[1], np.uint8)
        all_set = (SILENCE, *panel, link, self._attack, self._release, _REST_DB, ACTIVE_DBFS)
        kernels.reduce(peaks, np.array(all_set), self._state, reduction_db, active)
        return reduction_db, active

    def follow(self, target_db: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the reduction ``(rows, hops)`` that follows a target of this shape."""
        reduction_db = np.array(target_db, np.float64, order="C")
        if not self.at_rest or reduction_db.any():
            kernels.follow(reduction_db, self._attack, self._release, _REST_DB, self._state)
        return reduction_db
