"""What the page of a song draws: tempo, loudness and chroma over one and the same time.

Rule 1: a picture is drawn from ``analysis.json`` alone; what is not there is not drawn.

Rule 2: nothing is told by colour alone: each picture says in words what is to be seen.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dsp.report.svg import (
    Axis,
    Chart,
    Line,
    Tick,
    band_path,
    figure,
    level_ticks,
    path_of,
    time_ticks,
    x_axis,
    y_axis,
)

Data = Mapping[str, Any]

PITCHES = ("C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B")

_CHROMA_COLUMNS = 240
_CHROMA_SHADES = (0.2, 0.4, 0.6, 0.8)
"""From which strength on a cell has the next shade; the strongest pitch of a moment is 1."""
_LOUDNESS_SPAN_LU = 45.0
_TEMPO_MARGIN = 0.03
_TEMPO_STEPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_FEWEST_BARS = 2


def pictures(data: Data) -> list[Chart]:
    """Return the pictures of a song, in the order of the page."""
    return [chart for draw in (tempo, loudness, chroma) if (chart := draw(data))]


def tempo(data: Data) -> Chart | None:
    """Return the tempo of each bar, over the whole song."""
    curve, bpm = data["tempo"]["curve"], data["tempo"]["bpm"]["value"]
    if len(curve) < _FEWEST_BARS or bpm is None:
        return None
    at, bars = zip(*curve, strict=True)
    spread = max(2.0, max(bars) - min(bars))
    step = next((s for s in _TEMPO_STEPS if spread / s <= 5), 100.0)  # noqa: PLR2004 - marks
    margin = bpm * _TEMPO_MARGIN
    y = y_axis(
        step * math.floor((min(bars) - margin) / step),
        step * math.ceil((max(bars) + margin) / step),
    )
    x = _time(data)
    stable = data["tempo"]["stable"]["value"]
    words = {True: "steady", False: "not steady", None: "too few bars to say whether it is steady"}
    return Chart(
        title="Tempo over time",
        summary=f"{figure(bpm)} BPM over the whole song, bars from "
        f"{figure(round(min(bars), 1))} to {figure(round(max(bars), 1))}: {words[stable]}.",
        x_unit="min:s",
        y_unit="BPM",
        x_ticks=time_ticks(x),
        y_ticks=level_ticks(y, step if (y.high - y.low) / step <= 8 else 2 * step),  # noqa: PLR2004
        lines=(
            Line("target", f"{figure(bpm)} BPM", path_of(x, y, [x.low, x.high], [bpm, bpm])),
            Line("master", "each bar", path_of(x, y, at, bars)),
        ),
    )


def loudness(data: Data) -> Chart | None:
    """Return momentary loudness over time, and the sections' own."""
    curve, told = data["curves"]["loudness"], data["loudness"]
    values, integrated = curve["values"], told["integrated_lufs"]["value"]
    if not values or integrated is None:
        return None
    top = min(0.0, 5.0 * math.ceil((max(values) + 1.0) / 5.0))
    x, y = _time(data), y_axis(top - _LOUDNESS_SPAN_LU, top)
    at = [curve["start_s"] + number * curve["step_s"] for number in range(len(values))]
    lines = [
        Line("stage-0", "momentary, 0.4 s",
             band_path(x, y, at, [y.low] * len(at), values), "area"),
        Line("target", f"integrated {figure(integrated)} LUFS",
             path_of(x, y, [x.low, x.high], [integrated, integrated])),
        Line("short-term", "sections", _steps(x, y, data["sections"])),
    ]  # fmt: skip
    return Chart(
        title="Loudness over time",
        summary=f"Integrated loudness {figure(integrated)} LUFS, loudness range "
        f"{figure(told['range_lu']['value'])} LU.",
        x_unit="min:s",
        y_unit="LUFS",
        x_ticks=time_ticks(x),
        y_ticks=level_ticks(y, 10.0),
        lines=tuple(line for line in lines if line.path),
    )


def _steps(x: Axis, y: Axis, sections: Sequence[Data]) -> str:
    """Return a level stroke for the loudness of each section that has one."""
    return "".join(
        f"M{x.at(s['start_s']):g} {y.at(s['integrated_lufs']):g}H{x.at(s['end_s']):g}"
        for s in sections
        if s["integrated_lufs"] is not None
    )


def chroma(data: Data) -> Chart | None:
    """Return how strong each pitch class is over time, as shades."""
    curve, key = data["curves"]["chroma"], data["key"]
    if not any(map(any, curve["values"])):
        return None
    columns = _averaged(curve["values"], _CHROMA_COLUMNS)
    x, y = _time(data), y_axis(-0.5, 11.5)
    span_s = curve["step_s"] * len(curve["values"]) / len(columns)
    start_s = curve["start_s"] - curve["step_s"] / 2.0
    edges = [start_s + span_s * number for number in range(len(columns) + 1)]
    lines = [
        Line(f"chroma-{number}", f"{int(100 * shade[0])} % and more",
             _cells(x, y, edges, columns, shade), "area")
        for number, shade in enumerate(
            zip(_CHROMA_SHADES, [*_CHROMA_SHADES[1:], math.inf], strict=True))
    ]  # fmt: skip
    second = f", then {key['second']['name']}" if key["second"] else ""
    name = key["name"]["value"]
    return Chart(
        title="Chroma over time",
        summary="How strong each pitch class is, of the strongest at that time. "
        + (f"The song reads as {name}{second}." if name else "No key was found."),
        x_unit="min:s",
        y_unit="",
        x_ticks=time_ticks(x),
        y_ticks=tuple(y.tick(number, pitch) for number, pitch in enumerate(PITCHES)),
        lines=tuple(line for line in lines if line.path),
    )


def _averaged(rows: Sequence[Sequence[float]], most: int) -> list[list[float]]:
    """Return at most ``most`` rows, each the mean of its stretch with 1 as its strongest."""
    count = min(most, len(rows))
    columns = []
    for number in range(count):
        near = rows[number * len(rows) // count : (number + 1) * len(rows) // count]
        sums = [sum(values) for values in zip(*near, strict=True)]
        top = max(sums) or 1.0
        columns.append([value / top for value in sums])
    return columns


def _cells(
    x: Axis,
    y: Axis,
    edges: Sequence[float],
    columns: Sequence[Sequence[float]],
    shade: tuple[float, float],
) -> str:
    """Return the cells of one shade; neighbours in time are one rectangle."""
    path = []
    for pitch in range(len(PITCHES)):
        inside = [shade[0] <= column[pitch] < shade[1] for column in columns] + [False]
        begun = None
        for number, filled in enumerate(inside):
            if filled and begun is None:
                begun = number
            elif not filled and begun is not None:
                left, right = x.at(edges[begun]), x.at(edges[number])
                low, high = y.at(pitch - 0.5), y.at(pitch + 0.5)
                path.append(f"M{left:g} {low:g}V{high:g}H{right:g}V{low:g}Z")
                begun = None
    return "".join(path)


def waveform_ticks(data: Data) -> tuple[Tick, ...]:
    """Return the marks under the waveform."""
    return time_ticks(_time(data))


def grid_path(data: Data, times_s: Sequence[float]) -> str:
    """Return upright strokes over the whole height at these times."""
    x = _time(data)
    return "".join(f"M{x.at(time):g} 0V1000" for time in times_s)


def _time(data: Data) -> Axis:
    return x_axis(0.0, data["file"]["duration_s"])
