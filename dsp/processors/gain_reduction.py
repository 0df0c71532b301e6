"""What a dynamic processor took away: a meter."""

from array import array

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.audio import HOP_FRAMES

ACTIVE_DBFS = -70.0
"""Reduction is averaged where the level is above this: the absolute gate of BS.1770."""

_STEP_S = 0.1
_HIGHEST, _FILLED, _SUM, _ACTIVE_SUM, _TOTAL, _ACTIVE_HOPS = range(6)
"""What ``kernels.tally`` keeps."""


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
        self._tallies = np.zeros(6)
        self._curve = array("f")  # one object, and not one per block: there may be an hour of it

    def update(
        self, reduction_db: NDArray[np.float64], active: NDArray[np.bool_ | np.uint8]
    ) -> None:
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
        means = np.empty(len(active) // self._hops + 1, np.float32)
        rows = np.ascontiguousarray(reduction_db)
        done = kernels.tally(rows, active.view(np.uint8), self._hops, self._tallies, means)
        self._curve.frombytes(means[:done].tobytes())

    @property
    def max_db(self) -> float:
        """The largest so far."""
        return float(self._tallies[_HIGHEST])

    @property
    def mean_db(self) -> float:
        """The mean over the active hops; 0 when there was none."""
        total_db = self._tallies[_TOTAL] + self._tallies[_ACTIVE_SUM]
        return float(total_db / max(self._tallies[_ACTIVE_HOPS], 1.0))

    def curve_db(self) -> NDArray[np.float32]:
        """Return the mean per ``step_s``, active or not; the last step may be a short one."""
        filled = self._tallies[_FILLED]
        rest = [self._tallies[_SUM] / filled] if filled else []
        return np.array([*self._curve, *rest], np.float32)
