"""What decides on a gain, the plain version: decibels and back, curve, ballistics.

Logarithm and power are made of + − × ÷ and moves of bits, as in C: those of NumPy and of the
system's library differ from machine to machine in their last bits, and gains are made of them.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.uint8]

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


def reduce(peaks: Samples, panel: Doubles, state: Doubles, out: Doubles, active: Flags) -> None:
    """Write the reduction that follows peaks: their levels, the curve, attack and release.

    Parameters
    ----------
    peaks : (rows, hops) float32
    panel : (10,) float64
        The floor of ``decibels``; threshold, slope, knee and most of ``curve``; how far a row
        follows the one reduced most, 0..1; attack, release and rest of ``follow``; the level
        above which a hop is active, in dB.
    state : (rows, 2) float64
        Of ``follow``.
    out : (rows, hops) float64
        Written.
    active : (hops,) uint8
        Whether any row is; written.
    """
    floor, threshold, slope, knee, most, link, attack, release, rest, least_db = panel.tolist()
    level_db = np.empty(peaks.shape)
    decibels(peaks.astype(np.float64), floor, level_db)
    active[:] = (level_db > least_db).any(axis=0)
    curve(level_db, threshold, slope, knee, most, out)
    if len(out) > 1 and out.size:
        out += link * (out.max(axis=0) - out)
    follow(out, attack, release, rest, state)


def borders(
    reduction_db: Doubles, rows: int, make_up_db: float, cuts: int, ahead: Samples, out: Samples
) -> None:
    """Write the gains at the borders between hops.

    Parameters
    ----------
    reduction_db : (rows, hops) float64
    rows : int
    make_up_db : float
        What a reduction is taken from.
    cuts : int
        1: what a gain is short of 1 is written instead.
    ahead : (rows, ahead) float32
        Gains of the first borders; becomes those that this leaves for the next call.
    out : (rows, ahead + hops) float32
        Written.
    """
    gains = np.empty(reduction_db.shape)
    ratios(make_up_db - reduction_db, gains)
    gains = (1.0 - gains if cuts else gains).astype(np.float32)
    joined = np.concatenate([ahead.reshape(rows, -1), gains.reshape(rows, -1)], axis=1)
    ahead.reshape(rows, -1)[:] = joined[:, gains.size // rows :]
    out.reshape(rows, -1)[:] = joined
