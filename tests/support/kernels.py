"""Kernels to be held against their plain versions, and builds of them."""

import hashlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

from dsp.kernels import (
    plain_control,
    plain_dynamics,
    plain_filters,
    plain_levels,
    plain_partials,
    plain_paths,
    plain_pcm,
    plain_spectra,
    plain_strip,
)
from dsp.measure.loudness import k_weighting_sos
from dsp.processors.filters import biquad

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from hatch_build import BuildError, compile_kernels  # noqa: E402 - lies beside pyproject.toml

__all__ = ["BuildError", "compile_kernels"]

PLAIN = SimpleNamespace(
    cascade=plain_filters.cascade,
    energies=plain_filters.energies,
    levels=plain_levels.levels,
    hop_peaks=plain_levels.hop_peaks,
    plan=plain_spectra.plan,
    partials=plain_partials.partials,
    best_tracks=plain_paths.best_tracks,
    band_powers=plain_spectra.band_powers,
    bin_powers=plain_spectra.bin_powers,
    filtered=plain_pcm.filtered,
    quantise=plain_pcm.quantise,
    unpack=plain_pcm.unpack,
    saturate=plain_strip.saturate,
    widen=plain_strip.widen,
    **{
        name: getattr(plain_dynamics, name)
        for name in ("borders", "curve", "decibels", "follow", "ratios", "reduce")
    },
    **{name: getattr(plain_control, name) for name in ("ramp", "steps", "tally")},
)
"""The plain version of every kernel, by the name of the compiled one."""

RATE_HZ = 48_000
TAIL = 1_200


def loaded(binary: Path) -> ModuleType:
    """Return a build of the kernels as a module of its own."""
    loader = ExtensionFileLoader("_compiled", str(binary))
    spec = spec_from_file_location("_compiled", binary, loader=loader)
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Case:
    """A kernel as a stream goes through it."""

    name: str
    run: Callable
    """``(engine, blocks)`` to the arrays that came out, those of all blocks joined."""
    channels: tuple[int, ...] = (1, 2)
    close: float = 0.0
    """How far from the plain version it may be, as a part of the largest value: 0, no bit."""


def _cascade(sections):
    sos = np.array(
        [
            biquad("peak", hz=180.0 * 2**n, q=1.3, gain_db=4.0 - n, rate_hz=RATE_HZ)
            for n in range(sections)
        ]
    ).round(12)

    def run(engine, blocks):
        channels = blocks[0].shape[1]
        state, heard, outs = np.zeros((sections, channels, 2)), -TAIL - 2, []
        for block in blocks:
            out = np.full((channels, len(block)), 9.0, np.float32).T
            heard = engine.cascade(block, sos, state, TAIL, heard, out)
            outs.append(out)
        return [np.concatenate(outs), state, np.array([heard])]

    return run


def _energies(engine, blocks):
    sos, channels = k_weighting_sos(RATE_HZ).round(12), blocks[0].shape[1]
    state, sums, filled, means = np.zeros((2, channels, 2)), np.zeros(channels), 0, []
    pair = np.array([441, 442])
    for block in blocks:
        lengths = np.resize(pair, len(block) // 441 + 3)
        out = np.zeros((len(lengths), channels))
        done, filled = engine.energies(block, sos, state, 1e-25, sums, filled, lengths, out)
        pair = np.roll(pair, -done)
        means.append(out[:done])
    return [np.concatenate(means), state, sums, np.array([filled])]


def _levels(engine, blocks):
    channels = blocks[0].shape[1]
    totals, cross = np.zeros((channels, 3)), np.zeros(1)
    peaks = [engine.levels(block, totals, cross) for block in blocks]
    return [totals, cross, np.array([max(peaks)])]


def _hop_peaks(*, linked):
    def run(engine, blocks):
        rows = 1 if linked else blocks[0].shape[1]
        begun, peaks, outs = 0, np.zeros(rows, np.float32), []
        for block in blocks:
            out = np.empty((rows, (begun + len(block)) // 16), np.float32)
            begun = engine.hop_peaks(block, begun, peaks, out)
            outs.append(out)
        return [np.concatenate(outs, axis=1), peaks, np.array([begun])]

    return run


def _elementwise(call):
    """Return the run of a kernel that maps values, given those between −200 and 40."""

    def run(engine, blocks):
        values = [np.ascontiguousarray(block, np.float64) * 120.0 - 80.0 for block in blocks]
        outs = [np.empty_like(each) for each in values]
        for each, out in zip(values, outs, strict=True):
            call(engine, each, out)
        return [np.concatenate(outs)]

    return run


def _follow(engine, blocks):
    state, outs = np.zeros((blocks[0].shape[1], 2)), []
    for block in blocks:
        target = np.ascontiguousarray(block.T, np.float64) * 20.0
        engine.follow(target, 0.93, 0.995, 1e-7, state)
        outs.append(target)
    return [np.concatenate(outs, axis=1), state]


def _reduce(engine, blocks):
    state, outs, flags = np.zeros((blocks[0].shape[1], 2)), [], []
    panel = np.array([1e-15, -20.0, 0.75, 6.0, 24.0, 0.5, 0.93, 0.995, 1e-7, -40.0])
    for block in blocks:
        peaks, active = np.ascontiguousarray(np.abs(block.T)), np.empty(len(block), np.uint8)
        out = np.empty(peaks.shape)
        engine.reduce(peaks, panel, state, out, active)
        outs.append(out)
        flags.append(active)
    return [np.concatenate(outs, axis=1), np.concatenate(flags), state]


def _borders(*, cuts):
    def run(engine, blocks):
        rows = blocks[0].shape[1]
        ahead, outs = np.full((rows, 3), 0.5, np.float32), []
        for block in blocks:
            reductions = np.clip(np.ascontiguousarray(block.T, np.float64), -1.0, 1.0) * 30.0
            out = np.empty((rows, 3 + len(block)), np.float32)
            engine.borders(reductions, rows, 2.0, cuts, ahead, out)
            outs.append(out[:, 3:])
        return [np.concatenate(outs, axis=1), ahead]

    return run


def _steps(*, lines, hops_per_step):
    def run(engine, blocks):
        values, first, outs = np.concatenate(blocks)[:40, 0].astype(np.float64), 0, []
        for block in blocks:
            out = np.empty(len(block))
            engine.steps(values, first, hops_per_step, lines, out)
            first += len(block)
            outs.append(out)
        return [np.concatenate(outs)]

    return run


def _tally(engine, blocks):
    tallies, outs = np.zeros(6), []
    for block in (block for block in blocks if len(block)):
        reductions = np.ascontiguousarray(block.T, np.float64)
        active, out = (block[:, 0] > 0).view(np.uint8), np.empty(len(block) // 30 + 1, np.float32)
        outs.append(out[: engine.tally(reductions, active, 30, tallies, out)])
    return [np.concatenate(outs), tallies]


def _ramp(*, linked, ducks):
    def run(engine, blocks):
        frames, channels = sum(map(len, blocks)), blocks[0].shape[1]
        rows = 1 if linked else channels
        gains = np.random.default_rng(3).uniform(0, 1.2, (rows, frames // 16 + 3))
        gains[:, 40:50] = 1.0
        at, outs = 0, []
        for block in blocks:
            stop, band = at + len(block), block * np.float32(0.7) if ducks else None
            borders = gains[:, at // 16 : -(-stop // 16) + 1].astype(np.float32)
            out = np.empty((channels, len(block)), np.float32).T
            engine.ramp(block, band, borders, rows, at % 16, out)
            outs.append(out)
            at = stop
        return [np.concatenate(outs)]

    return run


def _band_powers(size, length):
    window = np.hanning(length + 2)[1:-1].round(6).astype(np.float32)
    bins = np.unique(np.geomspace(1, size // 2 + 1, 12).astype(np.int64))
    below = np.linspace(0.0, 0.9, len(bins))

    def run(engine, blocks):
        sound, plan = np.concatenate(blocks), engine.plan(size)
        starts = np.arange(0, len(sound) - length + 1, length // 2 + 1)
        out = np.empty((len(starts), len(bins) - 1))
        work = np.empty((4, size + 8), np.float32)
        engine.band_powers(sound, starts, window, plan, bins, below, work, out)
        return [out]

    return run


def _bin_powers(engine, blocks):
    sound, window = np.concatenate(blocks)[:, :1], np.hanning(258)[1:-1].round(6)
    starts, work = np.arange(0, len(sound) - 255, 90), np.empty((4, 136), np.float32)
    out = np.empty((len(starts), 129), np.float32)
    window = window.astype(np.float32)
    engine.bin_powers(sound, starts, window, engine.plan(128), 129, work, out)
    return [out]


def _unpack(width, *, big):
    def run(engine, blocks):
        data = np.concatenate(blocks).tobytes()  # any bytes are integers
        data = data[: len(data) // width * width]
        out = np.empty(len(data) // width, np.float32)
        engine.unpack(data, width, big, out)
        return [out]

    return run


def _quantise(bits):
    def run(engine, blocks):
        samples = np.ascontiguousarray(np.concatenate(blocks))
        words = np.random.default_rng(4).integers(0, 2**64, samples.shape, np.uint64)
        out = np.empty(samples.shape, np.int32)
        engine.quantise(samples, words, float(1 << (bits - 1)), out)
        return [out]

    return run


def _filtered(engine, blocks):
    sound = np.concatenate(blocks)
    rows = np.ascontiguousarray(sound[: len(sound) // 48 * 48].reshape(48, -1))
    taps = np.random.default_rng(6).normal(0.0, 0.3, (3, 32)).astype(np.float32)
    out = np.empty((3, 17, rows.shape[1]), np.float32)
    engine.filtered(rows, 48, taps, 3, out)
    return [out]


def _best_tracks(ways):
    def run(engine, blocks):
        shortest, frame, told = 11, 0, []
        logs = np.array([round(math.log(20 + way), 6) for way in range(ways)])
        home = np.abs(logs - logs[ways // 2]).astype(np.float32)
        change = np.abs(logs[:, np.newaxis] - logs).astype(np.float32)
        arrived = np.full((shortest + ways - 1, ways), -1e9, np.float32)
        leaving, first = arrived.copy(), np.zeros(arrived.shape, np.uint8)
        for block in blocks:
            strength = np.ascontiguousarray(block[:, 0])
            came = np.empty((len(strength), ways), np.uint8)
            engine.best_tracks(
                *(strength, frame, shortest, home, change), *(arrived, leaving, first, came)
            )
            frame += len(block)
            told.append(came)
        return [np.concatenate(told), arrived, leaving, first]

    return run


def _partials(engine, blocks):
    sound = np.square(np.concatenate(blocks).ravel())
    powers = sound[: len(sound) // 100 * 100].reshape(-1, 100).copy()
    places = np.zeros(len(powers) * 40, np.int64)
    sums, values = np.empty(101), np.zeros((len(places), 3), np.float32)
    count = engine.partials(powers, 100, 9, 89, 12, 1.7, sums, places, values)
    return [powers, places[:count], values[:count]]


def _saturate(engine, blocks):
    held, outs = np.zeros((blocks[0].shape[1], 2), np.float32), []
    for block in blocks:
        out = np.empty((block.shape[1], len(block)), np.float32).T
        engine.saturate(block, held, 1.7, 0.25, out)
        outs.append(out)
    return [np.concatenate(outs), held]


def _widen(engine, blocks):
    outs = []
    for block in blocks:
        out = np.empty((2, len(block)), np.float32).T
        engine.widen(block[:, :1], block[:, 1:], 1.1, out)
        outs.append(out)
    return [np.concatenate(outs)]


CASES = [
    *(Case(f"cascade of {n}", _cascade(n), (1, 2, 3)) for n in (1, 2, 3, 4, 5, 8)),
    Case("energies", _energies, (1, 2, 3, 6)),
    Case("decibels", _elementwise(lambda engine, x, out: engine.decibels(x, 1e-15, out))),
    Case("ratios", _elementwise(lambda engine, x, out: engine.ratios(x, out))),
    Case(
        "curve",
        _elementwise(lambda engine, x, out: engine.curve(x, -20.0, 0.75, 6.0, np.inf, out)),
    ),
    Case(
        "curve with a corner",
        _elementwise(lambda engine, x, out: engine.curve(x, -20.0, 1.0, 0.0, 9.0, out)),
    ),
    Case("follow", _follow),
    Case("reduce", _reduce, (1, 3)),
    Case("borders", _borders(cuts=0)),
    Case("borders of a cut", _borders(cuts=1), (1,)),
    Case("steps", _steps(lines=0, hops_per_step=30.7), (1,)),
    Case("steps on lines", _steps(lines=1, hops_per_step=30.7), (1,)),
    Case("tally", _tally, (1, 3)),
    Case("ramp", _ramp(linked=False, ducks=False), (1, 2, 3)),
    Case("ramp of a band", _ramp(linked=True, ducks=True), (1, 2)),
    Case("linked ramp", _ramp(linked=True, ducks=False), (1, 2)),
    *(
        Case(f"powers of {length} in {size}", _band_powers(size, length), (1, 2, 3), close=1e-6)
        for size, length in ((960, 960), (882, 881), (4_410, 4_400), (14, 10), (2, 2))
    ),
    Case("powers of bins", _bin_powers, (1,), close=1e-6),
    *(
        Case(f"unpack {width} bytes, big {big}", _unpack(width, big=big), (1,))
        for width in (2, 3)
        for big in (False, True)
    ),
    Case("quantise to 16", _quantise(16)),
    Case("quantise to 24", _quantise(24)),
    Case("filtered", _filtered, (1, 2)),
    *(Case(f"tracks of {ways} ways", _best_tracks(ways), (1,)) for ways in (1, 13, 60)),
    Case("partials", _partials, (1,)),
    Case("saturate", _saturate, (1, 2, 3)),
    Case("widen", _widen, (2,)),
    Case("levels", _levels, (1, 2, 3, 6)),
    Case("peaks of hops", _hop_peaks(linked=False), (1, 2, 3)),
    Case("linked peaks of hops", _hop_peaks(linked=True), (1, 2, 3)),
]

GOOD = {
    "cascade": lambda _: [
        np.zeros((8, 2), np.float32), np.eye(1, 6), np.zeros((1, 2, 2)), 10, -12,
        np.zeros((8, 2), np.float32),
    ],
    "energies": lambda _: [
        np.zeros((8, 2), np.float32), np.eye(1, 6), np.zeros((1, 2, 2)), 0.0, np.zeros(2), 3,
        np.array([4, 6, 10]), np.zeros((3, 2)),
    ],
    "plan": lambda _: [8],
    "best_tracks": lambda _: [
        np.zeros(4, np.float32), 5, 2, np.zeros(3, np.float32), np.zeros((3, 3), np.float32),
        np.zeros((4, 3), np.float32), np.zeros((4, 3), np.float32), np.zeros((4, 3), np.uint8),
        np.zeros((4, 3), np.uint8),
    ],
    "partials": lambda _: [
        np.zeros((4, 20), np.float32), 20, 3, 18, 5, 1.5, np.zeros(21), np.zeros(32, np.int64),
        np.zeros((32, 3), np.float32),
    ],
    "unpack": lambda _: [np.zeros(12, np.uint8), 3, False, np.zeros(4, np.float32)],
    "quantise": lambda _: [
        np.zeros(4, np.float32), np.zeros(4, np.uint64), 32768.0, np.zeros(4, np.int32),
    ],
    "filtered": lambda _: [
        np.zeros((5, 2), np.float32), 5, np.zeros((3, 2), np.float32), 3,
        np.zeros((3, 4, 2), np.float32),
    ],
    "saturate": lambda _: [
        np.zeros((8, 2), np.float32), np.zeros((2, 2), np.float32), 1.0, 0.5,
        np.zeros((8, 2), np.float32),
    ],
    "widen": lambda _: [
        np.zeros((8, 1), np.float32), np.zeros((8, 1), np.float32), 1.0,
        np.zeros((8, 2), np.float32),
    ],
    "levels": lambda _: [np.zeros((8, 2), np.float32), np.zeros((2, 3)), np.zeros(1)],
    "hop_peaks": lambda _: [
        np.zeros((20, 2), np.float32), 13, np.zeros(2, np.float32), np.zeros((2, 2), np.float32),
    ],
    "decibels": lambda _: [np.ones(5), 1e-15, np.zeros(5)],
    "ratios": lambda _: [np.ones(5), np.zeros(5)],
    "curve": lambda _: [np.ones(5), 0.0, 1.0, 0.0, 9.0, np.zeros(5)],
    "follow": lambda _: [np.ones((2, 5)), 0.5, 0.5, 0.0, np.zeros((2, 2))],
    "reduce": lambda _: [
        np.ones((2, 5), np.float32), np.ones(10), np.zeros((2, 2)), np.zeros((2, 5)),
        np.zeros(5, np.uint8),
    ],
    "borders": lambda _: [
        np.ones((2, 5)), 2, 0.0, 0, np.ones((2, 3), np.float32), np.zeros((2, 8), np.float32),
    ],
    "steps": lambda _: [np.ones(4), 3, 1.5, 1, np.zeros(5)],
    "tally": lambda _: [
        np.ones((2, 5)), np.zeros(5, np.uint8), 3, np.zeros(6), np.zeros(2, np.float32),
    ],
    "ramp": lambda _: [
        np.zeros((20, 2), np.float32), np.zeros((20, 2), np.float32),
        np.ones((2, 4), np.float32), 2, 13, np.zeros((20, 2), np.float32),
    ],
    "band_powers": lambda engine: [
        np.zeros((20, 2), np.float32), np.array([0, 12]), np.ones(8, np.float32),
        engine.plan(8), np.array([0, 2, 5]), np.zeros(3), np.zeros((4, 16), np.float32),
        np.zeros((2, 2)),
    ],
    "bin_powers": lambda engine: [
        np.zeros((20, 1), np.float32), np.array([0, 12]), np.ones(8, np.float32),
        engine.plan(4), 5, np.zeros((4, 12), np.float32), np.zeros((2, 5), np.float32),
    ],
}  # fmt: skip
"""Arguments that are taken, by kernel."""


def sounds(kind: str, frames: int, channels: int):
    """Return a test sound, ``(frames, channels)`` float32."""
    rng = np.random.default_rng(5)
    noise = rng.uniform(-0.9, 0.9, (frames, channels)).astype(np.float32)
    if kind == "rests":  # of about the tail's length, shorter, longer; the last one at the end
        edges = np.cumsum([0, 700, TAIL - 1, 300, TAIL, 60, TAIL + 1, 1, TAIL + 2, 900, 3 * TAIL])
        for start, stop in zip(edges[1::2], edges[2::2], strict=False):
            noise[start:stop] = 0.0
        noise[edges[-1] :] = 0.0
        return noise
    return {
        "noise": noise,
        "silence": np.zeros_like(noise),
        "denormals": noise * np.float32(1e-39),
        "full scale": np.sign(noise),
        "impulse": np.eye(frames, channels, dtype=np.float32),
        "far above full scale": noise * np.float32(1e6),
    }[kind]


KINDS = ("noise", "rests", "silence", "denormals", "full scale", "impulse", "far above full scale")


FRAMES = 7_001
SMALLEST = 1.2e-38  # of float32 that is no denormal: the compiled ones flush them


def flushed(array):
    """Return the array without denormals."""
    return np.where(np.abs(array) < SMALLEST, 0, array)


def digest_of(case, engine):
    """Return what the outputs of a kernel hash to, of all sounds and numbers of channels.

    What goes in is the same everywhere: of generators of whole numbers, and else rounded.
    """
    digest = hashlib.sha256()
    for kind in KINDS:
        for channels in case.channels:
            for array in case.run(engine, [sounds(kind, FRAMES, channels)]):
                digest.update((flushed(array) + 0.0).tobytes())  # plus zero: no −0.0
    return digest.hexdigest()


def cut(sound, sizes, orders="F"):
    """Return the sound as blocks of these sizes, and the rest; orders of memory in turn."""
    blocks, start = [], 0
    for number, size in enumerate((*sizes, len(sound))):
        order = orders[number % len(orders)]
        blocks.append(np.array(sound[start : start + size], order=order))
        start += size
    return blocks
