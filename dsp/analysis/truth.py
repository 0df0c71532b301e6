"""``truth.csv``: what is known of songs, and how far the results are from it.

Rules
-----
Rule 1: every share and every mean says of how many songs it is, and its 95 % interval.

Rule 2: a song without a value counts as wrong for tempo and key, where truth has one; a scalar
without a value is left out.

References
----------
Raffel et al. 2014, "mir_eval"; MIREX "Audio Key Detection" (weights of related keys) and
"Audio Tempo Estimation" (4 %). Wilson 1927 (interval of a share).
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from statistics import fmean, stdev
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dsp.analysis.key import KEYS

SCALARS = ("energy", "danceability", "loudness_lufs")
ERROR_COLUMNS = ("file", "field", "truth", "value", "difference", "relation")

_TOLERANCE = 0.04  # MIREX, of the tempo
_Z = 1.959964  # of 95 %, two-sided normal
_RATIOS = {"1": 1.0, "2": 2.0, "1/2": 0.5, "3/2": 1.5, "2/3": 2 / 3}
_KEY_WEIGHTS = {"same": 1.0, "fifth": 0.5, "relative": 0.3, "parallel": 0.2, "other": 0.0}
_TONICS = {name: place for place, names in enumerate(
    ("C B#", "C# Db", "D", "D# Eb", "E Fb", "F E#", "F# Gb", "G", "G# Ab", "A", "A# Bb", "B Cb")
) for name in names.split()}  # fmt: skip
_SIGNS = str.maketrans({"♭": "b", "♯": "#"})


class TruthError(Exception):
    """The table cannot be read; ``line`` says where."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


class Truth(BaseModel):
    """What is known of one song."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    bpm: Annotated[float, Field(gt=0, le=1000)] | None = None
    key: str | None = None
    meter: Annotated[int, Field(ge=1, le=32)] | None = None
    energy: float | None = None
    danceability: float | None = None
    loudness_lufs: float | None = None

    @field_validator("key")
    @classmethod
    def _one_of_24(cls, value: str | None) -> str | None:
        return None if value is None else key_named(value)


def key_named(text: str) -> str:
    """Return one of ``KEYS``, as ``Am``, ``A minor`` or ``Db maj`` name it.

    Raises
    ------
    ValueError
        It is none.
    """
    clean = text.strip().translate(_SIGNS)
    tonic = clean[:2] if clean[1:2] in ("b", "#") else clean[:1]
    rest = clean[len(tonic) :].strip()
    place = _TONICS.get(tonic[:1].upper() + tonic[1:])
    minor = rest == "m" or rest.lower() in ("min", "minor")
    if place is None or not (minor or rest == "M" or rest.lower() in ("", "maj", "major")):
        raise ValueError(f"no key is called {text!r}; expected one such as 'A minor' or 'Db'")
    return KEYS[place + 12 * minor]


def read_truth(data: bytes, names: Iterable[str]) -> tuple[dict[str, Truth], list[str]]:
    """Return the truth of songs by their names, and which rows name no song, or more than one.

    Parameters
    ----------
    data : bytes
        UTF-8, separated by ``;`` or ``,``, with ``file`` among the columns.
    names : iterable of str
        The paths of the songs; a row may say the path, the file's name, or that without suffix.

    Raises
    ------
    TruthError
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise TruthError(data[: error.start].count(b"\n") + 1, "is not UTF-8") from error
    reader = csv.reader(lines, delimiter=";" if lines and ";" in lines[0] else ",", strict=True)
    songs = _Names(names)
    found: dict[str, Truth] = {}
    unmatched: list[str] = []
    columns: list[str] = []
    try:
        for cells in reader:
            if not columns:
                columns = _columns(cells, reader.line_num)
            elif any(cell.strip() for cell in cells):
                row, truth = _row(columns, cells, reader.line_num)
                if (name := songs.of(row)) is None or name in found:
                    unmatched.append(row)
                else:
                    found[name] = truth
    except csv.Error as error:
        raise TruthError(reader.line_num, str(error)) from error
    if not columns:
        raise TruthError(1, "there is no header; expected a row of names with 'file' among them")
    return found, unmatched


def _columns(cells: Sequence[str], line: int) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    known = ("file", *Truth.model_fields)
    if "file" not in columns or len(set(columns)) < len(columns):
        raise TruthError(line, f"expected a header with 'file' and each name once, got {cells}")
    if unknown := [name for name in columns if name not in known]:
        raise TruthError(line, f"unknown column {unknown[0]!r}; expected {', '.join(known)}")
    return columns


def _row(columns: Sequence[str], cells: Sequence[str], line: int) -> tuple[str, Truth]:
    if len(cells) != len(columns):
        raise TruthError(line, f"has {len(cells)} cells, and the header {len(columns)}")
    told = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
    file = told.pop("file", "")
    if not file:
        raise TruthError(line, "names no file")
    try:
        return file, Truth.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise TruthError(line, f"{first['loc'][0]}: {message}, got {first['input']!r}") from error


class _Names:
    """Songs by path, name and stem; one that several share names none."""

    def __init__(self, names: Iterable[str]) -> None:
        self._of: dict[str, set[str]] = {}
        self._names = set(names)
        for name in self._names:
            path = PurePosixPath(name)
            for called in {path.name, path.stem}:
                self._of.setdefault(called, set()).add(name)

    def of(self, row: str) -> str | None:
        path = row.replace("\\", "/").removeprefix("./")
        if path in self._names:
            return path
        songs = self._of.get(path, set())
        return next(iter(songs)) if len(songs) == 1 else None


def ratio_class(bpm: float, truth: float) -> str:
    """Return which ratio of ``_RATIOS`` a tempo has to the truth, or ``other``."""
    for name, ratio in _RATIOS.items():
        if abs(bpm / (ratio * truth) - 1) <= _TOLERANCE:
            return name
    return "other"


def key_relation(key: str, truth: str) -> str:
    """Return how a key stands to the truth, as MIREX has it: a fifth above or below counts."""
    (mode, tonic), (true_mode, true_tonic) = (divmod(KEYS.index(one), 12) for one in (key, truth))
    steps = (tonic - true_tonic) % 12
    if mode == true_mode:
        return {0: "same", 5: "fifth", 7: "fifth"}.get(steps, "other")
    if steps == 0:
        return "parallel"
    return "relative" if steps == (9 if mode else 3) else "other"


@dataclass(frozen=True)
class Found:
    """What an analysis says of what truth may name."""

    bpm: float | None
    bpm_p: float | None
    candidates: tuple[float, ...]
    key: str | None
    key_p: float | None
    meter: int | None
    scalars: Mapping[str, float | None]


def found_of(analysis: Mapping[str, Any]) -> Found:
    """Return it from a document."""
    tempo, key = analysis["tempo"], analysis["key"]["name"]
    return Found(
        bpm=tempo["bpm"]["value"],
        bpm_p=tempo["bpm"]["p"],
        candidates=tuple(one["bpm"] for one in tempo["candidates"]),
        key=key["value"],
        key_p=key["p"],
        meter=analysis["meter"]["value"],
        scalars={
            "energy": analysis["energy"]["score"]["value"],
            "danceability": analysis["danceability"]["score"]["value"],
            "loudness_lufs": analysis["loudness"]["integrated_lufs"]["value"],
        },
    )


Row = dict[str, str | int | float | bool | None]


def error_rows(file: str, truth: Truth, found: Found) -> list[Row]:
    """Return the rows of a song in ``errors.csv``, one for each field of its truth."""
    rows: list[Row] = []

    def add(field: str, true: float | str, value: float | str | None, relation: str = "") -> None:
        numbers = isinstance(true, int | float) and isinstance(value, int | float)
        difference = round(float(value) - float(true), 4) if numbers and value is not None else None
        rows.append({"file": file, "field": field, "truth": true, "value": value,
                     "difference": difference, "relation": relation})  # fmt: skip

    if truth.bpm is not None:
        add("bpm", truth.bpm, found.bpm, ratio_class(found.bpm, truth.bpm) if found.bpm else "")
    if truth.key is not None:
        add("key", truth.key, found.key, key_relation(found.key, truth.key) if found.key else "")
    if truth.meter is not None:
        add("meter", truth.meter, found.meter)
    for name in SCALARS:
        if (true := getattr(truth, name)) is not None:
            add(name, true, found.scalars[name])
    return rows


Interval = dict[str, float | int | None]


def scores(pairs: Sequence[tuple[Truth, Found]]) -> dict[str, Interval]:
    """Return how right the results are: ``{value, low, high, n}`` each, what truth allows."""
    said: dict[str, Interval] = {}
    tempi = [(t.bpm, f) for t, f in pairs if t.bpm is not None]
    if tempi:
        ratios = [ratio_class(f.bpm, bpm) if f.bpm else "other" for bpm, f in tempi]
        said["acc1"] = _share([ratio == "1" for ratio in ratios])
        # Acc2 forgives 2, 3 and their inverses (Gouyon et al. 2006).
        said["acc2"] = _share([f.bpm is not None and _within(f.bpm, bpm) for bpm, f in tempi])
        said["top2"] = _share(
            [any(ratio_class(c, bpm) == "1" for c in f.candidates[:2]) for bpm, f in tempi]
        )
    keys = [(t.key, f.key) for t, f in pairs if t.key is not None]
    if keys:
        relations = [key_relation(key, true) if key else "other" for true, key in keys]
        said["key_mirex"] = _mean([_KEY_WEIGHTS[one] for one in relations], 0.0, 1.0)
        said["key_exact"] = _share([relation == "same" for relation in relations])
    meters = [f.meter == t.meter for t, f in pairs if t.meter is not None]
    if meters:
        said["meter"] = _share(meters)
    for name in SCALARS:
        both = [(getattr(t, name), f.scalars[name]) for t, f in pairs]
        off = [value - true for true, value in both if true is not None and value is not None]
        if off:
            said[f"{name}_bias"] = _mean(off)
            said[f"{name}_mae"] = _mean([abs(one) for one in off], 0.0)
    return said


def _within(bpm: float, truth: float) -> bool:
    return any(abs(bpm / (k * truth) - 1) <= _TOLERANCE for k in (1, 2, 3, 1 / 2, 1 / 3))


def _share(right: Sequence[bool]) -> Interval:
    """Return a share with Wilson's interval, which stays within 0 and 1."""
    n, p = len(right), sum(right) / len(right)
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
    return _told(p, max(0.0, middle - half), min(1.0, middle + half), n)


def _mean(values: Sequence[float], low: float = -math.inf, high: float = math.inf) -> Interval:
    """Return a mean of values between two ends; one value alone has no interval."""
    mean, n = fmean(values), len(values)
    if n == 1:
        return _told(mean, None, None, n)
    half = _Z * stdev(values) / math.sqrt(n)
    return _told(mean, max(low, mean - half), min(high, mean + half), n)


def _told(value: float, low: float | None, high: float | None, n: int) -> Interval:
    ends = [None if end is None else round(end, 4) for end in (low, high)]
    return {"value": round(value, 4), "low": ends[0], "high": ends[1], "n": n}
