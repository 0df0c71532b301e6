"""Saturation: a soft clip without audible aliasing.

Theory of operation
-------------------
The curve is f(x) = x / √(1 + x²): odd, unity for small signals, never above 1. A curve
makes harmonics, and those above half the rate fold back. Antiderivative anti-aliasing
takes, instead of f at a frame, the mean of f over the straight line between two frames,
(F(b) − F(a)) / (b − a). For most curves that is a small difference over a small difference
and needs a second way round. With F(x) = √(1 + x²) the division can be carried out:

    (F(b) − F(a)) / (b − a)  =  (a + b) / (F(a) + F(b))

exact for every a and b, without a branch, and of square roots and divisions only: IEEE
rounds those the same in every lane, so that blocks do not show. (A tanh does not.)

The mean over an interval is half a frame late and dull: −3 dB at a quarter of the rate. So
only the *correction*, what saturation takes away, is averaged: c = mean of (f(x) − x), and
a frame gets half of the correction of the interval before it and half of that after it:

    y[n] = x[n] + mix/2 · (c[n−1, n] + c[n, n+1])

That is late by exactly one frame, has no phase shift, and leaves small signals and the dry
part as they are. Its price: what lies above a quarter of the rate saturates less.

Rules
-----
Rule 1: ``drive_db`` says how much lower a steady full scale comes out. So 0 dB is the
identity, with no latency, and so is a mix of 0.

References
----------
J. Parker, V. Zavalishin, E. Le Bivic, Reducing the aliasing of nonlinear waveshaping using
continuous-time convolution, DAFx 2016. The division is derived here.
"""

import math

import numpy as np

from dsp import kernels
from dsp.audio import Block
from dsp.errors import ParameterError

_MEMORY = 2
"""Frames held: those of the interval that came before the newest frame."""


class Saturation:
    """Drive into a soft clip.

    Parameters
    ----------
    drive_db : float
        At least 0. What a steady full scale loses.
    mix : float
        0 dry, 1 saturated.
    rate_hz : float
    channels : int

    Raises
    ------
    ParameterError
    """

    def __init__(self, *, drive_db: float, mix: float = 1.0, rate_hz: float, channels: int) -> None:
        if drive_db < 0.0:
            raise ParameterError(f"drive_db must be at least 0, got {drive_db:g}")
        if not 0.0 <= mix <= 1.0:
            raise ParameterError(f"mix must lie in 0...1, got {mix:g}")
        self._drive_power = math.expm1(drive_db * math.log(10.0) / 10.0)
        self._half_mix = mix / 2.0
        self._channels = channels
        self._is_identity = not (drive_db and mix)
        self.latency = 0 if self._is_identity else 1
        self.tail_s = 0.0 if self._is_identity else _MEMORY / rate_hz
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._held = np.zeros((self._channels, _MEMORY), np.float32)

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        if self._is_identity:
            return block
        out = np.empty((self._channels, len(block)), np.float32).T
        kernels.saturate(block, self._held, self._drive_power, self._half_mix, out)
        return out
