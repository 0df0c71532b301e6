"""A stem as the planner sees it: its analysis on the song's timeline, its role, its spectrum."""

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsp.measure.loudness import integrated_lufs, k_weighting_sos
from dsp.measure.spectrum import THIRD_OCTAVES_HZ
from dsp.mixing.content import Content, content_of
from dsp.mixing.roles import Profile
from dsp.mixing.stem_analysis import Analysis
from dsp.mixing.stem_meters import BANDS_STEP_S, STEP_S
from dsp.processors.filters import response_db
from dsp.sums import smoothed
from dsp.units import power_db_of

Steps = NDArray[np.float64]
"""One value per 100 ms of the song."""

Bands = NDArray[np.float64]
"""One power per third octave, ``(31,)``."""

FLOOR_LUFS = -70.0
ACTIVE_LU = -15.0
"""A stem sounds where its loudness is within this of its own integrated loudness."""

_K_RATE_HZ = 48_000
K_POWER: Bands = 10.0 ** (
    response_db(k_weighting_sos(_K_RATE_HZ), np.asarray(THIRD_OCTAVES_HZ), _K_RATE_HZ) / 10.0
)
"""K-weighting as a power ratio per third octave."""


@dataclass(frozen=True)
class Track:
    """One stem, ready to be decided upon."""

    name: str
    role: str
    role_why: str
    profile: Profile
    analysis: Analysis
    lag_s: float
    loudness_lufs: float
    """Gated: of the parts that sound."""
    energy: NDArray[np.float32]
    """K-weighted mean square per 100 ms, on the song's timeline; as measured: 4 bytes a step."""
    active: NDArray[np.bool_]
    """Per 100 ms: whether the stem sounds."""
    spectrum: Bands
    """Mean power per third octave while it sounds."""
    content: Content
    """What holds no music is left as it is, and weighs nothing in any decision."""
    doubt: str = ""
    """What in its sound speaks against its role."""
    dynamics_db: dict[Hashable, tuple[float, float]] = field(default_factory=dict)
    """What was tried before; see ``prediction``."""

    def spectrum_where(self, steps: NDArray[np.bool_]) -> Bands:
        """Return the mean power per third octave over the song's marked 100 ms steps."""
        return _mean_bands(self.analysis, self.lag_s, steps)


def track_of(
    analysis: Analysis,
    *,
    name: str,
    role: str,
    role_why: str = "",
    profile: Profile,
    lag_s: float,
    song_steps: int,
) -> Track:
    """Return the stem with everything put on the song's timeline of ``song_steps`` steps."""
    energy = _on_timeline(analysis.energy, lag_s, song_steps)
    loudness = integrated_lufs(analysis.energy.astype(np.float64), step_s=STEP_S)
    active = _active(energy, loudness)
    return Track(
        name=name,
        role=role,
        role_why=role_why,
        profile=profile,
        analysis=analysis,
        lag_s=lag_s,
        loudness_lufs=loudness,
        energy=energy,
        active=active,
        spectrum=_mean_bands(analysis, lag_s, active),
        content=content_of(analysis),
    )


def _on_timeline(values: NDArray[np.float32], lag_s: float, steps: int) -> NDArray[np.float32]:
    """Return ``values`` moved earlier by the lag, to the nearest step, cut or padded."""
    lag = round(lag_s / STEP_S)
    moved = values[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, np.float32), values])
    return np.pad(moved, (0, max(0, steps - len(moved))))[:steps]


def _active(energy: NDArray[np.float32], loudness_lufs: float) -> NDArray[np.bool_]:
    """Return where 400 ms around each step are within ``ACTIVE_LU`` of the loudness."""
    if loudness_lufs <= FLOOR_LUFS or not len(energy):
        return np.zeros(len(energy), np.bool_)
    smooth = smoothed(energy, np.full(4, 0.25))
    floor = 10.0 ** ((loudness_lufs + 0.691 + ACTIVE_LU) / 10.0)
    return np.asarray(smooth > floor)


def _mean_bands(analysis: Analysis, lag_s: float, steps: NDArray[np.bool_]) -> Bands:
    """Return the mean band powers over the half seconds that the marked steps touch."""
    if not len(analysis.bands):
        return np.zeros(len(THIRD_OCTAVES_HZ))
    seconds = np.nonzero(steps)[0] * STEP_S + lag_s
    rows = np.unique((seconds / BANDS_STEP_S).astype(np.int64))
    rows = rows[(rows >= 0) & (rows < len(analysis.bands))]
    chosen = analysis.bands[rows] if len(rows) else analysis.bands[:0]
    if not len(chosen):
        return np.zeros(len(THIRD_OCTAVES_HZ))
    return np.asarray(chosen.mean(axis=0, dtype=np.float64))


def loudness_change_db(spectrum: Bands, gain_power: Bands) -> float:
    """Return how much louder a spectrum gets when its bands are scaled, in LU."""
    before = float((spectrum * K_POWER).sum())
    after = float((spectrum * K_POWER * gain_power).sum())
    return power_db_of(after / before) if before > 0 else 0.0
