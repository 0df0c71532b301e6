"""Render: the strips, their sum and the chain on the sum, into a float32 work file.

Rules
-----
Rule 1: the sum is taken in the order of the sheet, whatever strip was ready first: the
same bytes for any number of threads.

Rule 2: ``READS_PER_WORKER`` blocks of strips are under way or wait for the sum, and no more:
enough to render while the sum is worked on. Memory grows neither with the length of the song
nor, but for what a strip holds itself, with the number of stems.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from dsp.audio import Block, blocks_of
from dsp.formats.reader import Probe
from dsp.measure.loudness import LoudnessMeter
from dsp.measure.spectrum import ThirdOctaves
from dsp.mixing.plan import Plan
from dsp.mixing.recall_sheet import Master
from dsp.mixing.render.strip import Chain, Strip, TrackMeters, bands_of, compressor_of
from dsp.mixing.source import Resources, Source
from dsp.mixing.stem_meters import BANDS_STEP_S
from dsp.processors.compressor import Reduction
from dsp.processors.control_rate import HopPeaks
from dsp.processors.eq import Equaliser
from dsp.processors.stereo import Width

READS_PER_WORKER = 4


@dataclass(frozen=True)
class Rendered:
    """The mix before mastering."""

    sound: Path
    """Raw float32, stereo, interleaved."""
    peaks: Path
    """Raw float32: the sample peak of every 16 frames."""
    frames: int
    loudness: LoudnessMeter
    spectrum: ThirdOctaves
    tracks: Mapping[str, TrackMeters]
    reductions: Mapping[str, Reduction]


def render(
    plan: Plan,
    probes: Sequence[Probe],
    workdir: Path,
    *,
    resources: Resources,
    report: Callable[[float], None],
) -> Rendered:
    """Return the rendered mix; its two files lie in ``workdir``."""
    rate_hz = plan.sheet.rate_hz
    frames = max(1, round(plan.song_s * rate_hz))
    bus = _Bus(plan.sheet.master, rate_hz, workdir)
    with ExitStack() as stack:
        strips = {
            name: stack.enter_context(closing(strip))
            for name, strip in _strips(plan, probes, resources).items()
        }
        stack.enter_context(closing(bus))
        pool = stack.enter_context(ThreadPoolExecutor(resources.threads))
        ahead = READS_PER_WORKER * resources.threads
        length = frames + bus.chain.latency
        for start, block in _sums(list(strips.values()), length, pool, ahead):
            bus.put(block)
            report(min(1.0, start / frames))
        tracks = {name: strip.meters() for name, strip in strips.items()}
    return Rendered(
        sound=bus.sound,
        peaks=bus.peaks,
        frames=frames,
        loudness=bus.loudness,
        spectrum=bus.spectrum,
        tracks=tracks,
        reductions=bus.chain.reductions,
    )


def _strips(plan: Plan, probes: Sequence[Probe], resources: Resources) -> dict[str, Strip]:
    rate_hz = plan.sheet.rate_hz
    energies = {track.name: track.energy for track in plan.tracks}
    key = plan.lead_active.astype(np.float64)  # as all cuts take it: they share this one
    strips = {}
    for probe in probes:
        stem = plan.sheet.stems[probe.name]
        if stem.mute:
            continue
        source = Source(
            probe,
            rate_hz=rate_hz,
            lag=round(stem.lag_ms * rate_hz / 1000.0),
            polarity=stem.polarity,
            resources=resources,
        )
        strips[probe.name] = Strip(
            stem, source, energy=energies[probe.name], key=key, rate_hz=rate_hz
        )
    return strips


def _sums(
    strips: Sequence[Strip], frames: int, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[int, Block]]:
    """Yield ``(start, sum)`` per block, the strips ``ahead`` reads before the sum (rule 2).

    No further than there are strips: none is asked for a block before its last one is there.
    """
    spans = list(blocks_of(frames))
    reads = ((strip, length) for _, length in spans for strip in strips)
    first = islice(reads, min(ahead, len(strips)))
    waiting = deque(pool.submit(strip.read, length) for strip, length in first)
    for start, length in spans:
        total = np.zeros((2, length), np.float32).T  # as strips and filters like it: planar
        for _ in strips:
            total += waiting.popleft().result()
            waiting.extend(pool.submit(strip.read, length) for strip, length in islice(reads, 1))
        yield start, total


class _Bus:
    """The chain on the sum, its meters and the work files."""

    def __init__(self, sheet: Master, rate_hz: int, workdir: Path) -> None:
        self.sound, self.peaks = workdir / "premaster.f32", workdir / "premaster.peaks.f32"
        self._sound, self._peaks = self.sound.open("wb"), self.peaks.open("wb")
        self._hops = HopPeaks(2, linked=True)
        self.loudness = LoudnessMeter(rate_hz, 2)
        self.spectrum = ThirdOctaves(rate_hz, 2, step_s=BANDS_STEP_S, every=2)
        self.chain = Chain()
        self.chain.add(Equaliser(bands_of(sheet.eq), rate_hz=rate_hz, channels=2))
        if sheet.glue is not None:
            self.chain.add(compressor_of(sheet.glue, rate_hz=rate_hz, channels=2), "glue")
        self.chain.add(Width(sheet.width, lows_mono_hz=sheet.lows_mono_hz, rate_hz=rate_hz))
        self._drop = self.chain.latency

    def put(self, block: Block) -> None:
        """Take the next block of the sum through the chain and into the files."""
        done = self.chain.process(block)[self._drop :]
        self._drop -= min(self._drop, len(block))
        self.loudness.update(done)
        self.spectrum.update(done)
        np.ascontiguousarray(done).tofile(self._sound)
        self._hops.push(done).tofile(self._peaks)

    def close(self) -> None:
        """Write the last hop, which may be a short one, and close the files."""
        self._hops.rest().tofile(self._peaks)
        self._sound.close()
        self._peaks.close()
