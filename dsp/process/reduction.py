"""What a dynamic processor took away: a meter."""

import numpy as np
from numpy.typing import NDArray

from dsp.audio import HOP_FRAMES

ACTIVE_DBFS = -70.0
"""Reduction is averaged where the level is above this: the absolute gate of BS.1770."""

_STEP_S = 0.1


class Reduction:
    """Gain reduction over time, in dB, positive; floor 0.

    Parameters
    ----------
    rate_hz : float
    """

    def __init__(self, rate_hz: float) -> None:
        self._hops = max(1, round(_STEP_S * rate_hz / HOP_FRAMES))
        self.step_s = self._hops * HOP_FRAMES / rate_hz
        """Of ``curve_db``: 100 ms, rounded to whole hops."""
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._rest = np.zeros((2, 0))
        self._curve: list[NDArray[np.float32]] = []
        self._active_db = self._active_hops = 0.0
        self.max_db = 0.0

    def update(self, reduction_db: NDArray[np.float64], active: NDArray[np.bool_]) -> None:
        """Take note of the next hops.

        Parameters
        ----------
        reduction_db : (rows, hops) float64
            Rows are averaged.
        active : (hops,) bool
            Where there was something that could have been reduced.
        """
        if not reduction_db.size:
            return
        self.max_db = max(self.max_db, float(reduction_db.max()))
        row = reduction_db[0] if len(reduction_db) == 1 else reduction_db.mean(axis=0)
        hops = np.concatenate([self._rest, np.stack([row, active])], axis=1)
        whole = hops.shape[1] - hops.shape[1] % self._hops
        self._rest = hops[:, whole:]
        if whole:
            steps = hops[:, :whole].reshape(2, -1, self._hops)
            self._curve.append(_means(steps))
            active_db, active_hops = _while_active(steps)
            self._active_db += active_db
            self._active_hops += active_hops

    @property
    def mean_db(self) -> float:
        """The mean over the active hops; 0 when there was none."""
        active_db, active_hops = _while_active(self._rest)
        return (self._active_db + active_db) / max(self._active_hops + active_hops, 1.0)

    def curve_db(self) -> NDArray[np.float32]:
        """Return the mean per ``step_s``, active or not; the last step may be a short one."""
        rest = [_means(self._rest[:, np.newaxis])] if self._rest.size else []
        return np.concatenate([np.zeros(0, np.float32), *self._curve, *rest])


def _means(steps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean reduction of each step of ``(2, steps, hops)``."""
    return np.asarray(steps[0].sum(axis=1) / steps.shape[2], np.float32)


def _while_active(hops: NDArray[np.float64]) -> tuple[float, float]:
    """Return the sum of the reductions of the active hops, and how many there are."""
    return float((hops[0] * hops[1]).sum()), float(hops[1].sum())
