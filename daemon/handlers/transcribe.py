"""The ``transcribe`` handler: recordings in, their words out.

A drop is one recording, or a folder of them. Each is cut at silences into pieces, the pieces are
the parts of the job, and what was recognised of a piece is kept by its samples: a job that is
killed asks for no piece again that was answered.
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.errors import BadInput, NothingToDo, SpoolError
from daemon.handlers.contract import Note, Output, Part, Result, Split, Task
from daemon.handlers.grants import Url, endpoint_of
from daemon.handlers.pruning import prune
from daemon.handlers.speech import transcript
from daemon.handlers.speech.answers import Segment
from daemon.handlers.speech.client import Clock, SpeechClient
from daemon.handlers.speech.documents import write_documents
from daemon.handlers.speech.engines import Engine, Kind, engine_of
from daemon.handlers.speech.kept import SEGMENTS, recognised
from daemon.handlers.speech.sound import RATE_HZ, Detector, Piece, pieces_of, samples_of, streams
from daemon.handlers.speech.summary import Summary, summary_of
from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, probe

ACCEPTS = AUDIO_SUFFIXES
JUDGE = "any"
HEADLINE = ("words", "speech_s", "duration_s")
STAGES = ("listen", "recognise", "write")
KEEPS = True

_PLAN, _PIECE = "plan.json", "piece.json"
_LISTENED, _RECOGNISED = 0.1, 0.95


class Options(BaseModel):
    """The settings of a transcript."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Kind = "auto"
    """``auto``: the endpoint if there is one, else the best engine that is installed."""
    endpoint: Url = ""
    """A server with ``/v1/audio/transcriptions``; the operator's to say."""
    api_key_file: str = ""
    api_key_env: str = ""
    model: Annotated[str, Field(max_length=300)] = ""
    """Of a server its name for it; of Whisper a folder; empty: the usual one."""
    language: Annotated[str, Field(pattern=r"^([a-z]{2,3})?$")] = ""
    prompt: Annotated[str, Field(max_length=1_000)] = ""
    """Names and terms that occur."""
    formats: tuple[Literal["txt", "srt", "vtt", "json"], ...] = ("txt", "srt", "vtt", "json")
    speakers: Literal["none", "channels"] = "none"
    """``channels``: each channel is a speaker of its own."""
    detector: Detector = "auto"
    """What finds speech; ``auto``: Silero's model where it is installed, else the level."""
    at_once: Annotated[int, Field(ge=0, le=64)] = 2
    """Pieces at a time; 0: as many as there are slots."""
    request_s: Annotated[float, Field(ge=0.0, le=600.0)] = 0.0
    """What a request may take; 0: 30 s and 2.5 times the length of its piece."""
    cache_mb: Annotated[float, Field(ge=0.0)] = 256.0
    """What is kept of answers at the most, besides those of the last two days."""
    summary: Summary | None = None


def USES(options: Options) -> set[str]:  # noqa: N802 - a constant of a handler
    """Return the servers that these options name."""
    urls = [options.endpoint, options.summary.endpoint if options.summary else ""]
    return {endpoint_of(url) for url in urls if url}


class _Stream(BaseModel):
    """One speaker of one recording, and the pieces of it."""

    name: str
    sha256: str
    duration_s: float
    speaker: str | None
    samples: str
    pieces: list[Piece]


class _Plan(BaseModel):
    streams: list[_Stream] = []
    notes: list[Note] = []


def handle(task: Task) -> Result | Split:
    """Write down the drop, or say which parts do.

    Raises
    ------
    BadInput
        No recording can be used.
    NothingToDo
        Nobody speaks.
    Postponed
        The server or the engine is not there.
    """
    if task.round:
        assert task.carried is not None  # noqa: S101 - it is there in every round but the first
        plan = _Plan.model_validate_json((task.carried / _PLAN).read_bytes())
        if task.kept is not None:
            prune(task.kept, task.options.cache_mb, now_s=time.time())
        return _written(task, plan, task.carried)
    plan = _planned(task)
    pieces = [(stream, piece) for stream in plan.streams for piece in stream.pieces]
    if not pieces:
        raise NothingToDo("NO_SPEECH", f"nobody speaks in {task.name!r}")
    if task.kept is None:
        return _written(task, plan, task.workdir)
    (task.workdir / _PLAN).write_text(plan.model_dump_json(), "utf-8")
    return Split(
        tuple(
            Part(
                name=f"{stream.name} {piece.start / RATE_HZ:.1f} s",
                options={"samples": stream.samples, "start": piece.start, "end": piece.end},
                audio_s=(piece.end - piece.start) / RATE_HZ,
                weight=float(piece.end - piece.start),
            )
            for stream, piece in pieces
        ),
        at_once=task.options.at_once,
        on_failure="stop",
    )


def part(task: Task) -> Result:
    """Recognise one piece; it is kept as soon as it is answered."""
    assert task.carried is not None  # noqa: S101 - a part has a plan
    options: Options = task.options
    samples = samples_of(task.carried / str(task.part["samples"]))
    waits = iter(range(1, 10))

    def waited(seconds: float) -> None:  # a wait between tries is progress, too
        task.report("recognise", 0.1 * next(waits))
        time.sleep(seconds)

    piece = samples[int(task.part["start"]) : int(task.part["end"])]
    engine = _engine(task, Clock(sleep=waited))
    found = recognised(task.kept, engine, piece, options.language, options.prompt)
    (task.workdir / _PIECE).write_bytes(SEGMENTS.dump_json(found))
    return Result((Output(_PIECE, "data"),))


def _engine(task: Task, clock: Clock | None = None) -> Engine:
    options: Options = task.options

    def client() -> SpeechClient:
        key = task.secrets.get("api_key", "")
        return SpeechClient(options.endpoint, key, grants=task.grants, clock=clock or Clock())

    asked = client if options.endpoint else None
    return engine_of(options.engine, options.model, asked, options.request_s)


def _planned(task: Task) -> _Plan:
    """Turn recordings into streams, and find the pieces of speech in them."""
    single = not task.source.is_dir()
    paths = [task.source] if single else sorted(_recordings(task.source))
    if not paths:
        raise NothingToDo("NO_AUDIO", f"there is no recording in {task.name!r}")
    plan, refused = _Plan(), list[BadInput]()
    for place, path in enumerate(paths):
        name = task.name if single else path.relative_to(task.source).as_posix()

        def report(share: float, place: int = place) -> None:
            task.report("listen", _LISTENED * (place + share) / len(paths))

        report(0.0)
        try:
            plan.streams += _streams_of(task, path, name, f"{place:04}", report)
        except AudioFormatError as error:
            refused.append(BadInput(error.code, error.message, error.hint, error.path))
            plan.notes.append(Note("RECORDING_SKIPPED", f"{name}: {error.code}: {error.message}"))
    if not plan.streams:
        raise refused[0]
    return plan


def _streams_of(
    task: Task, path: Path, name: str, stem: str, report: Callable[[float], None]
) -> list[_Stream]:
    options: Options = task.options
    limits, cut = Limits(**task.limits), task.accept_truncated
    found = probe(path, name=name, limits=limits, allow_ffmpeg=True, accept_truncated=cut)
    apart = options.speakers == "channels" and found.channels > 1
    speakers = _speakers(found.channels) if apart else [None]
    targets = [f"{stem}.{number}.pcm" for number in range(len(speakers))]
    paths = [task.workdir / target for target in targets]
    streams(found, limits=limits, apart=apart, targets=paths, truncated=cut)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    made = []
    for speaker, target in zip(speakers, targets, strict=True):
        samples = samples_of(task.workdir / target)
        made.append(
            _Stream(
                name=name,
                sha256=sha256,
                duration_s=len(samples) / RATE_HZ,
                speaker=speaker,
                samples=target,
                pieces=pieces_of(samples, options.detector, report),
            )
        )
    return made


def _speakers(channels: int) -> list[str | None]:
    return ["Left", "Right"] if channels == 2 else [f"Channel {n + 1}" for n in range(channels)]  # noqa: PLR2004


def _recordings(folder: Path) -> list[Path]:
    return [
        Path(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in AUDIO_SUFFIXES and not name.startswith(".")
    ]


def _written(task: Task, plan: _Plan, folder: Path) -> Result:
    """Put the pieces together and write everything that is said of them."""
    options: Options = task.options
    engine, notes = _engine(task), list(plan.notes)
    said = _said(task, plan, folder, engine)
    if not said:
        raise NothingToDo("NO_SPEECH", f"no word was recognised in {task.name!r}")
    task.report("write", _RECOGNISED)
    files = {
        stream.name: transcript.SourceFile(
            name=stream.name, duration_s=round(stream.duration_s, 3), sha256=stream.sha256
        )
        for stream in plan.streams
    }
    document = transcript.Transcript(
        title=task.name,
        engine=engine.name,
        language=options.language,
        files=tuple(files.values()),
        segments=tuple(said),
    )
    outputs = write_documents(document, options.formats, task.workdir)
    if options.summary is not None:
        try:
            text = summary_of(options.summary, transcript.text_of(said), task)
            (task.workdir / "summary.md").write_text(f"{text.strip()}\n", "utf-8")
            outputs.append(Output("summary.md", "summary"))
        except SpoolError as error:
            notes.append(Note("SUMMARY_FAILED", f"{error.code}: {error.message}"))
    if engine.name.startswith("pocketsphinx"):
        notes.append(Note("ROUGH_ENGINE", "pocketsphinx recognised the words: many will be wrong"))
    inputs = tuple({"path": one.name, "sha256": one.sha256} for one in files.values())
    return Result(tuple(outputs), _measured(plan, said), tuple(notes), inputs)


def _said(task: Task, plan: _Plan, folder: Path, engine: Engine) -> list[transcript.Said]:
    """Return what was recognised of all pieces; by hand they are recognised here."""
    options: Options = task.options
    answers, done = iter(task.parts), 0
    total = sum(len(stream.pieces) for stream in plan.streams) or 1
    said: list[transcript.Said] = []
    for stream in plan.streams:
        segments: list[Segment] = []
        for piece in stream.pieces:
            if task.round:
                found = SEGMENTS.validate_json((next(answers).folder / _PIECE).read_bytes())
            else:
                samples = samples_of(folder / stream.samples)[piece.start : piece.end]
                found = recognised(None, engine, samples, options.language, options.prompt)
            segments += transcript.placed(found, piece)
            done += 1
            share = _LISTENED + (_RECOGNISED - _LISTENED) * done / total
            task.report("recognise", share)
        if not task.round:
            (folder / stream.samples).unlink()
        said += transcript.said(stream.name, stream.speaker, segments)
    order = {stream.name: place for place, stream in enumerate(plan.streams)}
    return sorted(said, key=lambda one: (order[one.file], one.start))


def _measured(plan: _Plan, said: list[transcript.Said]) -> dict[str, object]:
    pieces = [piece for stream in plan.streams for piece in stream.pieces]
    files = {stream.name: stream.duration_s for stream in plan.streams}
    return {
        "words": sum(len(one.text.split()) for one in said),
        "speech_s": round(sum(one.core_end - one.core_start for one in pieces) / RATE_HZ, 2),
        "duration_s": round(sum(files.values()), 2),
        "pieces": len(pieces),
    }
