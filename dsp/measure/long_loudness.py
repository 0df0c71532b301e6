"""The loudness of a stream that may last for hours, in little memory.

The maxima of momentary and short-term loudness are looked for every 10 ms, everything else every
100 ms. So the energies of 10 ms are folded, part by part, into those of 100 ms and the two
maxima: 80 bytes are kept of a second, and not 800.
"""

import numpy as np

from dsp.audio import Block
from dsp.measure.loudness import (
    HOP_S,
    MOMENTARY_S,
    SHORT_TERM_S,
    STEP_S,
    Energy,
    LoudnessMeter,
    lufs_of,
)
from dsp.sums import moving_sum

_PART_STEPS = 8_000
_STEPS_PER_HOP = round(HOP_S / STEP_S)
_FURTHER = round(SHORT_TERM_S / STEP_S)
"""Steps after a part that a window which begins in it may reach into."""


class LongLoudnessMeter(LoudnessMeter):
    """The readings of ``LoudnessMeter``; its ``energy`` is per ``HOP_S``.

    Parameters
    ----------
    rate_hz, channels : int
    """

    energy_step_s = HOP_S

    def __init__(self, rate_hz: int, channels: int) -> None:
        super().__init__(rate_hz, channels)
        self._fine: Energy = np.zeros(0)
        """Energies per ``STEP_S`` that are not folded yet."""
        self._highest = {MOMENTARY_S: 0.0, SHORT_TERM_S: 0.0}
        """The mean square of the loudest window that began in what was folded."""

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        self._steps.update(block)
        self._fine = np.append(self._fine, (self._steps.taken() * self._weights).sum(axis=1))
        while len(self._fine) >= _PART_STEPS + _FURTHER:
            part, self._fine = self._fine, self._fine[_PART_STEPS:].copy()
            self._energy.frombytes(_hops(part[:_PART_STEPS]).tobytes())
            for window_s in self._highest:
                further = round(window_s / STEP_S) - 1
                self._highest[window_s] = self._maximum(part[: _PART_STEPS + further], window_s)

    def energy(self) -> Energy:
        """Return the channel-weighted sums of mean squares, ``(hops,)`` of ``HOP_S``."""
        return np.append(np.frombuffer(self._energy), _hops(self._fine))

    def _max_lufs(self, window_s: float) -> float:
        return lufs_of(self._maximum(self._fine, window_s))

    def _maximum(self, fine: Energy, window_s: float) -> float:
        window = round(window_s / STEP_S)
        means = moving_sum(fine, np.full(window, 1.0 / window))
        return max(self._highest[window_s], float(means.max(initial=0.0)))


def _hops(fine: Energy) -> Energy:
    """Return the mean of every ten whole steps."""
    return moving_sum(fine, np.full(_STEPS_PER_HOP, 1.0 / _STEPS_PER_HOP), hop=_STEPS_PER_HOP)
