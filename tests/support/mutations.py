"""Sound files in every accepted container, and what damage makes of them."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

_RATE_HZ = 48_000
_FRAMES = 1_500
_ACCEPTED = (
    *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
    *((container, "PCM_24") for container in ("WAVEX", "RF64", "W64", "AIFF", "CAF")),
    *((container, "FLOAT") for container in ("W64", "AIFF", "CAF")),
    *(("FLAC", subtype) for subtype in ("PCM_16", "PCM_24")),
    *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
)
_TELLING = tuple(
    bytes.fromhex(value)
    for value in ("00", "01", "7f", "80", "ff", "0000", "ffff", "00000000", "ffffffff", "7fffffff")
)
_HEADER_BYTES = 256
"""Half of all damage goes here: behind it is sound, which any bytes are."""


def seeds(folder: Path | None = None) -> list[bytes]:
    """Return a short file of each accepted kind, and the beginnings of those in `folder`."""
    made = [_made(*kind, channels) for kind in _ACCEPTED for channels in (1, 2)]
    return (
        [*made, *(path.read_bytes()[:60_000] for path in sorted(folder.iterdir()))]
        if folder
        else made
    )


def mutants(originals: list[bytes], seed: int) -> Iterator[bytes]:
    """Yield damaged files without end; the same ones for the same `seed`."""
    rng = np.random.default_rng(seed)
    while True:
        data = bytearray(originals[rng.integers(len(originals))])
        for _ in range(rng.integers(1, 8)):
            data = _DAMAGE[rng.integers(len(_DAMAGE))](data, originals, rng)
        yield bytes(data)


def _made(container: str, subtype: str, channels: int) -> bytes:
    sound = np.random.default_rng(1).normal(0, 0.1, (_FRAMES, channels))
    file = io.BytesIO()
    soundfile.write(file, sound, _RATE_HZ, format=container, subtype=subtype)
    return file.getvalue()


def _place(data: bytearray, rng: np.random.Generator) -> int:
    most = min(len(data), _HEADER_BYTES) if rng.random() < 0.5 else len(data)
    return int(rng.integers(max(1, most)))


def _flip(data: bytearray, _: object, rng: np.random.Generator) -> bytearray:
    if data:
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _overwrite(data: bytearray, _: object, rng: np.random.Generator) -> bytearray:
    at, value = _place(data, rng), _TELLING[rng.integers(len(_TELLING))]
    data[at : at + len(value)] = value
    return data


def _noise(data: bytearray, _: object, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    data[at : at + 16] = rng.bytes(int(rng.integers(1, 17)))
    return data


def _cut(data: bytearray, _: object, rng: np.random.Generator) -> bytearray:
    del data[_place(data, rng) :]
    return data


def _take_out(data: bytearray, _: object, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    del data[at : at + int(rng.integers(1, 64))]
    return data


def _repeat(data: bytearray, _: object, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    part = data[at : at + int(rng.integers(1, 2_000))]
    data[at:at] = part
    return data


def _splice(data: bytearray, originals: list[bytes], rng: np.random.Generator) -> bytearray:
    """Go on with another file in the middle."""
    other = originals[rng.integers(len(originals))]
    at = int(rng.integers(len(other)))
    return data[: _place(data, rng)] + other[at : at + 4_000]


_DAMAGE = (_flip, _flip, _overwrite, _overwrite, _noise, _cut, _take_out, _repeat, _splice)
