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
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from daemon.errors import BadInput, NothingToDo
from daemon.handlers.article.reading import SUFFIXES, Article, Piece, read_article
from daemon.handlers.contract import Note, Output, Result, Task
from daemon.handlers.grants import endpoint_of
from daemon.handlers.podcast_documents import (
    Row,
    chapters_json,
    chapters_of,
    page,
    rss_item,
    transcript_vtt,
)
from daemon.handlers.speech.client import SpeechClient
from daemon.handlers.speech.speaking import Made, Wish, speak
from daemon.handlers.speech.voices import Cache, Engine, Espeak, Server
from daemon.text import count, figure, span
from dsp.containers.identify import AUDIO_SUFFIXES
from dsp.episode.narration import Narration, Spoken, narrate
from dsp.episode.tags import id3_tag

ACCEPTS = SUFFIXES
JUDGE = "any"
HEADLINE = ("duration_s", "integrated_lufs", "true_peak_dbtp", "pieces")
STAGES = ("read", "speak", "join")
KEEPS = True

_FILE_BYTES = 32 << 20
_COVER_BYTES = 5 << 20
_PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
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
    format: Literal["mp3", "opus"] = "mp3"


def USES(options: Options) -> set[str]:  # noqa: N802 - a constant of the contract
    """Return what these options want."""
    return {endpoint_of(options.endpoint) if options.endpoint else "espeak-ng"}


def handle(task: Task) -> Result:
    """Make the episode.

    Raises
    ------
    BadInput
        The article or a voice cannot be used.
    NothingToDo
        There is nothing to speak.
    Postponed
        The engine does not speak now; what it has spoken is kept.
    """
    options: Options = task.options
    path, notes = _article_file(task)
    with path.open("rb") as file:
        data = file.read(_FILE_BYTES + 1)
    if len(data) > _FILE_BYTES:
        raise BadInput("TEXT_TOO_LONG", f"{path.name} has more than {_FILE_BYTES} bytes")
    article = read_article(
        data, path.name, most_chars=options.chars, piece_chars=options.piece_chars
    )
    if article.code_blocks:
        text = f"{count(article.code_blocks, 'block')} of code left out"
        notes.append(Note("CODE_LEFT_OUT", text))
    task.report("read", _READ)
    engine = _engine(task)
    wishes = [Wish(piece.spoken, _voice(options, article, piece)) for piece in article.pieces]
    with _cache(task, engine) as cache:
        made = _spoken(task, cache, wishes, article.front.speed or options.speed)
        return _episode(
            task, article, wishes=wishes, made=made, engine=engine, notes=notes, data=data
        )


def _article_file(task: Task) -> tuple[Path, list[Note]]:
    if not task.source.is_dir():
        return task.source, []
    files = [one for one in sorted(task.source.iterdir()) if one.is_file() and not one.is_symlink()]
    articles = [one for one in files if one.suffix.lower() in SUFFIXES]
    if not articles:
        raise NothingToDo("TEXT_EMPTY", f"there is no article in {task.name!r}")
    if len(articles) > 1:
        names = ", ".join(one.name for one in articles[:5])
        raise BadInput("ARTICLES_SEVERAL", f"one article makes an episode; here are {names}")
    music = [one.name for one in files if one.suffix.lower() in AUDIO_SUFFIXES]
    notes = [Note("MUSIC_NOT_USED", f"{', '.join(music[:5])}: not mixed in")] if music else []
    return articles[0], notes


def _engine(task: Task) -> Engine:
    options: Options = task.options
    if not options.endpoint:
        return Espeak.found(task.grants)
    client = SpeechClient(options.endpoint, task.secrets.get("api_key", ""), grants=task.grants)
    name = f"{options.model} of {endpoint_of(options.endpoint)}"
    return Server(client, options.model, name, options.request_s)


def _voice(options: Options, article: Article, piece: Piece) -> str:
    own = article.front.speakers.get(piece.speaker)
    default = "alloy" if options.endpoint else article.front.language or "en"
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


def _episode(
    task: Task,
    article: Article,
    *,
    wishes: Sequence[Wish],
    made: Sequence[Made],
    engine: Engine,
    notes: list[Note],
    data: bytes,
) -> Result:
    """Join the pieces, and write all that lies beside."""
    options: Options = task.options
    pauses = _pauses(article.pieces, article.front.pause_s or options.pause_s)
    spoken = [
        Spoken(one.path, wish.voice, pause_s)
        for one, wish, pause_s in zip(made, wishes, pauses, strict=True)
    ]
    name, raw = f"episode.{options.format}", task.workdir / f".episode.{options.format}"

    def report(share: float) -> None:
        task.report("join", _SPOKEN + (1.0 - _SPOKEN) * share)

    joined = narrate(spoken, task.workdir, raw, format=options.format, report=report)
    rows = [
        Row(*span, piece.text, piece.speaker, wish.voice, piece.starts == "heading", one)
        for span, piece, wish, one in zip(joined.spans_s, article.pieces, wishes, made, strict=True)
    ]
    chapters = chapters_of(article, rows, joined.duration_s)
    cover, mime = _cover(task.source)
    tag = b""
    if options.format == "mp3":
        author = article.front.author
        tag = id3_tag(title=article.title, author=author, chapters=chapters, cover=cover, mime=mime)
    _put_together(tag, raw, task.workdir / name)
    figures = _figures(joined, rows)
    digest = hashlib.sha256(data).hexdigest()
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
            engine=engine.name,
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


def _cover(source: Path) -> tuple[bytes, str]:
    """Return the picture of a folder, ``cover.*`` before others, and what it is by its bytes."""
    if not source.is_dir():
        return b"", ""
    found = sorted(source.iterdir(), key=lambda one: (one.stem.lower() != "cover", one.name))
    for path in found:
        if path.suffix.lower() in (".jpg", ".jpeg", ".png") and not path.is_symlink():
            with path.open("rb") as file:
                data = file.read(_COVER_BYTES + 1)
            for magic, mime in _PICTURES.items():
                if data.startswith(magic) and len(data) <= _COVER_BYTES:
                    return data, mime
    return b"", ""


def _put_together(tag: bytes, raw: Path, path: Path) -> None:
    """Write the tag and the sound behind it."""
    with raw.open("rb") as sound, path.open("wb") as file:
        file.write(tag)
        while portion := sound.read(1 << 20):
            file.write(portion)
    raw.unlink()
