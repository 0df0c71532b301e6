"""A channel strip: one stem's part of the sheet, as a chain of processors.

Order: denoiser → trim and automation (ride, gate, duck) → EQ → de-esser → room for the lead →
compressor → saturation → fader → pan → width. A mono stem stays mono up to the pan, at half the
cost.
"""

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Block
from dsp.measure.spectrum import ThirdOctaves
from dsp.mixing.recall_sheet import Band, Compression, Stem
from dsp.mixing.source import Source
from dsp.mixing.stem_meters import BANDS_STEP_S, STEP_S
from dsp.mixing.track import K_POWER, Steps
from dsp.processors import eq
from dsp.processors.compressor import Compressor, DeEsser, KeyedBand, Reduction, Ride
from dsp.processors.denoise import Denoiser
from dsp.processors.gain import Gain
from dsp.processors.processor import Processor
from dsp.processors.saturation import Saturation
from dsp.processors.stereo import Pan, Width

ROOM_ATTACK_MS, ROOM_RELEASE_MS = 40.0, 250.0
"""Cuts that make room follow the lead as slowly as a fader is moved."""
DEESS_ATTACK_MS, DEESS_RELEASE_MS = 1.0, 60.0


def bands_of(bands: tuple[Band, ...]) -> list[eq.Band]:
    """Return the sheet's bands as the equaliser's."""
    return [eq.Band(kind=b.kind, hz=b.hz, gain_db=b.gain_db, q=b.q) for b in bands]


def compressor_of(panel: Compression, *, rate_hz: int, channels: int) -> Compressor:
    """Return a compressor set as the sheet says."""
    return Compressor(
        threshold_db=panel.threshold_db,
        ratio=panel.ratio,
        knee_db=panel.knee_db,
        attack_ms=panel.attack_ms,
        release_ms=panel.release_ms,
        make_up_db=panel.make_up_db,
        detector_hz=panel.detector_hz,
        rate_hz=rate_hz,
        channels=channels,
    )


class Chain:
    """Processors in a row, and the gain reduction of those that have one."""

    def __init__(self) -> None:
        self._links: list[Processor] = []
        self.reductions: dict[str, Reduction] = {}
        self.latency = 0

    def add(self, processor: Processor, name: str = "") -> None:
        """Put a processor at the end; a name asks for its reduction to be kept."""
        self._links.append(processor)
        self.latency += processor.latency
        if name:
            self.reductions[name] = processor.reduction  # type: ignore[attr-defined]

    def process(self, block: Block) -> Block:
        """Return the block, processed by all in turn."""
        for link in self._links:
            block = link.process(block)
        return block


@dataclass(frozen=True)
class TrackMeters:
    """What a strip sent to the sum."""

    bands: NDArray[np.float64]
    """``(31,)`` mean power per third octave."""
    bands_under_lead: NDArray[np.float64]
    """``(31,)`` the power, summed over the half seconds in which the lead sounds."""
    power: NDArray[np.float64]
    """K-weighted mean square per 500 ms, ``(steps,)``.

    Weighted per third octave instead of filtered: no second pass over the samples.
    """
    reductions: Mapping[str, Reduction]

    @property
    def energy(self) -> NDArray[np.float64]:
        """The same per 100 ms, as the plan has it."""
        return np.repeat(self.power, round(BANDS_STEP_S / STEP_S))


class StripMeter:
    """Hear what a strip sends, and keep of it what the report tells: no row per half second."""

    def __init__(self, key: Steps, rate_hz: int) -> None:
        self._meter = ThirdOctaves(rate_hz, 2, step_s=BANDS_STEP_S, every=2)
        self._lead = key[:: round(BANDS_STEP_S / STEP_S)]
        self._bands, self._under_lead = np.zeros((2, len(K_POWER)))
        self._power = array("d")
        self._steps = 0

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, 2)``."""
        self._meter.update(block)
        self._add(self._meter.taken())

    def meters(self, reductions: Mapping[str, Reduction]) -> TrackMeters:
        """Return what was heard. Nothing may be heard after it."""
        self._add(self._meter.powers())
        return TrackMeters(
            bands=self._bands / max(self._steps, 1),
            bands_under_lead=self._under_lead,
            power=np.array(self._power),
            reductions=reductions,
        )

    def _add(self, rows: NDArray[np.float32]) -> None:
        if not len(rows):
            return
        lead = self._lead[self._steps : self._steps + len(rows)]
        self._bands += rows.sum(axis=0, dtype=np.float64)
        self._under_lead += (lead[:, np.newaxis] * rows[: len(lead)]).sum(axis=0)
        self._power.frombytes((rows * K_POWER).sum(axis=1).tobytes())
        self._steps += len(rows)


class Strip:
    """One stem, from its source to what it adds to the sum; latency already taken out.

    What it is before its chain is told to ``dry``, with the frame of the song that it begins at.
    """

    def __init__(
        self,
        stem: Stem,
        source: Source,
        *,
        moved_db: Steps | None,
        key: Steps,
        rate_hz: int,
        dry: Callable[[int, Block], None] | None = None,
    ) -> None:
        self._source, self._dry, self._taken = source, dry, 0
        self._chain = _chain_of(stem, source.channels, moved_db=moved_db, key=key, rate_hz=rate_hz)
        self._ahead = self._chain.latency
        """Frames that the chain must be given before its first is of the song."""
        self._meter = StripMeter(key, rate_hz)

    def read(self, frames: int) -> Block:
        """Return the next ``(frames, 2)`` of the song."""
        drop, self._ahead = self._ahead, 0
        came = self._source.read(frames + drop)
        if self._dry:
            self._dry(self._taken, came)
        self._taken += len(came)
        block = self._chain.process(came)[drop:]
        self._meter.update(block)
        return block

    def meters(self) -> TrackMeters:
        """Return what was heard."""
        return self._meter.meters(self._chain.reductions)

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()


def _chain_of(
    stem: Stem, channels: int, *, moved_db: Steps | None, key: Steps, rate_hz: int
) -> Chain:
    chain = Chain()
    if stem.denoise is not None:
        chain.add(
            Denoiser(
                noise_db=stem.denoise.noise_db,
                reduction_db=stem.denoise.reduction_db,
                rate_hz=rate_hz,
                channels=channels,
            )
        )
    chain.add(Gain(stem.trim_db))
    if moved_db is not None:
        chain.add(Ride(moved_db, step_s=STEP_S, rate_hz=rate_hz, channels=channels))
    if stem.eq:
        chain.add(eq.Equaliser(bands_of(stem.eq), rate_hz=rate_hz, channels=channels))
    _add_dynamics(chain, stem, channels, key=key, rate_hz=rate_hz)
    if stem.saturation is not None:
        drive = stem.saturation
        chain.add(
            Saturation(drive_db=drive.drive_db, mix=drive.mix, rate_hz=rate_hz, channels=channels)
        )
    chain.add(Gain(stem.fader_db))
    chain.add(Pan(stem.pan, channels=channels))
    if stem.width != 1.0 or stem.lows_mono_hz:
        chain.add(Width(stem.width, lows_mono_hz=stem.lows_mono_hz, rate_hz=rate_hz))
    return chain


def _add_dynamics(chain: Chain, stem: Stem, channels: int, *, key: Steps, rate_hz: int) -> None:
    if stem.deess is not None and stem.deess.hz < 0.45 * rate_hz:
        band = stem.deess
        chain.add(
            DeEsser(
                hz=band.hz,
                q=band.q,
                threshold_db=band.threshold_db,
                ratio=band.ratio,
                range_db=band.range_db,
                attack_ms=DEESS_ATTACK_MS,
                release_ms=DEESS_RELEASE_MS,
                rate_hz=rate_hz,
                channels=channels,
            ),
            "deess",
        )
    for number, cut in enumerate(stem.room, start=1):
        chain.add(
            KeyedBand(
                hz=cut.hz,
                q=cut.q,
                depth_db=cut.depth_db,
                key=key,
                key_step_s=STEP_S,
                attack_ms=ROOM_ATTACK_MS,
                release_ms=ROOM_RELEASE_MS,
                rate_hz=rate_hz,
                channels=channels,
            ),
            f"room {number}",
        )
    if stem.compressor is not None:
        panel = compressor_of(stem.compressor, rate_hz=rate_hz, channels=channels)
        chain.add(panel, "compressor")
