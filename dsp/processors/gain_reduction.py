"""What a dynamic processor took away: a meter."""

from array import array

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
        self._curve = array("f")  # one object, and not one per block: there may be an hour of it
        self._active = (0.0, 0.0)
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
        self._rest = hops[:, whole:].copy()
        if whole:
            steps = hops[:, :whole].reshape(2, -1, self._hops)
            self._curve.frombytes(_means(steps).tobytes())
            self._active = _added(self._active, steps)

    @property
    def mean_db(self) -> float:
        """The mean over the active hops; 0 when there was none."""
        total_db, hops = _added(self._active, self._rest[:, np.newaxis])
        return total_db / max(hops, 1.0)

    def curve_db(self) -> NDArray[np.float32]:
        """Return the mean per ``step_s``, active or not; the last step may be a short one."""
        rest = [_means(self._rest[:, np.newaxis])] if self._rest.size else []
        return np.concatenate([np.array(self._curve, np.float32), *rest])


def _means(steps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean reduction of each step of ``(2, steps, hops)``."""
    return np.asarray(steps[0].sum(axis=1) / steps.shape[2], np.float32)


def _added(active: tuple[float, float], steps: NDArray[np.float64]) -> tuple[float, float]:
    """Return the sum of the reductions of active hops, and their count, after more steps.

    Step by step: a sum of all at once would show how the stream was cut.
    """
    total_db = np.append(active[0], (steps[0] * steps[1]).sum(axis=1)).cumsum()
    return float(total_db[-1]), active[1] + float(steps[1].sum())
