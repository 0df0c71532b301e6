"""``peaks.json`` and ``peaks.dat``: the outline of a song, as editors and web players read it.

The format is version 2 of the BBC's waveform data with 8 bits: pairs of the least and the
greatest sample of every 512 frames, in one channel.

References
----------
BBC R&D, audiowaveform, "Waveform data file format".
"""

import json
import struct
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Outline: TypeAlias = NDArray[np.int8]
"""``(pairs, 2)``: the least and the greatest sample; full scale is ±128."""

FRAMES_PER_PAIR = 512

_VERSION = 2
_BITS = 8
_EIGHT_BITS = 1  # in the flags: not 16 bits
_CHANNELS = 1
_PART = 65_536
_HEADER = struct.Struct("<iIiiIi")  # version, flags, rate, frames per pair, pairs, channels


def peaks_json(outline: Outline, rate_hz: int) -> Iterator[bytes]:
    """Yield ``peaks.json`` part by part: as objects, the numbers of hours take 100 MB."""
    told = {
        "version": _VERSION,
        "channels": _CHANNELS,
        "sample_rate": rate_hz,
        "samples_per_pixel": FRAMES_PER_PAIR,
        "bits": _BITS,
        "length": len(outline),
        "data": [],
    }
    yield _json(told).removesuffix("]}").encode()
    for start in range(0, len(outline), _PART):
        numbers = outline[start : start + _PART].ravel().tolist()
        yield ("," * (start > 0) + _json(numbers)[1:-1]).encode()
    yield b"]}\n"


def peaks_dat(outline: Outline, rate_hz: int) -> bytes:
    """Return ``peaks.dat``."""
    fields = (_VERSION, _EIGHT_BITS, rate_hz, FRAMES_PER_PAIR, len(outline), _CHANNELS)
    return _HEADER.pack(*fields) + outline.tobytes()


def thinned(outline: Outline, pairs: int) -> Outline:
    """Return at most ``pairs`` pairs: of each stretch the least and the greatest sample."""
    if len(outline) <= pairs:
        return outline
    starts = np.arange(pairs) * len(outline) // pairs
    low = np.minimum.reduceat(outline[:, 0], starts)
    return np.stack([low, np.maximum.reduceat(outline[:, 1], starts)], axis=1)


def _json(told: object) -> str:
    return json.dumps(told, separators=(",", ":"))
