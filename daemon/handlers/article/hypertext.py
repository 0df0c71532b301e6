"""HTML, and the EPUB that is made of it, as blocks.

``html.parser`` of the standard library takes any input, expands no entities but characters, and
opens nothing.
"""

import io
import posixpath
import zipfile
import zlib
from html.parser import HTMLParser
from typing import Literal
from urllib.parse import unquote

from daemon.errors import BadInput
from daemon.handlers.article.blocks import Prose

_SILENT = frozenset({"script", "style", "template", "nav", "noscript", "svg", "iframe", "pre"})
_INLINE = frozenset(
    (
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "cite",
        "code",
        "data",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "ins",
        "kbd",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "time",
        "u",
        "var",
        "wbr",
    )
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_MOST_FILES, _MOST_BYTES = 2_000, 32 << 20
"""Of an EPUB, unpacked: more text than a year of daily episodes has."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.prose = Prose()
        self._said: list[str] = []
        self._kind: Literal["heading", "paragraph"] = "paragraph"
        self._silent, self._in_title = "", False
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "html":
            said = dict(attrs)
            code = said.get("lang") or said.get("xml:lang") or ""
            self.prose.language = code.partition("-")[0].lower()
        if self._silent:
            self._depth += tag == self._silent
        elif tag in _SILENT:
            self.flush()
            self._silent, self._depth = tag, 1
            self.prose.code_blocks += tag == "pre"
        elif tag == "br":
            self._said.append("\n")
        elif tag == "title":
            self._in_title = True
        elif tag in ("td", "th"):
            self._said.append(", " if self._said else "")
        elif tag not in _INLINE:
            self.flush()
            self._kind = "heading" if tag in _HEADINGS else "paragraph"

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            self._depth -= tag == self._silent
            self._silent = self._silent if self._depth else ""
        elif tag == "title":
            self._in_title = False
        elif tag not in _INLINE and tag not in ("td", "th", "br"):
            self.flush()
            self._kind = "paragraph"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.prose.title += data
        elif not self._silent:
            self._said.append(data.replace("\n", " "))

    def flush(self) -> None:
        self.prose.add(self._kind, "".join(self._said).strip(" ,"))
        self._said = []


class _Elements(HTMLParser):
    """The attributes of every element, in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag.rpartition(":")[2], {k: v or "" for k, v in attrs}))


def html_prose(text: str) -> Prose:
    """Return what a reader reads of a page."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.flush()
    reader.prose.title = " ".join(reader.prose.title.split())
    return reader.prose


def epub_prose(data: bytes, name: str) -> Prose:
    """Return the chapters of a book in the order of its spine (EPUB 3.3).

    Raises
    ------
    BadInput
        It is no EPUB, or unpacks to more than it may.
    """
    whole = Prose()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            for text in _chapters(book, name):
                chapter = html_prose(text)
                if not any(block.kind == "heading" for block in chapter.blocks) and chapter.title:
                    whole.add("heading", chapter.title)
                whole.language = whole.language or chapter.language
                whole.blocks += chapter.blocks
                whole.code_blocks += chapter.code_blocks
    except (zipfile.BadZipFile, KeyError, StopIteration, NotImplementedError, RuntimeError,
            OSError, EOFError, UnicodeDecodeError, zlib.error) as error:  # fmt: skip
        raise BadInput("INPUT_DAMAGED", f"{name} is no EPUB that can be read: {error}") from None
    return whole


def _chapters(book: zipfile.ZipFile, name: str) -> list[str]:
    left = _MOST_BYTES
    if len(book.infolist()) > _MOST_FILES:
        raise BadInput("TEXT_TOO_LONG", f"{name} holds more than {_MOST_FILES} files")

    def read(path: str) -> str:
        nonlocal left
        with book.open(path) as file:
            data = file.read(left + 1)
        left -= len(data)
        if left < 0:
            raise BadInput("TEXT_TOO_LONG", f"{name} unpacks to more than {_MOST_BYTES} bytes")
        return data.decode("utf-8-sig")

    root = [
        one for tag, one in _Elements(read("META-INF/container.xml")).found if tag == "rootfile"
    ]
    if not root:
        raise KeyError("no rootfile")
    package = root[0]["full-path"]
    elements = _Elements(read(package)).found
    places = {one["id"]: one["href"] for tag, one in elements if tag == "item"}
    spine = [one["idref"] for tag, one in elements if tag == "itemref"]
    folder = posixpath.dirname(package)
    return [read(posixpath.normpath(posixpath.join(folder, unquote(places[one])))) for one in spine]
