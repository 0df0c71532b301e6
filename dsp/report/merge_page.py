"""``report.html`` of a merge: the waveform with its joins and gaps, and what became of each chunk.

It keeps the rules of ``template``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dsp.report.peaks import Outline, thinned
from dsp.report.svg import time_ticks, waveform_path, x_axis
from dsp.report.template import rendered

_POINTS = 1_000
_MOST_ROWS = 5_000
_JOINS = {
    "first": "begins",
    "butt": "end to end",
    "overlap": "the same sound, joined to the sample",
    "crossfade": "crossfaded",
    "gap": "after silence",
    "faded": "faded: a step would click",
    "bytes": "behind the bytes of the one before",
}
_RULES = {
    "order": "by the list in job.yaml",
    "stamps": "by the time stamps in the files",
    "times": "by the times in their names",
    "numbers": "by the numbers in their names",
    "names": "by their names, which is a guess",
}


def merge_page(
    document: Mapping[str, Any],
    outline: Outline,
    *,
    figures: Sequence[tuple[str, str]],
    warnings: Sequence[str],
) -> str:
    """Return the page of a ``manifest.json``."""
    rate_hz, frames = document["rate_hz"], max(1, document["frames"])
    drawn = thinned(outline, _POINTS) / 128.0
    peak = max(float(abs(drawn).max(initial=0.0)), 1e-3)
    low, high = (drawn / peak).T.tolist()
    used = [row for row in document["chunks"] if row["place"] is not None]
    return rendered(
        "merge.html.j2",
        styles=["report.css", "merge.css"],
        scripts=["merge.js"],
        media="'self' file:",
        document=document,
        figures=figures,
        warnings=warnings,
        rule=_RULES[document["order"]],
        width=len(drawn),
        shape=waveform_path(low, high, 100.0),
        ticks=time_ticks(x_axis(0.0, frames / rate_hz)),
        gaps=[
            (
                1000.0 * (row["start_frame"] - row["silence_frames"]) / frames,
                1000.0 * row["silence_frames"] / frames,
            )
            for row in used
            if row["silence_frames"]
        ],
        joins=[(1000.0 * row["start_frame"] / frames, row["join"]) for row in used[1:]],
        rows=[
            {**row, "how": _JOINS.get(row["join"], ""), "seconds": row["frames"] / rate_hz}
            for row in document["chunks"][:_MOST_ROWS]
        ],
        more=max(0, len(document["chunks"]) - _MOST_ROWS),
    )
