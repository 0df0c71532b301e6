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


def energies(
    block: Samples,
    sos: Doubles,
    state: Doubles,
    bias: float,
    sums: Doubles,
    filled: int,
    lengths: NDArray[np.int64],
    out: Doubles,
) -> tuple[int, int]:
    """Filter, square, and take the mean of every step.

    Parameters
    ----------
    block : (frames, channels) float32
    sos, state
        See ``cascade``.
    bias : float
        Added to every sample.
    sums : (channels,) float64
        Of the squares of the step that has begun; changed.
    filled : int
        Frames of that step.
    lengths : (steps,) int64
        Of the steps from that one on, in frames; together more than there are.
    out : (steps, channels) float64
        The means of the steps that are whole; written.

    Returns
    -------
    (int, int)
        How many steps are whole, and how many frames the next one has.
    """
    squares = np.square(filtered(block.T.astype(np.float64) + bias, sos, state))
    start = done = 0
    while squares.shape[1] - start >= (room := int(lengths[done]) - filled):
        _add(sums, squares[:, start : start + room])
        out[done] = sums / lengths[done]
        sums[:] = 0.0
        done, filled, start = done + 1, 0, start + room
    _add(sums, squares[:, start:])
    return done, filled + squares.shape[1] - start


def _add(sums: Doubles, rows: Doubles) -> None:
    """Add every row to its sum, value after value: the bits of any other order may differ."""
    sums[:] = np.concatenate([sums[:, np.newaxis], rows], axis=1).cumsum(axis=1)[:, -1]


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
