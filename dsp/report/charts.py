"""What the report shows, drawn from its own data: one function per picture.

Rule 1: a picture is drawn from ``report.json`` alone, and shows what was measured; what was
only planned says so.

Rule 2: nothing is told by colour alone: each line has its own dash, width or form, and each
picture says in words what is to be seen.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dsp.report.svg import (
    Axis,
    Chart,
    Line,
    band_path,
    bars_path,
    figure,
    hz_ticks,
    level_ticks,
    marks_path,
    path_of,
    signed,
    spread,
    time_ticks,
    x_axis,
    y_axis,
)
from dsp.stem_roles import LEADS

Data = Mapping[str, Any]

CORRIDOR_DB = 3.0
"""How far an octave of a master may lie from the target."""
NEAR_DB = 24.0
"""How far the picture of the lead reaches; what is further is out of the question."""

ABSENT_DB = 30.0
"""A lead this far below its loudest third octave has no sound there that could be covered."""

_STAGES = {"deess": "de-esser", "glue": "glue compressor", "low_limiter": "low limiter"}
"""What a person calls them, where it is not their name."""

_THIRD = 2.0 ** (1.0 / 6.0)
_OCTAVE = math.sqrt(2.0)
_RANGE_TOP = 0.95  # Tech 3342: from the 10th to the 95th percentile
_RANGE_GATE_LU = 20.0


def pictures(data: Data) -> list[Chart]:
    """Return the pictures of the mix, in the order of the page."""
    drawn = [loudness(data), spectrum(data), reductions(data), correlation(data)]
    return drawn + ([lead(data)] if data["balance"]["lead_to_rest_bands_db"] else [])


def loudness(data: Data) -> Chart:
    """Return momentary and short-term loudness over time, the target and the range."""
    master, curves = data["master"], data["curves"]
    loudest = max(master["target_lufs"], master["momentary_max_lufs"] or -70.0)
    top = min(0.0, 5.0 * math.ceil((loudest + 1.0) / 5.0))
    x, y = x_axis(0.0, data["duration_s"]), y_axis(top - 35.0, top)
    short = curves["short_term_lufs"]
    lines = [
        _range_band(x, y, short, master["range_lu"]),
        Line("momentary", "momentary, 0.4 s", _windows(x, y, curves["momentary_lufs"], 0.4)),
        Line("short-term", "short-term, 3 s", _windows(x, y, short, 3.0)),
        _flat(x, y, f"target {figure(master['target_lufs'])} LUFS", master["target_lufs"]),
    ]
    return Chart(
        title="Loudness over time",
        summary=f"Integrated loudness {figure(master['integrated_lufs'])} LUFS, target "
        f"{figure(master['target_lufs'])} LUFS, loudness range {figure(master['range_lu'])} LU.",
        x_unit="min:s",
        y_unit="LUFS",
        x_ticks=time_ticks(x),
        y_ticks=level_ticks(y, 5.0),
        lines=tuple(line for line in lines if line.path),
    )


def _range_band(x: Axis, y: Axis, short_term: Sequence[float], range_lu: float | None) -> Line:
    """Return the band that holds what lies between the 10th and the 95th percentile.

    Its top is found on the curve of the report, which may be thinned; its height is the range
    as measured.
    """
    loud = sorted(v for v in short_term if v > max(short_term, default=0.0) - _RANGE_GATE_LU)
    if not loud or not range_lu:
        return Line("range", "", "", "area")
    top = loud[round((len(loud) - 1) * _RANGE_TOP)]
    across = [x.low, x.high]
    path = band_path(x, y, across, [top - range_lu] * 2, [top] * 2)
    return Line("range", f"range {figure(range_lu)} LU (10–95 %)", path, "area")


def _windows(x: Axis, y: Axis, values: Sequence[float], window_s: float) -> str:
    """Return the path of sliding windows, each at its middle."""
    at = spread(len(values), window_s / 2.0, max(window_s / 2.0, x.high - window_s / 2.0))
    return path_of(x, y, at, values)


def _flat(x: Axis, y: Axis, name: str, value: float) -> Line:
    return Line("target", name, path_of(x, y, [x.low, x.high], [value, value]))


def spectrum(data: Data) -> Chart:
    """Return the spectra of the stems as recorded and of the master, laid on the target."""
    told = data["spectrum"]
    hz, target = told["hz"], told["target_db"]
    judged = [i for i, f in enumerate(hz) if _judged(f, told["octaves_hz"])]
    x, y = x_axis(20.0, 20_000.0, logarithmic=True), y_axis(-40.0, 10.0)
    judged_hz, wanted = [hz[i] for i in judged], [target[i] for i in judged]
    lows, highs = [db - CORRIDOR_DB for db in wanted], [db + CORRIDOR_DB for db in wanted]
    lines = [
        Line("corridor", f"target ± {CORRIDOR_DB:g} dB",
             band_path(x, y, judged_hz, lows, highs), "area"),
        Line("target", "target", path_of(x, y, judged_hz, wanted)),
        Line("stems", "before: stems as recorded, added up",
             path_of(x, y, hz, _laid_on(told["stems_db"], target, judged))),
        Line("master", "after: the master",
             path_of(x, y, hz, _laid_on(told["after_db"], target, judged))),
    ]  # fmt: skip
    off = [abs(d) for d in told["octave_distance_db"] if d is not None]
    return Chart(
        title="Spectrum, before and after",
        summary="Third octaves; each curve is raised or lowered as a whole until it lies on the "
        f"target. No octave of the master is more than {max(off, default=0.0):.1f} dB away.",
        x_unit="Hz",
        y_unit="dB",
        x_ticks=hz_ticks(x),
        y_ticks=level_ticks(y, 10.0),
        lines=tuple(lines),
    )


def _judged(hz: float, octaves_hz: Sequence[float]) -> bool:
    """Return whether a third octave belongs to an octave that is held against the target."""
    return octaves_hz[0] / _OCTAVE < hz < octaves_hz[-1] * _OCTAVE


def _laid_on(
    levels: Sequence[float], target: Sequence[float], judged: Sequence[int]
) -> list[float]:
    """Return levels moved by one amount: the median distance to the target becomes 0."""
    distances = sorted(levels[i] - target[i] for i in judged)
    middle = distances[len(distances) // 2]
    return [level - middle for level in levels]


def reductions(data: Data) -> Chart:
    """Return what the dynamics on the sum took away over time."""
    return _taken("Gain reduction on the sum", data["reductions"], data["duration_s"])


def stem_reductions(row: Data, duration_s: float) -> Chart | None:
    """Return what the dynamics of one stem took away over time, if there are any."""
    cuts = {f"room {n}": f"room at {c['hz']:.0f} Hz" for n, c in enumerate(row["strip"]["room"], 1)}
    stages = {cuts.get(name, name): stage for name, stage in row.get("reductions", {}).items()}
    return _taken(f"Gain reduction of {row['name']}", stages, duration_s) if stages else None


def _taken(title: str, stages: Mapping[str, Data], duration_s: float) -> Chart:
    """Return one line per stage; the first is an area, so that two can be told apart."""
    deepest = max((stage["max_db"] or 0.0 for stage in stages.values()), default=0.0)
    step = 2.0 if deepest < 11.0 else 5.0  # noqa: PLR2004 - at most seven marks
    low = -step * max(3, math.ceil(deepest / step))
    x, y = x_axis(0.0, duration_s), y_axis(low, 0.0)
    lines = []
    for number, (name, stage) in enumerate(stages.items()):
        values = [-value for value in stage["curve_db"]]
        at = spread(len(values), 0.0, duration_s)
        path = path_of(x, y, at, values) if number else band_path(x, y, at, values, [0.0] * len(at))
        lines.append(
            Line(f"stage-{number}", _STAGES.get(name, name), path, "curve" if number else "area")
        )
    means = "; ".join(
        f"{_STAGES.get(name, name)} {figure(stage['mean_db'])} dB on average, "
        f"{figure(stage['max_db'])} dB at most"
        for name, stage in stages.items()
    )
    return Chart(
        title=title,
        summary=f"Gain reduction: {means}. Curves are means over 0.1 s; single peaks go deeper.",
        x_unit="min:s",
        y_unit="dB",
        x_ticks=time_ticks(x),
        y_ticks=level_ticks(y, step),
        lines=tuple(lines),
    )


def correlation(data: Data) -> Chart:
    """Return how alike left and right are over time."""
    values, master = data["waveform"]["correlation"], data["master"]
    x, y = x_axis(0.0, data["duration_s"]), y_axis(-1.0, 1.0)
    at = spread(len(values), 0.0, data["duration_s"])
    return Chart(
        title="Stereo correlation",
        summary=f"+1 is mono, 0 is uncorrelated, below 0 left and right cancel. "
        f"{figure(master['correlation'])} over the whole song; in mono the mix loses "
        f"{figure(master['fold_down_loss_db'])} dB.",
        x_unit="min:s",
        y_unit="",
        x_ticks=time_ticks(x),
        y_ticks=level_ticks(y, 0.5),
        lines=(
            _flat(x, y, "below this line: lost in mono", 0.0),
            Line("master", "left against right", path_of(x, y, at, values)),
        ),
    )


def lead(data: Data) -> Chart:
    """Return how far the lead stands before the rest per third octave, while it sounds."""
    hz, balance = data["spectrum"]["hz"], data["balance"]
    x = x_axis(100.0, 12_500.0, logarithmic=True)
    y = y_axis(-NEAR_DB, NEAR_DB)
    shown = [
        (f, v) for f, v in zip(hz, balance["lead_to_rest_bands_db"], strict=True) if x.holds(f)
    ]
    masked, silent = balance["masked"], _without_lead(data)
    there = [(f, v) for f, v in shown if f not in silent]
    absent = [(f, v) for f, v in shown if f in silent]
    lines = [
        Line("absent", "the lead has next to no sound here",
             bars_path(x, y, [_edges(f) for f, _ in absent], [v for _, v in absent]), "area"),
        Line("lead", "lead against the rest, as measured",
             bars_path(x, y, [_edges(f) for f, _ in there], [v for _, v in there]), "area"),
        _flat(x, y, "equally loud", 0.0),
        Line("covered", "before room was made, as planned",
             marks_path(x, y, [_edges(m["hz"]) for m in masked],
                        [-m["excess_db"] for m in masked])),
    ]  # fmt: skip
    return Chart(
        title="Lead against the rest",
        summary=f"While it sounds, the lead is {signed(balance['lead_to_rest_lu'])} LU against all "
        "the rest together. Above the line the lead is in front, below it is masked. "
        + _masking_words(masked),
        x_unit="Hz",
        y_unit="dB",
        x_ticks=hz_ticks(x),
        y_ticks=level_ticks(y, 12.0),
        lines=tuple(line for line in lines if line.path),
    )


def _without_lead(data: Data) -> frozenset[float]:
    """Return the third octaves in which the leads have next to no sound: nothing can mask it."""
    spectra = [
        row["spectrum_db"]
        for row in data["stems"]
        if row["strip"]["role"] in LEADS and row.get("spectrum_db")
    ]
    loudest = [max(levels) for levels in zip(*spectra, strict=True)]
    hz = data["spectrum"]["hz"]
    top = max(loudest, default=0.0)
    return frozenset(f for f, db in zip(hz, loudest, strict=False) if db < top - ABSENT_DB)


def _masking_words(masked: Sequence[Data]) -> str:
    if not masked:
        return "No band that matters to the lead was masked."
    moves = ", ".join(f"{m['hz']:.0f} Hz by {figure(m['better_db'])} dB" for m in masked)
    return f"Room was made at {moves}."


def _edges(hz: float) -> tuple[float, float]:
    """Return a third octave's edges, with a gap to its neighbours."""
    return hz / _THIRD * 1.03, hz * _THIRD / 1.03
