"""Room for the lead: where accompaniment covers it, and the cuts that uncover it.

Theory of operation
-------------------
Per third octave, over the frames where the lead sounds, the power of the lead is held
against that of everything else. A band is *masked* when it matters to the lead (it lies
within ``MATTERS_DB`` of the lead's strongest) and the rest is louder in it. The stems that
cover it most are cut there first: at most two bands per stem, at most 6 dB, only while the
lead sounds. Nothing is lost when the lead rests.

References
----------
Hafezi, Reiss, "Autonomous multitrack equalization based on masking reduction",
JAES 63(5), 2015. Ronan et al., "Automatic minimisation of masking in multitrack audio
using subgroups", 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.mixing.balance import lead_activity
from dsp.mixing.roles import LEADS
from dsp.mixing.sheet import Room
from dsp.mixing.tone import CENTRES
from dsp.mixing.track import Bands, Track
from dsp.units import power_dbs_of

LOWEST_HZ, HIGHEST_HZ = 200.0, 8_000.0
MATTERS_DB = 18.0
WANTED_DB = 2.5
"""How much better a masked band must get: 2 dB and a margin for what predictions miss."""
COVERS_DB = -12.0
"""A stem that is further below the lead than this in a band covers nothing there."""
MAX_DEPTH_DB = 6.0
BANDS_PER_STEM = 2
WORTH_SHARE = 0.1
"""A stem with less than this share of what covers a band is not cut for it."""
ROOM_Q = 1.2


@dataclass(frozen=True)
class Masked:
    """One third octave in which the lead is covered."""

    hz: float
    excess_db: float
    """The rest above the lead, before."""
    better_db: float
    """How much the cuts lower the rest, predicted."""


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


def make_room(
    tracks: Sequence[Track], powers: Mapping[str, Bands]
) -> tuple[dict[str, list[Room]], list[Masked]]:
    """Return the cuts per stem, and the masked bands with what the cuts do for them.

    Parameters
    ----------
    tracks : sequence of Track
    powers : mapping of (31,) float64
        What each strip does to its stem per third octave, fader included.
    """
    where = lead_activity(tracks)
    levels = {t.name: t.spectrum_where(where) * powers[t.name] for t in tracks}
    lead = sum((levels[t.name] for t in tracks if t.role in LEADS), np.zeros(len(CENTRES)))
    rest = {t.name: levels[t.name] for t in tracks if t.role not in LEADS}
    cuts: dict[str, list[Room]] = {name: [] for name in rest}
    masked = _masked_bands(lead, sum(rest.values(), np.zeros(len(CENTRES))))
    for band in masked:
        _uncover(band, lead, rest, cuts)
    after = sum((rest[n] * cut_power(cuts[n], CENTRES) for n in rest), np.zeros(len(CENTRES)))
    before_db, after_db = power_dbs_of(sum(rest.values())), power_dbs_of(after)
    lead_db = power_dbs_of(lead)
    found = [
        Masked(
            hz=float(CENTRES[band]),
            excess_db=round(float(before_db[band] - lead_db[band]), 1),
            better_db=round(float(before_db[band] - after_db[band]), 1),
        )
        for band in sorted(masked)
    ]
    return {name: room for name, room in cuts.items() if room}, found


def _masked_bands(lead: Bands, rest: Bands) -> list[int]:
    """Return the masked bands, the worst first."""
    lead_db, rest_db = power_dbs_of(lead), power_dbs_of(rest)
    in_range = (CENTRES >= LOWEST_HZ) & (CENTRES <= HIGHEST_HZ)
    if not lead[in_range].any():
        return []
    matters = in_range & (lead_db > lead_db[in_range].max() - MATTERS_DB)
    excess = np.where(matters, rest_db - lead_db, -np.inf)
    return [int(band) for band in np.argsort(-excess, kind="stable") if excess[band] > 0]


def _uncover(
    band: int, lead: Bands, rest: Mapping[str, Bands], cuts: dict[str, list[Room]]
) -> None:
    """Cut what covers one band, the largest share first, until it is better by enough."""
    before = sum(float(levels[band]) for levels in rest.values())
    hz = np.asarray([CENTRES[band]])
    now = {n: float(levels[band] * cut_power(cuts[n], hz)[0]) for n, levels in rest.items()}
    for name in sorted(now, key=lambda n: (-now[n], n)):
        if sum(now.values()) <= before * 10.0 ** (-WANTED_DB / 10.0):
            return
        if now[name] < WORTH_SHARE * sum(now.values()) or len(cuts[name]) >= BANDS_PER_STEM:
            continue
        over_db = float(power_dbs_of([now[name] / lead[band]])[0]) - COVERS_DB
        depth = round(float(np.clip(0.5 * over_db, 0.0, MAX_DEPTH_DB)), 1)
        if depth < 1.0:
            continue
        why = f"covers the lead at {CENTRES[band]:.0f} Hz"
        cuts[name].append(
            Room(hz=round(float(CENTRES[band]), 1), q=ROOM_Q, depth_db=depth, why=why)
        )
        now[name] *= 10.0 ** (-depth / 10.0)
