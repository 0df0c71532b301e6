"""How much of the end of one chunk is the beginning of the next: the same material, twice.

Theory of operation
-------------------
A coarse pass at about 4 kHz correlates the two over all lengths of an overlap at once and
normalises by the energy of each length. Its best few are tried to the frame at the full rate.

Rules
-----
Rule 1: sound is never left out on a likeness. An overlap is *exact*, every sample of it the same,
or it is long and its correlation is close to 1.

Rule 2: two lengths that fit equally well prove nothing: a tone fits after every period. Then one
is taken if the time stamps name it, and none otherwise.
"""

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Block

LONGEST_S = 5.0
LEAST_EXACT_S = 0.02
"""Shorter than this, nothing is tried."""
LEAST_LIKE_S = 0.5
LEAST_LIKENESS = 0.99
"""Of what was coded or resampled in between."""
NEAR_S = 0.001
"""How far a length may be from that of the time stamps to be the one they name."""

_COARSE_HZ = 4_000
_LEAST_COARSE = 0.3
"""Averages over blocks that are half a block apart correlate by 0.5, noise included."""
_CANDIDATES = 5
_LEAST_VALUES = 64
"""Different sample values that an exact overlap must hold: silence and hum from a table do not."""

_Mono = NDArray[np.float64]


def overlap_of(
    tail: Block, head: Block, rate_hz: int, expected: int | None = None
) -> tuple[int, bool]:
    """Return how many frames of ``head`` are the end of ``tail``, and whether they are exact.

    Parameters
    ----------
    tail, head : (frames, channels) float32
        The end of one chunk and the beginning of the next, of the same channels.
    rate_hz : int
    expected : int
        What the time stamps say, in frames; ``None``: there are none.
    """
    most = min(len(tail), len(head), round(LONGEST_S * rate_hz))
    least = round(LEAST_EXACT_S * rate_hz)
    if most < least or not tail[-most:].any() or not head[:most].any():
        return 0, False
    tail, head = tail[-most:], head[:most]
    step = max(1, rate_hz // _COARSE_HZ)
    found: dict[int, tuple[bool, float]] = {}
    for length in _candidates(_coarse(tail, step, end=True), _coarse(head, step), least // step):
        for frames in range(max(least, (length - 2) * step), min(most, (length + 2) * step) + 1):
            if frames not in found and (match := _match(tail, head, frames, rate_hz)):
                found[frames] = match
    return _chosen(found, expected, rate_hz)


def _coarse(sound: Block, step: int, *, end: bool = False) -> _Mono:
    """Return averages over ``step`` frames, counted from the beginning or from the end."""
    whole = len(sound) - len(sound) % step
    part = sound[len(sound) - whole :] if end else sound[:whole]
    mono = part.sum(axis=1, dtype=np.float64)
    return np.asarray(mono.reshape(-1, step).mean(axis=1))


def _candidates(tail: _Mono, head: _Mono, least: int) -> list[int]:
    """Return the lengths at which the two are most alike, the best first."""
    count = min(len(tail), len(head))
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.fft.rfft(tail[-count:], size) * np.conj(np.fft.rfft(head[:count], size))
    # Lag k puts head's beginning at tail[k]: an overlap of count − k.
    products = np.fft.irfft(spectrum, size)[:count][::-1]
    energy_tail = np.cumsum(np.square(tail[-count:])[::-1])
    energy_head = np.cumsum(np.square(head[:count]))
    energy = np.sqrt(energy_tail * energy_head)
    quiet = 1e-12 * max(float(energy[-1]), 1e-12)
    likeness = np.where(energy > quiet, products / np.maximum(energy, quiet), 0.0)
    likeness[: max(0, least - 1)] = 0.0
    padded = np.pad(likeness, 1, constant_values=-1.0)
    peaks = (likeness >= padded[:-2]) & (likeness >= padded[2:]) & (likeness >= _LEAST_COARSE)
    places = np.flatnonzero(peaks)
    best = places[np.argsort(likeness[places])[::-1][:_CANDIDATES]]
    return [int(place) + 1 for place in best]


def _match(tail: Block, head: Block, frames: int, rate_hz: int) -> tuple[bool, float] | None:
    """Return whether an overlap of this length is exact, and its likeness; ``None``: neither."""
    before, after = tail[-frames:], head[:frames]
    if np.array_equal(before[:16], after[:16]) and np.array_equal(before, after):
        return (True, 1.0) if len(np.unique(after)) >= _LEAST_VALUES else None
    if frames < LEAST_LIKE_S * rate_hz:
        return None
    a, b = before.ravel(), after.ravel()
    energy = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    likeness = float(np.vdot(a, b)) / energy if energy > 0.0 else 0.0
    return (False, likeness) if likeness >= LEAST_LIKENESS else None


def _chosen(
    found: dict[int, tuple[bool, float]], expected: int | None, rate_hz: int
) -> tuple[int, bool]:
    tops = [frames for frames, (same, _) in found.items() if same]
    if not tops:
        # Neighbours of the best length are nearly as alike: of each hill only the top counts.
        nothing = (False, 0.0)
        tops = [
            n
            for n, (_, like) in found.items()
            if like >= max(found.get(n - 1, nothing)[1], found.get(n + 1, nothing)[1])
        ]
    if len(tops) > 1:
        near = round(NEAR_S * rate_hz)
        tops = [n for n in tops if expected is not None and abs(n - expected) <= near][:1]
    return (tops[0], found[tops[0]][0]) if tops else (0, False)
