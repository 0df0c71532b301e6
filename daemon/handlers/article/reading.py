"""A file as an article: its front matter, and its pieces with who speaks them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from daemon.config import yaml_reader
from daemon.config.validation import validate
from daemon.errors import BadInput, NothingToDo
from daemon.handlers.article.blocks import Block, Prose
from daemon.handlers.article.hypertext import epub_prose, html_prose
from daemon.handlers.article.markdown import markdown_prose, plain_prose
from daemon.handlers.article.pieces import pieces_of
from daemon.handlers.article.wording import reader_of

SUFFIXES = frozenset({".md", ".txt", ".html", ".htm", ".epub"})
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_LINE = re.compile(r"^([A-Z][A-Z0-9 _-]{0,30}):[ \t]+", re.MULTILINE)
_Short = Annotated[str, Field(max_length=300)]


def _beside(name: str) -> str:
    """Refuse what is no name of a file in the same folder."""
    if name != PurePath(name).name or name.startswith("."):
        raise ValueError("must be the name of a file beside the article, without a folder")
    return name


FileName = Annotated[str, Field(max_length=255), AfterValidator(_beside)]


class Speaker(BaseModel):
    """Who speaks the lines that begin with a name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: _Short


class FrontMatter(BaseModel):
    """What an article says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: _Short = ""
    author: _Short = ""
    language: _Short = ""
    voice: _Short = ""
    speed: Annotated[float, Field(ge=0.5, le=2.0)] | None = None
    speakers: dict[str, Speaker] = {}
    chapters: bool = True
    pause_s: Annotated[float, Field(ge=0.1, le=5.0)] | None = None
    pronounce: dict[str, _Short] = {}
    intro: FileName | None = None
    """A file beside the article; ``None``: the one whose name says so, empty: none."""
    outro: FileName | None = None
    bed: FileName | None = None


@dataclass(frozen=True)
class Piece:
    """What is spoken in one breath."""

    text: str
    """As it is written; ``spoken`` is what the engine gets."""
    spoken: str
    speaker: str
    starts: Literal["heading", "paragraph", "piece"]
    """What begins with it."""


@dataclass(frozen=True)
class Article:
    """What is to be spoken."""

    front: FrontMatter
    title: str
    pieces: tuple[Piece, ...]
    language: str
    """Empty: unknown."""
    code_blocks: int = field(default=0)


def read_article(
    data: bytes,
    name: str,
    *,
    most_chars: int,
    piece_chars: int,
    language: Callable[[FrontMatter], str] = lambda _: "",
) -> Article:
    """Return the article of a file.

    Parameters
    ----------
    language : callable
        Returns the language of an article that says none.

    Raises
    ------
    BadInput
        It is no text, its front matter cannot be used, or it is too long.
    NothingToDo
        There is nothing to speak.
    """
    suffix = PurePath(name).suffix.lower()
    front = FrontMatter()
    if suffix == ".epub":
        prose = epub_prose(data, name)
    else:
        text = _decoded(data, name).replace("\r\n", "\n")
        if suffix != ".html" and (head := _FRONT.match(text)):
            front, text = _front_matter(head.group(1), name), text[head.end() :]
        read = {".md": markdown_prose, ".txt": plain_prose}.get(suffix, html_prose)
        prose = read(text)
    chars = sum(len(block.text) for block in prose.blocks)
    if chars > most_chars:
        message = f"{name} has {chars} characters to speak, and {most_chars} may be"
        raise BadInput("TEXT_TOO_LONG", message)
    spoken_in = front.language or prose.language or language(front)
    pieces = _pieces(prose, front, piece_chars, reader_of(spoken_in))
    if not pieces:
        raise NothingToDo("TEXT_EMPTY", f"nothing in {name} can be spoken")
    first = next((block.text for block in prose.blocks if block.kind == "heading"), "")
    title = front.title or prose.title or " ".join(first.split()) or PurePath(name).stem
    return Article(front, title[:300], pieces, spoken_in, prose.code_blocks)


def _decoded(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{name} is not UTF-8: byte {error.start} cannot be read"
        raise BadInput("TEXT_NOT_UTF8", message) from None
    if "\0" in text:
        raise BadInput("TEXT_NOT_UTF8", f"{name} is no text: it holds zero bytes")
    return text


def _front_matter(text: str, name: str) -> FrontMatter:
    try:
        document = yaml_reader.load(text.encode(), name=name)
        return validate(FrontMatter, document.with_value(document.value or {}))
    except BadInput as error:
        raise BadInput("FRONT_MATTER_INVALID", error.message) from None


def _pieces(
    prose: Prose, front: FrontMatter, piece_chars: int, said: Callable[[str], str]
) -> tuple[Piece, ...]:
    made = []
    for block in prose.blocks:
        for speaker, text in _turns(block, front.speakers):
            starts: Literal["heading", "paragraph", "piece"] = block.kind
            for piece in pieces_of(text, piece_chars):
                if any(letter.isalnum() for letter in piece):
                    spoken = said(_pronounced(piece, front.pronounce))
                    made.append(Piece(piece, spoken, speaker, starts))
                    starts = "piece"
    return tuple(made)


def _turns(block: Block, speakers: Mapping[str, Speaker]) -> list[tuple[str, str]]:
    """Return who says what of a block; without speakers, a colon is a colon."""
    if not speakers or block.kind == "heading":
        return [("", block.text)]
    turns, last, at = [], "", 0
    for line in _LINE.finditer(block.text):
        turns.append((last, block.text[at : line.start()]))
        last, at = line.group(1), line.end()
        if last not in speakers:
            known = ", ".join(speakers)
            raise BadInput("SPEAKER_UNKNOWN", f"{last!r} speaks; speakers names {known}")
    return [*turns, (last, block.text[at:])]


def _pronounced(text: str, pronounce: Mapping[str, str]) -> str:
    for word, spoken in pronounce.items():
        pattern = rf"(?<!\w){re.escape(word)}(?!\w)"
        text = re.sub(pattern, spoken.replace("\\", r"\\"), text)
    return text
