"""What is known of a stem before anything is decided: one pass, at its own rate.

The analysis is a pure function of the samples, whatever the block size, and small: an hour
of one stem costs about 1.5 MB. Nothing in it depends on other stems or on settings.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.audio import BLOCK_FRAMES, Block
from dsp.formats.reader import Probe
from dsp.formats.wild_samples import WildSamples
from dsp.measure.levels import LevelMeter
from dsp.measure.onsets import Decimated, OnsetFlux
from dsp.measure.spectrum import ThirdOctaves
from dsp.mixing.source import Resources, fold
from dsp.mixing.stem_meters import (
    BANDS_STEP_S,
    CELL_S,
    EXCERPT_S,
    Energies,
    Excerpt,
    Sibilance,
    SideShare,
)
from dsp.units import db_of

_SILENT_DBFS = -120.0


@dataclass(frozen=True)
class Wild:
    """Samples that were replaced, for they stood far above their neighbours."""

    count: int
    first_s: float
    highest_dbfs: float

    @classmethod
    def of(cls, found: WildSamples | None) -> "Wild | None":
        if found is None or found.first_frame is None:
            return None
        return cls(found.count, found.first_frame / found.rate_hz, db_of(found.highest))


@dataclass(frozen=True)
class Analysis:
    """One stem, measured."""

    probe: Probe
    sha256: tuple[str, ...]
    """Of each file that holds it."""
    frames: int
    """Decoded, at the stem's own rate."""
    silent: bool
    """Whether there is nothing to hear."""
    energy: NDArray[np.float32]
    """``(steps,)`` K-weighted mean square per 100 ms, channels summed."""
    bands: NDArray[np.float32]
    """``(steps, 31)`` mean-square power per 500 ms and third octave, channels summed."""
    excerpt: NDArray[np.float32]
    """``(hops,)`` sample peaks per 16 frames of the loudest 20 s."""
    excerpt_highs: NDArray[np.float32]
    """``(hops,)`` the same of what lies above ``DETECTOR_HZ``."""
    excerpt_start_s: float
    """Where that part begins, on the stem's own timeline."""
    excerpt_energy: NDArray[np.float32]
    """``(cells,)`` K-weighted mean square per 10 ms of the same part, channels summed."""
    highest: NDArray[np.float32]
    """``(parts,)`` highest sample peak above ``DETECTOR_HZ`` in every ``hops_per_step`` hops."""
    side: NDArray[np.float32]
    """``(31,)`` share of left minus right in the power per third octave; 0 for mono."""
    sample_peak_dbfs: float
    rms_dbfs: float
    crest_factor_db: float
    left_share: float
    """Share of the power in the left channel; 0.5 for mono."""
    correlation: float
    """Between the channels, −1..1; 1 for mono."""
    dc: float
    """The largest mean of a channel, full scale ±1.0."""
    offset_share: float
    """Share of the power that is a constant offset, 0..1."""
    clipped_frames: int
    nonfinite: int
    flux: NDArray[np.float32]
    """``(hops,)`` onset flux per 5 ms; empty where alignment is not asked for."""
    wave: NDArray[np.float16]
    """A coarse mono copy of the beginning."""
    sibilance: NDArray[np.int64]
    """``(levels,)`` how often the band of an s has this peak, in dB from ``SIBILANCE_FLOOR_DB``
    up, per 50 ms; never for what is no voice."""
    wild: Wild | None = None
    """The wild samples that were replaced, when there are any."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.frames / self.probe.rate_hz)

    def facts(self) -> "Analysis":
        """Return the same without what only placing and planning listen to, which is large."""
        none = np.zeros(0, np.float32)
        return replace(
            self,
            energy=none,
            bands=none,
            excerpt=none,
            excerpt_highs=none,
            excerpt_energy=none,
            highest=none,
            flux=none,
            wave=none.astype(np.float16),
            sibilance=none.astype(np.int64),
        )


class Meter(Protocol):
    """What listens to a stem."""

    def update(self, block: Block) -> None:
        """Hear the next block."""


def analyse(
    probe: Probe,
    *,
    resources: Resources,
    onsets: bool = False,
    voice: bool = False,
    heard: Callable[[int], None] = lambda _: None,
) -> Analysis:
    """Return what one stem holds.

    Parameters
    ----------
    onsets : bool
        Whether notes are to be timed, for alignment.
    voice : bool
        Whether it may need a de-esser.
    heard : callable
        Told the number of frames after each block.

    Raises
    ------
    AudioFormatError
        The file cannot be read to its end.
    """
    channels, rate_hz = min(probe.channels, 2), probe.rate_hz
    energies = Energies(rate_hz, channels)
    bands = ThirdOctaves(rate_hz, channels, step_s=BANDS_STEP_S, every=2)
    levels = LevelMeter(channels)
    excerpt = Excerpt(rate_hz, channels)
    flux, wave = OnsetFlux(rate_hz, channels), Decimated(rate_hz, channels)
    side = SideShare(rate_hz)
    sibilance = Sibilance(rate_hz, channels)
    meters: list[Meter] = [energies, bands, levels, excerpt, wave]
    for meter, is_asked in ((side, channels > 1), (flux, onsets), (sibilance, voice)):
        meters += [meter] if is_asked else []
    frames, nonfinite, wild = _let_hear(probe, meters, resources, heard)
    steps, band_powers, peaks = energies.steps(), bands.powers(), excerpt.peaks()
    return Analysis(
        probe=probe,
        sha256=tuple(_sha256(file.path) for file in probe.files),
        frames=frames,
        silent=not steps.any() and levels.sample_peak_dbfs().max() <= _SILENT_DBFS,
        energy=steps,
        bands=band_powers,
        excerpt=peaks[0],
        excerpt_highs=peaks[1],
        excerpt_start_s=excerpt.start_s,
        excerpt_energy=energies.cells(round(excerpt.start_s / CELL_S), round(EXCERPT_S / CELL_S)),
        highest=excerpt.highest(),
        side=side.share_of(band_powers),
        **_facts_of(levels),
        nonfinite=nonfinite,
        flux=flux.flux(),
        wave=wave.wave(),
        sibilance=sibilance.counts(),
        wild=wild,
    )


def _facts_of(levels: LevelMeter) -> dict[str, Any]:
    """Return what an analysis says of the levels of a stem."""
    power = levels.powers()
    return {
        "sample_peak_dbfs": float(np.max(levels.sample_peak_dbfs())),
        "rms_dbfs": levels.pooled_rms_dbfs(),
        "crest_factor_db": levels.crest_factor_db(),
        "left_share": float(power[0] / power.sum()) if len(power) > 1 and power.any() else 0.5,
        "correlation": levels.correlation(),
        "dc": float(np.max(np.abs(levels.dc()))),
        "offset_share": float(np.square(levels.dc()).sum() / power.sum()) if power.any() else 0.0,
        "clipped_frames": levels.clipped_frames(),
    }


def _let_hear(
    probe: Probe, meters: Sequence[Meter], resources: Resources, heard: Callable[[int], None]
) -> tuple[int, int, Wild | None]:
    """Let meters hear a stem; return its frames, and which of its samples were no sound."""
    copy = resources.copies.begin(probe) if resources.copies else None
    with closing(resources.reader(probe)) as reader, ExitStack() as stack:
        if copy:
            stack.callback(copy.close, keep=False)
        while len(block := fold(reader.read(BLOCK_FRAMES), probe.speakers)):
            for meter in meters:
                meter.update(block)
            if copy:
                copy.put(block)
            heard(len(block))
        if copy and resources.copies:
            resources.copies.keep(probe, copy)
        return reader.frames_read, reader.nonfinite, Wild.of(reader.wild)


def _sha256(path: Path) -> str:
    """Return the file's digest; just decoded, it comes from the page cache and not the disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def analyse_all(
    probes: Sequence[Probe],
    *,
    resources: Resources,
    onsets: bool,
    voices: Collection[str] = (),
    report: Callable[[float], None],
) -> list[Analysis]:
    """Return the analyses of all stems, in their order, several at a time, the longest first.

    Parameters
    ----------
    voices : collection of str
        Names of the stems that may need a de-esser.
    """
    total = sum(probe.frames or 0 for probe in probes) or 1
    done, lock = 0, Lock()

    def heard(frames: int) -> None:
        nonlocal done
        with lock:  # several stems are read at once, and progress only rises
            done += frames
            report(min(done / total, 1.0))

    def one(probe: Probe) -> Analysis:
        voice = probe.name in voices
        return analyse(probe, resources=resources, onsets=onsets, voice=voice, heard=heard)

    # The longest last would keep one thread at work while the others have none.
    order = sorted(range(len(probes)), key=lambda place: -(probes[place].frames or 0))
    with ThreadPoolExecutor(resources.threads) as pool:
        tasks = {place: pool.submit(one, probes[place]) for place in order}
        return [tasks[place].result() for place in range(len(probes))]
