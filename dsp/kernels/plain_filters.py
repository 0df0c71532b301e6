"""Filters, the plain version: second-order sections, with rests left out."""

import numpy as np
from numpy.typing import NDArray

try:
    from scipy.signal import sosfilt as _sosfilt
except ImportError:
    _sosfilt = None  # type: ignore[assignment]

Samples = NDArray[np.float32]
Doubles = NDArray[np.float64]


def cascade(
    block: Samples, sos: Doubles, state: Doubles, tail: int, heard: int, out: Samples
) -> int:
    """Filter what sounds and its tail; write zeros where both are over, and forget.

    Parameters
    ----------
    block : (frames, channels) float32
    sos : (sections, 6) float64
        ``a0`` is 1.
    state : (sections, channels, 2) float64
        Of the sections; changed. As that of ``scipy.signal.sosfilt``.
    tail : int
        Frames after the last sound until the state is emptied.
    heard : int
        The frame of the last sound, counted from the start of this block: below 0. What was
        returned for the block before; −tail − 2 at first.
    out : (frames, channels) float32
        Written.

    Returns
    -------
    int
        The frame of the last sound, counted from the start of the next block.
    """
    frames = len(block)
    sounding = np.concatenate([[heard], np.flatnonzero(block.any(axis=1))])
    rests = np.flatnonzero(np.diff(sounding) > tail + 1)
    firsts = sounding[np.concatenate([[0], rests + 1])]
    lasts = sounding[np.concatenate([rests, [len(sounding) - 1]])]
    out[:] = 0.0
    for number, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
        start, stop = max(int(first), 0), min(int(last) + 1 + tail, frames)
        if number:
            state[:] = 0.0
        if start < stop:
            out[start:stop] = filtered(block[start:stop].T.astype(np.float64), sos, state).T
    return max(int(sounding[-1]) - frames, -tail - 2)


def filtered(planar: Doubles, sos: Doubles, state: Doubles) -> Doubles:
    """Return ``(channels, frames)`` through all sections; the state is changed."""
    if _sosfilt is not None:
        out, state[:] = _sosfilt(sos, planar, zi=state)
        return np.asarray(out)
    rows = [row.tolist() for row in planar]
    for section, (b0, b1, b2, _, a1, a2) in enumerate(sos.tolist()):
        for channel, row in enumerate(rows):
            z0, z1 = state[section, channel].tolist()
            for frame, x in enumerate(row):
                y = b0 * x + z0
                z0 = (b1 * x - a1 * y) + z1
                z1 = b2 * x - a2 * y
                row[frame] = y
            state[section, channel] = z0, z1
    return np.array(rows).reshape(planar.shape)
