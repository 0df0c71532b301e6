"""Where a sound sits: pan and width.

Theory of operation
-------------------
*Pan* keeps power: the squares of both gains always sum to the same. A mono sound gets
(cos θ, sin θ), −3.01 dB each in the centre: the power of the pair is the power of the mono
sound at every position, so its loudness is what was measured before it was panned. A stereo
sound gets the same gains times √2, exactly 1 in the centre; its power is kept as long as
both sides carry the same. It is a balance: what exists on one side only is not moved, and
goes when that side goes.

*Width* writes a stereo sound as middle m = (l + r)/2 and side s = (l − r)/2, and gives back
m + width · s and m − width · s. Lows become mono by a Linkwitz-Riley high-pass in the side,
24 dB per octave, and the all-pass of the same corner in the middle. Both turn the phase alike, so
what stands on one side alone stays there; a high-pass by itself would let an A of 440 Hz through
to the other side at −14 dB, for a corner at 120 Hz.

Rules
-----
Rule 1: both are mirror-symmetric: swapping the sides of the input, and the sign of the
position, swaps the sides of the output, bit for bit.

References
----------
S. Linkwitz, "Active crossover networks for noncoincident drivers", JAES 24(1), 1976.
"""

import math

import numpy as np

from dsp import kernels
from dsp.audio import Block
from dsp.errors import ParameterError
from dsp.processors.filters import Cascade, Sections, biquad

LOWS_MONO_HZ = 120.0
"""Below this, side is where vinyl skips and a mono subwoofer cancels."""

_BUTTERWORTH_Q = math.sqrt(0.5)
_MONO, _STEREO = 1, 2


class Pan:
    """Place a mono or stereo sound between the speakers; stereo comes out.

    Parameters
    ----------
    position : float
        −1 left, 0 centre, +1 right.
    channels : int
        Of the input: 1 or 2.

    Raises
    ------
    ParameterError
    """

    latency = 0
    tail_s = 0.0

    def __init__(self, position: float, *, channels: int) -> None:
        if not -1.0 <= position <= 1.0:
            raise ParameterError(f"position must lie in -1...1, got {position:g}")
        if channels not in (_MONO, _STEREO):
            raise ParameterError(f"channels must be 1 or 2, got {channels}")
        scale = math.sqrt(channels)
        gains = [scale * _gain_of_left(position), scale * _gain_of_left(-position)]
        self._gains = np.asarray(gains, np.float32)[:, np.newaxis]

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, 2)``."""
        out = np.empty((_STEREO, len(block)), np.float32)
        np.multiply(block.T, self._gains, out=out)
        return out.T

    def reset(self) -> None:
        """Forget nothing: there is nothing to forget."""


def _gain_of_left(position: float) -> float:
    return math.sin((1.0 - position) * math.pi / 4.0)


def rows_of_side(lows_mono_hz: float, rate_hz: float) -> Sections:
    """Return the filter of the side below whose corner lows are mono; no row for a corner of 0."""
    if not lows_mono_hz:
        return np.zeros((0, 6))
    row = biquad("high_pass", hz=lows_mono_hz, q=_BUTTERWORTH_Q, rate_hz=rate_hz)
    return np.asarray([row, row])


def _rows_of_middle(lows_mono_hz: float, rate_hz: float) -> Sections:
    if not lows_mono_hz:
        return np.zeros((0, 6))
    return np.asarray([biquad("all_pass", hz=lows_mono_hz, q=_BUTTERWORTH_Q, rate_hz=rate_hz)])


class Width:
    """Make a stereo sound narrower or wider, and its lows mono.

    Parameters
    ----------
    width : float
        0 mono, 1 as it is, 2 the side doubled.
    lows_mono_hz : float
        Corner below which the side is taken away, 24 dB per octave and 6 dB at it; 0: nowhere.
    rate_hz : float

    Raises
    ------
    ParameterError
    """

    latency = 0

    def __init__(self, width: float, *, lows_mono_hz: float = LOWS_MONO_HZ, rate_hz: float) -> None:
        if not 0.0 <= width <= 2.0:  # noqa: PLR2004 - the range that the docstring states
            raise ParameterError(f"width must lie in 0...2, got {width:g}")
        self._width = width
        self._side = Cascade(rows_of_side(lows_mono_hz, rate_hz), 1)
        self._middle = Cascade(_rows_of_middle(lows_mono_hz, rate_hz), 1)
        self._is_identity = width == 1.0 and not lows_mono_hz
        self.tail_s = max(self._side.tail_frames, self._middle.tail_frames) / rate_hz

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, 2)``."""
        if self._is_identity:
            return block
        half = block * np.float32(0.5)
        middle, side = half[:, :1] + half[:, 1:], half[:, :1] - half[:, 1:]
        out = np.empty((_STEREO, len(block)), np.float32).T
        kernels.widen(self._middle.process(middle), self._side.process(side), self._width, out)
        return out

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._middle.reset()
        self._side.reset()
