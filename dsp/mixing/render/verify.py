"""What a finished file holds: decoded again, measured, drawn.

Nothing here trusts what was meant to be written. ``listen`` opens the file as any reader
would and returns its loudness, its true peak (by the meter that shares nothing with the
limiter) and the curves that the report draws.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.audio import BLOCK_FRAMES, Block, Windows
from dsp.formats.reader import Limits, StemReader, probe
from dsp.measure.levels import LevelMeter, TruePeakMeter
from dsp.measure.loudness import LoudnessMeter
from dsp.measure.spectrum import ThirdOctaves
from dsp.mixing.stem_meters import BANDS_STEP_S
from dsp.units import power_db_of, power_dbs_of

WAVEFORM_POINTS = 2_000


@dataclass(frozen=True)
class Shape:
    """A waveform to draw: ``points`` slices of the time axis, the last may be short."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    rms: NDArray[np.float32]
    correlation: NDArray[np.float32]
    """Between left and right, −1..1; 0 in silence."""


class ShapeMeter:
    """Draw ``WAVEFORM_POINTS`` slices of a stereo stream whose length is known."""

    def __init__(self, frames: int) -> None:
        self._slice = max(1, -(-frames // WAVEFORM_POINTS))
        self._windows = Windows(self._slice, 2)
        self._rows: list[NDArray[np.float32]] = []

    def update(self, block: Block) -> None:
        """Hear the next block."""
        whole = self._windows.push(block)
        if len(whole):
            self._rows.append(_slices(whole.reshape(-1, self._slice, 2)))

    def shape(self) -> Shape:
        """Return what was heard so far."""
        rows = list(self._rows)
        if len(rest := self._windows.rest()):
            rows.append(_slices(rest[np.newaxis]))
        table = np.concatenate(rows) if rows else np.zeros((0, 4), np.float32)
        return Shape(*(table[:, column] for column in range(4)))


def _slices(cut: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``(slices, 4)``: lowest, highest, RMS, correlation of ``(slices, n, 2)``."""
    sides = cut.transpose(2, 0, 1).astype(np.float64)
    cross = np.multiply(*sides).sum(axis=1)
    power = np.square(sides, out=sides).sum(axis=2).T
    both = np.sqrt(power.prod(axis=1))
    columns = (
        cut.min(axis=(1, 2)),
        cut.max(axis=(1, 2)),
        np.sqrt(power.sum(axis=1) / (2 * cut.shape[1])),
        np.divide(cross, both, out=np.zeros_like(cross), where=both > 0),
    )
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class Verified:
    """A finished file, measured."""

    frames: int
    rate_hz: int
    integrated_lufs: float
    momentary_max_lufs: float
    short_term_max_lufs: float
    range_lu: float
    true_peak_dbtp: float
    true_peaks_dbtp: tuple[float, ...]
    sample_peaks_dbfs: tuple[float, ...]
    rms_dbfs: tuple[float, ...]
    crest_factor_db: float
    correlation: float
    fold_down_loss_db: float
    """How much softer the file is in mono than in stereo; 0 for mono."""
    bands_db: NDArray[np.float64]
    """``(31,)`` mean level per third octave."""
    momentary_lufs: NDArray[np.float64]
    """Per 100 ms."""
    short_term_lufs: NDArray[np.float64]
    """Per 100 ms."""
    shape: Shape

    @property
    def plr_db(self) -> float:
        """True peak above integrated loudness."""
        return self.true_peak_dbtp - self.integrated_lufs


class _Meter(Protocol):
    def update(self, block: Block) -> None: ...


def _hear(reader: StemReader, *, beside: Sequence[_Meter], here: Sequence[_Meter]) -> None:
    """Let meters hear a file: half of them in a thread beside the decoder and the other half."""

    def update(meters: Sequence[_Meter], block: Block) -> None:
        for meter in meters:
            meter.update(block)

    with ThreadPoolExecutor(1) as pool:
        waiting: Future[None] | None = None
        while len(block := reader.read(BLOCK_FRAMES)):
            if waiting is not None:
                waiting.result()
            waiting = pool.submit(update, beside, block)
            update(here, block)
        if waiting is not None:
            waiting.result()


def listen(path: Path, limits: Limits) -> Verified:
    """Return the measurements of a stereo file.

    Raises
    ------
    AudioFormatError
        The file does not decode to its end.
    """
    source = probe(path, name=path.name, limits=limits)
    rate_hz = source.rate_hz
    loudness, levels = LoudnessMeter(rate_hz, 2), LevelMeter(2)
    peaks, bands = TruePeakMeter(rate_hz, 2), ThirdOctaves(rate_hz, 2, step_s=BANDS_STEP_S, every=2)
    shape = ShapeMeter(source.frames or 0)
    with StemReader(source, limits=limits) as reader:
        _hear(reader, beside=(peaks, bands), here=(loudness, levels, shape))
        frames = reader.frames_read
    true_peaks = tuple(float(peak) for peak in peaks.true_peaks_dbtp())
    power = levels.powers()
    shared = 2.0 * levels.correlation() * float(np.sqrt(power.prod()))
    mono_power = max(0.0, (float(power.sum()) + shared) / 2.0)
    return Verified(
        frames=frames,
        rate_hz=rate_hz,
        integrated_lufs=loudness.integrated_lufs(),
        momentary_max_lufs=loudness.momentary_max_lufs(),
        short_term_max_lufs=loudness.short_term_max_lufs(),
        range_lu=loudness.range_lu(),
        true_peak_dbtp=max(true_peaks),
        true_peaks_dbtp=true_peaks,
        sample_peaks_dbfs=tuple(float(peak) for peak in levels.sample_peak_dbfs()),
        rms_dbfs=tuple(float(rms) for rms in levels.rms_dbfs()),
        crest_factor_db=levels.crest_factor_db(),
        correlation=levels.correlation(),
        fold_down_loss_db=power_db_of(float(power.sum())) - power_db_of(mono_power),
        bands_db=power_dbs_of(bands.mean_powers()),
        momentary_lufs=loudness.momentary_lufs(),
        short_term_lufs=loudness.short_term_lufs(),
        shape=shape.shape(),
    )
