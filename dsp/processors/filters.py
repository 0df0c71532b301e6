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
Rule 1: the layout of a block is free, but planar is fast: ``sosfilt`` wants time last and
contiguous. What is returned here is in Fortran order, so its ``.T`` is contiguous and the
next filter finds it as it likes it. Neither order may be relied upon.

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
from scipy.signal import sosfilt

from dsp.audio import Block
from dsp.errors import ParameterError
from dsp.units import SILENCE, dbs_of

Kind: TypeAlias = Literal[
    "peak", "low_shelf", "high_shelf", "high_pass", "low_pass", "band_pass", "notch"
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
        self._sos = np.asarray(sos, np.float64).reshape(-1, 6)
        self._channels = channels
        self.tail_frames = _tail_frames(self._sos)
        """Frames after the last sound until the output is exactly zero."""
        self.reset()

    def reset(self) -> None:
        """Forget everything heard so far."""
        self._state = np.zeros((len(self._sos), self._channels, 2))
        self._sounds = _Sounds(self.tail_frames)

    def process(self, block: Block) -> Block:
        """Return the next ``(frames, channels)``."""
        if not len(self._sos):
            return block
        planar = np.ascontiguousarray(block.T)
        out = np.empty((self._channels, len(block)), np.float32)
        rest = 0
        for start, stop, afresh in self._sounds.stretches(planar):
            out[:, rest:start] = 0.0
            if afresh:
                self._state[:] = 0.0
            out[:, start:stop], self._state = sosfilt(
                self._sos, planar[:, start:stop], zi=self._state
            )
            rest = stop
        out[:, rest:] = 0.0
        return out.T


def _tail_frames(sos: Sections) -> int:
    """Return the frames in which the slowest pole decays to silence."""
    radius = max((abs(pole) for row in sos for pole in np.roots(row[3:])), default=0.0)
    decay = math.log(SILENCE) / math.log(radius) if radius > SILENCE else 0.0
    return math.ceil(decay) + 2 * len(sos)


class _Sounds:
    """The stretches of a stream in which a filter with a tail can sound."""

    def __init__(self, tail_frames: int) -> None:
        self._tail = tail_frames
        self._last = -tail_frames - 2
        """The frame of the last sound, counted from the start of the next block."""

    def stretches(self, planar: NDArray[np.float32]) -> list[tuple[int, int, bool]]:
        """Return ``(start, stop, afresh)`` of each; *afresh*: the tail before has ended."""
        frames = planar.shape[1]
        heard = np.concatenate([[self._last], self._heard(planar)])
        gaps = np.flatnonzero(np.diff(heard) > self._tail + 1)
        firsts = heard[np.concatenate([[0], gaps + 1])]
        lasts = heard[np.concatenate([gaps, [len(heard) - 1]])]
        self._last = max(int(heard[-1]) - frames, -self._tail - 2)
        spans = [
            (max(int(first), 0), min(int(last) + 1 + self._tail, frames), number > 0)
            for number, (first, last) in enumerate(zip(firsts, lasts, strict=True))
        ]
        return [(start, stop, afresh) for start, stop, afresh in spans if start < stop]

    def _heard(self, planar: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the frames that sound, thinned out where no rest can be a long one.

        Most blocks rest nowhere: a look at a frame in every quarter of a tail mostly shows it,
        and one at every whole quarter the rest, at a tenth of the cost of finding every frame.
        """
        looks = np.arange(0, planar.shape[1], max(1, self._tail // 4))
        if len(looks) and planar[:, looks].any(axis=0).all() and planar[:, -1].any():
            return np.append(looks, planar.shape[1] - 1)
        sounds = planar[0] != 0.0
        for channel in planar[1:]:
            sounds |= channel != 0.0
        if not len(looks) or not np.logical_or.reduceat(sounds, looks).all():
            return np.flatnonzero(sounds)
        first, last = int(sounds.argmax()), len(sounds) - 1 - int(sounds[::-1].argmax())
        return np.append(np.clip(looks, first, last), last)
