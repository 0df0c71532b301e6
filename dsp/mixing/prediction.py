"""What a strip will do to its stem's loudness, predicted from the analysis alone.

Theory of operation
-------------------
The stem's K-weighted energy per 100 ms is taken through the strip: trim, ride and pan are
gains in time; equaliser, width and room are ratios per third octave, weighed with the
stem's own spectrum of that half second; compressor and saturation are one ratio each, from
the loudest 20 s. The loudness of what comes out is then *gated* like any other, so that a
cut that acts only while the lead sounds, or a ride, counts for as much as it will.

What is left out: the de-esser, which has no loudness to speak of.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.audio import HOP_FRAMES
from dsp.measure.loudness import integrated_lufs
from dsp.mixing.automation import automation_db
from dsp.mixing.compression import compression_change_db, peak_changes_db, saturation_change_db
from dsp.mixing.recall_sheet import Band, Room, Stem
from dsp.mixing.stem_meters import BANDS_STEP_S, DETECTOR_HZ, DETECTOR_Q, STEP_S, hops_per_step
from dsp.mixing.tone import CENTRES, power_response
from dsp.mixing.track import K_POWER, Bands, Steps, Track
from dsp.processors import filters
from dsp.processors.stereo import rows_of_side
from dsp.units import power_db_of, ratios_of

_ABOVE = power_response([Band(kind="high_pass", hz=DETECTOR_HZ, q=DETECTOR_Q)], 48_000)
"""What the compressor on the sum hears of each third octave."""


def cut_power(room: Sequence[Room], hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power ratio of the cuts at their full depth.

    A cut is the sound plus (g − 1) times its band-pass: with x = f/f₀ the band-pass is
    1 / (1 + jQ(x − 1/x)), exactly so in the analogue world.
    """
    total = np.ones(len(hz))
    for cut in room:
        ratio = hz / cut.hz
        band = 1.0 / (1.0 + 1j * cut.q * (ratio - 1.0 / ratio))
        total *= np.abs(1.0 + (10.0 ** (-cut.depth_db / 20.0) - 1.0) * band) ** 2
    return total


def width_power(track: Track, stem: Stem, rate_hz: int) -> Bands:
    """Return the power ratio of width, and of lows made mono, per third octave."""
    side = track.analysis.side.astype(np.float64)
    kept = np.full(len(CENTRES), stem.width**2)
    if stem.lows_mono_hz:
        rows = rows_of_side(stem.lows_mono_hz, rate_hz)
        kept *= 10.0 ** (filters.response_db(rows, CENTRES, rate_hz) / 10.0)
    return np.asarray(1.0 - side + side * kept)


def _pan_power(track: Track, pan: float) -> float:
    """Return the power ratio of a balance; a mono sound keeps its power."""
    if track.analysis.probe.channels == 1:
        return 1.0
    left = track.analysis.left_share
    angle = (1.0 - pan) * np.pi / 4.0
    return float(2.0 * (left * np.sin(angle) ** 2 + (1.0 - left) * np.cos(angle) ** 2))


def level_db(track: Track, gain_db: float, power: Bands) -> float:
    """Return what a gain and a filter do to the level of the peaks, which are not K-weighted."""
    return gain_db + change_db(track.spectrum, power)


def change_db(spectrum: Bands, power: Bands) -> float:
    """Return what a filter does to the level of a sound with this spectrum."""
    whole = float(spectrum.sum())
    return power_db_of(float((spectrum * power).sum()) / whole) if whole > 0.0 else 0.0


def strip_power(track: Track, stem: Stem, rate_hz: int, *, held: bool = False) -> Bands:
    """Return what a strip does to the power of each third octave, riding aside.

    Parameters
    ----------
    held : bool
        The lead sounds: the cuts that make room for it are at their full depth.
    """
    power, driven_db = _static_power(track, stem, rate_hz, held=held)
    return np.asarray(power * 10.0 ** (sum(_dynamics_db(track, driven_db, stem)) / 10.0))


def _static_power(track: Track, stem: Stem, rate_hz: int, *, held: bool) -> tuple[Bands, float]:
    """Return the same without compressor and saturation, and the gain of the peaks into them."""
    power = power_response(stem.eq, rate_hz)
    if held:
        power = power * cut_power(stem.room, CENTRES)
    gain = 10.0 ** ((stem.trim_db + stem.fader_db) / 10.0) * _pan_power(track, stem.pan)
    driven_db = level_db(track, stem.trim_db, power)
    return power * width_power(track, stem, rate_hz) * gain, driven_db


def _dynamics_db(track: Track, driven_db: float, stem: Stem) -> tuple[float, float]:
    """Return what compressor and saturation do to the loudness.

    Remembered: a try walks 20 s of peaks, and most of what a plan asks for it has asked before.
    """
    key = driven_db, stem.compressor, stem.saturation
    if key not in track.dynamics_db:
        track.dynamics_db[key] = (
            compression_change_db(track, driven_db, stem.compressor),
            saturation_change_db(track, driven_db, stem.saturation),
        )
    return track.dynamics_db[key]


def spectrum_at_sum(track: Track, stem: Stem, rate_hz: int) -> Bands:
    """Return the mean power per third octave over the song that a strip will send."""
    return np.asarray(track.spectrum * track.active.mean() * strip_power(track, stem, rate_hz))


def energy_at_sum(track: Track, stem: Stem, lead_active: NDArray[np.bool_], rate_hz: int) -> Steps:
    """Return the K-weighted mean square per 100 ms of the song that a strip will send."""
    free = _ratio_in_time(track, strip_power(track, stem, rate_hz))
    ratio = free
    if stem.room:
        held = _ratio_in_time(track, strip_power(track, stem, rate_hz, held=True))
        ratio = np.where(lead_active, held, free)
    moved_db = automation_db(stem, track, lead_active)
    if moved_db is not None:
        ratio *= 10.0 ** (moved_db / 10.0)
    return np.asarray(track.energy * ratio)


def peaks_at_sum(
    track: Track, stem: Stem, lead_active: NDArray[np.bool_], rate_hz: int, eq: Sequence[Band]
) -> Steps:
    """Return the highest peak per 100 ms, lows left out, that a strip will send through an EQ.

    Where a peak is, the bands of a sound mostly are in phase: they add as amplitudes.
    """
    bands, peaks = np.sqrt(track.spectrum * _ABOVE), _highest(track)
    if not bands.any():
        return np.zeros(len(peaks))
    free, held = (_static_power(track, stem, rate_hz, held=holds) for holds in (False, True))
    through = power_response(eq, rate_hz)
    gains = [
        float((bands * np.sqrt(power * through)).sum() / bands.sum()) for power, _ in (free, held)
    ]
    moved_db = automation_db(stem, track, lead_active)
    changed_db = peak_changes_db(track, free[1], stem.compressor, stem.saturation)(peaks)
    sent = _louder_side(track, stem.pan) * np.where(lead_active, gains[1], gains[0])
    return np.asarray(
        peaks * sent * ratios_of(changed_db + (0.0 if moved_db is None else moved_db))
    )


def _highest(track: Track) -> Steps:
    """Return the highest peak per 100 ms of the song, lows left out, as recorded."""
    highest, rate_hz = track.analysis.highest, track.analysis.probe.rate_hz
    if not len(highest):
        return np.zeros(len(track.energy))
    seconds = np.arange(len(track.energy)) * STEP_S + track.lag_s
    rows = (seconds * rate_hz / (hops_per_step(rate_hz) * HOP_FRAMES)).astype(np.int64)
    there = (rows >= 0) & (rows < len(highest))
    return np.where(there, highest[np.clip(rows, 0, len(highest) - 1)], 0.0)


def _louder_side(track: Track, pan: float) -> float:
    """Return the amplitude of a mono sound in the channel that has more of it."""
    if track.analysis.probe.channels > 1:
        return 1.0
    return float(np.cos((1.0 - abs(pan)) * np.pi / 4.0))


def loudness_at_sum(energy: Steps) -> float:
    """Return the gated loudness of an energy per 100 ms, in LUFS."""
    return integrated_lufs(energy, step_s=STEP_S)


def _ratio_in_time(track: Track, power: Bands) -> Steps:
    """Return what scaled third octaves do to the loudness of each 100 ms of the song."""
    bands = track.analysis.bands.astype(np.float64) * K_POWER
    if not bands.any():
        return np.full(len(track.energy), float(power.mean()))
    bands = np.where(bands.any(axis=1, keepdims=True), bands, bands.sum(axis=0))
    ratio = (bands * power).sum(axis=1) / bands.sum(axis=1)
    seconds = np.arange(len(track.energy)) * STEP_S + track.lag_s
    rows = np.clip((seconds / BANDS_STEP_S).astype(np.int64), 0, len(bands) - 1)
    return np.asarray(ratio[rows])
