"""The control grid, the plain version: values per hop, the ramp from hop to hop, statistics."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Doubles = NDArray[np.float64]
Flags = NDArray[np.uint8]

_HOP_FRAMES = 16  # dsp.audio.HOP_FRAMES, which stands on a floor above
_WAY = (np.arange(_HOP_FRAMES) / _HOP_FRAMES).astype(np.float32)
"""How far the frames of a hop are from its first border to its second."""


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


def steps(values: Doubles, first: int, hops_per_step: float, lines: int, out: Doubles) -> None:
    """Write what a curve has for hops; beyond its end it keeps its last value.

    Parameters
    ----------
    values : (steps,) float64
    first : int
        The first hop.
    hops_per_step : float
    lines : int
        1: values stand in the middle of their steps, with straight lines between; 0: each holds
        for all of its step.
    out : (hops,) float64
        Written.
    """
    last = len(values) - 1
    place = np.arange(first, first + len(out)) / hops_per_step
    if not lines:
        out[:] = values[np.minimum(place, last).astype(np.intp)]
        return
    place = np.minimum(np.maximum(place - 0.5, 0.0), last)
    before = np.minimum(place.astype(np.intp), max(last - 1, 0))
    here, there = values[before], values[np.minimum(before + 1, last)]
    out[:] = here + (there - here) * (place - before)


def tally(
    reduction_db: Doubles, active: Flags, step_hops: int, tallies: Doubles, out: Samples
) -> int:
    """Take note of reductions; return how many steps they complete.

    Parameters
    ----------
    reduction_db : (rows, hops) float64
        Rows are averaged.
    active : (hops,) uint8
        Where there was something to reduce.
    step_hops : int
    tallies : (6,) float64
        The highest so far; the hops of the step that has begun, their sum, and that of the active
        ones; the sum of the active ones of all steps before; the count of all that were active.
    out : (steps,) float32
        The mean of every step that is complete; one place more than hops can complete.
    """
    highest, filled, total, of_active, before, count = tallies.tolist()
    done, rows = 0, len(reduction_db)
    for hop, sounds in enumerate(active.tolist()):
        mean = sum(reduction_db[:, hop].tolist()) / rows
        total += mean
        if sounds:
            of_active, count = of_active + mean, count + 1.0
        filled += 1.0
        if filled == step_hops:
            out[done] = total / step_hops
            before, filled, total, of_active, done = before + of_active, 0.0, 0.0, 0.0, done + 1
    highest = max(highest, float(reduction_db.max(initial=highest)))
    tallies[:] = highest, filled, total, of_active, before, count
    return done
