"""The laws of ``dsp.processors.processor``, on every processor, at every rate."""

import math
from collections.abc import Iterable, Iterator
from itertools import cycle

import numpy as np
import pytest

from dsp.audio import Block
from dsp.processors.processor import Processor
from tests.support.processors import PROCESSORS, Case

RATES = (44_100, 48_000, 96_000)
PARTITIONS = {
    "one frame, then the rest": (1, 10**9),
    "sevens": (7,) * 120 + (10**9,),
    "single frames": (1,) * 260 + (10**9,),
    "odd sizes and none": (0, 1, 333, 0, 17, 4_097, 15, 16, 1_023),
    "the engine's": (65_536,),
}

case_of = pytest.mark.parametrize(
    ("case", "rate_hz", "channels"),
    [
        pytest.param(case, rate_hz, channels, id=f"{case.name}-{rate_hz}-{channels}ch")
        for case in PROCESSORS
        for rate_hz in RATES
        for channels in case.channels
    ],
)


def noise(frames: int, channels: int, seed: int = 7) -> Block:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.9, 0.9, (frames, channels)).astype(np.float32)


def tail_frames(processor: Processor, rate_hz: int) -> int:
    return math.ceil(processor.tail_s * rate_hz)


def sound_with_gaps(processor: Processor, rate_hz: int, channels: int) -> Block:
    """Return sound, a gap within the tail, sound, a gap longer than it, sound."""
    tail = tail_frames(processor, rate_hz)
    lengths = (2_000, tail // 2, 500, tail + 700, 1_500)
    parts = [
        noise(n, channels, seed) if seed % 2 == 0 else np.zeros((n, channels), np.float32)
        for seed, n in enumerate(lengths)
    ]
    return np.concatenate(parts)


def cut(sound: Block, sizes: Iterable[int]) -> Iterator[Block]:
    start = 0
    for size in cycle(sizes):
        if start >= len(sound):
            return
        yield sound[start : start + size]
        start += size


def bits(block: Block) -> bytes:
    return np.ascontiguousarray(block).tobytes()


@case_of
@pytest.mark.parametrize("sizes", PARTITIONS.values(), ids=PARTITIONS.keys())
def test_blocks_do_not_show(case: Case, rate_hz, channels, sizes):
    """Law 1: however a stream is cut, the same bits come out."""
    whole = case.make(rate_hz, channels)
    sound = sound_with_gaps(whole, rate_hz, channels)
    pieces = case.make(rate_hz, channels)

    out = np.concatenate([pieces.process(block) for block in cut(sound, sizes)])

    assert bits(whole.process(sound)) == bits(out)


@case_of
def test_memory_order_does_not_show(case: Case, rate_hz, channels):
    """Planar and interleaved blocks give the same bits."""
    sound = noise(3_000, channels)

    planar = case.make(rate_hz, channels).process(np.asfortranarray(sound))

    assert bits(case.make(rate_hz, channels).process(sound)) == bits(planar)


@case_of
@pytest.mark.parametrize("frames", [0, 1, 7, 5_000])
def test_length_is_kept(case: Case, rate_hz, channels, frames):
    """Law 2: as many frames out as in, float32; latency is whole frames, never negative."""
    processor = case.make(rate_hz, channels)

    out = processor.process(noise(frames, channels))

    assert (frames, np.float32) == (len(out), out.dtype)
    assert isinstance(processor.latency, int)
    assert processor.latency >= 0


@case_of
def test_input_is_not_touched(case: Case, rate_hz, channels):
    """Law 3: a block that cannot be written to can be processed, and is what it was."""
    sound = noise(3_000, channels)
    before = bits(sound)
    sound.flags.writeable = False

    case.make(rate_hz, channels).process(sound)

    assert before == bits(sound)


@case_of
def test_silence_follows_the_tail(case: Case, rate_hz, channels):
    """Law 4: ``tail_s`` after the last sound, the output is exactly zero."""
    processor = case.make(rate_hz, channels)
    tail = tail_frames(processor, rate_hz)
    processor.process(noise(3_000, channels))

    out = processor.process(np.zeros((tail + 2_000, channels), np.float32))

    assert not out[tail:].any()


@case_of
def test_silence_stays_silence(case: Case, rate_hz, channels):
    """Law 4: what has heard nothing says nothing."""
    out = case.make(rate_hz, channels).process(np.zeros((3_000, channels), np.float32))

    assert not out.any()


@case_of
@pytest.mark.parametrize("level", [1e-40, 1e-20, 1.0, 1e4])
def test_finite_stays_finite(case: Case, rate_hz, channels, level):
    """Law 4: from denormals to 80 dB over full scale, finite in is finite out."""
    sound = np.sign(noise(3_000, channels)) * np.float32(level)

    out = case.make(rate_hz, channels).process(sound)

    assert np.isfinite(out).all()


@case_of
def test_reset_is_rebirth(case: Case, rate_hz, channels):
    """Law 5: after a reset a processor equals a new one."""
    used = case.make(rate_hz, channels)
    used.process(noise(3_001, channels, seed=1))
    used.reset()
    sound = noise(3_000, channels)

    assert bits(case.make(rate_hz, channels).process(sound)) == bits(used.process(sound))


@pytest.mark.parametrize(
    "case",
    [case for case in PROCESSORS if case.treats_sides_alike and 2 in case.channels],
    ids=lambda case: case.name,
)
def test_sides_are_treated_alike(case: Case):
    """Left and right swapped on the way in are swapped on the way out."""
    sound = noise(3_000, 2)

    mirrored = case.make(48_000, 2).process(sound[:, ::-1])

    assert bits(case.make(48_000, 2).process(sound)) == bits(mirrored[:, ::-1])
