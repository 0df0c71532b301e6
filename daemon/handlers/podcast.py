"""The ``podcast`` handler: an article in, an episode out.

Theory of operation
-------------------
The article is cut into pieces; each is spoken by the engine, ``at_once`` at a time, and kept in
the folder that the jobs of this inbox share, by text, voice, speed and engine. An attempt that
dies or is postponed has lost only the pieces that were being spoken. When all are there they are
joined (``dsp.episode``). Pieces are threads of one attempt and no parts of a split
(``speech.speaking``).
"""

import hashlib
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.errors import BadInput
from daemon.handlers.article.drop import ArticleDrop
from daemon.handlers.article.reading import SUFFIXES, Article, FrontMatter, Piece, read_article
from daemon.handlers.contract import Note, Output, Result, Task
from daemon.handlers.grants import endpoint_of, programs_there
from daemon.handlers.podcast_documents import (
    Row,
    chapters_json,
    chapters_of,
    page,
    rss_item,
    transcript_vtt,
)
from daemon.handlers.pruning import prune
from daemon.handlers.speech.client import SpeechClient
from daemon.handlers.speech.speaking import Made, Wish, speak
from daemon.handlers.speech.voices import Cache, Engine, Espeak, Server
from daemon.text import count, figure, span
from dsp.episode.music import Music
from dsp.episode.narration import Narration, Spoken, narrate
from dsp.episode.tags import Tags, put_tags
from dsp.errors import AudioFormatError
from dsp.formats.reader import Limits, probe

ACCEPTS = SUFFIXES
JUDGE = "any"
HEADLINE = ("duration_s", "integrated_lufs", "true_peak_dbtp", "pieces")
STAGES = ("read", "speak", "join")
KEEPS = True

_READ, _SPOKEN = 0.02, 0.8
"""Progress at the ends of reading and of speaking."""


class Options(BaseModel):
    """The settings of an episode, and what the operator allows."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str = ""
    """A speech server's URL up to ``/v1``; empty: ``espeak-ng`` speaks."""
    api_key_file: str = ""
    api_key_env: str = ""
    model: Annotated[str, Field(max_length=200)] = "tts-1"
    voice: Annotated[str, Field(max_length=200)] = ""
    """Empty: ``en`` of espeak-ng, ``alloy`` of a server."""
    language: Annotated[str, Field(max_length=20)] = ""
    """Of articles that say none: in which numbers, dates and units are spoken."""
    speed: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    pause_s: Annotated[float, Field(ge=0.1, le=5.0)] = 0.7
    """Between paragraphs; the others follow from it."""
    piece_chars: Annotated[int, Field(ge=40, le=4_000)] = 400
    chars: Annotated[int, Field(ge=1, le=2_000_000)] = 200_000
    """What an article may have."""
    at_once: Annotated[int, Field(ge=1, le=32)] = 2
    """Pieces spoken at a time."""
    request_s: Annotated[float, Field(ge=0.0, le=600.0)] = 0.0
    """What a request may take; 0: 10 s and twice the length of its speech, at most 120 s."""
    format: Literal["mp3", "opus", "m4b"] = "mp3"
    """``m4b`` takes the ``ffmpeg`` program."""
    cache_mb: Annotated[float, Field(ge=0.0)] = 2048.0
    """What is kept of pieces at the most, besides those of the last two days."""


def USES(options: Options) -> set[str]:  # noqa: N802 - a constant of the contract
    """Return what these options want."""
    writer = {"ffmpeg"} if options.format == "m4b" else set()
    return {endpoint_of(options.endpoint) if options.endpoint else "espeak-ng"} | writer


def handle(task: Task) -> Result:
    """Make the episode.

    Raises
    ------
    BadInput
        The article or a voice cannot be used, or the format cannot be written here.
    NothingToDo
        There is nothing to speak.
    Postponed
        The engine does not speak now; what it has spoken is kept.
    """
    options: Options = task.options
    _hold_to_what_is_granted(task)
    drop = ArticleDrop.of(task.source, task.name)
    data = drop.text()
    article = read_article(
        data,
        drop.article.name,
        most_chars=options.chars,
        piece_chars=options.piece_chars,
        language=lambda front: _language(options, front),
    )
    music, notes = drop.music(article.front)
    with _music_of_drop():
        for one in music.values():  # before anything is paid for
            probe(one, name=one.name, limits=Limits(**task.limits), allow_ffmpeg=True)
    if article.code_blocks:
        text = f"{count(article.code_blocks, 'block')} of code left out"
        notes.append(Note("CODE_LEFT_OUT", text))
    task.report("read", _READ)
    engine = _engine(task)
    wishes = [Wish(piece.spoken, _voice(options, article, piece)) for piece in article.pieces]
    with _cache(task, engine) as cache:
        made = _spoken(task, cache, wishes, article.front.speed or options.speed)
        joined = _joined(task, article, wishes, made, Music(**music))
    if task.kept is not None:
        prune(task.kept, options.cache_mb, now_s=time.time())
    rows = [
        Row(*span, piece.text, piece.speaker, wish.voice, piece.starts == "heading", one)
        for span, piece, wish, one in zip(joined.spans_s, article.pieces, wishes, made, strict=True)
    ]
    digest = hashlib.sha256(data).hexdigest()
    return _written(
        task, article, joined, rows, drop=drop, digest=digest, engine=engine.name, notes=notes
    )


def _hold_to_what_is_granted(task: Task) -> None:
    """Refuse a format that takes a program that is not there, before anything is paid for."""
    needs_ffmpeg = task.options.format == "m4b"
    there = task.grants.programs if task.grants else programs_there(["ffmpeg", "ffprobe"])
    if needs_ffmpeg and not {"ffmpeg", "ffprobe"} <= there.keys():
        why = "is not granted" if task.grants else "is not installed"
        raise BadInput("FORMAT_NOT_GRANTED", f"format m4b takes the ffmpeg program, which {why}")


def _engine(task: Task) -> Engine:
    options: Options = task.options
    if not options.endpoint:
        return Espeak.found(task.grants)
    client = SpeechClient(options.endpoint, task.secrets.get("api_key", ""), grants=task.grants)
    name = f"{options.model} of {endpoint_of(options.endpoint)}"
    return Server(client, options.model, name, options.request_s)


def _language(options: Options, front: FrontMatter) -> str:
    """Return the language of an article that says none; espeak-ng's voices begin with theirs."""
    voice = "" if options.endpoint else front.voice or options.voice
    code = re.match(r"[a-z]{2,3}(?![a-z])", voice)
    return code[0] if code else options.language or ("" if options.endpoint else "en")


def _voice(options: Options, article: Article, piece: Piece) -> str:
    own = article.front.speakers.get(piece.speaker)
    default = "alloy" if options.endpoint else article.language
    return (own and own.voice) or article.front.voice or options.voice or default


@contextmanager
def _cache(task: Task, engine: Engine) -> Iterator[Cache]:
    """Give the cache; by hand it lasts as long as the job."""
    if task.kept is not None:
        yield Cache(task.kept, engine)
        return
    with tempfile.TemporaryDirectory(dir=task.workdir, prefix=".pieces-") as folder:
        yield Cache(Path(folder), engine)


def _spoken(task: Task, cache: Cache, wishes: Sequence[Wish], speed: float) -> list[Made]:
    """Return what was spoken, or kept from before; a whole episode of that asks for nothing."""
    missing = [one for one in wishes if not cache.holds(one.text, one.voice, speed)]
    cache.engine.check(dict.fromkeys(one.voice for one in missing))

    def report(stage: str, share: float) -> None:
        task.report(stage, _READ + (_SPOKEN - _READ) * share)

    return speak(wishes, cache, speed=speed, at_once=task.options.at_once, report=report)


def _pauses(pieces: Sequence[Piece], pause_s: float) -> list[float]:
    """Return the pause before each piece."""
    pauses = [0.0]
    for before, piece in pairwise(pieces):
        if piece.starts == "heading":
            share = 2.0
        elif piece.starts == "paragraph":
            share = 1.5 if before.starts == "heading" else 1.0
        else:
            ended = before.text.rstrip("\"'”’»)]")[-1:] in ".!?…。！？"
            share = 0.6 if ended else 0.25
        pauses.append(max(0.08, share * pause_s))
    return pauses


def _joined(
    task: Task, article: Article, wishes: Sequence[Wish], made: Sequence[Made], music: Music
) -> Narration:
    """Join the pieces and the music.

    Raises
    ------
    BadInput
        Music cannot be used.
    """
    options: Options = task.options
    pauses = _pauses(article.pieces, article.front.pause_s or options.pause_s)
    spoken = [
        Spoken(one.path, wish.voice, pause_s)
        for one, wish, pause_s in zip(made, wishes, pauses, strict=True)
    ]

    def report(share: float) -> None:
        task.report("join", _SPOKEN + (1.0 - _SPOKEN) * share)

    with _music_of_drop():
        return narrate(
            spoken,
            task.workdir,
            task.workdir / f".episode.{options.format}",
            format=options.format,
            report=report,
            music=music,
            limits=Limits(**task.limits),
        )


@contextmanager
def _music_of_drop() -> Iterator[None]:
    try:
        yield
    except AudioFormatError as error:
        raise BadInput(error.code, error.message, error.hint, error.path) from None


def _written(
    task: Task,
    article: Article,
    joined: Narration,
    rows: Sequence[Row],
    *,
    drop: ArticleDrop,
    digest: str,
    engine: str,
    notes: list[Note],
) -> Result:
    """Put the tag before the sound, and write all that lies beside it."""
    kind: str = task.options.format
    name, raw = f"episode.{kind}", task.workdir / f".episode.{kind}"
    chapters = chapters_of(article, rows, joined.duration_s)
    cover, mime = drop.cover()
    tags = Tags(article.title, article.front.author, chapters, cover, mime)
    if not put_tags(raw, tags, task.workdir / name):
        notes.append(Note("COVER_NOT_USED", "the cover is no picture that ffmpeg takes"))
    raw.unlink()
    figures = _figures(joined, rows)
    size = (task.workdir / name).stat().st_size
    texts = {
        "chapters.json": chapters_json(chapters),
        "transcript.vtt": transcript_vtt(rows),
        "item.xml": rss_item(article, name, size, joined.duration_s, digest),
        "report.html": page(
            article,
            rows,
            chapters,
            episode=name,
            engine=engine,
            figures=_words(figures),
            warnings=[note.message for note in notes],
        ),
    }
    for file_name, text in texts.items():
        (task.workdir / file_name).write_text(text, "utf-8", errors="replace")
    roles = {"report.html": "report", "transcript.vtt": "transcript"}
    outputs = [Output(name, "episode", figures)]
    outputs += [Output(one, roles.get(one, "data")) for one in texts]
    return Result(tuple(outputs), figures, tuple(notes))


def _figures(joined: Narration, rows: Sequence[Row]) -> dict[str, float]:
    return {
        "duration_s": round(joined.duration_s, 3),
        "integrated_lufs": round(joined.integrated_lufs, 2),
        "true_peak_dbtp": round(joined.true_peak_dbtp, 2),
        "pieces": len(rows),
        "cached": sum(row.made.cached for row in rows),
    }


def _words(figures: dict[str, float]) -> list[tuple[str, str]]:
    return [
        ("Length", span(figures["duration_s"])),
        ("Loudness", figure("lufs", figures["integrated_lufs"])),
        ("True peak", figure("dbtp", figures["true_peak_dbtp"])),
        ("Pieces", f"{figures['pieces']}, {figures['cached']} kept"),
    ]
