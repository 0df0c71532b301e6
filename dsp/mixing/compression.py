"""Compressors, de-essers and saturation: settings from what a stem is like.

Theory of operation
-------------------
Attack, release and ratio follow from the crest factor: what has peaks is let through
quickly and lets go quickly, what is dense is held slowly. The threshold is then found by
trying: the gain computer and its ballistics run over the sample peaks of the stem's loudest
20 s until the mean reduction is what the role wants. Make-up returns the loudness that was
taken, so that a compressor changes the shape and not the level: what a peak costs is
weighed with the K-weighted energy around it, because the kick that sets off a compressor
is not what makes the drums loud.

References
----------
Giannoulis, Massberg, Reiss, "Parameter automation in a dynamic range compressor",
JAES 61(10), 2013: times from the squared crest factor. Ma et al., "Intelligent multitrack
dynamic range compression", JAES 63(6), 2015.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.audio import HOP_FRAMES
from dsp.mixing.recall_sheet import Compression, DeEss, Drive
from dsp.mixing.stem_meters import (
    CELL_S,
    DETECTOR_HZ,
    SIBILANCE_FLOOR_DB,
    SIBILANCE_HZ,
    SIBILANCE_Q,
    STEP_S,
    hops_per_step,
)
from dsp.mixing.tone import CENTRES
from dsp.mixing.track import Steps, Track
from dsp.processors.compressor import reduction_curve_db, static_reduction_db
from dsp.units import SILENCE_DB, dbs_of, power_db_of, ratios_of

_REDUCTION_DB = {"lead": 3.0, "speech": 3.5, "backing": 3.0, "bass": 3.0, "kick": 1.5,
                 "snare": 1.5, "drums": 1.5, "guitar": 1.5, "keys": 1.5, "brass": 1.5}  # fmt: skip
"""Mean gain reduction while the stem sounds; roles not named here are left as they are."""

_ATTACK_MAX_MS, _RELEASE_MAX_MS = 80.0, 1000.0
"""For a crest factor of 0 dB (Giannoulis 2013, eq. 7 and 8)."""
_ATTACK_MS, _RELEASE_MS = (2.0, 60.0), (50.0, 400.0)
_SOUNDS_DB = -50.0
"""Below the loudest hop: where a stem rests no reduction is counted."""

GLUE_DB = 1.2
"""Mean reduction on the sum. What is foretold of peaks is a tenth too low at times."""
_GLUE_RATIO = 1.3
"""A threshold that is a decibel off takes a quarter of one more or less, with 1.5 a third."""
_GLUE_RELEASE_MS = 1_500.0
"""Slower than a beat: with 0.8 s what is held came back by half between two beats of a kick."""
_COINCIDENCE = 3.0
"""Exponent of the mean in which the peaks of stems make one of the sum. With 2 all of them would
fall together, with infinity none; with 3 it was nearest over 14 songs."""

_LATE = np.array([0.0, 0.5, 0.5])
_FULLNESS = 0.75
"""Mean of the square that a soft clip meets, against the peak of a hop: that of a sine, for
the part of it that stays its own frequency."""

SIBILANCE = np.abs(np.log2(CENTRES / 6_700.0)) < 0.42  # noqa: PLR2004 - 5 to 9 kHz
"""The third octaves that it fills, ``(31,)`` bool."""
_SIBILANT_DB = -14.0
"""5-9 kHz this close to the whole, in its loud moments, is sibilance."""
_BURST_DB = 9.0
"""Peaks of an s above its power over half a second: it is noise, and lasts a tenth of one."""
_ESSES_ONLY_DB = 0.4
"""Mean reduction: with more, it holds the whole voice down and not its esses."""


def compression_of(track: Track, gain_db: float) -> Compression | None:
    """Return the settings of a stem's compressor, ``None`` where the role wants none.

    Parameters
    ----------
    gain_db : float
        What lies ahead of the compressor does to the level of the peaks.
    """
    wanted_db = _REDUCTION_DB.get(track.role, 0.0)
    level_db = dbs_of(track.analysis.excerpt) + gain_db
    if wanted_db == 0.0 or len(level_db) == 0 or level_db.max() < _SOUNDS_DB:
        return None
    crest_db = float(np.clip(track.analysis.crest_factor_db, 6.0, 30.0))
    crest_squared = 10.0 ** (crest_db / 10.0)
    panel = Compression.within(
        threshold_db=0.0,
        ratio=round(float(np.clip(1.5 + 0.1 * (crest_db - 8.0), 1.5, 4.0)), 1),
        attack_ms=round(float(np.clip(2 * _ATTACK_MAX_MS / crest_squared, *_ATTACK_MS)), 1),
        release_ms=round(float(np.clip(2 * _RELEASE_MAX_MS / crest_squared, *_RELEASE_MS)), 0),
        why=f"crest {crest_db:.0f} dB, {wanted_db:g} dB wanted on average",
    )
    hop_s = HOP_FRAMES / track.analysis.probe.rate_hz
    threshold = _threshold_for(wanted_db, level_db, panel, hop_s)
    panel = panel.changed(threshold_db=threshold)
    taken_db = -compression_change_db(track, gain_db, panel)
    return panel.changed(make_up_db=round(taken_db, 1))


def _threshold_for(
    wanted_db: float, level_db: NDArray[np.float64], panel: Compression, hop_s: float
) -> float:
    """Return the threshold whose mean reduction is wanted, by bisection to 0.1 dB."""
    sounds = level_db > level_db.max() + _SOUNDS_DB
    low, high = float(level_db.max()) - 50.0, float(level_db.max())
    while high - low > 0.1:  # noqa: PLR2004 - finer than anyone sets a threshold
        middle = 0.5 * (low + high)
        reduction = _reduction_db(level_db, panel, middle, hop_s)
        if reduction[sounds].mean() > wanted_db:
            low = middle
        else:
            high = middle
    return round(high, 1)


def compression_change_db(track: Track, gain_db: float, panel: Compression | None) -> float:
    """Return what a compressor, its make-up included, does to a stem's loudness, in LU."""
    level_db = dbs_of(track.analysis.excerpt) + gain_db
    if panel is None or not len(level_db):
        return 0.0
    hop_s = HOP_FRAMES / track.analysis.probe.rate_hz
    reduction = _reduction_db(level_db, panel, panel.threshold_db, hop_s)
    return panel.make_up_db + _heard_db(track, 10.0 ** (-reduction / 10.0))


def saturation_change_db(track: Track, gain_db: float, drive: Drive | None) -> float:
    """Return what saturation does to a stem's loudness, in LU: the mean of a soft clip."""
    if drive is None:
        return 0.0
    level = track.analysis.excerpt.astype(np.float64) * 10.0 ** (gain_db / 20.0)
    return _heard_db(track, np.square(_driven(level, drive, _FULLNESS)))


def peak_changes_db(
    track: Track, gain_db: float, panel: Compression | None, drive: Drive | None
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return what tells, of peaks above ``DETECTOR_HZ`` per 100 ms, what the two do to them, in dB.

    Loud ones are held down, soft ones raised by the make-up: what happens to the peaks of the
    excerpt, from the softest to the loudest, happens to others as loud. A peak mostly is where a
    note begins, and there a compressor is late.
    """
    analysis = track.analysis
    own, level = analysis.excerpt_highs, analysis.excerpt * 10.0 ** (gain_db / 20.0)
    gains = np.ones(len(own))
    if panel is not None and len(own):
        hop_s = HOP_FRAMES / analysis.probe.rate_hz
        taken_db = _reduction_db(dbs_of(level), panel, panel.threshold_db, hop_s)
        # A gain is the mean of those at both ends of a hop, which two hops before it asked for.
        late_db = np.convolve(taken_db, _LATE)[: len(own)]
        gains *= ratios_of(panel.make_up_db - late_db)
    if drive is not None:
        gains *= _driven(level * gains, drive, fullness=1.0)
    hops = hops_per_step(analysis.probe.rate_hz)
    cells = len(own) // hops
    before, after = (
        np.sort(dbs_of(peaks[: cells * hops].reshape(cells, hops).max(axis=1)))
        for peaks in (own, own * gains)
    )
    if not cells or before[-1] <= SILENCE_DB:
        return np.zeros_like
    heard = before > before[-1] + _SOUNDS_DB
    return lambda peaks: np.interp(dbs_of(peaks), before[heard], (after - before)[heard])


def _driven(level: NDArray[np.float64], drive: Drive, fullness: float) -> NDArray[np.float64]:
    """Return the gain of a soft clip at peaks of a hop: its mean over so full a wave."""
    power = np.expm1(drive.drive_db * np.log(10.0) / 10.0)
    wet = 1.0 / np.sqrt(1.0 + fullness * power * np.square(level))
    return np.asarray(1.0 - drive.mix + drive.mix * wet)


def _heard_db(track: Track, ratio: NDArray[np.float64]) -> float:
    """Return the loudness change, in LU, of a power ratio per hop of the excerpt.

    Each hop weighs what its peak says of the K-weighted energy of its 10 ms.
    """
    peaks, energy = track.analysis.excerpt, track.analysis.excerpt_energy
    hops_per_cell = CELL_S * track.analysis.probe.rate_hz / HOP_FRAMES
    cell = (np.arange(len(peaks)) / hops_per_cell).astype(np.int64)
    heard = cell < len(energy)
    power = np.square(peaks[heard], dtype=np.float64)
    whole = np.bincount(cell[heard], power, len(energy))
    after = np.bincount(cell[heard], power * ratio[heard], len(energy))
    # Of no hops at all, numpy counts in whole numbers.
    kept = np.divide(after, whole, out=np.ones(len(whole)), where=whole > 0.0)
    total = float(energy.sum(dtype=np.float64))
    return power_db_of(float((energy * kept).sum()) / total) if total > 0.0 else 0.0


def _reduction_db(
    level_db: NDArray[np.float64], panel: Compression, threshold_db: float, hop_s: float
) -> NDArray[np.float64]:
    return reduction_curve_db(
        level_db,
        threshold_db=threshold_db,
        ratio=panel.ratio,
        knee_db=panel.knee_db,
        attack_ms=panel.attack_ms,
        release_ms=panel.release_ms,
        hop_s=hop_s,
    )


def deess_of(track: Track, trim_db: float) -> DeEss | None:
    """Return a de-esser where a voice is sibilant in its loudest moments."""
    if not track.profile.voice or not len(track.analysis.bands):
        return None
    whole = track.analysis.bands.sum(axis=1, dtype=np.float64)
    sibilance = track.analysis.bands[:, SIBILANCE].sum(axis=1, dtype=np.float64)
    loud = np.percentile(sibilance, 95)
    ratio_db = power_db_of(float(loud / max(whole.mean(), 1e-30)))
    if ratio_db < _SIBILANT_DB:
        return None
    usual_db = power_db_of(float(np.percentile(sibilance[sibilance > 0], 75))) + trim_db
    why = f"5 to 9 kHz reach {ratio_db:.0f} dB of the whole"
    panel = DeEss.within(hz=SIBILANCE_HZ, q=SIBILANCE_Q, threshold_db=0.0, why=why)
    counts = track.analysis.sibilance
    level_db = np.arange(len(counts), dtype=np.float64) + SIBILANCE_FLOOR_DB + 0.5 + trim_db
    tried = [
        panel.changed(threshold_db=round(usual_db + _BURST_DB + more, 1)) for more in range(40)
    ]
    return next((p for p in tried if _mean_db(p, level_db, counts) <= _ESSES_ONLY_DB), tried[-1])


def _mean_db(panel: DeEss, level_db: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the mean of what the static curve takes from levels that occur so often."""
    taken_db = static_reduction_db(
        level_db,
        threshold_db=panel.threshold_db,
        ratio=panel.ratio,
        knee_db=0.0,
        range_db=panel.range_db,
    )
    return float((taken_db * counts).sum() / max(int(counts.sum()), 1))


def drive_of(track: Track) -> Drive | None:
    """Return the saturation that the role likes."""
    if track.profile.drive_db <= 0:
        return None
    return Drive.within(
        drive_db=track.profile.drive_db, mix=0.5, why=f"saturation for {track.role}"
    )


def glue_of(peaks: Sequence[Steps], depth_db: float = GLUE_DB) -> Compression | None:
    """Return the compressor on the sum: slow, low ratio, about a dB.

    Parameters
    ----------
    peaks : sequence of (steps,) float64
        The highest that each stem will send to the sum per ``STEP_S``, above ``DETECTOR_HZ``.
    depth_db : float
        Mean reduction. With more than usual it also catches peaks.
    """
    if len(peaks) < 2 or depth_db <= 0.0:  # noqa: PLR2004 - one stem has nothing to be glued to
        return None
    dense = depth_db > GLUE_DB
    panel = Compression(
        threshold_db=0.0,
        ratio=2.5 if dense else _GLUE_RATIO,
        knee_db=8.0 if dense else 12.0,
        attack_ms=10.0 if dense else 30.0,
        release_ms=_GLUE_RELEASE_MS,
        make_up_db=0.0,
        detector_hz=DETECTOR_HZ,
        why=f"holds the sum together: {depth_db:g} dB on average",
    )
    level_db = dbs_of(np.sum(np.power(peaks, _COINCIDENCE), axis=0) ** (1.0 / _COINCIDENCE))
    return panel.changed(threshold_db=_threshold_for(depth_db, level_db, panel, STEP_S))
