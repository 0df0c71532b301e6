"""What listens to a stem for the plan's sake: its loudest part, its side, its energy, its esses."""

from array import array

import numpy as np
from numpy.typing import NDArray

from dsp.audio import HOP_FRAMES, Block, Windows
from dsp.measure.loudness import StepEnergies
from dsp.measure.spectrum import ThirdOctaves
from dsp.processors.control_rate import HopPeaks
from dsp.processors.filters import Cascade, biquad
from dsp.units import dbs_of

STEP_S = 0.1
"""Grid of the K-weighted energies."""

BANDS_STEP_S = 0.5
"""Grid of the third-octave powers."""

EXCERPT_S = 20.0
"""Length of the loudest part whose peaks are kept, to set compressors by."""

DETECTOR_HZ = 150.0
"""What lies below is not heard by the compressor on the sum: a kick would move all the rest."""

CELL_S = 0.01
"""Grid of the K-weighted energies of that part."""
_CELLS_PER_STEP = round(STEP_S / CELL_S)

SIBILANCE_HZ, SIBILANCE_Q = 6_500.0, 1.2
SIBILANCE_FLOOR_DB, _SIBILANCE_LEVELS = -70, 100
SIBILANCE_STEP_S = 0.05
"""An s lasts as long, and the release of what holds it down."""

DETECTOR_Q = 0.7071
_HALF_POWER = np.float32(np.sqrt(0.5))


def hops_per_step(rate_hz: int) -> int:
    """Return the whole hops nearest to ``STEP_S``: the grid of highest peaks."""
    return round(STEP_S * rate_hz / HOP_FRAMES)


class Excerpt:
    """Keep the sample peaks per hop of the loudest 20 s, windows anchored at frame 0.

    With them go those of the same sound above ``DETECTOR_HZ``, whose highest are kept throughout.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._rate_hz = rate_hz
        self._peaks, self._high_peaks = (HopPeaks(channels, linked=True) for _ in range(2))
        row = biquad("high_pass", hz=DETECTOR_HZ, q=DETECTOR_Q, rate_hz=rate_hz)
        self._above = Cascade(row, channels)
        self._steps, self._highest = Windows(hops_per_step(rate_hz), 1), array("f")
        self._hops = int(EXCERPT_S * rate_hz) // HOP_FRAMES
        self._now: list[NDArray[np.float32]] = []
        self._now_hops = 0
        self._best = np.zeros((2, 0), np.float32)
        self._best_power = -1.0
        self._windows_done = self._best_window = 0

    def update(self, block: Block) -> None:
        """Hear the next block."""
        highs = self._high_peaks.push(self._above.process(block))
        steps = self._steps.push(highs.T).reshape(-1, self._steps.frames)
        self._highest.frombytes(steps.max(axis=1).tobytes())
        peaks = np.concatenate([self._peaks.push(block), highs])
        while self._now_hops + peaks.shape[1] >= self._hops:
            fill = self._hops - self._now_hops
            self._keep(peaks[:, :fill])
            self._settle()
            peaks = peaks[:, fill:]
        self._keep(peaks)

    def peaks(self) -> NDArray[np.float32]:
        """Return the hop peaks of the loudest window so far, ``(2, hops)``: all, and above."""
        self._settle()
        return self._best

    def highest(self) -> NDArray[np.float32]:
        """Return the highest peak above ``DETECTOR_HZ`` in every ``hops_per_step`` hops."""
        return np.array(self._highest)

    @property
    def start_s(self) -> float:
        """Where the loudest window so far begins."""
        return self._best_window * self._hops * HOP_FRAMES / self._rate_hz

    def _keep(self, peaks: NDArray[np.float32]) -> None:
        self._now.append(peaks)
        self._now_hops += peaks.shape[1]

    def _settle(self) -> None:
        window = np.concatenate(self._now, axis=1) if self._now else self._best[:, :0]
        power = float(np.square(window[0], dtype=np.float64).sum())
        if power > self._best_power:
            self._best, self._best_power = window, power
            self._best_window = self._windows_done
        self._windows_done += 1
        self._now, self._now_hops = [], 0


class Sibilance:
    """How loud the band of an s is in every 50 ms, whatever else sounds.

    A peak in them, not the levels of their hops: what holds an s down lasts as long.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._counts = np.zeros(_SIBILANCE_LEVELS, np.int64)
        self._peaks = HopPeaks(channels, linked=True)
        self._parts = Windows(round(SIBILANCE_STEP_S * rate_hz / HOP_FRAMES), 1)
        hz = min(SIBILANCE_HZ, 0.4 * rate_hz)  # a lower rate has no s, and gets no de-esser
        row = biquad("band_pass", hz=hz, q=SIBILANCE_Q, rate_hz=rate_hz)
        self._band = Cascade(row, channels)

    def update(self, block: Block) -> None:
        """Hear the next block."""
        peaks = self._parts.push(self._peaks.push(self._band.process(block)).T)
        level_db = dbs_of(peaks.reshape(-1, self._parts.frames).max(axis=1))
        place = np.floor(level_db).astype(np.int64) - SIBILANCE_FLOOR_DB
        within = place[(place >= 0) & (place < _SIBILANCE_LEVELS)]
        self._counts += np.bincount(within, minlength=_SIBILANCE_LEVELS)

    def counts(self) -> NDArray[np.int64]:
        """Return how many of them had each level."""
        return self._counts


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
