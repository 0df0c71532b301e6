"""Whether what came is a mix already: one finished song, or stems in their producer's balance.

Such a mix is summed as it is, and only mastered. Stems are taken for one when they were exported
together (one rate, one length), when their sum is as loud as a mix is, and when the engine itself
would hardly set their levels otherwise: who recorded tracks and never balanced them has levels
that stray further.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dsp.measure.loudness import integrated_lufs
from dsp.mixing.conversation import talks
from dsp.mixing.recall_sheet import Band, Settings, Stem
from dsp.mixing.stem_meters import STEP_S
from dsp.mixing.tone import offset_filter
from dsp.mixing.track import Track

LOUDNESS_LUFS = (-18.0, -8.0)
"""Where the sum of a mix is."""
SOFTEST_LUFS = -40.0
"""A softer file is a recording and no finished song."""
FEWEST_STEMS = 4
"""The levels of fewer agree by chance."""
STRAY_RMS_DB, STRAY_MAX_DB = 2.0, 4.0
"""Of the levels that the engine would set, from those that came. On stems that a producer had
balanced it moves them by 1.3 and 2.4 dB, on recorded tracks by 3.4 and 6.0."""
NEAR_LU = 0.5
"""A song this close to its target, or louder, wants no treatment."""


def kept_because(
    tracks: Sequence[Track], loudness_lufs: Mapping[str, float], settings: Settings
) -> str:
    """Return why the stems are summed as they came; nothing where they are to be mixed.

    Parameters
    ----------
    tracks : sequence of Track
        Those that are heard.
    loudness_lufs : mapping of float
        What each would have at the sum, if the engine mixed them.
    settings : Settings
        They go before what the stems tell.
    """
    if settings.balance == "keep":
        return settings.balance_why or "the settings ask for it"
    if settings.balance == "plan" or not tracks or talks(tracks, settings):
        return ""
    if len(tracks) == 1:
        song = tracks[0].role in ("other", "music") and tracks[0].loudness_lufs > SOFTEST_LUFS
        return "one file whose name names no instrument is a finished song" if song else ""
    return _balanced_because(tracks, loudness_lufs)


def _balanced_because(tracks: Sequence[Track], loudness_lufs: Mapping[str, float]) -> str:
    """Return what tells that a producer set the levels of these stems, if anything does."""
    exported = {(t.analysis.probe.rate_hz, t.analysis.frames) for t in tracks}
    energy = np.asarray([track.energy for track in tracks], np.float64).sum(axis=0)
    sum_lufs = integrated_lufs(energy, step_s=STEP_S)
    moves = np.asarray([loudness_lufs[t.name] - t.loudness_lufs for t in tracks])
    moves -= moves.mean()
    rms_db, most_db = float(moves.std()), float(np.abs(moves).max())
    if (
        len(tracks) < FEWEST_STEMS
        or len(exported) > 1
        or not LOUDNESS_LUFS[0] <= sum_lufs <= LOUDNESS_LUFS[1]
        or rms_db > STRAY_RMS_DB
        or most_db > STRAY_MAX_DB
    ):
        return ""
    return (
        f"equal lengths, a sum of {sum_lufs:.1f} LUFS, and levels within {rms_db:.1f} dB (rms) "
        "of those that would have been set"
    )


def as_it_came(track: Track, stem: Stem) -> Stem:
    """Return the strip of a stem that is left as its producer had it.

    What stays is where it stands in time, its polarity, and a filter against a constant offset.
    """
    eq: tuple[Band, ...] = tuple(offset_filter(track))
    return Stem(
        role=stem.role,
        role_why=stem.role_why,
        lag_ms=stem.lag_ms,
        polarity=stem.polarity,
        lag_why=stem.lag_why,
        mute=stem.mute,
        trim_why=stem.trim_why if stem.mute else "as it came",
        eq=eq,
    )


def is_loud_enough(tracks: Sequence[Track], target_lufs: float) -> bool:
    """Return whether one finished song is as loud as asked for, or louder."""
    return len(tracks) == 1 and tracks[0].loudness_lufs >= target_lufs - NEAR_LU
