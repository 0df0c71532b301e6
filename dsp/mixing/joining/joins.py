"""How a chunk joins the one before it: decided here, obeyed by ``stream``.

Rules
-----
Rule 1: the same material twice is left out once, to the frame (``overlap``). Where it was coded
in between, and its samples differ by that, the last of it is crossfaded. Other sound is never left
out, whatever the times say of it.

Rule 2: what fits together is not touched. Only an edge that would be heard as a click is faded:
beside silence that was put in, where different material meets, or where a step stands out from
the sound around it.

Rule 3: fades change no length.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from dsp.audio import Block
from dsp.formats.resample import Resampler
from dsp.mixing.joining.overlap import overlap_of
from dsp.mixing.joining.survey import Survey
from dsp.units import ratio_of

CROSSFADE_S = 0.010
FADE_S = 0.005
_AROUND_S = 0.010
_EDGE = ratio_of(-60.0)
"""An edge below this makes no click beside silence."""
_STEP = ratio_of(-40.0)
_STANDS_OUT = 4.0
"""Times the largest step within ``_AROUND_S`` on either side."""

Kind = Literal["first", "butt", "overlap", "crossfade", "gap", "faded"]


@dataclass(frozen=True)
class Seam:
    """What two chunks in a row have to do with each other."""

    overlap_s: Fraction = Fraction(0)
    exact: bool = False
    """Every sample of the overlap is the same."""
    clicks: bool = False
    """Put end to end, the step between them would be heard."""
    edges: tuple[bool, bool] = (False, False)
    """Whether the end of the first, and the beginning of the second, would click beside silence."""


def seam_of(
    before: Survey, after: Survey, *, expected_s: Fraction | None = None, overlaps: bool = True
) -> Seam:
    """Return what two chunks have to do with each other.

    Parameters
    ----------
    before, after : Survey
    expected_s : Fraction
        By how much they overlap as the time stamps have it; ``None``: there are none.
    overlaps : bool
        Whether they may overlap at all.
    """
    rate_hz = max(before.probe.rate_hz, after.probe.rate_hz)
    channels = min(before.probe.channels, after.probe.channels)
    tail, head = _brought(before, before.tail, rate_hz), _brought(after, after.head, rate_hz)
    tail, head = tail[:, :channels], head[:, :channels]
    expected = None if expected_s is None else round(expected_s * rate_hz)
    frames, exact = overlap_of(tail, head, rate_hz, expected) if overlaps else (0, False)
    around = max(2, round(_AROUND_S * rate_hz))
    a, b = tail[-around:], head[:around]
    step = np.abs(b[0] - a[-1])
    usual = np.maximum(_largest_step(a), _largest_step(b))
    known = min(len(a), len(b)) >= around // 2  # of a few frames nothing stands out
    return Seam(
        Fraction(frames, rate_hz),
        exact,
        known and bool(((step > _STEP) & (step > _STANDS_OUT * usual)).any()),
        (bool((np.abs(a[-1]) > _EDGE).any()), bool((np.abs(b[0]) > _EDGE).any())),
    )


def _brought(chunk: Survey, sound: Block, rate_hz: int) -> Block:
    if chunk.probe.rate_hz == rate_hz:
        return sound
    resampler = Resampler(chunk.probe.rate_hz, rate_hz, sound.shape[1])
    return np.concatenate([resampler.process(sound), resampler.finish()])


def _largest_step(sound: Block) -> Block:
    return np.asarray(np.abs(np.diff(sound, axis=0)).max(axis=0, initial=0.0))


@dataclass(frozen=True)
class Join:
    """How a chunk is put behind the one before it; all in frames of the result."""

    kind: Kind
    silence: int = 0
    """Put in before it."""
    skip: int = 0
    """Of its frames, from its beginning, that are not used."""
    crossfade: int = 0
    """Of its frames, after those, that are mixed with the end of the one before."""
    fade_out: int = 0
    """Of the one before."""
    fade_in: int = 0


FIRST = Join("first")


def join_of(seam: Seam, gap_s: Fraction, *, rate_hz: int, used: int, frames: int) -> Join:
    """Return how to join.

    Parameters
    ----------
    seam : Seam
    gap_s : Fraction
        Silence that belongs between the chunks; negative: they overlap by so much.
    rate_hz : int
        Of the result.
    used : int
        Frames of the result that the chunk before gave.
    frames : int
        Of the chunk, in frames of the result.
    """
    same = min(frames, round(seam.overlap_s * rate_hz))
    fade = round(FADE_S * rate_hz)
    fade_out, fade_in = min(fade, used), min(fade, frames - same)
    if gap_s > 0:
        return Join(
            "gap",
            silence=round(gap_s * rate_hz),
            skip=same,
            fade_out=fade_out * seam.edges[0],
            fade_in=fade_in * (seam.edges[1] or same > 0),
        )
    crossfade = min(round(CROSSFADE_S * rate_hz), same or round(-gap_s * rate_hz), used, frames)
    if same:
        crossfade *= not seam.exact
        return Join("overlap", skip=same - crossfade, crossfade=crossfade)
    if crossfade:
        return Join("crossfade", crossfade=crossfade)
    if seam.clicks:
        return Join("faded", fade_out=fade_out, fade_in=fade_in)
    return Join("butt")
