"""What becomes of a folder of songs: documents, table, page, and what was learned of truth."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from daemon.handlers.batch import Plan
from daemon.handlers.contract import Note, Output
from daemon.handlers.song import SongOptions, write_documents
from daemon.handlers.song_cache import Entry
from daemon.handlers.tagged import write_tagged
from daemon.text import count
from dsp.analysis.calibration import Calibration, calibrated, fitted
from dsp.analysis.document import Analysis
from dsp.analysis.figure import Figure
from dsp.analysis.table import COLUMNS, csv_line, csv_text, row_of
from dsp.analysis.truth import (
    ERROR_COLUMNS,
    Found,
    Interval,
    Row,
    Truth,
    error_rows,
    found_of,
    scores,
)
from dsp.measure.album import Counts, added, lufs_of_blocks
from dsp.measure.loudness import FLOOR_LUFS
from dsp.report.batch_page import Score, Song, Summary, page_parts
from dsp.units import ratio_of

PAGE = "index.html"
_SURVEYED = 0.1
"""Progress when each song has been looked at."""
_REPLAYGAIN_LUFS = -18.0  # ReplayGain 2.0
_TITLES = {
    "acc1": "Tempo right",
    "acc2": "Tempo right, octaves forgiven",
    "top2": "Tempo among the first two",
    "key_exact": "Key right",
    "key_mirex": "Key, related ones counted in part",
}


@dataclass
class _Album:
    """The songs of a folder, heard as one."""

    songs: int = 0
    blocks: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    true_peak_dbtp: float = -math.inf

    def add(self, entry: Entry) -> None:
        """Hear the next song."""
        self.songs += 1
        self.blocks = added(self.blocks, np.array(entry.blocks, np.int64))
        peak_dbtp = entry.analysis.loudness.true_peak_dbtp.value
        self.true_peak_dbtp = max(
            self.true_peak_dbtp, -math.inf if peak_dbtp is None else peak_dbtp
        )


@dataclass
class Batch:
    """All that a table is made of."""

    title: str
    source: Path
    workdir: Path
    plan: Plan
    entry: Callable[[str], Entry]
    """By hash."""
    options: SongOptions
    key_names: str
    truth: Mapping[str, Truth] = field(default_factory=dict)
    calibration: Calibration | None = None
    notes: list[Note] = field(default_factory=list)
    _found: dict[str, Found] = field(default_factory=dict)
    _albums: dict[str, _Album] = field(default_factory=dict)
    _untagged: dict[str, list[str]] = field(default_factory=dict)
    """By reason."""

    def written(self, report: Callable[[float], None]) -> list[Output]:
        """Write everything; return what was written. One song is in memory at a time."""
        self._survey(lambda share: report(_SURVEYED * share))
        outputs: list[Output] = []
        scored = self._scores()
        done = [song for song in self.plan.songs if song.sha256 not in self.plan.failed]
        summary = Summary(
            self.title,
            songs=len(self.plan.songs),
            failed=len(self.plan.songs) - len(done),
            seconds=sum(song.seconds for song in done),
            cached=sum(song.cached for song in done),
            scores=[_score(_TITLES[name], scored[name]) for name in _TITLES if name in scored],
            table="table.csv",
            key_names=self.key_names,
        )
        rows = []
        with (self.workdir / "table.csv").open("w", encoding="utf-8", newline="") as table:
            table.write(csv_text(COLUMNS, []))

            def songs() -> Iterator[Song]:
                for place, (song, row) in enumerate(self._songs(outputs)):
                    table.write(csv_line(COLUMNS, row))
                    rows.append({key: row.get(key) for key in ("file", "sha256", "source",
                                 "same_as", "error_code")})  # fmt: skip
                    report(_SURVEYED + (1 - _SURVEYED) * (place + 1) / len(self.plan.songs))
                    yield song

            with (self.workdir / PAGE).open("w", encoding="utf-8") as page:
                page.writelines(page_parts(songs(), summary))
        for why, names in self._untagged.items():
            message = f"no copy with tags of {count(len(names), 'song')}, {names[0]} first: {why}"
            self.notes.append(Note("TAGS_NOT_WRITTEN", message))
        whole = [
            Output(PAGE, "report"),
            Output("table.csv", "table"),
            Output("batch.json", "batch"),
        ]
        if self.truth:
            whole += self._write_errors()
        told = {"schema": 1, "name": self.title, "songs": rows, "errors": scored,
                "calibration": self.calibration and self.calibration.name,
                "notes": [vars(note) for note in self.notes]}  # fmt: skip
        text = json.dumps(told, ensure_ascii=True, indent=1)
        (self.workdir / "batch.json").write_text(f"{text}\n", "utf-8")
        return [*whole, *outputs]  # a status lists the first ones

    def _survey(self, report: Callable[[float], None]) -> None:
        """Gather what needs all songs: the loudness of albums, and what truth is held against."""
        for place, song in enumerate(self.plan.songs):
            report(place / len(self.plan.songs))
            if song.sha256 in self.plan.failed:
                continue
            entry = self.entry(song.sha256)
            analysis = entry.analysis
            self._albums.setdefault(_folder(song.name), _Album()).add(entry)
            if song.name in self.truth:
                self._found[song.name] = found_of(analysis.model_dump(mode="json", by_alias=True))

    def _songs(self, outputs: list[Output]) -> Iterator[tuple[Song, Row]]:
        """Yield each song's row of page and table, its documents being written."""
        first: dict[str, str] = {}
        for song in self.plan.songs:
            same_as = first.setdefault(song.sha256, song.name)
            same_as = "" if same_as == song.name else same_as
            if error := self.plan.failed.get(song.sha256):
                row: Row = {"file": song.name, "error_code": error[0], "error_message": error[1],
                            "same_as": same_as, "sha256": song.sha256}  # fmt: skip
                yield Song(song.name, error=error), row
                continue
            made = self.entry(song.sha256).analysed(song.name, cached=song.cached)
            analysis = self._of_album(made.analysis, _folder(song.name))
            if self.calibration:
                analysis = calibrated(analysis, self.calibration)
            made = replace(made, analysis=analysis)
            written = write_documents(made, self.workdir, Path(song.name), self.options)
            outputs += [Output(one.path, one.role) for one in written]
            if self.options.tags == "copy":
                tagged, why = write_tagged(
                    analysis, self.source / song.name, self.workdir, Path(song.name)
                )
                outputs += tagged
                if why:
                    self._untagged.setdefault(why, []).append(song.name)
            document = analysis.model_dump(mode="json", by_alias=True)
            truth = self._against_truth(song.name)
            page = Song(song.name, song.name, document, same_as=same_as, truth=truth)
            yield page, row_of(document, same_as)

    def _of_album(self, analysis: Analysis, folder: str) -> Analysis:
        """Return an analysis with the gain of its folder, where it is more than one song."""
        album = self._albums[folder]
        lufs = lufs_of_blocks(album.blocks)
        if album.songs < 2 or lufs <= FLOOR_LUFS:  # noqa: PLR2004 - one song is no album
            return analysis
        figures = {
            "album_gain_db": Figure(value=round(_REPLAYGAIN_LUFS - lufs, 2), unit="dB"),
            "album_peak": Figure(value=round(ratio_of(album.true_peak_dbtp), 6), unit=""),
        }
        gains = analysis.replaygain.model_copy(update=figures)
        return analysis.model_copy(update={"replaygain": gains})

    def _against_truth(self, name: str) -> dict[str, Any]:
        if name not in self._found:
            return {}
        told: dict[str, Any] = {}
        for row in error_rows(name, self.truth[name], self._found[name]):
            if row["field"] in ("bpm", "key"):
                told[str(row["field"])] = row["truth"]
                told["ratio" if row["field"] == "bpm" else "relation"] = row["relation"]
        return told

    def _pairs(self) -> list[tuple[Truth, Found]]:
        return [(self.truth[name], found) for name, found in self._found.items()]

    def _scores(self) -> dict[str, Interval]:
        return scores(self._pairs()) if self._found else {}

    def _write_errors(self) -> list[Output]:
        """Write ``errors.csv`` and ``calibration.yaml``, of what was found, uncalibrated."""
        found = self._found.items()
        rows = [row for name, one in found for row in error_rows(name, self.truth[name], one)]
        (self.workdir / "errors.csv").write_text(csv_text(ERROR_COLUMNS, rows), "utf-8", newline="")
        learned = fitted(self.title, self._pairs()).model_dump(mode="json")
        (self.workdir / "calibration.yaml").write_text(
            yaml.safe_dump(learned, sort_keys=False, allow_unicode=False), "utf-8"
        )
        return [Output("errors.csv", "table"), Output("calibration.yaml", "calibration")]


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _score(title: str, told: Interval) -> Score:
    value, low, high = (
        "" if told[name] is None else f"{told[name]:.3f}" for name in ("value", "low", "high")
    )
    return Score(title, value, low, high, int(told["n"] or 0))
