"""A song to its analysis: one decode, all figures.

Theory of operation
-------------------
The file is read once, block by block; every meter hears every block (``readings.Meters``). What
is said of the music is worked out at the end, from the evidence that was gathered.

Rules
-----
Rule 1: bytes, version and options decide the document, but for ``analysis``: not the size of
the blocks, nor who asks.

Rule 2: a file that breaks off is analysed up to there, and says so: ``complete`` is false. One
that gives no sound, or samples that are no numbers, is refused: no figure could be trusted.

Rule 3: under six seconds, and in silence, nothing is said of the music.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dsp.analysis.curves import curves_of
from dsp.analysis.document import Analysis, File, Note, Provenance, Section
from dsp.analysis.features import MUSIC_S, Evidence
from dsp.analysis.figure import Why
from dsp.analysis.music import (
    danceability_figure,
    energy_figure,
    key_figures,
    meter_of,
    music_of,
    tempo_of,
    tuning_figures,
)
from dsp.analysis.options import VERSION, AnalysisOptions
from dsp.analysis.outline import Outline
from dsp.analysis.readings import (
    SILENT_LUFS,
    Meters,
    bandwidth_of,
    levels_of,
    loudness_of,
    replaygain_of,
)
from dsp.analysis.rhythm import SHORTEST_S
from dsp.analysis.sections import Sound, sections_of, summary_of
from dsp.analysis.tags import tags_of
from dsp.audio import BLOCK_FRAMES
from dsp.errors import AudioFormatError
from dsp.formats import refusals
from dsp.formats.reader import Limits, Probe, StemReader, probe
from dsp.measure.album import Counts, block_counts
from dsp.measure.loudness import HOP_S

_DECODED_SHARE = 0.9
"""Of the work, by the clock."""

_UNKNOWN_S = 300
_LESS = "holds less sound than it declares; what could be decoded was analysed"
_LONG = "is longer than an hour; its tempo, beats, key and tuning are those of the first hour"
_BROKEN = {"INPUT_DAMAGED", "INPUT_TRUNCATED"}
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32,
         "FLOAT": 32, "DOUBLE": 64}  # fmt: skip
_CODECS = {"MPEG_LAYER_III": "mp3", "MPEG_LAYER_II": "mp2", "VORBIS": "vorbis", "OPUS": "opus"}


@dataclass(frozen=True)
class Analysed:
    """What was made of a song."""

    analysis: Analysis
    outline: Outline
    """For drawings; not part of the document."""
    blocks: Counts
    """For the loudness of an album."""


def analyse(
    path: Path,
    options: AnalysisOptions,
    on_progress: Callable[[float], None] = lambda _: None,
    *,
    name: str = "",
    limits: Limits | None = None,
    foreign: bool = True,
    sha256: str = "",
    block_frames: int = BLOCK_FRAMES,
) -> Analysed:
    """Return the analysis of the song at ``path``.

    Parameters
    ----------
    path : Path
    options : AnalysisOptions
    on_progress : function of the share that is done
    name : str
        What messages and the document call the file; its own name otherwise.
    limits : Limits
    foreign : bool
        Whether the ``ffmpeg`` program may decode what libsndfile cannot.
    sha256 : str
        Of the file, where it is known already.
    block_frames : int
        Changes nothing but speed and memory.

    Raises
    ------
    AudioFormatError
        There is no sound in it that could be measured.
    """
    began = time.process_time()
    found = probe(
        path, name=name or path.name, limits=limits, allow_ffmpeg=foreign, accept_truncated=True
    )
    with StemReader(found, limits=limits, allow_ffmpeg=foreign, accept_truncated=True) as reader:
        meters = Meters(found.rate_hz, found.channels)
        notes = _heard(reader, found, meters, on_progress, block_frames)
        frames = reader.frames_read
    analysis = _document(
        path,
        found,
        frames=frames,
        meters=meters,
        options=options,
        notes=notes,
        sha256=sha256,
        began=began,
    )
    on_progress(1.0)
    blocks = block_counts(meters.loudness.energy(), step_s=HOP_S)
    return Analysed(analysis, meters.outline.outline(), blocks)


def _heard(
    reader: StemReader,
    found: Probe,
    meters: Meters,
    on_progress: Callable[[float], None],
    block_frames: int,
) -> list[Note]:
    """Let the meters hear all that can be decoded; return what is wrong with the file."""
    notes = []
    try:
        while len(block := reader.read(block_frames)) and not reader.nonfinite:
            meters.update(block)
            heard = reader.frames_read
            # Where nothing says how long it is the share still grows: who waits sees life.
            expected = found.frames or heard + _UNKNOWN_S * found.rate_hz
            on_progress(_DECODED_SHARE * min(1.0, heard / expected))
        if reader.cut:
            notes.append(Note(code="INPUT_DAMAGED", message=f"{found.name} {_LESS}"))
    except AudioFormatError as error:
        if error.code not in _BROKEN or not reader.frames_read:
            raise
        notes.append(
            Note(code="INPUT_DAMAGED", message=f"{error.message}; it was analysed up to there")
        )
    if reader.nonfinite:
        raise refusals.damaged(found.name, "has samples that are no numbers, or beyond all scales")
    if reader.wild and reader.wild.count:
        message = f"{found.name} has {reader.wild.count} samples far above all their neighbours"
        notes.append(Note(code="SAMPLES_WILD", message=f"{message}; a straight line replaces each"))
    return notes


def _document(
    path: Path,
    found: Probe,
    *,
    frames: int,
    meters: Meters,
    options: AnalysisOptions,
    notes: list[Note],
    sha256: str,
    began: float,
) -> Analysis:
    duration_s = frames / found.rate_hz
    loudness = loudness_of(meters)
    lufs = loudness.integrated_lufs.value
    evidence = meters.features.close()
    why = _why_no_music(duration_s, lufs, evidence)
    bandwidth = bandwidth_of(meters, why)
    music = None if why else music_of(evidence, options.tempo.range)
    if music and evidence.sound_s > MUSIC_S:
        notes = [*notes, Note(code="MUSIC_OF_FIRST_HOUR", message=f"{found.name} {_LONG}")]
    no_beat: Why = why or "no steady beat"
    not_tonal: Why = why or "not tonal"
    key = key_figures(music, not_tonal)
    sections: tuple[Section, ...] = ()
    if music and options.sections != "off":
        sound = Sound(music, meters.loudness.energy(), meters.lead_s, duration_s)
        sections = sections_of(sound, options.sections)
    rhythm = music.rhythm if music else None
    return Analysis(
        file=_file(path, found, frames, sha256 or _sha256(path)),
        complete=not any(note.code == "INPUT_DAMAGED" for note in notes),
        warnings=tuple(notes),
        tags=tags_of(path),
        tempo=tempo_of(music, no_beat),
        beats=tuple(rhythm.beats_s) if rhythm else (),
        downbeats=tuple(rhythm.downbeats_s) if rhythm else (),
        meter=meter_of(music, no_beat),
        key=key,
        tuning=tuning_figures(music, not_tonal),
        loudness=loudness,
        replaygain=replaygain_of(loudness),
        levels=levels_of(meters, found.rate_hz, found.channels),
        bandwidth=bandwidth,
        sections=sections,
        section_summary=summary_of(sections, key.name.value, why or "no sections"),
        energy=energy_figure(music, lufs, no_beat),
        danceability=danceability_figure(music, no_beat),
        curves=curves_of(meters.loudness.momentary_lufs(), meters.lead_s, music),
        analysis=Provenance(
            version=VERSION,
            options=options.model_dump(mode="json"),
            cpu_s=round(time.process_time() - began, 3),
        ),
    )


def _why_no_music(duration_s: float, lufs: float | None, evidence: Evidence) -> Why | None:
    if lufs is None or duration_s < SHORTEST_S:
        return "too short"
    if lufs <= SILENT_LUFS or evidence.sound_s == 0.0:
        return "silent"
    return "too short" if evidence.sound_s < SHORTEST_S else None


def _file(path: Path, found: Probe, frames: int, sha256: str) -> File:
    lossless = "flac" if found.container == "flac" else "pcm"
    codec = _CODECS.get(found.subtype) or found.subtype.lower()
    return File(
        name=found.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
        bytes=path.stat().st_size,
        sha256=sha256,
        container=found.container,
        codec=lossless if found.subtype in _BITS else codec,
        rate_hz=found.rate_hz,
        channels=found.channels,
        frames=frames,
        duration_s=round(frames / found.rate_hz, 3),
        bits=_BITS.get(found.subtype),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
