"""What is known of a stem before anything is decided: one pass, at its own rate.

The analysis is a pure function of the samples, whatever the block size, and small: an hour
of one stem costs about 1.5 MB. Nothing in it depends on other stems or on settings.
"""

import hashlib
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.audio import BLOCK_FRAMES, HOP_FRAMES, Block
from dsp.formats.reader import Probe
from dsp.formats.wild_samples import WildSamples
from dsp.measure.levels import LevelMeter
from dsp.measure.loudness import StepEnergies
from dsp.measure.onsets import Decimated, OnsetFlux
from dsp.measure.spectrum import ThirdOctaves
from dsp.mixing.source import Resources, fold
from dsp.processors.control_rate import HopPeaks
from dsp.units import db_of

STEP_S = 0.1
"""Grid of the K-weighted energies."""

BANDS_STEP_S = 0.5
"""Grid of the third-octave powers."""

EXCERPT_S = 20.0
"""Length of the loudest part whose peaks are kept, to set compressors by."""

CELL_S = 0.01
"""Grid of the K-weighted energies of that part."""
_CELLS_PER_STEP = round(STEP_S / CELL_S)

_SILENT_DBFS = -120.0
_HALF_POWER = np.float32(np.sqrt(0.5))


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
    excerpt_energy: NDArray[np.float32]
    """``(cells,)`` K-weighted mean square per 10 ms of the same part, channels summed."""
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
            excerpt_energy=none,
            flux=none,
            wave=none.astype(np.float16),
        )


class Meter(Protocol):
    """What listens to a stem."""

    def update(self, block: Block) -> None:
        """Hear the next block."""


class Excerpt:
    """Keep the sample peaks per hop of the loudest 20 s, windows anchored at frame 0."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._rate_hz = rate_hz
        self._peaks = HopPeaks(channels, linked=True)
        self._hops = int(EXCERPT_S * rate_hz) // HOP_FRAMES
        self._now: list[NDArray[np.float32]] = []
        self._now_hops = 0
        self._best: NDArray[np.float32] = np.zeros(0, np.float32)
        self._best_power = -1.0
        self._windows_done = self._best_window = 0

    def update(self, block: Block) -> None:
        """Hear the next block."""
        peaks = self._peaks.push(block)[0]
        while self._now_hops + len(peaks) >= self._hops:
            fill = self._hops - self._now_hops
            self._keep(peaks[:fill])
            self._settle()
            peaks = peaks[fill:]
        self._keep(peaks)

    def peaks(self) -> NDArray[np.float32]:
        """Return the hop peaks of the loudest window so far."""
        self._settle()
        return self._best

    @property
    def start_s(self) -> float:
        """Where the loudest window so far begins."""
        return self._best_window * self._hops * HOP_FRAMES / self._rate_hz

    def _keep(self, peaks: NDArray[np.float32]) -> None:
        self._now.append(peaks)
        self._now_hops += len(peaks)

    def _settle(self) -> None:
        window = np.concatenate(self._now) if self._now else self._best[:0]
        power = float(np.square(window, dtype=np.float64).sum())
        if power > self._best_power:
            self._best, self._best_power = window, power
            self._best_window = self._windows_done
        self._windows_done += 1
        self._now, self._now_hops = [], 0


class SideShare:
    """How much of a stereo sound is side, per third octave: a look at every fourth half second."""

    def __init__(self, rate_hz: int) -> None:
        self._bands = ThirdOctaves(rate_hz, 1, step_s=BANDS_STEP_S, every=4)

    def update(self, block: Block) -> None:
        """Hear the next ``(frames, 2)``."""
        self._bands.update((block[:, :1] - block[:, 1:]) * _HALF_POWER)

    def share_of(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``(31,)``, 0..1: the side's share of ``(steps, 31)`` powers of both channels."""
        side = self._bands.powers().sum(axis=0, dtype=np.float64)
        total = whole.sum(axis=0, dtype=np.float64)
        share = np.divide(side, total, out=np.zeros_like(total), where=total > 0.0)
        return np.asarray(np.minimum(share, 1.0), np.float32)


class Energies:
    """K-weighted mean square of all channels, per ``STEP_S`` and per ``CELL_S``."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._meter = StepEnergies(rate_hz, channels, step_s=CELL_S)
        self._rest = np.zeros(0)
        self._steps, self._cells = array("f"), array("f")

    def update(self, block: Block) -> None:
        """Hear the next block."""
        self._meter.update(block)
        cells = self._meter.taken().sum(axis=1)
        self._cells.frombytes(cells.astype(np.float32).tobytes())
        cells = np.concatenate([self._rest, cells])
        whole = len(cells) - len(cells) % _CELLS_PER_STEP
        self._rest = cells[whole:]
        steps = cells[:whole].reshape(-1, _CELLS_PER_STEP).mean(axis=1)
        self._steps.frombytes(steps.astype(np.float32).tobytes())

    def steps(self) -> NDArray[np.float32]:
        """Return the energies of the whole steps."""
        return np.array(self._steps)

    def cells(self, first: int, count: int) -> NDArray[np.float32]:
        """Return the energies of some cells, as many as there are."""
        return np.array(self._cells[first : first + count])


def analyse(
    probe: Probe, *, resources: Resources, onsets: bool, heard: Callable[[int], None]
) -> Analysis:
    """Return what one stem holds.

    Parameters
    ----------
    onsets : bool
        Whether notes are to be timed, for alignment.
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
    meters: list[Meter] = [energies, bands, levels, excerpt, wave]
    meters += [side] if channels == 2 else []  # noqa: PLR2004 - mono has no side
    meters += [flux] if onsets else []
    with closing(resources.reader(probe)) as reader:
        while len(block := fold(reader.read(BLOCK_FRAMES), probe.speakers)):
            for meter in meters:
                meter.update(block)
            heard(len(block))
        nonfinite, frames, wild = reader.nonfinite, reader.frames_read, Wild.of(reader.wild)
    power = levels.powers()
    peaks, steps = excerpt.peaks(), energies.steps()
    sample_peak_dbfs = float(np.max(levels.sample_peak_dbfs()))
    band_powers = bands.powers()
    return Analysis(
        probe=probe,
        sha256=tuple(_sha256(file.path) for file in probe.files),
        frames=frames,
        silent=not steps.any() and sample_peak_dbfs <= _SILENT_DBFS,
        energy=steps,
        bands=band_powers,
        excerpt=peaks,
        excerpt_energy=energies.cells(round(excerpt.start_s / CELL_S), round(EXCERPT_S / CELL_S)),
        side=side.share_of(band_powers),
        sample_peak_dbfs=sample_peak_dbfs,
        rms_dbfs=levels.pooled_rms_dbfs(),
        crest_factor_db=levels.crest_factor_db(),
        left_share=float(power[0] / power.sum()) if len(power) > 1 and power.any() else 0.5,
        correlation=levels.correlation(),
        dc=float(np.max(np.abs(levels.dc()))),
        offset_share=float(np.square(levels.dc()).sum() / power.sum()) if power.any() else 0.0,
        clipped_frames=levels.clipped_frames(),
        nonfinite=nonfinite,
        flux=flux.flux(),
        wave=wave.wave(),
        wild=wild,
    )


def _sha256(path: Path) -> str:
    """Return the file's digest; just decoded, it comes from the page cache and not the disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def analyse_all(
    probes: Sequence[Probe],
    *,
    resources: Resources,
    onsets: bool,
    report: Callable[[float], None],
) -> list[Analysis]:
    """Return the analyses of all stems, in their order, several at a time."""
    total = sum(probe.frames or 0 for probe in probes) or 1
    done, lock = 0, Lock()

    def heard(frames: int) -> None:
        nonlocal done
        with lock:  # several stems are read at once, and progress only rises
            done += frames
            report(min(done / total, 1.0))

    def one(probe: Probe) -> Analysis:
        return analyse(probe, resources=resources, onsets=onsets, heard=heard)

    with ThreadPoolExecutor(resources.threads) as pool:
        return list(pool.map(one, probes))
