"""Pictures as numbers: SVG paths and axes for the report.

Theory of operation
-------------------
A picture is a square of ``SIDE`` by ``SIDE`` units that the page stretches over whatever room
there is; its words stand outside of it, in the page's own size, at percentages of the same
square. So one picture is read on a phone and on paper. No colour and no font is decided here: a
line carries a class, and the page's style sheet knows light, dark and paper.

Rule 1: nothing lies outside of the square; a value beyond an axis lies on its end.

Rule 2: coordinates are rounded to a tenth of a unit, so that a picture is small and the same
numbers draw the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SIDE = 1000.0

_TICKS_AT_MOST = 8
_EDGE_PERCENT = 4.0
_TIME_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_HZ_TICKS = ((31.5, "31"), (63, "63"), (125, "125"), (250, "250"), (500, "500"), (1000, "1k"),
             (2000, "2k"), (4000, "4k"), (8000, "8k"), (16_000, "16k"))  # fmt: skip


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, and its words."""

    percent: float
    """From the left, or from the top."""
    label: str

    @property
    def anchor(self) -> str:
        """Which end of the words lies at the mark: none leaves the picture."""
        if self.percent < _EDGE_PERCENT:
            return "start"
        return "end" if self.percent > 100.0 - _EDGE_PERCENT else "middle"


@dataclass(frozen=True)
class Line:
    """One curve: its style class, its name for the legend and its path."""

    style: str
    name: str
    path: str
    kind: Literal["curve", "area"] = "curve"


@dataclass(frozen=True)
class Chart:
    """A picture with axes, ready for the page."""

    title: str
    summary: str
    """What the picture says, for those who do not see it."""
    x_unit: str
    y_unit: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Axis:
    """A range of values on one side of the picture, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return where a value lies (rule 1)."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def tick(self, value: float, label: str) -> Tick:
        """Return a mark at a value."""
        return Tick(round(100.0 * self.at(value) / SIDE, 2), label)

    def holds(self, value: float) -> bool:
        """Return whether a value lies between the ends."""
        return self.low <= value <= self.high


def x_axis(low: float, high: float, *, logarithmic: bool = False) -> Axis:
    """Return the horizontal axis of a picture."""
    return Axis(low, max(high, low + 1e-9), 0.0, SIDE, logarithmic)


def y_axis(low: float, high: float) -> Axis:
    """Return the vertical axis of a picture, upward."""
    return Axis(low, high, SIDE, 0.0)


def path_of(x: Axis, y: Axis, xs: Sequence[float], ys: Sequence[float]) -> str:
    """Return the path through the points; nothing without points."""
    points = [f"{x.at(a):g} {y.at(b):g}" for a, b in zip(xs, ys, strict=True)]
    return "M" + "L".join(points) if points else ""


def band_path(
    x: Axis, y: Axis, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> str:
    """Return the closed path between two curves; nothing without points."""
    outline = path_of(x, y, [*xs, *reversed(xs)], [*highs, *reversed(lows)])
    return outline and outline + "Z"


def bars_path(
    x: Axis, y: Axis, edges: Sequence[tuple[float, float]], values: Sequence[float]
) -> str:
    """Return bars from 0 to each value, between its two edges."""
    return "".join(
        f"M{x.at(low):g} {y.at(0.0):g}V{y.at(value):g}H{x.at(high):g}V{y.at(0.0):g}Z"
        for (low, high), value in zip(edges, values, strict=True)
    )


def marks_path(
    x: Axis, y: Axis, edges: Sequence[tuple[float, float]], values: Sequence[float]
) -> str:
    """Return a level stroke at each value, between its two edges."""
    return "".join(
        f"M{x.at(low):g} {y.at(value):g}H{x.at(high):g}"
        for (low, high), value in zip(edges, values, strict=True)
    )


def spread(count: int, low: float, high: float) -> list[float]:
    """Return ``count`` positions, each in the middle of its share of the range."""
    return [low + (high - low) * (index + 0.5) / count for index in range(count)]


def clock(seconds: float) -> str:
    """Return a time as ``m:ss``, from an hour on as ``h:mm:ss``."""
    minutes, whole = divmod(round(seconds), 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours}:{rest:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"


def figure(value: float | None) -> str:
    """Return a number as a person writes it: with a minus sign, or a dash for none."""
    return "–" if value is None else f"{value:g}".replace("-", "−")


def signed(value: float | None, digits: int = 1) -> str:
    """Return a number with its sign, or a dash for none."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def percent(p: float) -> str:
    """Return a probability; never 100 % or 0 % of what was only estimated."""
    return f"{min(99, max(1, round(100 * p)))} %"


def time_ticks(x: Axis) -> tuple[Tick, ...]:
    """Return marks at round times, at most nine."""
    span = x.high - x.low
    step = next((s for s in _TIME_STEPS_S if span / s <= _TICKS_AT_MOST), 7200)
    return tuple(x.tick(n * step, clock(n * step)) for n in range(int(x.high // step) + 1))


def level_ticks(y: Axis, step: float) -> tuple[Tick, ...]:
    """Return marks at multiples of ``step``."""
    first, last = math.ceil(y.low / step), math.floor(y.high / step)
    return tuple(y.tick(n * step, figure(n * step)) for n in range(first, last + 1))


def hz_ticks(x: Axis) -> tuple[Tick, ...]:
    """Return marks at the octaves within the axis."""
    return tuple(x.tick(hz, label) for hz, label in _HZ_TICKS if x.holds(hz))


def waveform_path(low: Sequence[float], high: Sequence[float], height: float) -> str:
    """Return the closed outline of a waveform, one unit per point."""
    middle = height / 2.0
    upper = [f"{n} {round(middle - min(v, 1.0) * middle, 1):g}" for n, v in enumerate(high)]
    lower = [f"{n} {round(middle - max(v, -1.0) * middle, 1):g}" for n, v in enumerate(low)]
    return "M" + "L".join([*upper, *reversed(lower)]) + "Z" if upper else ""
