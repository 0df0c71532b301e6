"""``analysis.html``: what was found in a song, with how sure it is and why something is not there.

The page is made from ``analysis.json`` and the outline of the song. The song itself is not in it:
a copy would cost an encoding and as many bytes as all else in a batch, and whoever drops a song
has it. The page plays the file that it is shown, in the browser and by nobody else, with a click
on each beat if wanted, so that the grid can be judged by ear.

It keeps the rules of ``template``.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsp.report import song_charts
from dsp.report.peaks import FRAMES_PER_PAIR, Outline, thinned
from dsp.report.svg import figure, percent, waveform_path
from dsp.report.template import embedded, rendered

WAVE_HEIGHT = 120.0

_DRAWN_PAIRS = 1_500
_ZOOMED_PAIRS = 40_000
"""Eight minutes whole at 44.1 kHz; what is longer is coarser, never 100 kB longer."""
_MOST_BARS = 160
"""More lines than this are a grey area at the width of a page."""

TITLES = {
    "bpm": "Tempo", "stable": "Steady tempo", "range": "Slowest and fastest bar",
    "meter": "Beats per bar", "name": "Key", "camelot": "Camelot", "open_key": "Open Key",
    "cents": "Off A4 = 440 Hz", "sharpness": "Agreement of the partials",
    "integrated_lufs": "Integrated loudness", "range_lu": "Loudness range",
    "momentary_max_lufs": "Loudest 0.4 s", "short_term_max_lufs": "Loudest 3 s",
    "true_peak_dbtp": "True peak", "sample_peak_dbfs": "Sample peak",
    "plr_db": "Peak to loudness", "track_gain_db": "Track gain", "track_peak": "Track peak",
    "album_gain_db": "Album gain", "album_peak": "Album peak", "dc": "DC offset",
    "clipped_runs": "Clipped runs", "clipped_frames": "Clipped frames",
    "correlation": "Correlation", "rms_dbfs": "RMS", "crest_factor_db": "Crest factor",
    "silence_head_s": "Silence at the head", "silence_tail_s": "Silence at the tail",
    "silence_longest_s": "Longest silence", "edge_hz": "Edge of the spectrum",
    "drop_db": "Drop across the edge", "residue_dbfs": "Level above the edge",
    "evidence": "Evidence", "bpm_spread": "Tempo between sections",
    "key_agreement": "Sections in the key", "modulation": "Modulation",
    "energy": "Energy", "danceability": "Danceability",
}  # fmt: skip
"""What a person calls a figure; one that is not here keeps its name."""

_GROUPS = {
    "Tempo and meter": ("tempo", "meter"),
    "Key and tuning": ("key", "tuning"),
    "Loudness": ("loudness", "replaygain"),
    "Levels": ("levels",),
    "Bandwidth": ("bandwidth",),
    "Sections": ("section_summary",),
    "Formulas": ("energy", "danceability"),
}

_EVIDENCE = {
    "none": "none",
    "lossy_wall": "a wall as lossy codecs leave it",
    "upsampled": "an end as a lower sample rate leaves it",
}


@dataclass(frozen=True)
class Row:
    """One figure in words."""

    title: str
    value: str
    p: str
    note: str
    """Why it is not there, what it was before calibration, or what a formula was fed."""


def song_page(data: Mapping[str, Any], outline: Outline, *, up: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    data : mapping
        The analysis, as in ``analysis.json``.
    outline : Outline
        A pair per 512 frames; may be empty.
    up : str
        The address of the batch's page, if there is one.
    """
    drawn = thinned(outline, _DRAWN_PAIRS) / _highest(outline)
    return rendered(
        "song.html.j2",
        styles=["report.css", "song.css"],
        scripts=["clock.js", "song.js"],
        media="blob:",
        song=data,
        up=up,
        key=key_words(data["key"]),
        evidence=_EVIDENCE,
        charts=song_charts.pictures(data),
        groups={title: _rows(data, parts) for title, parts in _GROUPS.items()},
        wave=waveform_path(drawn[:, 0].tolist(), drawn[:, 1].tolist(), WAVE_HEIGHT),
        wave_points=max(1, len(drawn) - 1),
        wave_height=WAVE_HEIGHT,
        wave_ticks=song_charts.waveform_ticks(data),
        bars=song_charts.grid_path(data, _bars_drawn(data["downbeats"])),
        boundaries=song_charts.grid_path(data, [s["start_s"] for s in data["sections"][1:]]),
        embedded=embedded(_for_the_script(data, outline)),
    )


def _highest(outline: Outline) -> int:
    """Return what fills the height of the picture: a quiet song is seen as well as a loud one."""
    return max(1, -int(outline.min(initial=0)), int(outline.max(initial=0)))


def _bars_drawn(downbeats: Sequence[float]) -> Sequence[float]:
    """Return every first, second, fourth … downbeat, so that lines stay lines."""
    step = 1
    while len(downbeats) > step * _MOST_BARS:
        step *= 2
    return downbeats[::step]


def _for_the_script(data: Mapping[str, Any], outline: Outline) -> dict[str, Any]:
    """Return what the zoomed picture and the clicks need."""
    pairs = thinned(outline, _ZOOMED_PAIRS)
    per_pair = FRAMES_PER_PAIR * len(outline) / max(1, len(pairs)) / data["file"]["rate_hz"]
    return {
        "beats": data["beats"],
        "downbeats": data["downbeats"],
        "seconds_per_pair": per_pair,
        "highest": _highest(outline),
        "pairs": base64.b64encode(pairs.tobytes()).decode("ascii"),
    }


def key_words(key: Mapping[str, Any]) -> str:
    """Return the key as musicians and as DJs call it."""
    name = key["name"]["value"]
    return f"{name} · {key['camelot']['value']}" if name else "–"


def _rows(data: Mapping[str, Any], parts: Sequence[str]) -> list[Row]:
    """Return all figures of these parts of the document."""
    rows = []
    for part in parts:
        told = data[part]
        if "value" in told:
            rows.append(_row(part, told))
        elif "score" in told:
            fed = ", ".join(f"{name} {figure(v)}" for name, v in told["inputs"].items())
            rows.append(_row(part, told["score"], f"{told['formula']}: {fed}"))
        else:
            rows += [_row(n, t) for n, t in told.items() if isinstance(t, Mapping) and "unit" in t]
    return rows


def _row(name: str, told: Mapping[str, Any], note: str = "") -> Row:
    if told["value"] is None:
        note = told.get("why") or note
    elif told.get("raw") is not None:
        note = f"{in_words(told['raw'])} before calibration"
    value = in_words(told["value"])
    unit = told["unit"] if told["value"] is not None else ""
    p = told.get("p")
    return Row(
        title=TITLES.get(name, name),
        value=f"{value} {unit}".rstrip(),
        p="" if p is None else percent(p),
        note=note,
    )


def in_words(value: object) -> str:
    """Return a value of any figure as a person writes it."""
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, list | tuple):
        return " to ".join(map(in_words, value))
    if isinstance(value, int | float):
        return figure(round(value, 4)) if abs(value) < 1e5 else f"{value:,.0f}"  # noqa: PLR2004
    return _EVIDENCE.get(str(value), str(value))
