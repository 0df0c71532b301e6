"""Room for the lead: where accompaniment covers it, and the cuts that uncover it.

Theory of operation
-------------------
Per third octave, over the frames where the lead sounds, the power of the lead is held
against that of everything else. A band is *masked* when it matters to the lead (it lies
within ``MATTERS_DB`` of the lead's strongest) and the rest is louder in it. The stems that
cover it most are cut there first: at most two bands per stem, at most 6 dB, only while the
lead sounds. Nothing is lost when the lead rests. Neighbours that are masked together are
uncovered together, by one cut as broad as they are.

References
----------
Hafezi, Reiss, "Autonomous multitrack equalization based on masking reduction",
JAES 63(5), 2015. Ronan et al., "Automatic minimisation of masking in multitrack audio
using subgroups", 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsp.mixing.balance import lead_activity
from dsp.mixing.prediction import cut_power
from dsp.mixing.recall_sheet import Room
from dsp.mixing.tone import CENTRES
from dsp.mixing.track import Bands, Track
from dsp.stem_roles import LEADS
from dsp.units import power_db_of, power_dbs_of

LOWEST_HZ, HIGHEST_HZ = 200.0, 8_000.0
MATTERS_DB = 18.0
BETTER_DB = 2.5
"""How much better a masked band must get: 2 dB and a margin for what predictions miss."""
COVERS_DB = -12.0
"""A stem that is further below the lead than this in a band covers nothing there."""
MAX_DEPTH_DB = 3.0
BANDS_PER_STEM = 2
WORTH_SHARE = 0.1
"""A stem with less than this share of what covers a band is not cut for it."""
WIDEST = 4
"""Third octaves that one cut may serve."""
_CUT_QS = (2.0, 1.6, 1.2, 1.0)
"""For one third octave, for two, for three, for four."""


@dataclass(frozen=True)
class Masked:
    """One third octave in which the lead is covered."""

    hz: float
    excess_db: float
    """The rest above the lead, before."""
    better_db: float
    """How much the lead gains on the rest, as predicted."""


def make_room(
    tracks: Sequence[Track], powers: Mapping[str, Bands], wanted_db: float = BETTER_DB
) -> tuple[dict[str, tuple[Room, ...]], list[float]]:
    """Return the cuts per stem that need any, and the centres of the masked bands.

    Parameters
    ----------
    tracks : sequence of Track
    powers : mapping of (31,) float64
        What each strip does to its stem per third octave, fader included.
    wanted_db : float
        How far the cuts shall lower what covers a band.
    """
    lead, rest = _levels(tracks, powers)
    cuts: dict[str, list[Room]] = {name: [] for name in rest}
    patches = _masked_patches(lead, _summed(rest))
    for patch in patches:
        _uncover(patch, lead, rest, cuts, wanted_db)
    rooms = {name: tuple(room) for name, room in cuts.items() if room}
    return rooms, sorted(float(CENTRES[band]) for patch in patches for band in patch)


def uncovered(
    tracks: Sequence[Track],
    masked_hz: Sequence[float],
    before: Mapping[str, Bands],
    after: Mapping[str, Bands],
) -> list[Masked]:
    """Return what room and faders together do for the masked bands.

    Parameters
    ----------
    before, after : mapping of (31,) float64
        What each strip did and does per third octave while the lead sounds.
    """
    was, now = (
        power_dbs_of(_summed(rest)) - power_dbs_of(lead)
        for lead, rest in (_levels(tracks, before), _levels(tracks, after))
    )
    bands = [int(np.argmin(np.abs(CENTRES - hz))) for hz in masked_hz]
    return [
        Masked(
            hz=float(CENTRES[band]),
            excess_db=round(float(was[band]), 1),
            better_db=round(float(was[band] - now[band]), 1),
        )
        for band in bands
    ]


def _levels(tracks: Sequence[Track], powers: Mapping[str, Bands]) -> tuple[Bands, dict[str, Bands]]:
    """Return the power of the lead per third octave while it sounds, and that of each other."""
    where = lead_activity(tracks)
    levels = {t.name: t.spectrum_where(where) * powers[t.name] for t in tracks}
    lead = _summed({t.name: levels[t.name] for t in tracks if t.role in LEADS})
    return lead, {t.name: levels[t.name] for t in tracks if t.role not in LEADS}


def _summed(levels: Mapping[str, Bands]) -> Bands:
    return sum(levels.values(), np.zeros(len(CENTRES)))


def _masked_patches(lead: Bands, rest: Bands) -> list[list[int]]:
    """Return the masked bands, neighbours together, the worst patch first."""
    lead_db, rest_db = power_dbs_of(lead), power_dbs_of(rest)
    in_range = (CENTRES >= LOWEST_HZ) & (CENTRES <= HIGHEST_HZ)
    if not lead[in_range].any():
        return []
    matters = in_range & (lead_db > lead_db[in_range].max() - MATTERS_DB)
    excess = np.where(matters, rest_db - lead_db, -np.inf)
    patches: list[list[int]] = []
    for band in (int(index) for index in np.flatnonzero(excess > 0.0)):
        if patches and patches[-1][-1] == band - 1 and len(patches[-1]) < WIDEST:
            patches[-1].append(band)
        else:
            patches.append([band])
    return sorted(patches, key=lambda patch: -float(excess[patch].max()))


def _uncover(
    patch: list[int],
    lead: Bands,
    rest: Mapping[str, Bands],
    cuts: dict[str, list[Room]],
    wanted_db: float,
) -> None:
    """Cut what covers a patch, the largest share first, until all of it is better by enough."""
    hz = CENTRES[patch]
    centre_hz = float(np.sqrt(hz[0] * hz[-1]))
    before = np.sum([levels[patch] for levels in rest.values()], axis=0)
    now = {n: levels[patch] * cut_power(cuts[n], hz) for n, levels in rest.items()}
    for name in sorted(now, key=lambda n: (-float(now[n].sum()), n)):
        whole = np.sum(list(now.values()), axis=0)
        if (whole <= before * 10.0 ** (-wanted_db / 10.0)).all():
            return
        if now[name].sum() < WORTH_SHARE * whole.sum() or len(cuts[name]) >= BANDS_PER_STEM:
            continue
        over_db = power_db_of(float(now[name].sum() / lead[patch].sum())) - COVERS_DB
        depth = round(float(np.clip(0.5 * over_db, 0.0, MAX_DEPTH_DB)), 1)
        if depth < 1.0:
            continue
        cut = Room.within(
            hz=round(centre_hz, 1),
            q=_CUT_QS[len(patch) - 1],
            depth_db=depth,
            why=f"covers the lead at {centre_hz:.0f} Hz",
        )
        cuts[name].append(cut)
        now[name] = now[name] * cut_power([cut], hz)
