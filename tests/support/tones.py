"""Sines, stepped tones and noise, as blocks."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Block
from dsp.units import ratio_of


def sine(
    rate_hz: int,
    duration_s: float,
    *,
    hz: float = 1000.0,
    level_dbfs: float = 0.0,
    phase_deg: float = 0.0,
    channels: int = 2,
) -> Block:
    """Return a sine of this peak level, the same in all channels."""
    return tone(rate_hz, [(duration_s, level_dbfs)], hz=hz, phase_deg=phase_deg, channels=channels)


def tone(
    rate_hz: int,
    sections: Sequence[tuple[float, float | None]],
    *,
    hz: float = 1000.0,
    phase_deg: float = 0.0,
    channels: int = 2,
) -> Block:
    """Return one sine through ``(duration_s, level_dbfs)`` sections; ``None`` is silence."""
    frames = [round(duration_s * rate_hz) for duration_s, _ in sections]
    gains = [0.0 if level is None else ratio_of(level) for _, level in sections]
    angle = 2.0 * np.pi * hz / rate_hz * np.arange(sum(frames)) + np.deg2rad(phase_deg)
    return spread(np.sin(angle) * np.repeat(gains, frames), channels)


def noise(
    rate_hz: int, duration_s: float, *, rms_dbfs: float, seed: int, channels: int = 2
) -> Block:
    """Return white Gaussian noise, independent in each channel."""
    shape = round(duration_s * rate_hz), channels
    samples = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return samples * np.float32(ratio_of(rms_dbfs))


def spread(samples: NDArray[np.float64], channels: int) -> Block:
    """Return the same samples in all channels."""
    return np.repeat(samples.astype(np.float32)[:, None], channels, axis=1)


def faded(block: Block, frames: int) -> Block:
    """Return the block with a raised-cosine fade at both ends."""
    rise = np.sin(0.5 * np.pi * (np.arange(frames) + 0.5) / frames)[:, None] ** 2
    shaped = block.copy()
    shaped[:frames] *= rise
    shaped[-frames:] *= rise[::-1]
    return shaped


def cut(block: Block, places: Sequence[int]) -> list[Block]:
    """Return the block in pieces, cut at these places, in any order and number."""
    return np.split(block, sorted(place % (len(block) + 1) for place in places))


def in_blocks(block: Block, frames: int) -> Iterator[Block]:
    """Yield the block in pieces of this length; the last may be shorter."""
    for start in range(0, len(block), frames):
        yield block[start : start + frames]
