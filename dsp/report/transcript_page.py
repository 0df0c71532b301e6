"""``report.html`` of a transcript: its words, that follow the recording and can be clicked.

The recording is not in the page: it plays the file that it is shown, in the browser and by nobody
else. It keeps the rules of ``template``.
"""

from collections.abc import Mapping
from typing import Any

from dsp.report.template import rendered

_UNSURE = 0.5


def transcript_page(document: Mapping[str, Any]) -> str:
    """Return the page of a ``transcript.json``."""
    files = [
        {"name": file["name"], "seconds": file["duration_s"], "said": _said(document, file["name"])}
        for file in document["files"]
    ]
    words = sum(len(one["text"].split()) for one in document["segments"])
    return rendered(
        "transcript.html.j2",
        styles=["transcript.css"],
        scripts=["transcript.js"],
        media="blob:",
        title=document["title"],
        engine=document["engine"],
        rough=document["engine"].startswith("pocketsphinx"),
        files=files,
        words=words,
    )


def _said(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [_shown(one) for one in document["segments"] if one["file"] == name]


def _shown(one: Mapping[str, Any]) -> dict[str, Any]:
    words = one["words"] or [one]
    return {
        "start": one["start"],
        "end": one["end"],
        "speaker": one["speaker"],
        "words": [
            {
                "start": word["start"],
                "end": word["end"],
                "text": word["text"],
                "unsure": word["probability"] is not None and word["probability"] < _UNSURE,
            }
            for word in words
        ],
    }
