"""Second-order filters: their coefficients, their response, and a cascade that runs them.

Theory of operation
-------------------
A filter is a row of six numbers, ``b0 b1 b2 1 a1 a2`` (SciPy's *sos* row), taken from the
cookbook; filters in series are rows in a matrix. ``Cascade`` runs the matrix over blocks
with ``float64`` state, because float32 state nulls at only −71 dB.

A recursive filter never quite falls silent: it decays into denormals, which cost thirteen
times the CPU. So a cascade that has been fed nothing but zeros for ``tail_frames`` is
emptied. The frames are counted from the last sound, not from the edge of a block, so that
blocks do not show; and nothing is computed until the next sound.

Rules
-----
Rule 1: the layout of a block is free. What is returned here is planar (in Fortran order): what
works channel by channel finds it as it likes it. Neither order may be relied upon.

Rule 2: ``tail_frames`` is where the slowest pole has decayed to ``units.SILENCE``. Poles
that share their pace add a few dB to that: still far below what float32 keeps of a sound.

References
----------
R. Bristow-Johnson, Cookbook formulae for audio EQ biquad filter coefficients.
"""

import math
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsp import kernels
from dsp.audio import Block
from dsp.errors import ParameterError
from dsp.units import SILENCE, dbs_of

Kind: TypeAlias = Literal[
    "peak", "low_shelf", "high_shelf", "high_pass", "low_pass", "band_pass", "notch", "all_pass"
]
Sections: TypeAlias = NDArray[np.float64]
"""``(sections, 6)`` float64, or one row of it; ``a0`` is 1."""

_Taps: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]


def biquad(kind: Kind, *, hz: float, q: float, gain_db: float = 0.0, rate_hz: float) -> Sections:
    """Return one filter of the cookbook.

    Parameters
    ----------
    kind : Kind
        ``band_pass`` is the one with 0 dB at its centre.
    hz : float
        Centre, or corner; between 0 and half the rate.
    q : float
        Above 0. For shelves too (0.7071: as steep as can be without a bump).
    gain_db : float
        Of peaks and shelves; the others have none.

    Returns
    -------
    (6,) float64

    Raises
    ------
    ParameterError
        ``hz`` or ``q`` is out of range.
    """
    if not 0.0 < hz < rate_hz / 2.0:
        raise ParameterError(f"hz must lie between 0 and {rate_hz / 2.0:g}, got {hz:g}")
    if not q > 0.0:
        raise ParameterError(f"q must be above 0, got {q:g}")
    turn = 2.0 * math.pi * hz / rate_hz
    if kind in ("peak", "low_shelf", "high_shelf"):
        b, a = _with_gain(kind, turn, math.sin(turn) / (2.0 * q), 10.0 ** (gain_db / 40.0))
    else:
        b, a = _without_gain(kind, math.cos(turn), math.sin(turn) / (2.0 * q))
    return np.asarray((*b, *a), np.float64) / a[0]


def first_order_low_pass(hz: float, rate_hz: float) -> Sections:
    """Return a low-pass of 6 dB per octave, ``(6,)``; the rest of the sound is its high-pass."""
    turn = math.tan(math.pi * hz / rate_hz)
    taps = turn / (1.0 + turn)
    return np.asarray((taps, taps, 0.0, 1.0, (turn - 1.0) / (turn + 1.0), 0.0))


def _with_gain(kind: Kind, turn: float, alpha: float, amp: float) -> _Taps:
    cos = math.cos(turn)
    if kind == "peak":
        b = (1.0 + alpha * amp, -2.0 * cos, 1.0 - alpha * amp)
        return b, (1.0 + alpha / amp, -2.0 * cos, 1.0 - alpha / amp)
    # A high shelf is a low shelf with the spectrum turned round: z becomes −z.
    flip = 1.0 if kind == "low_shelf" else -1.0
    up, down = amp + 1.0, amp - 1.0
    tilt, slope = down * flip * cos, 2.0 * math.sqrt(amp) * alpha
    b = (amp * (up - tilt + slope), 2.0 * amp * (flip * down - up * cos), amp * (up - tilt - slope))
    return b, (up + tilt + slope, -2.0 * (flip * down + up * cos), up + tilt - slope)


def _without_gain(kind: Kind, cos: float, alpha: float) -> _Taps:
    a = (1.0 + alpha, -2.0 * cos, 1.0 - alpha)
    high, low = (1.0 + cos) / 2.0, (1.0 - cos) / 2.0
    taps = {
        "high_pass": (high, -2.0 * high, high),
        "low_pass": (low, 2.0 * low, low),
        "band_pass": (alpha, 0.0, -alpha),
        "notch": (1.0, -2.0 * cos, 1.0),
        "all_pass": a[::-1],
    }
    return taps[kind], a


def response_db(sos: Sections, hz: ArrayLike, rate_hz: float) -> NDArray[np.float64]:
    """Return the gain of a cascade at some frequencies, in dB, shaped as ``hz``."""
    back = np.exp(-2j * np.pi * np.asarray(hz, np.float64) / rate_hz)
    total = np.ones_like(back)
    for b0, b1, b2, a0, a1, a2 in np.atleast_2d(sos):
        total *= (b0 + back * (b1 + back * b2)) / (a0 + back * (a1 + back * a2))
    return dbs_of(np.abs(total))


class Cascade:
    """Filters in series, over planar or interleaved blocks; no section: the block itself.

    Parameters
    ----------
    sos : (sections, 6) float64
    channels : int
    """

    latency = 0

    def __init__(self, sos: Sections, channels: int) -> None:
        self._sos = np.ascontiguousarray(sos, np.float64).reshape(-1, 6)
        self._channels = channels
        self.tail_frames = _tail_frames(self._sos)
        """Frames after the last sound until the output is exactly zero."""
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._state = np.zeros((len(self._sos), self._channels, 2))
        self._heard = -self.tail_frames - 2
        """The frame of the last sound, counted from the start of the next block."""

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        if not len(self._sos):
            return block
        out = np.empty((self._channels, len(block)), np.float32).T
        self._heard = kernels.cascade(
            block, self._sos, self._state, self.tail_frames, self._heard, out
        )
        return out


def _tail_frames(sos: Sections) -> int:
    """Return the frames in which the slowest pole decays to silence."""
    radius = max((abs(pole) for row in sos for pole in np.roots(row[3:])), default=0.0)
    decay = math.log(SILENCE) / math.log(radius) if radius > SILENCE else 0.0
    return math.ceil(decay) + 2 * len(sos)
