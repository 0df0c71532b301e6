"""What tempo, beats, bars, key and tuning are read from, gathered while a song streams by.

Theory of operation
-------------------
The song, mono, goes through two front ends:

* **Rises**, 86 per second: at 22,050 Hz, a 1,024-point FFT every 256 frames; how much the
  logarithm of each of 40 bands has risen within two hops, averaged in 8 groups of bands. A note
  or a drum shows as a pulse, soft ones as well as loud ones.
* **Pitch**, 5.4 per second: at 11,025 Hz, an 8,192-point FFT every 2,048 frames; its peaks,
  placed by a parabola, on thirds of a semitone from 55 Hz. A partial of a tone is a peak; noise
  and drums mostly are not.

Time begins at the first frame that is not digital silence (``Evidence.offset_s``): so silence
in front shifts what is found and changes nothing else.

Rules
-----
Rule 1: results do not depend on the blocks. Frames lie on a grid that begins with the sound,
windows of rises are transformed in the same pairs, those of pitch one by one.

Rule 2: a logarithm is taken in float64 and rounded to float32: processors differ in its last
bits, and results must not.

Rule 3: only the first ``MUSIC_S`` are listened to, of which 14 MB are kept, and 9 MB more while
the level is being learnt: memory has a bound, however long a recording is.

References
----------
Klapuri, "Sound onset detection by applying psychoacoustic knowledge", ICASSP 1999 (log flux).
"""

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from dsp import kernels
from dsp.measure.transform import BandTransform, bin_powers

Rows = NDArray[np.float32]

RATE_HZ = 22_050
PITCH_RATE_HZ = RATE_HZ // 2
HOP, PITCH_HOP = 256, 2_048
FRAMES_PER_S = RATE_HZ / HOP
PITCHES_PER_S = PITCH_RATE_HZ / PITCH_HOP

BINS_PER_SEMITONE = 3
LOWEST_HZ = 55.0
SEMITONES = 72
PITCH_BINS = SEMITONES * BINS_PER_SEMITONE

LEVEL_S = 600.0
"""Levels are relative to the loud frames of as much of the song: what follows is not waited for."""

MUSIC_S = 3_600.0
"""Of what is longer, the first hour is read: no song lasts so long, and what follows in a set or
on the radio is another."""

_WINDOW, _PITCH_WINDOW = 1_024, 8_192
_BLOCK = 262_144
_HANN = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
_PITCH_HANN = np.hanning(_PITCH_WINDOW + 1)[:-1].astype(np.float32)

# One bin each up to the eighth, then geometric: 40 bands.
_EDGES = np.unique(
    np.round(np.concatenate([np.arange(1, 9), np.geomspace(9, _WINDOW // 2, 33)]))
).astype(np.intp)
_BAND_EDGES = np.append(_EDGES[:-1], _WINDOW // 2 + 1).astype(np.float64)  # and the highest bin
_GROUP_EDGES_HZ = (0, 150, 300, 600, 1200, 2400, 4800, 7500)
_GROUPS = np.searchsorted(_EDGES[:-1] * RATE_HZ / _WINDOW, _GROUP_EDGES_HZ)
_GROUP_SIZES = np.diff(np.append(_GROUPS, len(_EDGES) - 1)).astype(np.float32)

_LOUD_PERCENTILE = 95
_FLOOR_RATIO = 1e3  # what is 30 dB below a band of a loud frame no longer counts
_SILENT = 1e-20
_TOGETHER = 1_024  # frames that rise at once
_PITCHES_TOGETHER = 32  # each call costs as much as some frames
_SPARE_ROWS = 8  # of windows that reach beyond the end

# Peaks are looked for from a little below the lowest pitch to the highest that is played.
_LOWEST_PEAK, _HIGHEST_PEAK = (
    int(hz * _PITCH_WINDOW / PITCH_RATE_HZ) + 1 for hz in (LOWEST_HZ * 0.97, 3_600)
)
_AROUND = 24  # bins on either side that a peak is compared with
_PITCH_BINS = _HIGHEST_PEAK + 1 + _AROUND
_STANDS_OUT = 1.7
_TUNED_SEMITONES = (12, 48)
_PARTS, _MOST_PARTS = 2.0**20, 2.0**44
_MOST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Evidence:
    """What was gathered of a song."""

    rises: NDArray[np.float16]
    """``(frames, 8)``, nepers per band, low to high; frame k is centred on
    ``offset_s + k / FRAMES_PER_S``."""
    pitch: NDArray[np.float16]
    """``(frames, PITCH_BINS)``, root of amplitude; frame k is centred on
    ``offset_s + k / PITCHES_PER_S``."""
    cents: NDArray[np.int64]
    """``(100,)``: how much tone lies so many cents above a semitone of A = 440 Hz, of the
    partials from 110 to 880 Hz: lower ones are too coarse, higher ones are stretched."""
    offset_s: float
    """Digital silence before the first sound."""
    sound_s: float
    """From the first sound to the end of the song; 0.0 where all is silent."""


class Features:
    """Gather evidence: ``feed`` with blocks of any size, then ``close``.

    Parameters
    ----------
    rate_hz : int
        Of what is fed.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._silence = self._sound = 0
        self._to_rate = soxr.ResampleStream(rate_hz, RATE_HZ, 1, "float32", "LQ")
        self._to_pitch_rate = soxr.ResampleStream(RATE_HZ, PITCH_RATE_HZ, 1, "float32", "LQ")
        # The first windows are centred on frame 0.
        self._waiting: Rows = np.zeros(_WINDOW // 2, np.float32)
        self._pitch_waiting: Rows = np.zeros(_PITCH_WINDOW // 2, np.float32)
        self._bands = BandTransform(_HANN, _BAND_EDGES, size=_WINDOW)
        self._rises = _Rises()
        self._pitch = _Rows(MUSIC_S * PITCHES_PER_S, PITCH_BINS)
        self._cents = np.zeros(100, np.int64)

    def feed(self, mono: Rows) -> None:
        """Take the next ``(frames,)`` float32 of the song."""
        if not self._sound:
            sounding = np.flatnonzero(mono)
            silent = int(sounding[0]) if len(sounding) else len(mono)
            self._silence += silent
            mono = mono[silent:]
        left = max(0, round(MUSIC_S * self._rate_hz) - self._sound)
        self._sound += len(mono)
        mono = mono[:left]
        for start in range(0, len(mono), _BLOCK):
            block = np.ascontiguousarray(mono[start : start + _BLOCK], np.float32)
            self._take(self._to_rate.resample_chunk(block))

    def close(self) -> Evidence:
        """Return what was gathered, and let go of it. Nothing may be fed after it."""
        self._take(self._to_rate.resample_chunk(np.zeros(0, np.float32), last=True), last=True)
        return Evidence(
            rises=self._rises.all(),
            pitch=self._pitch.rows(),
            cents=self._cents,
            offset_s=self._silence / self._rate_hz,
            sound_s=self._sound / self._rate_hz,
        )

    def _take(self, sound: Rows, *, last: bool = False) -> None:
        pitch_sound = self._to_pitch_rate.resample_chunk(sound, last=last)
        if last:
            sound = np.append(sound, np.zeros(_WINDOW, np.float32))
            pitch_sound = np.append(pitch_sound, np.zeros(_PITCH_WINDOW // 2, np.float32))
        self._waiting = np.append(self._waiting, sound)
        if len(starts := _starts(len(self._waiting), even=not last)):
            bands = self._bands.powers(self._waiting[:, np.newaxis], starts)
            self._rises.add(bands.astype(np.float32))
            self._waiting = self._waiting[starts[-1] + HOP :].copy()
        self._pitch_waiting = np.append(self._pitch_waiting, pitch_sound)
        pitches = _whole(len(self._pitch_waiting), _PITCH_WINDOW, PITCH_HOP)
        if pitches >= (1 if last else _PITCHES_TOGETHER):
            starts = np.arange(pitches) * PITCH_HOP
            powers = bin_powers(self._pitch_waiting, starts, _PITCH_HANN, _PITCH_BINS)
            partials = _Partials(powers)
            self._pitch.add(partials.on_thirds().clip(max=_MOST))
            self._cents += partials.by_cents()
            self._pitch_waiting = self._pitch_waiting[pitches * PITCH_HOP :].copy()


class _Rows:
    """Rows in half precision, as many as there may be.

    Room for all is asked for at once; the system gives it as it is written to. What grows is
    copied again and again, and thousands of small pieces leave holes that nothing fits into.
    """

    def __init__(self, most: float, width: int) -> None:
        self._room = np.empty((int(most) + _SPARE_ROWS, width), np.float16)
        self._count = 0

    def add(self, rows: Rows) -> None:
        """Take the next rows."""
        self._room[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def rows(self) -> NDArray[np.float16]:
        """Return all of them."""
        return self._room[: self._count]


class _Rises:
    """How much bands have risen, per group, once the level of the song is known."""

    def __init__(self) -> None:
        bands = len(_EDGES) - 1
        self._bands: Rows = np.empty((int(LEVEL_S * FRAMES_PER_S), bands), np.float32)
        """That the level is learnt from; none when it is known."""
        self._frames = 0
        self._scale = 0.0
        # A song rises out of the silence before it.
        self._before: Rows = np.zeros((2, bands), np.float32)
        self._done = _Rows(MUSIC_S * FRAMES_PER_S, len(_GROUPS))

    def add(self, bands: Rows) -> None:
        """Take the powers of the next frames, ``(frames, 40)``."""
        # The frames that the level is learnt from are counted, whatever the block.
        learnt = bands[: len(self._bands) - self._frames]
        self._bands[self._frames : self._frames + len(learnt)] = learnt
        self._frames += len(learnt)
        if self._frames == len(self._bands):
            self._learn()
            self._grow(bands[len(learnt) :])

    def all(self) -> NDArray[np.float16]:
        """Return ``(frames, 8)``."""
        self._learn()
        return self._done.rows()

    def _learn(self) -> None:
        if not self._frames:
            return
        bands = self._bands[: self._frames]
        totals = bands.sum(axis=1, dtype=np.float64)
        loud = np.percentile(totals, _LOUD_PERCENTILE) / bands.shape[1]
        self._scale = float(_FLOOR_RATIO / (loud + _SILENT))
        for start in range(0, len(bands), _TOGETHER):
            self._grow(bands[start : start + _TOGETHER])
        self._bands, self._frames = bands[:0].copy(), 0

    def _grow(self, bands: Rows) -> None:
        if not len(bands):
            return
        logs = np.log1p(bands.astype(np.float64) * self._scale).astype(np.float32)
        logs = np.concatenate([self._before, logs])
        now, last, before = logs[2:], logs[1:-1], logs[:-2]
        half = np.float32(0.5)
        rises = np.maximum(now - half * np.maximum(before, last) - half * before, 0)
        groups = np.add.reduceat(rises, _GROUPS, axis=1) / _GROUP_SIZES
        self._done.add(np.asarray(groups, np.float32))
        self._before = logs[-2:]


def _whole(waiting: int, window: int, hop: int) -> int:
    """Return how many windows are whole in what waits."""
    return max(0, (waiting - window) // hop + 1)


def _starts(waiting: int, *, even: bool) -> NDArray[np.int64]:
    """Return where the windows of rises begin that are whole in what waits.

    Two are transformed as one, and each rounds by the other: an even number of them, until the
    last, makes the same pairs of any blocks.
    """
    count = _whole(waiting, _WINDOW, HOP)
    return np.arange(count - count % 2 if even else count) * HOP


class _Partials:
    """The peaks of spectra: what sounds as a tone.

    Parameters
    ----------
    powers : (frames, bins) float32
        Written over.
    """

    def __init__(self, powers: Rows) -> None:
        self._frames, width = powers.shape
        most = self._frames * (_HIGHEST_PEAK - _LOWEST_PEAK + 1 >> 1)
        places, values = np.empty(most, np.int64), np.empty((most, 3), np.float32)
        count = kernels.partials(
            *(powers, width, _LOWEST_PEAK, _HIGHEST_PEAK, _AROUND, _STANDS_OUT),
            *(np.empty(width + 1), places, values),
        )
        self._rows, bins = np.divmod(places[:count], width)
        amplitudes = values[:count].T.astype(np.float64)
        self._amplitudes = amplitudes[1]
        # A parabola through the logarithms: through the values it errs twice as far.
        low, middle, high = np.log(amplitudes + _SILENT)
        top = 0.5 * (low - high) / (low - 2 * middle + high - _SILENT)
        hertz = (bins + top) * (PITCH_RATE_HZ / _PITCH_WINDOW)
        self._semitones = 12 * np.log2(hertz / LOWEST_HZ)

    def on_thirds(self) -> Rows:
        """Return the root of their amplitudes on thirds of a semitone, shared by two each."""
        places = self._semitones * BINS_PER_SEMITONE
        whole = np.floor(places).astype(np.intp)
        inside = (whole >= 0) & (whole < PITCH_BINS - 1)
        cells = (self._rows * PITCH_BINS + whole)[inside]
        share, strength = (places - whole)[inside], np.sqrt(self._amplitudes[inside])
        size = self._frames * PITCH_BINS
        out = np.bincount(cells, strength * (1 - share), size)
        out += np.bincount(cells + 1, strength * share, size)
        return out.astype(np.float32).reshape(-1, PITCH_BINS)

    def by_cents(self) -> NDArray[np.int64]:
        """Return their amplitudes by cents above a semitone, ``(100,)``.

        In whole parts: sums of integers do not depend on the blocks.
        """
        low, high = _TUNED_SEMITONES
        inside = (self._semitones >= low) & (self._semitones < high)
        cents = np.floor(self._semitones[inside] * 100).astype(np.int64) % 100
        parts = np.minimum(self._amplitudes[inside] * _PARTS, _MOST_PARTS)
        out = np.zeros(100, np.int64)
        np.add.at(out, cents, parts.astype(np.int64))
        return out
