"""Equalisers: per stem toward its role, on the sum toward the master target.

Everything is decided on third-octave powers; bands are broad and bounded. A correction
that does not bring its own measure closer to the target is not made.

References
----------
Pestana, Ma, Reiss, Barbosa, Black, "Spectral characteristics of popular commercial
recordings 1950-2010", AES 135th convention, 2013: the master target, drawn per third
octave (pink noise is flat there).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsp.measure.spectrum import THIRD_OCTAVES_HZ
from dsp.mixing.recall_sheet import Band
from dsp.mixing.roles import REGIONS
from dsp.mixing.track import Bands, Track
from dsp.processors.eq import response_db
from dsp.units import SILENCE_DB, power_dbs_of

CENTRES = np.asarray(THIRD_OCTAVES_HZ)

TONAL_SHARE = 0.4
"""Of a stem's distance to its role; more would make every piano the same piano."""
TONAL_MAX_DB = 3.0
EMPTY_DB = -30.0
"""A region this far below the loudest holds nothing to balance, only noise to raise."""

_OFFSET, _OFFSET_HZ = 0.001, 10.0
"""A constant offset above −60 dBFS is removed, from where music does not reach."""

_REGION_EQ = ((110.0, 0.8), (350.0, 0.8), (1100.0, 0.8), (3500.0, 0.8), (9500.0, 0.8))
"""Centre and q of the bell that moves each region."""

_TARGET = (
    (20.0, -14.0), (40.0, -3.5), (63.0, 0.0), (100.0, 0.0), (200.0, -2.0), (400.0, -4.0),
    (800.0, -6.0), (1600.0, -8.0), (3150.0, -10.5), (6300.0, -14.0), (10_000.0, -17.5),
    (16_000.0, -24.0), (20_000.0, -32.0),
)  # fmt: skip
MASTER_TARGET_DB: Bands = np.interp(
    np.log2(CENTRES), np.log2([hz for hz, _ in _TARGET]), [db for _, db in _TARGET]
)

OCTAVES_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Where the sum is held against the target."""
MASTER_FREE_DB = 1.0
"""Distance to the target that is left alone: taste, not error."""
MASTER_MAX_DB = 6.0
KEPT_MAX_DB = 1.5
"""Of a mix that came finished: its colour is its producer's."""
LACKING_DB = -12.0
"""An octave this far below the target is none that the song has: speech has no 63 Hz, and
raising what is there instead raises rumble."""
_MASTER_Q = 1.1


def power_response(bands: Sequence[Band], rate_hz: int) -> Bands:
    """Return the power ratio of an equaliser per third octave; not to be written to."""
    return _power_response(tuple(bands), rate_hz)


@lru_cache(64)  # a plan asks for each strip's again whenever it has moved a fader
def _power_response(bands: tuple[Band, ...], rate_hz: int) -> Bands:
    power = np.asarray(10.0 ** (response_db(bands, CENTRES, rate_hz) / 10.0))
    power.flags.writeable = False
    return power


def region_levels_db(spectrum: Bands) -> NDArray[np.float64]:
    """Return the mean level per third octave in each region."""
    resources = [spectrum[(low <= CENTRES) & (high > CENTRES)].mean() for low, high in REGIONS]
    return power_dbs_of(resources)


def role_distance_db(track: Track, gain_power: Bands) -> NDArray[np.float64]:
    """Return how far each region is above its role's spectrum, 0 on average.

    Regions that hold nothing, or lie below the role's corner, are 0 and do not count.
    """
    levels = region_levels_db(track.spectrum * gain_power)
    wanted = np.asarray(track.profile.spectrum_db)
    counts = (levels > levels.max() + EMPTY_DB) & (
        np.asarray([high for _, high in REGIONS]) > 1.5 * track.profile.corner_hz
    )
    distance = np.where(counts, levels - wanted, 0.0)
    if counts.any():
        distance[counts] -= np.average(distance[counts])
    return np.asarray(distance)


def corner_of(track: Track) -> list[Band]:
    """Return the high-pass at the role's corner, or what takes an offset out of what is below."""
    hz = track.profile.corner_hz
    below, whole = track.spectrum[hz > CENTRES].sum(), track.spectrum.sum()
    if whole <= 0 or below > 0.5 * whole:
        return offset_filter(track)
    return [Band(kind="high_pass", hz=hz, q=0.7071, why=f"below the {track.role}'s range")]


def offset_filter(track: Track) -> list[Band]:
    """Return what takes a constant offset out of a stem that has one."""
    offset = Band(kind="high_pass", hz=_OFFSET_HZ, q=0.5, why="takes out a constant offset")
    return [offset] if track.analysis.dc > _OFFSET else []


def tonal_balance(track: Track, corner: Sequence[Band], rate_hz: int) -> list[Band]:
    """Return bounded broad bells that bring the stem toward its role's spectrum."""
    before = role_distance_db(track, power_response(corner, rate_hz))
    gains = np.clip(-TONAL_SHARE * before, -TONAL_MAX_DB, TONAL_MAX_DB).round(1)
    bells = [
        Band(kind="peak", hz=hz, gain_db=float(gain), q=q, why=_toward(track.role, gain))
        for (hz, q), gain in zip(_REGION_EQ, gains, strict=True)
        if abs(gain) >= 0.5 and hz < 0.45 * rate_hz  # noqa: PLR2004 - below that: inaudible
    ]
    after = role_distance_db(track, power_response([*corner, *bells], rate_hz))
    return bells if np.abs(after).max() < np.abs(before).max() else []


def air_of(track: Track, bands: Sequence[Band], rate_hz: int) -> list[Band]:
    """Return a gentle high shelf where the role wants air and the stem lacks it."""
    gain_db = track.profile.air_db
    lacking = -role_distance_db(track, power_response(bands, rate_hz))[-1]
    if gain_db <= 0 or lacking <= 0 or rate_hz < 32_000:  # noqa: PLR2004 - no air at these rates
        return []
    gain_db = round(min(gain_db, 0.5 * lacking), 1)
    return [Band(kind="high_shelf", hz=11_000.0, gain_db=gain_db, why="air")] if gain_db else []


def _toward(role: str, gain: float) -> str:
    return f"{'thin' if gain > 0 else 'strong'} here for {role}"


def octave_levels_db(spectrum: Bands) -> NDArray[np.float64]:
    """Return the power of each octave of ``OCTAVES_HZ``, from its three third octaves."""
    sums = []
    for hz in OCTAVES_HZ:
        middle = int(np.argmin(np.abs(np.log(CENTRES / hz))))
        sums.append(spectrum[middle - 1 : middle + 2].sum())
    return power_dbs_of(sums)


def target_distance_db(spectrum: Bands, target_db: Bands = MASTER_TARGET_DB) -> NDArray[np.float64]:
    """Return how far each octave of a sum is above the target, 0 on average.

    Octaves that hold nothing are ``nan``.
    """
    levels = octave_levels_db(spectrum)
    wanted = octave_levels_db(10.0 ** (target_db / 10.0))
    floor = max(float(levels.max()) + EMPTY_DB - 10.0, SILENCE_DB)
    distance = np.where(levels > floor, levels - wanted, np.nan)
    if np.isnan(distance).all():
        return np.asarray(distance)
    return np.asarray(distance - np.nanmedian(distance))


def master_eq(
    spectrum: Bands,
    rate_hz: int,
    *,
    most_db: float = MASTER_MAX_DB,
    target_db: Bands = MASTER_TARGET_DB,
    why: str = "toward the master target",
) -> list[Band]:
    """Return the bells that bring the sum toward the target, and no further than needed."""
    distance = target_distance_db(spectrum, target_db)
    held = np.nan_to_num(distance, nan=LACKING_DB) > LACKING_DB
    wanted = np.where(
        held, -np.sign(distance) * np.maximum(np.abs(distance) - MASTER_FREE_DB, 0), 0
    )
    gains = _solve_bells(
        np.nan_to_num(wanted), held & (np.asarray(OCTAVES_HZ) < 0.4 * rate_hz), rate_hz, most_db
    )
    return [
        Band(kind="peak", hz=hz, gain_db=float(gain), q=_MASTER_Q, why=why)
        for hz, gain in zip(OCTAVES_HZ, gains, strict=True)
        if abs(gain) >= 0.3  # noqa: PLR2004 - inaudible below
    ]


def _solve_bells(
    wanted_db: NDArray[np.float64], held: NDArray[np.bool_], rate_hz: int, most_db: float
) -> NDArray[np.float64]:
    """Return the gains whose overlapping bells add up to the wanted curve, bounded.

    Bells of a few dB add nearly linearly: the response of 1 dB is the matrix.
    """
    octaves = np.asarray(OCTAVES_HZ)
    unit = np.zeros((len(octaves), len(octaves)))
    for column in np.nonzero(held)[0]:
        bell = Band(kind="peak", hz=OCTAVES_HZ[column], gain_db=1.0, q=_MASTER_Q)
        unit[:, column] = response_db([bell], octaves, rate_hz)
    gains, *_ = np.linalg.lstsq(unit, wanted_db, rcond=0.1)
    return np.asarray(np.clip(gains, -most_db, most_db).round(1))
