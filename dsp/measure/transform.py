"""Fourier transforms as the meters use them: their sizes, and the power of windows."""

from functools import cache
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp import kernels
from dsp.audio import Block

_SPARE = 8  # what the kernel may touch behind a row
_room = local()  # of every thread, not of every meter: some of them are alive at once


def fast_length(least: int) -> int:
    """Return the smallest even size, of at least this, that has no factors but 2, 3, 5 and 7."""
    size = max(2, least + least % 2)
    while not _is_fast(size):
        size += 2
    return size


def _is_fast(size: int) -> bool:
    for factor in (2, 3, 5, 7):
        while size % factor == 0:
            size //= factor
    return size == 1


@cache
def _plan_of(size: int) -> Any:  # noqa: ANN401 - a number or a capsule, as the kernels like it
    return kernels.plan(size)


class BandTransform:
    """The power per band of windows.

    Parameters
    ----------
    window : (length,) float32
    edges : (bands + 1,) float64
        In bins of the transform, rising; bin k reaches from k to k + 1, and one that an edge
        cuts is shared in proportion.
    size : int
        Of the transform: a ``fast_length``, no shorter than the window.
    """

    def __init__(
        self, window: NDArray[np.float32], edges: NDArray[np.float64], *, size: int
    ) -> None:
        self._window, self._size = window, size
        self._bins = edges.astype(np.int64)
        self._below = edges - self._bins

    def powers(self, block: Block, starts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return sums of squared magnitudes, channels summed: ``(windows, bands)``.

        Parameters
        ----------
        block : (frames, channels) float32
        starts : (windows,) int64
            The first frame of each.
        """
        out = np.empty((len(starts), len(self._bins) - 1))
        kernels.band_powers(
            *(block, starts, self._window, _plan_of(self._size)),
            *(self._bins, self._below, _room_for(self._size), out),
        )
        return out


def bin_powers(
    mono: NDArray[np.float32], starts: NDArray[np.int64], window: NDArray[np.float32], bins: int
) -> NDArray[np.float32]:
    """Return the squared magnitudes of the lowest bins of windows, ``(windows, bins)``.

    Parameters
    ----------
    mono : (frames,) float32
    starts : (windows,) int64
        The first frame of each.
    window : (size,) float32
        As long as the transform; half of it is a ``fast_length``.
    bins : int
    """
    out, half = np.empty((len(starts), bins), np.float32), len(window) // 2
    kernels.bin_powers(
        *(mono[:, np.newaxis], starts, window, _plan_of(half)), *(bins, _room_for(half), out)
    )
    return out


def _room_for(size: int) -> NDArray[np.float32]:
    rooms: dict[str, NDArray[np.float32]] = vars(_room)
    if (name := str(size)) not in rooms:
        rooms[name] = np.empty((4, size + _SPARE), np.float32)
    return rooms[name]
