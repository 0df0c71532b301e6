"""How late each stem starts, and whether that is sure enough to move it.

Theory of operation
-------------------
Moving a stem that was right is worse than leaving one that is wrong. So the files are trusted
when they say so (equal lengths, time stamps), and otherwise a stem moves only on proof.

*Onsets.* Music made together starts notes together. ``votes_of`` counts, for every lag, how
many notes of a stem start with notes of the stems already placed, to some 6 ms. Stems are
placed one by one, the surest first, beginning with the beat; each placed stem joins the
reference, so that a bass which the drums leave in doubt may be settled by the guitar.

*Shared sound.* A double recording, or a microphone that hears its neighbour, is placed by the
sound itself (``dsp.mixing.align.correlation``), and its polarity with it.

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

What this cannot know: a part that never meets the others where it lies, always by the same
interval, and one that the beat does not count in, looks like a late take.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.errors import ParameterError
from dsp.measure.onsets import Onsets, onsets_of
from dsp.mixing.align.correlation import Shared, shared_of, spectra_of
from dsp.mixing.align.votes import BEYOND_MS, RIGHT_MS, LagEstimate, estimate_of, step_of, votes_of

TRUSTED_LENGTH_S = 0.05
"""Files whose lengths differ by less were exported together."""

_SHARED = 0.08  # different performances of one score stay under 0.02
_DOUBLE = 0.6  # likeness; bleed 3 dB under a microphone's own sound reaches 0.58
_TOGETHER_MS = 1.0
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
    stamped: bool = False
    """The file carries a time stamp (BWF ``bext``)."""


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


def align(
    stems: Sequence[TimingCues],
    *,
    mode: Literal["auto", "first_onset", "off"],
    window_ms: float = 250.0,
    reference: str | None = None,
) -> list[Placement]:
    """Return a placement per stem, in the order given.

    Parameters
    ----------
    stems : sequence of TimingCues
    mode : {"auto", "first_onset", "off"}
        ``first_onset`` makes all first notes start together, and asks for no proof.
    window_ms : float
        No stem is moved further than this.
    reference : str, optional
        The stem that stays; by default the beat, else the stem with the clearest onsets.

    Raises
    ------
    ParameterError
        If no stem has the name of ``reference``.
    """
    if mode == "off" or not stems:
        return [_stay(stem.name, "not asked for") for stem in stems]
    onsets = [onsets_of(stem.flux) for stem in stems]
    anchor = _reference_of(stems, onsets, reference)
    if mode == "first_onset":
        return [
            _by_first_onset(stem.name, own, onsets[anchor], window_ms)
            for stem, own in zip(stems, onsets, strict=True)
        ]
    trust = trust_of(
        stamped=[stem.stamped for stem in stems],
        lengths_s=[stem.frames / stem.rate_hz for stem in stems],
    )
    placements = (
        [_stay(stem.name, trust) for stem in stems]
        if trust
        else _byvotes_of(stems, onsets, anchor, round(window_ms))
    )
    return _by_sound(stems, placements, anchor, window_ms, trusted=bool(trust))


def _stay(name: str, why: str, confidence: float = 0.0) -> Placement:
    return Placement(name, 0.0, 1, confidence, moved=False, why=why)


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
    for role in _BEAT_ROLES:
        beats = [i for i, stem in enumerate(stems) if stem.role == role and clarity[i] > 0.0]
        if beats:
            return max(beats, key=lambda i: clarity[i])
    return int(np.argmax(clarity))


def trust_of(*, stamped: Sequence[bool], lengths_s: Sequence[float | None]) -> str:
    """Return why the files need no proof, empty when they do.

    Parameters
    ----------
    stamped : sequence of bool
        Whether each file carries a time stamp.
    lengths_s : sequence of float
        ``None`` where a file does not say.
    """
    if all(stamped):
        return "time stamps: files trusted"
    known = [length for length in lengths_s if length is not None]
    alike = len(known) == len(lengths_s) and np.ptp(known) <= TRUSTED_LENGTH_S
    return "equal lengths: files trusted" if alike else ""


def _by_first_onset(name: str, own: Onsets, anchor: Onsets, window_ms: float) -> Placement:
    """Return the placement that makes both first notes start together."""
    if len(own.times_s) == 0 or len(anchor.times_s) == 0:
        return _stay(name, "left: no onset found")
    lag_ms = float(own.times_s[0] - anchor.times_s[0]) * 1000.0
    if abs(lag_ms) > window_ms:
        return _stay(name, f"left: first onset {lag_ms:+.0f} ms away, window {window_ms:.0f} ms")
    return Placement(name, lag_ms, 1, 0.0, lag_ms != 0.0, "moved: first onsets together")


def _byvotes_of(
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
        _stay(stem.name, "reference") if i == anchor else _placement_of(stem.name, estimates[i])
        for i, stem in enumerate(stems)
    ]


def _placement_of(name: str, estimate: LagEstimate) -> Placement:
    """Return what follows from the estimate for one stem."""
    confidence = round(estimate.confidence, 2)
    if estimate.doubt:
        return _stay(name, f"left: {estimate.doubt}", confidence)
    if abs(estimate.lag_ms) <= RIGHT_MS:
        return _stay(name, f"right within {RIGHT_MS:.0f} ms", confidence)
    why = f"moved: its notes start {abs(estimate.lag_ms):.0f} ms "
    why += "late" if estimate.lag_ms > 0 else "early"
    return Placement(name, estimate.lag_ms, 1, confidence, moved=True, why=why)


def _by_sound(
    stems: Sequence[TimingCues],
    placements: Sequence[Placement],
    anchor: int,
    window_ms: float,
    *,
    trusted: bool,
) -> list[Placement]:
    """Place each stem by the sound it shares with one that is surer than itself."""
    surest = sorted(range(len(stems)), key=lambda i: (i != anchor, -placements[i].confidence, i))
    heard = [i for i in surest if len(stems[i].wave) and stems[i].role != "fx"]
    result = list(placements)
    if len(heard) < 2:  # noqa: PLR2004 — it takes two to share
        return result
    spectra = spectra_of([stems[i].wave for i in heard], window_ms / 1000.0)
    for place, i in enumerate(heard[1:], 1):
        common = [shared_of(spectra[k], spectra[place], window_ms / 1000.0) for k in range(place)]
        best = max(range(place), key=lambda k: common[k].strength)
        if common[best].strength >= _SHARED:
            joined = _together if trusted else _joined
            result[i] = joined(result[i], result[heard[best]], common[best])
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


def _joined(own: Placement, other: Placement, shared: Shared) -> Placement:
    """Return ``own``, placed on the sound it shares with ``other``.

    Faint sharing is bleed: then a few milliseconds are the room between two microphones, and
    stay; polarity says nothing.
    """
    apart_ms = shared.lag_s * 1000.0
    double = shared.likeness >= _DOUBLE
    room = not double and abs(apart_ms) <= RIGHT_MS
    lag_ms = other.lag_ms if room else other.lag_ms + apart_ms
    polarity = other.polarity * shared.polarity if double else 1
    moved = abs(lag_ms) > _ALREADY_MS
    why = f"{'moved' if moved else 'right'}: shares sound with {other.name}"
    why += ", polarity inverted" if polarity < 0 else ""
    lag_ms = lag_ms if moved else 0.0
    return Placement(own.name, lag_ms, polarity, round(shared.strength, 2), moved, why)
