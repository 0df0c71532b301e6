"""A finished song that the master is to resemble: ``reference.wav`` beside the stems.

Its long-term spectrum, its loudness, its width and its crest factor are what the master moves
toward, each within a bound: a song is no other song.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from dsp.measure.loudness import integrated_lufs
from dsp.mixing.compression import GLUE_DB
from dsp.mixing.prediction import spectrum_at_sum
from dsp.mixing.recall_sheet import Stem
from dsp.mixing.stem_analysis import Analysis
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.track import K_POWER, Bands, Track
from dsp.units import power_db_of, power_dbs_of

NAME = "reference"
MOST_DB = 4.0
"""Of any bell on the sum."""
LOUDNESS_LUFS = (-23.0, -8.0)
WIDTH = (0.8, 1.25)
"""Ratio of the sides of the two that is taken over."""

GLUE_TOWARD_DB = (0.0, 3.0)
"""Mean reduction on the sum for the sake of the crest factor."""
_CREST_SHARE = 0.5
"""Of a difference in crest: a decibel of slow reduction takes less than one of the peaks."""


@dataclass(frozen=True)
class Reference:
    """What is taken from it."""

    name: str
    loudness_lufs: float
    crest_factor_db: float
    side_share: float
    """Of the power in left minus right, 0..1."""
    spectrum_db: Bands
    """``(31,)`` mean level per third octave."""

    @property
    def target_lufs(self) -> float:
        """The loudness that a master takes from it."""
        return round(float(np.clip(self.loudness_lufs, *LOUDNESS_LUFS)), 1)


def is_reference(name: str) -> bool:
    """Return whether a file of a drop is called so: the file, not the folder it lies in."""
    return PurePosixPath(name).stem.casefold() == NAME


def reference_of(analysis: Analysis) -> Reference:
    """Return what a finished song has that a master can take over."""
    powers = analysis.bands.mean(axis=0, dtype=np.float64)
    whole = float(powers.sum())
    return Reference(
        name=analysis.probe.name,
        loudness_lufs=integrated_lufs(analysis.energy.astype(np.float64), step_s=STEP_S),
        crest_factor_db=analysis.crest_factor_db,
        side_share=float((powers * analysis.side).sum()) / whole if whole > 0.0 else 0.0,
        spectrum_db=power_dbs_of(powers),
    )


def width_toward(
    reference: Reference, tracks: Sequence[Track], stems: Mapping[str, Stem], rate_hz: int
) -> float:
    """Return the width on the sum that gives it sides like the reference's, within bounds."""
    share = side_share_at_sum(tracks, stems, rate_hz)
    if not (0.0 < share < 1.0 and reference.side_share < 1.0):
        return 1.0
    ratio = reference.side_share / (1.0 - reference.side_share) * (1.0 - share) / share
    return round(float(np.clip(np.sqrt(ratio), *WIDTH)), 2)


def glue_toward(
    reference: Reference,
    tracks: Sequence[Track],
    stems: Mapping[str, Stem],
    rate_hz: int,
    room_db: float,
) -> float:
    """Return the mean reduction on the sum that takes its crest toward the reference's.

    Parameters
    ----------
    room_db : float
        Ceiling above the loudness asked for: the limiter leaves no higher crest than this allows.
    """
    sent = [spectrum_at_sum(track, stems[track.name], rate_hz) for track in tracks]
    powers = np.asarray([float(bands.sum()) for bands in sent])
    if not powers.any():
        return GLUE_DB
    # Of unlike stems peaks add like powers, or nearly.
    peaks = powers * 10.0 ** (np.asarray([t.analysis.crest_factor_db for t in tracks]) / 10.0)
    heard = sum(float((bands * K_POWER).sum()) for bands in sent)
    limited_db = room_db + power_db_of(2.0 * heard / float(powers.sum()))
    crest_db = min(power_db_of(float(peaks.sum() / powers.sum())), limited_db)
    depth_db = GLUE_DB + _CREST_SHARE * (crest_db - reference.crest_factor_db)
    return round(float(np.clip(depth_db, *GLUE_TOWARD_DB)), 2)


def side_share_at_sum(tracks: Sequence[Track], stems: Mapping[str, Stem], rate_hz: int) -> float:
    """Return the share of left minus right in the power of a sum of unlike stems."""
    sides, whole = 0.0, 0.0
    for track in tracks:
        stem = stems[track.name]
        sent = spectrum_at_sum(track, stem, rate_hz)
        if track.analysis.probe.channels == 1:
            own = np.full(len(sent), 0.5 * (1.0 - np.cos(0.5 * np.pi * stem.pan)))
        else:
            wide = track.analysis.side * stem.width**2
            own = wide / np.maximum(1.0 - track.analysis.side + wide, 1e-12)
        sides, whole = sides + float((sent * own).sum()), whole + float(sent.sum())
    return sides / whole if whole > 0.0 else 0.0
