"""Spectra of a stream: power per band and step of time.

Theory of operation
-------------------
Every step is looked at once, through a Hann window twice as long and centred in it: 92 % of what
it weighs lies in the step, and windows overlap by half, so nothing slips between them. With the
usual step of 0.5 s the bins lie 1 Hz apart, enough for the 20 Hz band; a shorter transform for
the high bands would save nothing, because the cost per frame hardly depends on the length.

Powers are mean squares: a full-scale sine reads 0.5 in its band, white noise sums to its power.
A bin that an edge cuts is shared in proportion: a band is the bins from the one that its lower
edge cuts to before the one that its upper edge cuts, less the part below, and the part there.

Rules
-----
Rule 1: steps begin at multiples of the step length, counted from frame 0 of the stream.

Rule 2: windows are transformed in groups that begin at the same frames, however the stream is
cut: two rows, of two channels or of two windows, share a transform, and so their last bits.

Rule 3: the floor is 0. Bands above half the rate, and silence, are exactly 0.

References
----------
IEC 61260-1:2014 (band edges, base ten); Welch 1967; Heinzel, Rüdiger, Schilling 2002 (windows).
"""

from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Block
from dsp.errors import ParameterError
from dsp.measure.transform import BandTransform, fast_length

Bands: TypeAlias = NDArray[np.float64]
"""One value per band, from low to high."""

# IEC 61260-1, 5.2 to 5.4: band x has its centre at 1 kHz · G^(x/3), its edges half a band off.
_OCTAVE = 10.0**0.3
_THIRD = np.arange(-17, 14)

THIRD_OCTAVES_HZ: Bands = 1000.0 * _OCTAVE ** (_THIRD / 3.0)
"""Centres of the 31 third octaves that are called 20 Hz to 20 kHz."""

_THIRD_EDGES_HZ: Bands = 1000.0 * _OCTAVE ** ((np.append(_THIRD, 14) - 0.5) / 3.0)

STEP_S = 0.5


class BandPowers:
    """Mean-square power per step and band, channels summed, of a stream.

    Parameters
    ----------
    rate_hz : int
    channels : int
    edges_hz : (bands + 1,) float64
        Rising; one band from each edge to the next.
    step_s : float
        Length of a step, to the nearest frame; bins lie ``0.5 / step_s`` Hz apart.
    every : int
        One step in so many is looked at, and stands for those that follow it: with 2 the
        windows touch instead of overlapping, at half the cost.
    """

    def __init__(
        self, rate_hz: int, channels: int, *, edges_hz: Bands, step_s: float, every: int = 1
    ) -> None:
        self._every = every
        self._group_steps = every if channels > 1 else 2 * every
        self._step = round(rate_hz * step_s)
        if self._step < 1:
            raise ParameterError(f"step_s must be at least one frame, got {step_s}")
        size = fast_length(2 * self._step)
        window, power = _window_of(2 * self._step)
        self._scale = 2.0 / (size * power)
        # Bin k reaches from k − ½ to k + ½. At half the rate the last one is cut in two: what
        # follows doubles one side of the spectrum, and that bin must not be doubled.
        edges = np.minimum(edges_hz, rate_hz / 2) * size / rate_hz + 0.5
        self._transform = BandTransform(window, edges, size=size)
        self._bands = len(edges) - 1
        self._starts = np.arange(0, self._group_steps, every, dtype=np.int64) * self._step
        self._frames = self._taken = self._skip = 0
        # The windows of a group begin half a step before it: in silence, at first.
        steps = self._group_steps - every + 2
        self._group = np.zeros((channels, steps * self._step), np.float32)
        self._held = self._step // 2
        self._powers: list[NDArray[np.float32]] = []

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, channels)``."""
        self._frames += len(block)
        while len(block):
            skipped = min(self._skip, len(block))
            self._skip -= skipped
            room = self._group[:, self._held :][:, : len(block) - skipped]
            room[:] = block[skipped : skipped + room.shape[1]].T
            self._held += room.shape[1]
            block = block[skipped + room.shape[1] :]
            if self._held == self._group.shape[1]:
                self._finish_group()

    def powers(self) -> NDArray[np.float32]:
        """Return the power of every step begun so far, or since ``taken``, ``(steps, bands)``.

        What the last windows have not heard yet counts as silence, so a step that is short at
        the end of a stream reads as low as it is short.
        """
        group, after = self._group.copy(), np.zeros_like(self._group)
        group[:, self._held :] = 0.0
        kept = group[:, self._group_steps * self._step :]  # may have begun a step of its own
        after[:, : kept.shape[1]] = kept
        steps = max(0, -(-self._frames // self._step) - self._taken)
        waiting = (self._powers_of(group), self._powers_of(after))
        return np.concatenate([*self._powers, *waiting])[:steps]

    def taken(self) -> NDArray[np.float32]:
        """Return the power of the steps that are settled, ``(steps, bands)``, and forget them."""
        settled = np.concatenate([np.zeros((0, self._bands), np.float32), *self._powers])
        self._powers = []
        self._taken += len(settled)
        return settled

    def mean_powers(self) -> Bands:
        """Return the power of everything so far, ``(bands,)``."""
        total = self.powers().sum(axis=0, dtype=np.float64)
        return np.asarray(total * self._step / max(self._frames, 1))

    def _finish_group(self) -> None:
        self._powers.append(self._powers_of(self._group))
        after = self._group_steps * self._step
        kept = self._group[:, after:]
        self._held, self._skip = kept.shape[1], max(0, after - self._group.shape[1])
        self._group[:, : self._held] = kept

    def _powers_of(self, group: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(steps, bands)`` of a group."""
        looked = self._transform.powers(group.T, self._starts) * self._scale
        return np.repeat(looked.astype(np.float32), self._every, axis=0)


@cache
def _window_of(length: int) -> tuple[NDArray[np.float32], float]:
    """Return a Hann window, the same to all who ask, and its power."""
    window = np.square(np.sin(np.pi * (np.arange(length) + 0.5) / length))
    return window.astype(np.float32), float(np.square(window).sum())


class ThirdOctaves(BandPowers):
    """Mean-square power per step and third octave, channels summed: ``(steps, 31)``.

    A full-scale sine at a centre reads 0.5 within 0.1 dB, in every band.
    """

    def __init__(
        self, rate_hz: int, channels: int, *, step_s: float = STEP_S, every: int = 1
    ) -> None:
        super().__init__(rate_hz, channels, edges_hz=_THIRD_EDGES_HZ, step_s=step_s, every=every)
