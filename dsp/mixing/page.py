"""``report.html``: the report as one file that opens from disk, plays the mix and needs nothing.

The page is made from ``report.json`` alone, with pictures drawn as SVG and a small encoded
copy of the mix inside, so that it can be mailed. Every text goes through Jinja's escaping:
file names are anybody's.
"""

import base64
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from dsp.mixing import plots
from dsp.mixing.plots import Chart, Line

WAVE_HEIGHT = 120.0


def page_of(data: Mapping[str, Any], *, sheet: str, preview: bytes) -> str:
    """Return the page.

    Parameters
    ----------
    data : mapping
        The report, as in ``report.json``.
    sheet : str
        The recall sheet as text.
    preview : bytes
        The mix as Ogg Vorbis.
    """
    environment = Environment(
        loader=PackageLoader("dsp.mixing", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["signed"] = signed
    environment.filters["clock"] = plots.clock
    encoded = base64.b64encode(preview).decode("ascii")
    waveform = data["waveform"]
    return environment.get_template("report.html.j2").render(
        report=data,
        sheet=sheet,
        audio=f"data:audio/ogg;base64,{encoded}",
        beside=f"final_mix.{data['format']}",
        wave=plots.waveform_path(waveform["low"], waveform["high"], WAVE_HEIGHT),
        wave_rms=plots.waveform_path(
            [-value for value in waveform["rms"]], waveform["rms"], WAVE_HEIGHT
        ),
        wave_points=max(1, len(waveform["low"])),
        wave_height=WAVE_HEIGHT,
        charts=[
            _loudness(data),
            _spectrum(data),
            _reductions(data),
            _correlation(data),
        ],
        stems=[_stem(row, data) for row in data["stems"]],
    )


def plain(value: object) -> object:
    """Return text without characters that steer a terminal or turn the line around."""
    if not isinstance(value, str) or value.isprintable():
        return value
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in value)
    return type(value)("".join(shown))


def signed(value: float | None, digits: int = 1) -> str:
    """Return a number with its sign, or a dash."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def _loudness(data: Mapping[str, Any]) -> Chart:
    master, curves = data["master"], data["curves"]
    x = plots.x_axis(0.0, data["duration_s"])
    y = plots.y_axis(min(-50.0, master["target_lufs"] - 30.0), 0.0)
    lines = [_flat(x, y, "target", f"target {master['target_lufs']:g} LUFS", master["target_lufs"])]
    for style, name in (("momentary", "momentary"), ("short-term", "short-term")):
        values = curves[f"{style.replace('-', '_')}_lufs"]
        at = plots.spread(len(values), 0.0, data["duration_s"])
        lines.append(Line(style, name, plots.path_of(x, y, at, values)))
    return Chart(
        title="Loudness",
        summary=f"Integrated {master['integrated_lufs']} LUFS against a target of "
        f"{master['target_lufs']:g}, range {master['range_lu']} LU.",
        unit="LUFS",
        x_ticks=plots.time_ticks(x),
        y_ticks=plots.level_ticks(y, 10.0),
        lines=tuple(lines),
    )


def _flat(x: plots.Axis, y: plots.Axis, style: str, name: str, value: float) -> Line:
    return Line(style, name, plots.path_of(x, y, [x.low, x.high], [value, value]))


def _spectrum(data: Mapping[str, Any]) -> Chart:
    spectrum = data["spectrum"]
    hz = spectrum["hz"]
    x, y = plots.x_axis(20.0, 20_000.0, logarithmic=True), plots.y_axis(-50.0, 10.0)
    named = (
        ("target", "target", "target_db"),
        ("stems", "stems as recorded", "stems_db"),
        ("before", "before mastering", "before_db"),
        ("after", "master", "after_db"),
    )
    lines = [
        Line(style, name, plots.path_of(x, y, hz, _centred(spectrum[key])))
        for style, name, key in named
    ]
    off = [abs(d) for d in spectrum["octave_distance_db"] if d is not None]
    return Chart(
        title="Spectrum",
        summary=f"Third octaves, each curve at its own middle. The master is at most "
        f"{max(off, default=0.0):.1f} dB from the target in any octave.",
        unit="dB",
        x_ticks=plots.hz_ticks(x),
        y_ticks=plots.level_ticks(y, 10.0),
        lines=tuple(lines),
    )


def _centred(levels: list[float]) -> list[float]:
    """Return levels against the median of 100 Hz to 5 kHz, so that curves lie together."""
    middle = sorted(levels[7:25])
    centre = middle[len(middle) // 2]
    return [level - centre - 5.0 for level in levels]


def _reductions(data: Mapping[str, Any]) -> Chart:
    stages = data["reductions"]
    deepest = max((stage["max_db"] or 0.0 for stage in stages.values()), default=0.0)
    x, y = plots.x_axis(0.0, data["duration_s"]), plots.y_axis(-max(6.0, deepest + 1.0), 0.0)
    lines = []
    for name, stage in stages.items():
        values = [-value for value in stage["curve_db"]]
        at = plots.spread(len(values), 0.0, data["duration_s"])
        lines.append(Line(name, name, plots.path_of(x, y, at, values)))
    told = ", ".join(
        f"{name} {stage['mean_db']} dB on average and {stage['max_db']} dB at most"
        for name, stage in stages.items()
    )
    return Chart(
        title="Gain reduction",
        summary=f"On the sum: {told}.",
        unit="dB",
        x_ticks=plots.time_ticks(x),
        y_ticks=plots.level_ticks(y, 2.0 if y.low > -14.0 else 5.0),  # noqa: PLR2004 - few marks
        lines=tuple(lines),
    )


def _correlation(data: Mapping[str, Any]) -> Chart:
    values, master = data["waveform"]["correlation"], data["master"]
    x, y = plots.x_axis(0.0, data["duration_s"]), plots.y_axis(-1.0, 1.0)
    at = plots.spread(len(values), 0.0, data["duration_s"])
    lines = (
        _flat(x, y, "target", "below: lost in mono", 0.0),
        Line("after", "left against right", plots.path_of(x, y, at, values)),
    )
    return Chart(
        title="Stereo correlation",
        summary=f"{master['correlation']} over the whole; {master['fold_down_loss_db']} dB are "
        "lost when played in mono.",
        unit="",
        x_ticks=plots.time_ticks(x),
        y_ticks=plots.level_ticks(y, 0.5),
        lines=lines,
    )


def _stem(row: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stem's row with its scope drawn."""
    scope = row.get("scope_dbfs", [])
    x, y = plots.Axis(0.0, data["duration_s"], 0.0, 200.0), plots.Axis(-60.0, 0.0, 30.0, 0.0)
    at = plots.spread(len(scope), 0.0, data["duration_s"])
    wanted = {role["stem"]: role for role in data["balance"]["roles"]}
    return {**row, "scope": plots.path_of(x, y, at, scope), "balance": wanted.get(row["name"])}
