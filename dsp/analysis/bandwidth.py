"""Where the spectrum of a song ends, and whether it ends as a codec or a resampler ends it.

Theory of operation
-------------------
A window is looked at ten times a second. Of each 128 windows, 13 s, the louder half is counted: how
often each bin lay in which quarter of a decibel. At the end every bin reads the level that 98 %
of its windows stay below, so that neither the quiet parts nor a lone click decide. The *edge* is
where the mean level of 400 Hz drops most to that of the 400 Hz after it, and the *residue* is the
mean level from there up. Where that shows no wall, the levels that 95, 90 and 75 % stay below are
looked at in turn: loud attacks clip in a decoder, and an encoder spends more on them, so that a
few windows in a hundred hide the wall of the others.

An instrument's spectrum falls over kilohertz, and ends in noise. A low-pass filter of a codec
falls within a few hundred hertz, and what is above has been set to zero: all that is left there
is rounding.

Rules
-----
Rule 1: ``evidence`` is never a verdict. A wall is where a codec would have left one; who
recorded through a steep filter has one too. The codec of the file plays no part: equal samples
read alike out of any container.

Rule 2: levels are counted by their binary logarithm, so halving a song moves them by whole
classes and the edge not at all.

Rule 3: windows lie on a grid that begins with the first frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.measure.transform import BandTransform

Evidence = Literal["none", "lossy_wall", "upsampled"]

# Measured on five songs: lossless ones drop 3 to 19 dB to a residue of -63 to -110 dBFS; after
# MP3 at 128 to 320 kbit/s and AAC at 128 they drop 28 to 56 dB to -113 to -127 dBFS.
_WALL_DROP_DB = 25.0
_WALL_RESIDUE_DBFS = -110.0
_WALL_EDGE_HZ = 20_600.0
"""Above, the filters of converters and resamplers at 44.1 kHz have their edge too."""

_HALF_RATES_HZ = (4_000.0, 5_512.5, 11_025.0, 22_050.0, 24_000.0, 44_100.0, 48_000.0)
"""Where the spectrum ends that once had a lower rate. 8 and 16 kHz are left out: MP3 and AAC
have their walls there."""
_AROUND_HALF_RATE = 0.9, 1.2
"""A resampler's edge lies below half the lower rate, or above it where its filter falls slowly."""

_FRAMES = 4_096
_STEP_S = 0.1
_GROUP = 128
_BINS_TOGETHER = 32
_PERCENTILES = 98, 95, 90, 75
_LOWEST_EDGE_HZ = 9_000.0
_SMOOTH_HZ = 400.0
_CLASSES_PER_OCTAVE = 12  # of power: 0.25 dB
_DB_PER_CLASS = 10.0 * np.log10(2.0) / _CLASSES_PER_OCTAVE
_LOWEST_CLASS = -720  # 2⁻⁶⁰ of full scale power, -181 dBFS
_CLASSES = 1_024
_HANN = np.hanning(_FRAMES).astype(np.float32)
_EVERY_BIN = np.arange(_FRAMES // 2 + 2, dtype=np.float64)


@dataclass(frozen=True)
class Edge:
    """What was found."""

    edge_hz: float
    drop_db: float
    residue_dbfs: float
    evidence: Evidence


class BandwidthMeter:
    """Where the spectrum of a stream ends.

    Parameters
    ----------
    rate_hz : int
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._bin_hz = rate_hz / _FRAMES
        self._smooth = max(4, int(_SMOOTH_HZ / self._bin_hz))
        lowest_hz = min(_LOWEST_EDGE_HZ, rate_hz / 5)
        self._first_bin = int(lowest_hz / self._bin_hz) - self._smooth
        self._bins = _FRAMES // 2 + 1 - self._first_bin
        self._counts = np.zeros((self._bins, _CLASSES), np.uint32)
        self._step = max(_FRAMES, round(rate_hz * _STEP_S))
        self._group = np.zeros((_GROUP, _FRAMES), np.float32)
        self._transform = BandTransform(_HANN, _EVERY_BIN, size=_FRAMES)
        self._heard = 0
        """Frames of the group's time so far."""

    def update(self, mono: NDArray[np.float32]) -> None:
        """Hear the next ``(frames,)``."""
        while len(mono):
            row, place = divmod(self._heard, self._step)
            taken = mono[: self._step - place]
            room = self._group[row, place:][: len(taken)]
            room[:] = taken[: len(room)]
            self._heard += len(taken)
            mono = mono[len(taken) :]
            if self._heard == _GROUP * self._step:
                self._count()

    def edge(self) -> Edge | None:
        """Return the edge, or ``None`` when nothing sounds. Nothing may be heard after it."""
        self._count()
        seen = int(self._counts[0].sum())
        if not seen:
            return None
        edges = list(map(self._judged, self._levels_db([seen * one / 100 for one in _PERCENTILES])))
        self._counts = np.zeros((self._bins, 0), np.uint32)  # 5 MB that nobody needs any more
        return next((edge for edge in edges if edge.evidence != "none"), edges[0])

    def _levels_db(self, shares: Sequence[float]) -> NDArray[np.float64]:
        """Return the levels of the bins that so many windows stay below, a row for each number."""
        # Part by part: all bins at once would be twice the counts.
        parts = np.array_split(self._counts, max(1, self._bins // _BINS_TOGETHER))
        sums = (np.cumsum(part, axis=1) for part in parts)
        below = [[(upto < most).sum(axis=1) for most in shares] for upto in sums]
        return np.asarray((np.concatenate(below, axis=1) + _LOWEST_CLASS + 0.5) * _DB_PER_CLASS)

    def _count(self) -> None:
        """Count the louder half of the windows that are whole."""
        row, place = divmod(self._heard, self._step)
        whole = row + (place >= _FRAMES)
        self._heard = 0
        if not whole:
            return
        starts = np.arange(whole) * _FRAMES
        powers = self._transform.powers(self._group.reshape(-1, 1), starts)
        totals = powers.sum(axis=1)
        loud = (totals >= np.median(totals)) & (totals > 0.0)
        scale = (4.0 / _FRAMES) ** 2  # a full-scale sine reads 1
        heard = powers[loud, self._first_bin :] * scale
        classes = np.floor(_CLASSES_PER_OCTAVE * np.log2(heard + 2.0**-70)).astype(np.intp)
        classes = np.clip(classes - _LOWEST_CLASS, 0, _CLASSES - 1)
        cells = classes + np.arange(self._bins) * _CLASSES
        for look in cells:
            self._counts.ravel()[look] += 1

    def _judged(self, levels_db: NDArray[np.float64]) -> Edge:
        smooth = self._smooth
        sums = np.concatenate([[0.0], np.cumsum(levels_db)])
        places = np.arange(smooth, len(levels_db) - smooth)
        after = smooth // 4  # a filter needs some room to fall in
        before_db = (sums[places] - sums[places - smooth]) / smooth
        after_db = (sums[places + smooth] - sums[places + after]) / (smooth - after)
        best = int((before_db - after_db).argmax())
        edge_hz = (places[best] + self._first_bin) * self._bin_hz
        residue_dbfs = float(levels_db[places[best] + smooth // 2 :].mean())
        drop_db = float((before_db - after_db)[best])
        return Edge(edge_hz, drop_db, residue_dbfs, self._evidence(edge_hz, drop_db, residue_dbfs))

    def _evidence(self, edge_hz: float, drop_db: float, residue_dbfs: float) -> Evidence:
        if drop_db < _WALL_DROP_DB or residue_dbfs > _WALL_RESIDUE_DBFS:
            return "none"
        lower_rates = (half for half in _HALF_RATES_HZ if 2.2 * half <= self._rate_hz)
        low, high = _AROUND_HALF_RATE
        if any(low * half <= edge_hz <= high * half for half in lower_rates):
            return "upsampled"
        return "lossy_wall" if edge_hz < _WALL_EDGE_HZ else "none"
