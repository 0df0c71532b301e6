"""``report.html``: the report as one file that opens from disk, plays the mix and needs nothing.

The page is made from ``report.json`` alone, with pictures drawn as SVG and a small encoded
copy of the mix inside, so that it can be mailed.

It keeps the rules of ``template``.
"""

import base64
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from dsp.report import charts, svg
from dsp.report.template import rendered
from dsp.stem_roles import DESK, NO_ROLE

WAVE_HEIGHT = 120.0
QUIET_LU = 30.0
"""A stem this far below the loudest has no level worth a bar."""

ADVICE = {
    "STEM_MOVED": "If a stem was right as it was, give it lag_ms: 0 in job.yaml.",
    "STEM_CLIPPED": "Export it again with more headroom, if the session allows it.",
    "STEM_SILENT": "If it should sound, look for a muted track in the session.",
    "STEM_NOT_FINITE": "Export it again; a plug-in has failed in it.",
    "TARGET_NOT_REACHED": "Ask for a lower target_lufs, or raise max_mean_reduction_db.",
    "MONO_LOSS": "Lower the width of the widest stems in job.yaml.",
    "INPUT_NOT_AUDIO": "It was left out; nothing needs to be done if it is no stem.",
}
"""What a person can do about a warning, once per code."""


_TOLERANCE = 0.1
"""LU and dB by which a master may miss what was asked for."""
_WORTH_A_MARK_DB = 3.0
_AT_SECOND = re.compile(r"\bat (\d+\.\d+) s\b")

_SOUND = 'src="data:audio/ogg;base64,'
"""Where a sound goes in the page."""
_SOUND_BYTES = 3 << 16
"""Encoded at a time; thirds of it make no padding on the way."""


@dataclass(frozen=True)
class StereoPosition:
    """Where a stem sits: from the left to the right, and how loud."""

    pan: str
    left: float
    right: float
    """Of 100: the stretch that its sound comes from, a guess from its correlation."""
    level: float
    """Of 100."""
    below_lu: float


def page_parts(
    data: Mapping[str, Any], *, sheet: str, sounds: Sequence[BinaryIO], name: str = ""
) -> Iterator[str]:
    """Yield the page from its beginning to its end, an hour's sound never whole.

    Parameters
    ----------
    data : mapping
        The report, as in ``report.json``.
    sheet : str
        The recall sheet as text.
    sounds : sequence of file
        The mix as Ogg Vorbis, and where the report has a comparison, its passage of the mix and of
        the plain sum.
    name : str
        Of the song; may be empty.
    """
    # No text that is escaped holds this quotation mark: each of them is the template's.
    before, *rest = _page(data, sheet, name).split(_SOUND)
    yield before
    for sound, after in zip(sounds, rest, strict=True):
        yield _SOUND
        while part := sound.read(_SOUND_BYTES):
            yield base64.b64encode(part).decode("ascii")
        yield after


def _page(data: Mapping[str, Any], sheet: str, name: str) -> str:
    """Return the page without its sound."""
    waveform, stems = data["waveform"], sorted(data["stems"], key=_place_on_desk)
    seats, pictures = _seats(data), charts.pictures(data)
    return rendered(
        "report.html.j2",
        styles=["report.css"],
        scripts=["clock.js", "report.js", "compare.js"],
        media="'self' data: file:",
        report=data,
        name=os.fsencode(name).decode("utf-8", "replace"),  # as lists have it
        sheet=sheet,
        beside=f"final_mix.{data['format']}",
        wave=svg.waveform_path(waveform["low"], waveform["high"], WAVE_HEIGHT),
        wave_rms=svg.waveform_path(
            [-value for value in waveform["rms"]], waveform["rms"], WAVE_HEIGHT
        ),
        wave_points=max(1, len(waveform["low"]) - 1),
        wave_height=WAVE_HEIGHT,
        wave_ticks=svg.time_ticks(svg.x_axis(0.0, data["duration_s"])),
        verdict=verdict(data),
        over_time=[chart for chart in pictures if chart.x_unit == "min:s"],
        charts=[chart for chart in pictures if chart.x_unit != "min:s"],
        marks=sorted(marks(data), key=lambda mark: mark["at_s"]),
        warnings=_warnings(data),
        stems=(rows := [_stem(row, data, seats.get(row["name"])) for row in stems]),
        speakers=[row for row in rows if row["strip"]["role"] == "speech"],
        moves=_moves(data),
        solos=sorted(
            data.get("compared", {}).get("solos", ()),
            key=lambda one: [row["name"] for row in stems].index(one["stem"]),
        ),
    )


def verdict(data: Mapping[str, Any]) -> tuple[str, str]:
    """Return how the mix came out: ``good``, ``fair`` or ``bad``, and a sentence."""
    master = data["master"]
    loudness, target = master["integrated_lufs"], master["target_lufs"]
    peak, ceiling = master["true_peak_dbtp"], master["ceiling_dbtp"]
    if loudness is None:
        return "bad", "The master is silent."
    said = f"{svg.figure(loudness)} LUFS with peaks of {svg.figure(peak)} dBTP"
    asked = f"{svg.figure(target)} LUFS and at most {svg.figure(ceiling)} dBTP were asked for"
    over = peak is not None and peak > ceiling + _TOLERANCE
    if over or abs(loudness - target) > _TOLERANCE:
        return "bad", f"Not as asked for: {said}; {asked}."
    number = len({one["code"] for one in data["warnings"]})
    if number:
        what = "one thing is" if number == 1 else f"{number} things are"
        return "fair", f"As asked for, and {what} worth knowing: {said}."
    return "good", f"As asked for: {said}; nothing stands out."


def marks(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the moments that are worth a listen: a second, and what is to be heard there."""
    length_s = data["duration_s"]

    def moment(curve: Sequence[float], choose: Callable[[Sequence[float]], float]) -> float:
        return float(length_s * (curve.index(choose(curve)) + 0.5) / len(curve))

    loud = data["curves"]["momentary_lufs"]
    if loud:
        yield {"at_s": moment(loud, max), "what": "the loudest moment"}
    limiter = data["reductions"].get("limiter", {})
    if limiter.get("curve_db") and max(limiter["curve_db"]) > _WORTH_A_MARK_DB:
        yield {"at_s": moment(limiter["curve_db"], max), "what": "the limiter works hardest"}
    alike = data["waveform"]["correlation"]
    if alike and min(alike) < 0.0:
        yield {"at_s": moment(alike, min), "what": "left and right cancel most"}
    for warning in data["warnings"]:
        if found := _AT_SECOND.search(warning["message"]):
            yield {"at_s": min(float(found[1]), length_s), "what": warning["message"]}


def _place_on_desk(row: Mapping[str, Any]) -> tuple[int, str]:
    return DESK.index(row["strip"]["role"]), row["name"]


def _warnings(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the warnings by their code, each code with what can be done."""
    told: dict[str, list[str]] = {}
    for warning in data["warnings"]:
        told.setdefault(warning["code"], []).append(warning["message"])
    return [
        {"code": code, "messages": messages, "advice": ADVICE.get(code)}
        for code, messages in told.items()
    ]


def _stem(
    row: Mapping[str, Any], data: Mapping[str, Any], seat: StereoPosition | None
) -> dict[str, Any]:
    """Return a stem's row with its pictures."""
    scope = row.get("scope_dbfs", [])
    x, y = svg.x_axis(0.0, data["duration_s"]), svg.y_axis(-60.0, 0.0)
    at = svg.spread(len(scope), 0.0, data["duration_s"])
    arrived = {role["stem"]: role for role in data["balance"]["roles"]}
    return {
        **row,
        "scope": svg.band_path(x, y, at, [-60.0] * len(scope), scope),
        "timing": timing(row),
        "seat": seat,
        "guessed": row["strip"]["role_why"].startswith(NO_ROLE),
        "balance": arrived.get(row["name"]),
        "taken": charts.stem_reductions(row, data["duration_s"]),
    }


def timing(row: Mapping[str, Any]) -> str:
    """Return what became of a stem in time, in a few words."""
    lag_ms, found = row["strip"]["lag_ms"], row["alignment"]
    moved = f"{abs(lag_ms):.0f} ms {'earlier' if lag_ms > 0 else 'later'}"
    if lag_ms != found["lag_ms"]:
        return f"by hand, {moved}" if lag_ms else "left, by hand"
    if lag_ms:
        return f"moved {moved}"
    for start, words in (("left", "not aligned"), ("reference", "the reference"),
                         ("right", "in time"), ("not asked", "not aligned")):  # fmt: skip
        if found["why"].startswith(start):
            return words
    return "as in its file"


def _seats(data: Mapping[str, Any]) -> dict[str, StereoPosition]:
    """Return where each stem that sounds sits."""
    levels = {
        role["stem"]: role["loudness_lufs"]
        for role in data["balance"]["roles"]
        if role["loudness_lufs"] is not None
    }
    loudest = max(levels.values(), default=0.0)
    rows = {row["name"]: row for row in data["stems"]}
    return {name: _seat(rows[name], levels[name] - loudest) for name in levels}


def _seat(row: Mapping[str, Any], above_lu: float) -> StereoPosition:
    strip = row["strip"]
    middle = 50.0 + 50.0 * strip["pan"]
    reach = 50.0 * _side_share(row)
    return StereoPosition(
        pan=pan_words(strip["pan"]),
        left=round(max(0.0, middle - reach), 1),
        right=round(min(100.0, middle + reach), 1),
        level=round(100.0 * max(0.0, 1.0 + above_lu / QUIET_LU), 1),
        below_lu=round(above_lu, 1),
    )


def _side_share(row: Mapping[str, Any]) -> float:
    """Return how much of a stem's power is side: 0 for mono, from its correlation and width."""
    alike = row["correlation"]
    if row["channels"] == 1 or alike is None:
        return 0.0
    side = row["strip"]["width"] ** 2 * (1.0 - alike)
    return math.sqrt(side / max(side + 1.0 + alike, 1e-9))


def pan_words(pan: float) -> str:
    """Return a place from left to right in words."""
    if pan == 0.0:
        return "middle"
    return f"{abs(pan) * 100:.0f} % {'left' if pan < 0 else 'right'}"


def _moves(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the masking moves band by band, with the stems that were cut there."""
    return [
        {
            **masked,
            "cuts": [
                f"{row['name']} −{cut['depth_db']:g} dB"
                for row in data["stems"]
                for cut in row["strip"]["room"]
                if abs(math.log2(cut["hz"] / masked["hz"])) < 1.0 / 6.0
            ],
        }
        for masked in data["balance"]["masked"]
    ]
