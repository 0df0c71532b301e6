"""The shape of ``analysis.json``, schema 1: what is said of a song, and how.

Rules
-----
Rule 1: what was measured or estimated is a ``Figure``: its value, its unit, where it comes from
and, of an estimate, the probability that it is right. A probability was fitted on songs whose
truth is known, or it is absent; a score is never called one.

Rule 2: what cannot be said is ``None`` with ``why``. There is no NaN, no infinity and no
stand-in such as 0 BPM.

Rule 3: lists that run along the song (beats, curves, sections) hold plain numbers; their unit
stands in their name. In a section, ``None`` means that it is silent or too short for the figure.

Rule 4: a file, a version and options decide every byte but those of ``analysis``, which says
what the reading cost and where it came from.

Rule 5: ``analysis-1.json`` in ``schema/`` is made from these classes; what readers know of it
changes only with ``SCHEMA``. Fields may be added.
"""

import json
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import Field

from dsp.analysis.figure import Bpm, Chroma, Count, Figure, Part, Probability, Seconds, Share

SCHEMA: Literal[1] = 1


class File(Part):
    """The file, and what was decoded of it."""

    name: str
    bytes: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    container: str
    codec: str
    rate_hz: Count
    channels: Count
    frames: Count
    """Decoded."""
    duration_s: Seconds
    bits: Count | None
    """Per sample; ``None`` of lossy codecs."""


class Tags(Part):
    """What the file says of itself, as it says it. No result depends on it."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    bpm: str | None = None
    key: str | None = None
    replaygain: str | None = None


class Candidate(Part):
    """One tempo that the song may have."""

    bpm: Bpm
    p: Probability | None
    relation: Literal["first", "half", "double", "triplet", "other"]
    """To the first; ``triplet``: by 3:2, 3:1 or the other way round."""


class Tempo(Part):
    """How fast the beats are."""

    bpm: Figure[Bpm]
    candidates: Annotated[tuple[Candidate, ...], Field(max_length=4)] = ()
    stable: Figure[bool]
    """95 % of the bars lie within 1 % of the tempo."""
    range: Figure[tuple[Bpm, Bpm]]
    """The slowest and the fastest bar."""
    curve: tuple[tuple[Seconds, float], ...] = ()
    """(s, BPM) of each bar."""


class KeyName(Part):
    """A key in three spellings."""

    name: str
    camelot: str
    open_key: str


class SecondKey(KeyName):
    """The next best key."""

    p: Probability | None


class Key(Part):
    """The tonic and mode of the song."""

    name: Figure[str]
    camelot: Figure[str]
    open_key: Figure[str]
    second: SecondKey | None = None
    scores: Annotated[tuple[Probability, ...], Field(max_length=24)] = ()
    """C major … B major, C minor … B minor."""


class Tuning(Part):
    """How far the song is tuned from A4 = 440 Hz."""

    cents: Figure[Annotated[float, Field(ge=-50, le=50)]]
    sharpness: Figure[Share]
    """How well partials agree on a tuning."""


class Loudness(Part):
    """EBU R 128. The floor is −70 LUFS, and −120 dB of peaks."""

    integrated_lufs: Figure[float]
    range_lu: Figure[float]
    momentary_max_lufs: Figure[float]
    short_term_max_lufs: Figure[float]
    true_peak_dbtp: Figure[float]
    sample_peak_dbfs: Figure[float]
    plr_db: Figure[float]


class ReplayGain(Part):
    """ReplayGain 2.0, to −18 LUFS."""

    track_gain_db: Figure[float]
    track_peak: Figure[float]
    """True peak, as a ratio to full scale."""
    album_gain_db: Figure[float]
    album_peak: Figure[float]


class Levels(Part):
    """Faults that a meter shows."""

    dc: Figure[float]
    """The mean of the channel that is farthest from 0; full scale is 1."""
    clipped_runs: Figure[Count]
    """Runs of three or more frames at full scale."""
    clipped_frames: Figure[Count]
    correlation: Figure[Annotated[float, Field(ge=-1, le=1)]]
    """Of the first two channels."""
    rms_dbfs: Figure[float]
    crest_factor_db: Figure[float]
    silence_head_s: Figure[Seconds]
    silence_tail_s: Figure[Seconds]
    silence_longest_s: Figure[Seconds]
    """Below −60 dBFS in all channels; head and tail included."""


class Bandwidth(Part):
    """Where the spectrum ends, and how."""

    edge_hz: Figure[float]
    drop_db: Figure[float]
    residue_dbfs: Figure[float]
    """The level above the edge."""
    evidence: Figure[Literal["none", "lossy_wall", "upsampled"]]


class Section(Part):
    """A part of the song, with what it has of its own."""

    start_s: Seconds
    end_s: Seconds
    bpm: float | None
    key: str | None
    integrated_lufs: float | None
    energy: Share | None
    chroma: Chroma | None
    boundary: Share
    """How different the harmony is from that of the section before."""


class SectionSummary(Part):
    """How alike the sections are."""

    bpm_spread: Figure[float]
    """The fastest less the slowest section."""
    key_agreement: Figure[Share]
    """Share of the sections in the key of the song."""
    modulation: Figure[Annotated[int, Field(ge=-5, le=6)]]
    """From the key of the first third to that of the last third, in semitones."""


class Descriptor(Part):
    """A named formula, and what went into it."""

    score: Figure[Share]
    formula: str
    inputs: dict[str, float | None]


class Curve(Part):
    """Values at even steps; value k stands for ``start_s + k · step_s``."""

    start_s: float
    step_s: Annotated[float, Field(gt=0)]
    unit: str
    values: Annotated[tuple[float, ...], Field(max_length=2_000)]


class ChromaCurve(Part):
    """Chroma at even steps, centred on ``start_s + k · step_s``."""

    start_s: float
    step_s: Annotated[float, Field(gt=0)]
    values: Annotated[tuple[Chroma, ...], Field(max_length=2_000)]


class Curves(Part):
    """The song over time, coarse enough to be drawn."""

    loudness: Curve
    """Momentary, LUFS; the loudest of each step."""
    onset: Curve
    """How much rises, 0 to 1."""
    chroma: ChromaCurve


class Note(Part):
    """What a person should know of the file."""

    code: str
    message: str


class Provenance(Part):
    """How the reading came about. Alone in depending on more than file, version and options."""

    version: str
    options: dict[str, Any]
    calibration: str | None = None
    cpu_s: Seconds
    source: Literal["fresh", "cache"] = "fresh"


class Analysis(Part):
    """All that is said of a song."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = SCHEMA
    file: File
    complete: bool = True
    """False: the file is damaged, and was read up to there."""
    warnings: tuple[Note, ...] = ()
    tags: Tags = Tags()
    tempo: Tempo
    beats: tuple[Seconds, ...] = ()
    """Seconds; frame 0 of the file is 0 s."""
    downbeats: tuple[Seconds, ...] = ()
    meter: Figure[Annotated[int, Field(ge=2, le=4)]]
    """Beats per bar."""
    key: Key
    tuning: Tuning
    loudness: Loudness
    replaygain: ReplayGain
    levels: Levels
    bandwidth: Bandwidth
    sections: tuple[Section, ...] = ()
    section_summary: SectionSummary
    energy: Descriptor
    danceability: Descriptor
    curves: Curves
    analysis: Provenance


def text_of(analysis: Analysis) -> str:
    """Return the document as it is written: one line per field."""
    fields = analysis.model_dump(mode="json", by_alias=True)
    lines = (f'"{name}": {_compact(value)}' for name, value in fields.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def analysis_of(text: str | bytes) -> Analysis:
    """Return the analysis that ``text_of`` wrote.

    Raises
    ------
    pydantic.ValidationError
        It is none, or not of this schema.
    """
    return Analysis.model_validate_json(text)


def schema() -> dict[str, Any]:
    """Return the shipped JSON Schema."""
    text = (resources.files("dsp.analysis.schema") / "analysis-1.json").read_text("utf-8")
    shipped: dict[str, Any] = json.loads(text)
    return shipped


def made_schema() -> dict[str, Any]:
    """Return the JSON Schema that these classes make; the shipped one is held to it."""
    made = Analysis.model_json_schema(mode="validation", by_alias=True)
    title = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Soundspool analysis, schema 1",
    }
    return title | {key: value for key, value in made.items() if key != "title"}


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
