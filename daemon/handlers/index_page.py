"""``index.html``: the page of a folder of songs, from the documents that lie beside it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from daemon.errors import BadInput
from daemon.handlers.contract import Output
from dsp.report.batch_page import Song, Summary, page_parts

NAME = "index.html"


def write_index(
    workdir: Path, songs: Mapping[str, BadInput | None], *, title: str, seconds: float
) -> Output:
    """Write the page; return what was written.

    Parameters
    ----------
    workdir : Path
        Where each song has a folder of its own name, with its analysis.
    songs : mapping
        By their paths in the drop: why they failed, if they did.
    title : str
    seconds : float
        Of all songs that were analysed.
    """
    failed = sum(error is not None for error in songs.values())
    summary = Summary(title, songs=len(songs), failed=failed, seconds=seconds)
    with (workdir / NAME).open("w", encoding="utf-8") as page:
        page.writelines(page_parts(_rows(workdir, songs), summary))
    return Output(NAME, "report")


def _rows(workdir: Path, songs: Mapping[str, BadInput | None]) -> Iterator[Song]:
    """Yield the songs; one document at a time is in memory."""
    for name, error in songs.items():
        if error is not None:
            yield Song(name, error=(error.code, error.message))
        else:
            document = (workdir / name / "analysis.json").read_bytes()
            yield Song(name, folder=name, analysis=json.loads(document))
