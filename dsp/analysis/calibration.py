"""What is learned of one collection's songs from their truth, and applied to others of it.

Rules
-----
Rule 1: a tempo is never corrected by a line: that takes right results away. Learned are the
range of tempi, what probabilities are worth, and scales of energy and danceability.

Rule 2: nothing is learned of few songs: probabilities need ``LEAST_FOR_BINS``, a scale
``LEAST_FOR_SCALE`` and a smaller error on songs left out.

Rule 3: what was found stays beside what is made of it, in ``raw``.

References
----------
Zadrozny & Elkan 2002 (isotonic calibration by pooling adjacent violators).
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dsp.analysis.document import Analysis
from dsp.analysis.figure import Figure
from dsp.analysis.options import HIGHEST_BPM, LOWEST_BPM, VERSION
from dsp.analysis.truth import Found, Truth, ratio_class

LEAST_FOR_BINS = 30
LEAST_FOR_SCALE = 8
Scaled = Literal["energy", "danceability"]
SCALED: tuple[Scaled, ...] = ("energy", "danceability")

_STEP_BPM = 2

_P = Annotated[float, Field(ge=0, le=1)]
Bins = Annotated[tuple[tuple[_P, _P], ...], Field(max_length=1_000)]
"""(probability as found, share that was right), both rising; between them a straight line."""


class Calibration(BaseModel):
    """``calibration.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=200)]
    songs: Annotated[int, Field(ge=0)]
    version: str
    tempo_range: tuple[float, float] | None = None
    tempo_p: Bins = ()
    key_p: Bins = ()
    scale: dict[Scaled, tuple[float, float]] = {}
    """Slope and offset."""


def fitted(name: str, pairs: Sequence[tuple[Truth, Found]]) -> Calibration:
    """Return what these songs teach."""
    tempi = [(t.bpm, f) for t, f in pairs if t.bpm is not None and f.bpm is not None]
    keys = [(t.key, f) for t, f in pairs if t.key is not None and f.key is not None]
    scale: dict[Scaled, tuple[float, float]] = {}
    for field in SCALED:
        both = [(f.scalars[field], getattr(t, field)) for t, f in pairs]
        known = [(value, true) for value, true in both if value is not None and true is not None]
        if (line := _line_that_helps(known)) is not None:
            scale[field] = line
    right = [(f.bpm_p, ratio_class(f.bpm or 0.0, bpm) == "1") for bpm, f in tempi]
    return Calibration(
        name=name,
        songs=len(pairs),
        version=VERSION,
        tempo_range=_best_range([(bpm, f.bpm or 0.0) for bpm, f in tempi]),
        tempo_p=_isotonic(right),
        key_p=_isotonic([(f.key_p, f.key == key) for key, f in keys]),
        scale=scale,
    )


def _best_range(tempi: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return the octave into which folding makes most tempi right; ``None``: none does better.

    Of equal ones the middle is taken, for songs to come.
    """
    if len(tempi) < LEAST_FOR_SCALE:
        return None

    def right(low: float | None) -> int:
        told = [(b if low is None else folded(b, (low, 2 * low)), true) for true, b in tempi]
        return sum(ratio_class(bpm, true) == "1" for bpm, true in told)

    lows = range(int(LOWEST_BPM), int(HIGHEST_BPM / 2) + 1, _STEP_BPM)
    counts = {low: right(low) for low in lows}
    most = max(counts.values())
    if most <= right(None):
        return None
    best = [low for low in lows if counts[low] == most]
    low = float(best[len(best) // 2])
    return low, 2 * low


def folded(bpm: float, tempo_range: tuple[float, float]) -> float:
    """Return a tempo halved or doubled into a range of an octave or more."""
    low, high = tempo_range
    while bpm < low and 2 * bpm <= high:
        bpm *= 2
    while bpm > high and bpm / 2 >= low:
        bpm /= 2
    return bpm


def _isotonic(pairs: Sequence[tuple[float | None, bool]]) -> Bins:
    """Return probabilities and the shares that were right, pooled until they rise."""
    known = sorted((p, float(right)) for p, right in pairs if p is not None)
    if len(known) < LEAST_FOR_BINS:
        return ()
    pools: list[tuple[float, float, int]] = []  # mean p, mean right, songs
    for p, right in known:
        pools.append((p, right, 1))
        while len(pools) > 1 and pools[-2][1] >= pools[-1][1]:
            (p2, r2, n2), (p1, r1, n1) = pools.pop(), pools.pop()
            n = n1 + n2
            pools.append(((p1 * n1 + p2 * n2) / n, (r1 * n1 + r2 * n2) / n, n))
    return tuple((round(p, 4), round(r, 4)) for p, r, _ in pools)


def _worth(p: float | None, bins: Bins) -> float | None:
    """Return what a probability is worth; beyond the bins, as the nearest."""
    if p is None or not bins:
        return p
    for (p1, r1), (p2, r2) in pairwise(bins):
        if p1 <= p <= p2:
            return round(r1 + (r2 - r1) * (p - p1) / (p2 - p1), 3) if p2 > p1 else r2
    return bins[0][1] if p < bins[0][0] else bins[-1][1]


def _line(pairs: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    mean_x, mean_y = fmean(x for x, _ in pairs), fmean(y for _, y in pairs)
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    if spread == 0.0:
        return None
    slope = sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread
    return slope, mean_y - slope * mean_x


def _line_that_helps(pairs: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return slope and offset, if each song is nearer its truth by the line of all others."""
    if len(pairs) < LEAST_FOR_SCALE:
        return None
    before = after = 0.0
    for place, (value, true) in enumerate(pairs):
        line = _line([*pairs[:place], *pairs[place + 1 :]])
        if line is None:
            return None
        before += abs(value - true)
        after += abs(line[0] * value + line[1] - true)
    line = _line(pairs)
    if line is None or line[0] <= 0.0 or after >= before:
        return None
    return round(line[0], 6), round(line[1], 6)


def calibrated(analysis: Analysis, calibration: Calibration) -> Analysis:
    """Return an analysis as a calibration of this version has it."""
    tempo, key = analysis.tempo, analysis.key
    changed: dict[str, Any] = {}
    if (bpm := tempo.bpm.value) is not None:
        moved = round(folded(bpm, calibration.tempo_range), 2) if calibration.tempo_range else bpm
        # What the probability was of is another tempo.
        p = _worth(tempo.bpm.p, calibration.tempo_p) if moved == bpm else None
        changed["tempo"] = tempo.model_copy(update={"bpm": _figure(tempo.bpm, moved, p)})
    if key.name.value is not None:
        figures = {name: getattr(key, name) for name in ("name", "camelot", "open_key")}
        p = _worth(key.name.p, calibration.key_p)
        changed["key"] = key.model_copy(
            update={name: _figure(one, one.value, p) for name, one in figures.items()}
        )
    for field, (slope, offset) in calibration.scale.items():
        descriptor = getattr(analysis, field)
        if (value := descriptor.score.value) is not None:
            share = round(min(1.0, max(0.0, slope * value + offset)), 3)
            score = _figure(descriptor.score, share, descriptor.score.p)
            changed[field] = descriptor.model_copy(update={"score": score})
    said_by = analysis.analysis.model_copy(update={"calibration": calibration.name})
    return analysis.model_copy(update=changed | {"analysis": said_by})


def _figure(figure: Figure[Any], value: object, p: float | None) -> Figure[Any]:
    if value == figure.value and p == figure.p:
        return figure
    return figure.model_copy(
        update={"value": value, "p": p, "source": "calibrated", "raw": figure.value}
    )
