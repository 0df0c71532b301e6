"""The chain on the sum: what is decided about it once the stems are."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dsp.mixing.compression import GLUE_DB, glue_of
from dsp.mixing.prediction import change_db, loudness_at_sum, peaks_at_sum, spectrum_at_sum
from dsp.mixing.presets import Preset, asked_of
from dsp.mixing.recall_sheet import Band, Compression, LowLimit, Master, Settings, Stem
from dsp.mixing.reference import MOST_DB, Reference, glue_toward, width_toward
from dsp.mixing.rough_mix import is_loud_enough
from dsp.mixing.tone import CENTRES, KEPT_MAX_DB, MASTER_MAX_DB, master_eq, power_response
from dsp.mixing.track import K_POWER, Bands, Steps, Track

LOWS_HZ, LOWS_RANGE_DB, LOWS_RELEASE_MS = 200.0, 12.0, 80.0
"""Of the low limiter: 12 dB are 7 at 55 Hz."""
LOWS_MARGIN_DB = 1.5
"""Under the ceiling, where lows begin to give way: what follows adds peaks to them."""


def master_of(
    tracks: Sequence[Track],
    stems: Mapping[str, Stem],
    energies: Mapping[str, Steps],
    settings: Settings,
    rate_hz: int,
    *,
    lead_active: NDArray[np.bool_],
    kept: bool,
    reference: Reference | None = None,
) -> Master:
    """Return the chain on the sum of these stems, and what it must reach.

    Parameters
    ----------
    tracks : sequence of Track
        Those that are heard.
    energies : mapping of (steps,) float64
        What each sends to the sum.
    lead_active : (steps,) bool
    kept : bool
        The mix came finished: its colour and its width are its producer's.
    reference : Reference
        What it is to resemble. The settings' own loudness goes before the reference's.
    """
    target_lufs = settings.target_lufs
    if reference is not None and target_lufs is None:
        target_lufs = reference.target_lufs
    asked = asked_of(settings.preset, target_lufs, settings.ceiling_dbtp, settings.format)
    spectrum = sum(
        (spectrum_at_sum(track, stems[track.name], rate_hz) for track in tracks),
        np.zeros(len(CENTRES)),
    )
    stages = settings.stages
    if kept and reference is None and is_loud_enough(tracks, asked.target_lufs):
        stages = stages.changed(master_eq=False, glue=False, low_limiter=False)
    width = 1.1 if len(tracks) > 1 and not kept else 1.0
    if reference is not None:
        width = width_toward(reference, tracks, stems, rate_hz)
    eq = tuple(_bells(spectrum, rate_hz, reference, kept=kept)) if stages.master_eq else ()
    depth_db = GLUE_DB if stages.glue else 0.0
    if reference is not None and depth_db:
        room_db = asked.ceiling_dbtp - asked.target_lufs
        depth_db = glue_toward(reference, tracks, stems, rate_hz, room_db)
    low_limiter = None
    if stages.low_limiter and energies:  # a stem shorter than any window has none
        sum_lufs = loudness_at_sum(np.sum(list(energies.values()), axis=0))
        sum_lufs += change_db(spectrum * K_POWER, power_response(eq, rate_hz))
        low_limiter = _low_limiter(sum_lufs - depth_db, asked)
    return Master.within(
        eq=eq,
        glue=_glue(tracks, stems, lead_active, eq, depth_db, rate_hz=rate_hz),
        width=width if stages.widen else 1.0,
        lows_mono_hz=120.0 if stages.widen and not kept else 0.0,
        low_limiter=low_limiter,
        target_lufs=asked.target_lufs,
        ceiling_dbtp=asked.ceiling_dbtp,
        max_mean_reduction_db=asked.max_mean_reduction_db,
    )


def _glue(
    tracks: Sequence[Track],
    stems: Mapping[str, Stem],
    lead_active: NDArray[np.bool_],
    eq: Sequence[Band],
    depth_db: float,
    *,
    rate_hz: int,
) -> Compression | None:
    if depth_db <= 0.0:
        return None
    peaks = [peaks_at_sum(t, stems[t.name], lead_active, rate_hz, eq) for t in tracks]
    return glue_of(peaks, depth_db)


def _bells(spectrum: Bands, rate_hz: int, reference: Reference | None, *, kept: bool) -> list[Band]:
    if not spectrum.any():
        return []
    if reference is None:
        return master_eq(spectrum, rate_hz, most_db=KEPT_MAX_DB if kept else MASTER_MAX_DB)
    return master_eq(
        spectrum,
        rate_hz,
        most_db=MOST_DB,
        target_db=reference.spectrum_db,
        why="toward the reference",
    )


def _low_limiter(sum_lufs: float, asked: Preset) -> LowLimit:
    """Return what holds the lows under the ceiling, as far as the make-up is known beforehand."""
    return LowLimit.within(
        hz=LOWS_HZ,
        limit_db=round(asked.ceiling_dbtp - LOWS_MARGIN_DB - (asked.target_lufs - sum_lufs), 1),
        range_db=LOWS_RANGE_DB,
        release_ms=LOWS_RELEASE_MS,
        why="so that a kick does not make the limiter turn down the rest",
    )
