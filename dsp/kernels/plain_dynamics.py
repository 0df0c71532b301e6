"""What moves a gain, the plain version: decibels and back, curve, ballistics, ramp.

Logarithm and power are made of + − × ÷ and moves of bits, as in C: those of NumPy and of the
system's library differ from machine to machine in their last bits, and gains are made of them.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Doubles = NDArray[np.float64]

_HOP_FRAMES = 16  # dsp.audio.HOP_FRAMES, which stands on a floor above
_WAY = (np.arange(_HOP_FRAMES) / _HOP_FRAMES).astype(np.float32)
"""How far the frames of a hop are from its first border to its second."""

_ROOT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)
_MANTISSA = np.int64(52)
_TO_WHOLE = 6755399441055744.0  # 1.5 · 2⁵²: added and taken away, it rounds to whole numbers
_ODD = tuple(1.0 / n for n in range(19, 0, -2))
_FACTORIALS = (
    *(6227020800, 479001600, 39916800, 3628800, 362880, 40320, 5040),
    *(720, 120, 24, 6, 2, 1, 1),
)


def decibels(ratios: Doubles, floor: float, out: Doubles) -> None:
    """Write 20 · log10 of the magnitudes, of ``floor`` at the least, within 1e-13 dB."""
    level = np.maximum(np.abs(ratios), floor)
    bits = level.view(np.int64)
    exponent = (bits - _ROOT_HALF_BITS) >> _MANTISSA
    m = (bits - (exponent << _MANTISSA)).view(np.float64)
    r = (m - 1.0) / (m + 1.0)
    log2 = exponent + r * _polynomial(r * r, _ODD) * 2.8853900817779268
    out[...] = 6.0205999132796239 * np.where(level <= np.finfo(np.float64).max, log2, level)


def ratios(db: Doubles, out: Doubles) -> None:
    """Write 10 to the power of a twentieth, within 1e-13 of it."""
    x = db * 0.16609640474436813
    held = np.minimum(np.maximum(x, -1022.0), 1022.0)
    whole = held + _TO_WHOLE
    shift = whole.view(np.int64) << _MANTISSA
    part = (held - (whole - _TO_WHOLE)) * 0.69314718055994531
    power = _polynomial(part, tuple(1.0 / n for n in _FACTORIALS))
    out[...] = np.where(np.isnan(x), x, (power.view(np.int64) + shift).view(np.float64))


def _polynomial(x: Doubles, weights: tuple[float, ...]) -> Doubles:
    total = x * weights[0] + weights[1]
    for weight in weights[2:]:
        total = total * x + weight
    return np.asarray(total)


def curve(
    level_db: Doubles, threshold: float, slope: float, knee: float, most: float, out: Doubles
) -> None:
    """Write the reduction of the static curve.

    Parameters
    ----------
    level_db : array of float64
    threshold : float
        In dB; the middle of the knee.
    slope : float
        1 − 1/ratio.
    knee : float
        Width of the parabola in dB, 0 for none.
    most : float
        No reduction is larger.
    out : array of float64
    """
    over = level_db - threshold
    reduction = np.maximum(over - 0.5 * knee, 0.0)
    if knee > 0.0:
        inside = np.minimum(np.maximum(over + 0.5 * knee, 0.0), knee)
        reduction += inside * inside / (2.0 * knee)
    np.minimum(reduction * slope, most, out=out)


def follow(target_db: Doubles, attack: float, release: float, rest: float, state: Doubles) -> None:
    """Give a reduction its attack and release, in place.

    Parameters
    ----------
    target_db : (rows, hops) float64
        Changed.
    attack, release : float
        The poles of both, per hop.
    rest : float
        What has decayed below this is set to zero.
    state : (rows, 2) float64
        What is held and what is smoothed; changed.
    """
    for row, ((held, smooth), target) in enumerate(
        zip(state.tolist(), target_db.tolist(), strict=True)
    ):
        for hop, x in enumerate(target):
            held = max(x, release * held + (1.0 - release) * x)  # noqa: PLW2901 - the recursion
            if held < rest:
                held = 0.0  # noqa: PLW2901
            smooth = attack * smooth + (1.0 - attack) * held  # noqa: PLW2901
            if held == 0.0 and smooth < rest:
                smooth = 0.0  # noqa: PLW2901
            target[hop] = smooth
        target_db[row] = target
        state[row] = held, smooth


def ramp(
    block: Samples, band: Samples | None, borders: Samples, rows: int, begun: int, out: Samples
) -> None:
    """Scale a block by gains that go in straight lines from border to border.

    Parameters
    ----------
    block : (frames, channels) float32
    band : (frames, channels) float32 or None
        With one, the band is scaled and taken from the block.
    borders : (rows, hops + 1) float32
        Gains at the borders of the hops that the block touches.
    rows : int
        1 for all channels, or as many.
    begun : int
        Frames of the first hop that came before.
    out : (frames, channels) float32
        Written.
    """
    start = borders.reshape(rows, -1)[:, :-1, np.newaxis]
    lines = (borders.reshape(rows, -1)[:, 1:, np.newaxis] - start) * _WAY + start
    gains = lines.reshape(rows, -1)[:, begun : begun + len(block)].T
    if band is None:
        np.multiply(block, gains, out=out)
    else:
        np.subtract(block + np.float32(0.0), band * gains, out=out)
