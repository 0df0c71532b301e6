"""How late each stem starts, and whether that is sure enough to move it.

Theory of operation
-------------------
Moving a stem that was right is worse than leaving one that is wrong. So ``auto`` believes what
files say (``dsp.mixing.align.stamps``), leaves files of equal length where they are, and moves
others only by sound that they share. Rhythm proves less, and is asked only on request.

*Shared sound.* A double recording, or a microphone that hears its neighbour, is placed by the
sound itself (``dsp.mixing.align.correlation``), and its polarity with it.

*Rhythm.* Music made together starts notes together. ``votes_of`` counts, for every lag, how
many notes of a stem start with notes of the stems already placed, to some 6 ms. Stems are
placed one by one, the surest first, beginning with the beat; each placed stem joins the
reference, so that a bass which the drums leave in doubt may be settled by the guitar.

Rules
-----
Rule 1: a lag is positive when the stem starts late; it is advanced by that much.

Rule 2: a stem moves on its onsets only if the lag is over 40 ms, no other lag comes near it,
both halves of the song say the same within 5 ms, and its attacks can be timed
(``Onsets.lead_s``). What fails any of these stays, and says why.

Rule 3: a lag that players may count in is left alone: a part that always comes a sixteenth
before the beat fits the beat perfectly once it is moved onto it. For the same reason rivals
are sought beyond the window, and the place where the stem lies must fit three times worse.

Rule 4: polarity is turned only where sound is shared.

Rule 5: shared sound places a stem beside one whose own place is sure. It moves one over 40 ms
only where most of the sound is shared, and, among more than two stems, where another sure stem
says the same: of two that share sound, either may be the wrong one.

What this cannot know: a part that never meets the others where it lies, always by the same
interval, and one that the beat does not count in, looks like a late take.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dsp.errors import ParameterError
from dsp.measure.onsets import Onsets, onsets_of
from dsp.mixing.align.correlation import Shared, shared_of, spectra_of
from dsp.mixing.align.stamps import stamps_of
from dsp.mixing.align.votes import BEYOND_MS, RIGHT_MS, LagEstimate, estimate_of, step_of, votes_of

AlignMode: TypeAlias = Literal["auto", "stamps", "rhythm", "first_onset", "off"]
"""``auto``: by time stamps, else by shared sound; ``stamps``: by these only; ``rhythm``: by notes
that start together, and by shared sound; ``first_onset``: all first notes start together, without
any proof."""

TRUSTED_LENGTH_S = 0.05
"""Files whose lengths differ by less were exported together."""

_SHARED = 0.08  # different performances of one score stay under 0.02
_DOUBLE = 0.6  # likeness; bleed 3 dB under a microphone's own sound reaches 0.58
_TOGETHER_MS = 1.0
_AGREED_MS = 5.0
"""Two witnesses mean the same place."""
_ALREADY_MS = 0.01

_BEAT_ROLES = ("drums", "beat", "kick", "snare", "perc", "hats")
"""The most telling first: hats that never rest fit anywhere."""


@dataclass(frozen=True)
class TimingCues:
    """What alignment knows of a stem."""

    name: str
    role: str
    rate_hz: int
    frames: int
    flux: NDArray[np.float32]
    """From ``OnsetFlux``; may be empty where the files are trusted."""
    wave: NDArray[np.float16]
    """From ``Decimated``; may be empty."""
    start_s: float | None = None
    """When the file begins by its time stamp, in seconds since midnight."""


@dataclass(frozen=True)
class Placement:
    """Where a stem belongs, and why."""

    name: str
    lag_ms: float
    """Positive: starts late, is advanced by this. 0 unless moved."""
    polarity: int
    """+1, or −1 where the stem must be turned over."""
    confidence: float
    """Votes for the best lag against the next best; for shared sound its share, 0..1; 0 where
    nothing was measured."""
    moved: bool
    why: str
    """A few words for the recall sheet."""
    sure: bool = False
    """Something shows that it belongs there, so that others may be placed by it."""


def align(
    stems: Sequence[TimingCues],
    *,
    mode: AlignMode,
    window_ms: float = 250.0,
    reference: str | None = None,
) -> list[Placement]:
    """Return a placement per stem, in the order given.

    Parameters
    ----------
    stems : sequence of TimingCues
    mode : AlignMode
    window_ms : float
        No stem is moved further than this, but by its time stamp.
    reference : str, optional
        The stem that stays; by default the beat, else the stem with the clearest onsets.

    Raises
    ------
    ParameterError
        If no stem has the name of ``reference``.
    """
    if mode == "off" or not stems:
        return [_stay(stem.name, "not asked for") for stem in stems]
    stamps = stamps_of([stem.start_s for stem in stems])
    if mode in ("auto", "stamps") and any(stamps.lags_ms):
        return [_by_stamp(s.name, lag) for s, lag in zip(stems, stamps.lags_ms, strict=True)]
    if mode == "stamps":
        why = "equal time stamps" if stamps.lags_ms else stamps.doubt or "no time stamps"
        return [_stay(stem.name, why) for stem in stems]
    onsets = [onsets_of(stem.flux) for stem in stems]
    anchor = _reference_of(stems, onsets, reference)
    if mode == "first_onset":
        return [
            _by_first_onset(stem.name, own, onsets[anchor], window_ms)
            for stem, own in zip(stems, onsets, strict=True)
        ]
    if mode == "rhythm":
        placements = _by_votes(stems, onsets, anchor, round(window_ms))
        return _by_sound(stems, placements, anchor, window_ms)
    trust = "equal time stamps" if stamps.lags_ms else _trust_of(stems)
    placements = [_stay(stem.name, trust or "as in its file") for stem in stems]
    if not trust:
        placements[anchor] = _stay(stems[anchor].name, "reference", sure=True)
    return _by_sound(stems, placements, anchor, window_ms, trusted=bool(trust))


def _trust_of(stems: Sequence[TimingCues]) -> str:
    """Return why the files need no proof of where they belong, empty when they do."""
    alike = np.ptp([stem.frames / stem.rate_hz for stem in stems]) <= TRUSTED_LENGTH_S
    return "equal lengths: files trusted" if alike else ""


def _stay(name: str, why: str, confidence: float = 0.0, *, sure: bool = False) -> Placement:
    return Placement(name, 0.0, 1, confidence, moved=False, why=why, sure=sure)


def _by_stamp(name: str, lag_ms: float) -> Placement:
    """Return where the time stamp puts a stem; that is no repair, so not called moved."""
    after = f"{-lag_ms / 1000.0:.3f} s after the earliest stem" if lag_ms else "the earliest stem"
    return Placement(name, lag_ms, 1, 0.0, moved=False, why=f"time stamp: {after}", sure=True)


def _reference_of(
    stems: Sequence[TimingCues], onsets: Sequence[Onsets], reference: str | None
) -> int:
    """Return which stem stays: the one named, else of the beat, else of all, the clearest."""
    names = [stem.name for stem in stems]
    if reference is not None:
        if reference not in names:
            raise ParameterError(f"reference must be one of {names}, got {reference!r}")
        return names.index(reference)
    clarity = [float(own.weights.sum()) for own in onsets]
    timed = any(clarity)
    for role in _BEAT_ROLES:
        beats = [i for i, s in enumerate(stems) if s.role == role and (clarity[i] or not timed)]
        if beats:
            return max(beats, key=lambda i: clarity[i])
    return int(np.argmax(clarity))


def _by_first_onset(name: str, own: Onsets, anchor: Onsets, window_ms: float) -> Placement:
    """Return the placement that makes both first notes start together."""
    if len(own.times_s) == 0 or len(anchor.times_s) == 0:
        return _stay(name, "left: no onset found")
    lag_ms = float(own.times_s[0] - anchor.times_s[0]) * 1000.0
    if abs(lag_ms) > window_ms:
        return _stay(name, f"left: first onset {lag_ms:+.0f} ms away, window {window_ms:.0f} ms")
    return Placement(name, lag_ms, 1, 0.0, lag_ms != 0.0, "moved: first onsets together")


def _by_votes(
    stems: Sequence[TimingCues], onsets: Sequence[Onsets], anchor: int, window_ms: int
) -> list[Placement]:
    """Place the surest stem, let it join the reference, and so on until none is sure."""
    reach_ms = window_ms + BEYOND_MS
    step_ms = step_of(onsets[anchor])
    votes = np.zeros((len(stems), 2, 2 * reach_ms + 1))
    placed = {anchor: LagEstimate(0.0, 0.0, "")}
    waiting = set(range(len(stems))) - {anchor}
    estimates = dict(placed)
    latest = anchor
    while waiting:
        for i in waiting:
            votes[i] += votes_of(onsets[latest], placed[latest].lag_ms, onsets[i], reach_ms)
            timed = onsets[i].lead_s is not None
            estimates[i] = estimate_of(votes[i], window_ms, step_ms, timed=timed)
        latest = max(waiting, key=lambda i: (not estimates[i].doubt, estimates[i].confidence, -i))
        if estimates[latest].doubt:
            break
        placed[latest] = estimates[latest]
        waiting.remove(latest)
    return [
        _stay(stem.name, "reference", sure=True)
        if i == anchor
        else _placement_of(stem.name, estimates[i])
        for i, stem in enumerate(stems)
    ]


def _placement_of(name: str, estimate: LagEstimate) -> Placement:
    """Return what follows from the estimate for one stem."""
    confidence = round(estimate.confidence, 2)
    if estimate.doubt:
        return _stay(name, f"left: {estimate.doubt}", confidence)
    if abs(estimate.lag_ms) <= RIGHT_MS:
        return _stay(name, f"right within {RIGHT_MS:.0f} ms", confidence, sure=True)
    why = f"moved: its notes start {abs(estimate.lag_ms):.0f} ms "
    why += "late" if estimate.lag_ms > 0 else "early"
    return Placement(name, estimate.lag_ms, 1, confidence, moved=True, why=why, sure=True)


def _by_sound(
    stems: Sequence[TimingCues],
    placements: Sequence[Placement],
    anchor: int,
    window_ms: float,
    *,
    trusted: bool = False,
) -> list[Placement]:
    """Place each stem by the sound that it shares with the others (rule 5)."""
    surest = sorted(range(len(stems)), key=lambda i: (i != anchor, -placements[i].confidence, i))
    heard = [i for i in surest if len(stems[i].wave) and stems[i].role != "fx"]
    result = list(placements)
    if len(heard) < 2:  # noqa: PLR2004 — it takes two to share
        return result
    spectra = spectra_of([stems[i].wave for i in heard], window_ms / 1000.0)
    for place, i in enumerate(heard[1:], 1):
        shared = [
            (result[heard[k]], shared_of(spectra[k], spectra[place], window_ms / 1000.0))
            for k in range(place)
        ]
        shared = [pair for pair in shared if pair[1].strength >= _SHARED]
        shared.sort(key=lambda pair: -pair[1].strength)
        sure = [pair for pair in shared if pair[0].sure]
        if sure and not trusted:
            result[i] = _joined(result[i], sure, alone=len(heard) == 2)  # noqa: PLR2004 - two stems
        elif shared:
            result[i] = _together(result[i], *shared[0])
    return [p if abs(p.lag_ms) <= window_ms else _stay(p.name, "left: too far") for p in result]


def _together(own: Placement, other: Placement, shared: Shared) -> Placement:
    """Return ``own``, its polarity inverted where it is an inverted copy; nothing moves."""
    polarity = other.polarity * shared.polarity
    lag_ms = abs(shared.lag_s) * 1000.0
    if polarity > 0 or shared.likeness < _DOUBLE or lag_ms > _TOGETHER_MS:
        return own
    return replace(
        own, polarity=-1, why=f"{own.why}; polarity inverted: a copy of {other.name} upside down"
    )


def _joined(own: Placement, sure: Sequence[tuple[Placement, Shared]], *, alone: bool) -> Placement:
    """Return ``own``, placed on the sound it shares most with stems whose place is sure.

    Faint sharing is bleed: then a few milliseconds are the room between two microphones, and
    stay; polarity says nothing.
    """
    other, shared = sure[0]
    apart_ms = shared.lag_s * 1000.0
    double = shared.likeness >= _DOUBLE
    room = not double and abs(apart_ms) <= RIGHT_MS
    lag_ms = other.lag_ms if room else other.lag_ms + apart_ms
    if abs(lag_ms) > RIGHT_MS:
        places_ms = [one.lag_ms + found.lag_s * 1000.0 for one, found in sure[1:]]
        agreed = alone or any(abs(place - lag_ms) <= _AGREED_MS for place in places_ms)
        if not (double and agreed):
            missing = "no other stem confirms it" if double else "too little of it to be sure"
            why = f"left: shares sound with {other.name} {lag_ms:+.0f} ms away, {missing}"
            return own if own.sure else replace(own, why=why)
    polarity = other.polarity * shared.polarity if double else 1
    moved = abs(lag_ms) > _ALREADY_MS
    why = f"{'moved' if moved else 'right'}: shares sound with {other.name}"
    why += ", polarity inverted" if polarity < 0 else ""
    lag_ms = lag_ms if moved else 0.0
    strength = round(shared.strength, 2)
    return Placement(own.name, lag_ms, polarity, strength, moved, why, sure=True)
