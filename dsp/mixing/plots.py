"""Pictures as numbers: SVG paths and axes for the report.

No colour and no font is decided here: a line carries a class, and the page's style sheet
knows light, dark and paper. Coordinates are rounded to a tenth of a unit, so that a picture
is small and the same numbers draw the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 1000.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 10.0, 26.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """One curve: its style class, its name for the legend and its path."""

    style: str
    name: str
    path: str


@dataclass(frozen=True)
class Chart:
    """A picture with axes, ready for the template."""

    title: str
    summary: str
    """What the picture says, for those who do not see it."""
    unit: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True)
class Axis:
    """A range of values on a stretch of the picture, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return where a value lies, kept inside the picture."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)


def x_axis(low: float, high: float, *, logarithmic: bool = False) -> Axis:
    """Return the horizontal axis of a chart."""
    return Axis(low, max(high, low + 1e-9), LEFT, WIDTH - RIGHT, logarithmic)


def y_axis(low: float, high: float) -> Axis:
    """Return the vertical axis of a chart, upward."""
    return Axis(low, high, HEIGHT - BOTTOM, TOP)


def path_of(x: Axis, y: Axis, xs: Sequence[float], ys: Sequence[float]) -> str:
    """Return the path through the points; nothing without points."""
    points = [f"{x.at(a)} {y.at(b)}" for a, b in zip(xs, ys, strict=True)]
    return "M" + "L".join(points) if points else ""


def spread(count: int, low: float, high: float) -> list[float]:
    """Return ``count`` positions, each in the middle of its share of the range."""
    return [low + (high - low) * (index + 0.5) / count for index in range(count)]


def clock(seconds: float) -> str:
    """Return a time as ``m:ss``."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def time_ticks(x: Axis) -> tuple[Tick, ...]:
    """Return marks at round times, at most nine."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((s for s in steps if (x.high - x.low) / s <= 8), 7200)  # noqa: PLR2004
    marks = [step * n for n in range(int(x.high // step) + 1)]
    return tuple(Tick(x.at(mark), clock(mark)) for mark in marks)


def level_ticks(y: Axis, step: float) -> tuple[Tick, ...]:
    """Return marks at multiples of ``step``."""
    first = math.ceil(y.low / step)
    last = math.floor(y.high / step)
    return tuple(Tick(y.at(n * step), f"{n * step:g}") for n in range(first, last + 1))


HZ_TICKS = ((31.5, "31"), (63, "63"), (125, "125"), (250, "250"), (500, "500"), (1000, "1k"),
            (2000, "2k"), (4000, "4k"), (8000, "8k"), (16000, "16k"))  # fmt: skip


def hz_ticks(x: Axis) -> tuple[Tick, ...]:
    """Return marks at the octaves."""
    return tuple(Tick(x.at(hz), label) for hz, label in HZ_TICKS)


def waveform_path(low: Sequence[float], high: Sequence[float], height: float) -> str:
    """Return the closed outline of a waveform, one unit per point."""
    middle, scale = height / 2.0, height / 2.0
    upper = [f"{n} {round(middle - min(v, 1.0) * scale, 1)}" for n, v in enumerate(high)]
    lower = [f"{n} {round(middle - max(v, -1.0) * scale, 1)}" for n, v in enumerate(low)]
    return "M" + "L".join([*upper, *reversed(lower)]) + "Z" if upper else ""
