"""The chain on the sum: what is decided about it once the stems are."""

from collections.abc import Mapping, Sequence

import numpy as np

from dsp.mixing.compression import glue_of
from dsp.mixing.prediction import strip_power
from dsp.mixing.presets import asked_of
from dsp.mixing.recall_sheet import Band, Master, Settings, Stem
from dsp.mixing.rough_mix import is_loud_enough
from dsp.mixing.tone import CENTRES, KEPT_MAX_DB, MASTER_MAX_DB, master_eq
from dsp.mixing.track import Steps, Track


def master_of(
    tracks: Sequence[Track],
    stems: Mapping[str, Stem],
    energies: Mapping[str, Steps],
    settings: Settings,
    rate_hz: int,
    *,
    kept: bool,
) -> Master:
    """Return the chain on the sum of these stems, and what it must reach.

    Parameters
    ----------
    tracks : sequence of Track
        Those that are heard.
    energies : mapping of (steps,) float64
        What each sends to the sum.
    kept : bool
        The mix came finished: its colour and its width are its producer's.
    """
    asked = asked_of(settings.preset, settings.target_lufs, settings.ceiling_dbtp, settings.format)
    spectrum = sum(
        (t.spectrum * t.active.mean() * strip_power(t, stems[t.name], rate_hz) for t in tracks),
        np.zeros(len(CENTRES)),
    )
    stages = settings.stages
    if kept and is_loud_enough(tracks, asked.target_lufs):
        stages = stages.changed(master_eq=False, glue=False)
    bands: list[Band] = []
    if stages.master_eq and tracks:
        bands = master_eq(spectrum, rate_hz, KEPT_MAX_DB if kept else MASTER_MAX_DB)
    widened = stages.widen and not kept
    return Master.within(
        eq=tuple(bands),
        glue=glue_of(list(energies.values())) if stages.glue else None,
        width=1.1 if widened and len(tracks) > 1 else 1.0,
        lows_mono_hz=120.0 if widened else 0.0,
        target_lufs=asked.target_lufs,
        ceiling_dbtp=asked.ceiling_dbtp,
        max_mean_reduction_db=asked.max_mean_reduction_db,
    )
