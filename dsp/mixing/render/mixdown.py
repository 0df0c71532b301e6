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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dsp.audio import Block, blocks_of
from dsp.formats.reader import Probe
from dsp.measure.loudness import LoudnessMeter
from dsp.measure.spectrum import ThirdOctaves
from dsp.mixing.automation import automation_db
from dsp.mixing.plan import Plan
from dsp.mixing.recall_sheet import LowLimit, Master
from dsp.mixing.render.excerpts import Passage, PlainSum, passage_of
from dsp.mixing.render.outlets import Outlets
from dsp.mixing.render.strip import Chain, Strip, TrackMeters, bands_of, compressor_of
from dsp.mixing.source import Resources, Source
from dsp.mixing.stem_meters import BANDS_STEP_S
from dsp.processors.compressor import Reduction
from dsp.processors.control_rate import HopPeaks
from dsp.processors.eq import Equaliser
from dsp.processors.low_limiter import LowLimiter
from dsp.processors.stereo import Width

READS_PER_WORKER = 4
_NONE: Mapping[str, Any] = {}


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
    """Of the whole mix only: nobody reads that of a part."""
    tracks: Mapping[str, TrackMeters]
    reductions: Mapping[str, Reduction]
    parts: Mapping[frozenset[str], "Rendered"] = field(default_factory=dict)
    """The same of the sums of some stems only, by their names."""
    plain: PlainSum = field(default_factory=lambda: PlainSum(Passage(0, 0)))
    """The stems as they came, over the passage that is compared; of parts, nothing."""

    def remove(self) -> None:
        """Remove the files."""
        for path in (self.sound, self.peaks):
            path.unlink(missing_ok=True)
        for part in self.parts.values():
            part.remove()


def render(
    plan: Plan,
    probes: Sequence[Probe],
    workdir: Path,
    *,
    resources: Resources,
    report: Callable[[float], None],
    parts: Collection[frozenset[str]] = (),
    stem_files: Mapping[str, Path] = _NONE,
    speaker_files: Mapping[str, Path] = _NONE,
    excerpts: Mapping[str, Path] = _NONE,
) -> Rendered:
    """Return the rendered mix; its files lie in ``workdir``.

    Parameters
    ----------
    parts : collection of frozenset of str
        Names of stems whose sum is rendered likewise, beside that of all.
    stem_files, speaker_files : mapping of Path
        By name: where a stem is written as it goes to the sum, as float32 WAV; the latter in mono.
    excerpts : mapping of Path
        By name: where the passage that is compared is kept of a stem as it goes to the sum.
    """
    rate_hz = plan.sheet.rate_hz
    frames = max(1, round(plan.song_s * rate_hz))
    work_files = [
        WorkFiles(workdir, f"premaster.{number}", rate_hz, is_whole=not number)
        for number in range(1 + len(parts))
    ]
    plain = PlainSum(passage_of(plan.tracks, song_s=plan.song_s, rate_hz=rate_hz))
    with ExitStack() as stack:
        strips = {
            name: stack.enter_context(closing(strip))
            for name, strip in _strips(plan, probes, resources, plain).items()
        }
        buses = [
            _Bus(plan.sheet.master, rate_hz, stack.enter_context(closing(work)))
            for work in work_files
        ]
        outlets = Outlets(stack, frames, rate_hz)
        outlets.open(stem_files, 2)
        outlets.open(speaker_files, 1)
        outlets.keep(excerpts, plain.passage)
        pool = stack.enter_context(ThreadPoolExecutor(resources.threads))
        sums = _sums(
            strips,
            frames + buses[0].chain.latency,
            (frozenset(strips), *parts),
            (pool, READS_PER_WORKER * resources.threads),
            outlets.take,
        )
        for start, totals in sums:
            _put(buses, totals)
            report(min(1.0, start / frames))
        tracks = {name: strip.meters() for name, strip in strips.items()}
    whole, *others = (
        work.rendered(frames, tracks, bus.chain.reductions)
        for work, bus in zip(work_files, buses, strict=True)
    )
    return replace(whole, parts=dict(zip(parts, others, strict=True)), plain=plain)


def _put(buses: Sequence["_Bus"], totals: Sequence[Block]) -> None:
    for bus, total in zip(buses, totals, strict=True):
        bus.put(total)


def _strips(
    plan: Plan, probes: Sequence[Probe], resources: Resources, plain: PlainSum
) -> dict[str, Strip]:
    rate_hz = plan.sheet.rate_hz
    tracks = {track.name: track for track in plan.tracks}
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
        moved_db = automation_db(stem, tracks[probe.name], plan.lead_active)
        strips[probe.name] = Strip(
            stem, source, moved_db=moved_db, key=key, rate_hz=rate_hz, dry=plain.add
        )
    return strips


def _sums(
    strips: Mapping[str, Strip],
    frames: int,
    members: Sequence[frozenset[str]],
    workers: tuple[ThreadPoolExecutor, int],
    taken: Callable[[str, int, Block], None],
) -> Iterator[tuple[int, list[Block]]]:
    """Yield ``(start, sums)`` per block, the strips some reads ahead of the sums (rule 2).

    No further than there are strips: none is asked for a block before its last one is there.

    Parameters
    ----------
    members : sequence of frozenset of str
        Which strips each sum has.
    workers : (executor, int)
        What reads, and how far ahead.
    taken : callable
        Told the name, the start and the block of each read, in their order.
    """
    pool, ahead = workers
    spans = list(blocks_of(frames))
    reads = ((strip, length) for _, length in spans for strip in strips.values())
    first = islice(reads, min(ahead, len(strips)))
    waiting = deque(pool.submit(strip.read, length) for strip, length in first)
    for start, length in spans:
        totals = [
            np.zeros((2, length), np.float32).T for _ in members
        ]  # as filters like it: planar
        for name in strips:
            block = waiting.popleft().result()
            for names, total in zip(members, totals, strict=True):
                if name in names:
                    np.add(total, block, out=total)
            taken(name, start, block)
            waiting.extend(pool.submit(strip.read, count) for strip, count in islice(reads, 1))
        yield start, totals


class WorkFiles:
    """A mix on its way to the master: its sound and its peaks on the disk, its meters."""

    def __init__(self, workdir: Path, name: str, rate_hz: int, *, is_whole: bool = False) -> None:
        self._is_whole = is_whole
        self.sound, self.peaks = workdir / f"{name}.f32", workdir / f"{name}.peaks.f32"
        self._sound, self._peaks = self.sound.open("wb"), self.peaks.open("wb")
        self._hops = HopPeaks(2, linked=True)
        self.loudness = LoudnessMeter(rate_hz, 2)
        self.spectrum = ThirdOctaves(rate_hz, 2, step_s=BANDS_STEP_S, every=2)

    def put(self, block: Block) -> None:
        """Take the next ``(frames, 2)``."""
        self.loudness.update(block)
        if self._is_whole:
            self.spectrum.update(block)
        np.ascontiguousarray(block).tofile(self._sound)
        self._hops.push(block).tofile(self._peaks)

    def close(self) -> None:
        """Write the last hop, which may be a short one, and close the files."""
        self._hops.rest().tofile(self._peaks)
        self._sound.close()
        self._peaks.close()

    def rendered(
        self,
        frames: int,
        tracks: Mapping[str, TrackMeters] = _NONE,
        reductions: Mapping[str, Reduction] = _NONE,
    ) -> Rendered:
        """Return what was put. Nothing may be put after it."""
        return Rendered(
            sound=self.sound,
            peaks=self.peaks,
            frames=frames,
            loudness=self.loudness,
            spectrum=self.spectrum,
            tracks=tracks,
            reductions=reductions,
        )


def _low_limiter_of(panel: LowLimit, sheet: Master, rate_hz: int) -> LowLimiter:
    return LowLimiter(
        hz=panel.hz,
        limit_db=panel.limit_db,
        range_db=panel.range_db,
        look_ahead_ms=sheet.look_ahead_ms,
        release_ms=panel.release_ms,
        rate_hz=rate_hz,
        channels=2,
    )


class _Bus:
    """The chain on a sum, into work files."""

    def __init__(self, sheet: Master, rate_hz: int, files: WorkFiles) -> None:
        self._files = files
        self.chain = Chain()
        self.chain.add(Equaliser(bands_of(sheet.eq), rate_hz=rate_hz, channels=2))
        if sheet.glue is not None:
            self.chain.add(compressor_of(sheet.glue, rate_hz=rate_hz, channels=2), "glue")
        self.chain.add(Width(sheet.width, lows_mono_hz=sheet.lows_mono_hz, rate_hz=rate_hz))
        if sheet.low_limiter is not None:
            panel = _low_limiter_of(sheet.low_limiter, sheet, rate_hz)
            self.chain.add(panel, "low_limiter")
        self._drop = self.chain.latency

    def put(self, block: Block) -> None:
        """Take the next block of the sum through the chain and into the files."""
        done = self.chain.process(block)[self._drop :]
        self._drop -= min(self._drop, len(block))
        self._files.put(done)
