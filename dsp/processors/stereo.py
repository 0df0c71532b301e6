"""Where a sound sits: pan and width.

Theory of operation
-------------------
*Pan* keeps power: the squares of both gains always sum to the same. A mono sound gets
(cos θ, sin θ), −3.01 dB each in the centre: the power of the pair is the power of the mono
sound at every position, so its loudness is what was measured before it was panned. A stereo
sound gets the same gains times √2, exactly 1 in the centre; its power is kept as long as
both sides carry the same. It is a balance: what exists on one side only is not moved, and
goes when that side goes.

*Width* writes a stereo sound as middle m = (l + r)/2 and side s = (l − r)/2 and adds
d = width · highpass(s) − s to the left and takes it from the right. The middle is never
computed, so what needs no change gets none: with width 1 and no high-pass, d is exactly 0.

Rules
-----
Rule 1: both are mirror-symmetric: swapping the sides of the input, and the sign of the
position, swaps the sides of the output, bit for bit.
"""

import math

import numpy as np

from dsp import kernels
from dsp.audio import Block
from dsp.errors import ParameterError
from dsp.processors.filters import Cascade, biquad

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


class Width:
    """Make a stereo sound narrower or wider, and its lows mono.

    Parameters
    ----------
    width : float
        0 mono, 1 as it is, 2 the side doubled.
    lows_mono_hz : float
        Corner below which the side is taken away, 12 dB per octave; 0: nowhere.
    rate_hz : float

    Raises
    ------
    ParameterError
    """

    latency = 0

    def __init__(self, width: float, *, lows_mono_hz: float = LOWS_MONO_HZ, rate_hz: float) -> None:
        if not 0.0 <= width <= 2.0:  # noqa: PLR2004 - the range that the docstring states
            raise ParameterError(f"width must lie in 0...2, got {width:g}")
        rows = []
        if lows_mono_hz:
            rows = [biquad("high_pass", hz=lows_mono_hz, q=_BUTTERWORTH_Q, rate_hz=rate_hz)]
        self._width = width
        self._high_pass = Cascade(np.asarray(rows), 1)
        self._is_identity = width == 1.0 and not rows
        self.tail_s = self._high_pass.tail_frames / rate_hz

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, 2)``."""
        if self._is_identity:
            return block
        side = block[:, :1] - block[:, 1:]
        side *= np.float32(0.5)
        out = np.empty((_STEREO, len(block)), np.float32).T
        kernels.widen(block, self._high_pass.process(side), self._width, out)
        return out

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._high_pass.reset()
