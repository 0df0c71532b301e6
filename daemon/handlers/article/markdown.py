"""Markdown and plain text as blocks."""

import re
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from daemon.handlers.article.blocks import Prose

_EMPTY_LINES = re.compile(r"\n[ \t]*\n")


def plain_prose(text: str) -> Prose:
    """Return a plain text; empty lines part its paragraphs."""
    prose = Prose()
    for paragraph in _EMPTY_LINES.split(text):
        prose.add("paragraph", paragraph)
    return prose


def markdown_prose(text: str) -> Prose:
    """Return a text in CommonMark with tables."""
    prose, row, in_row, heading = Prose(), list[str](), False, False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type in ("fence", "code_block"):
            prose.code_blocks += 1
        elif token.type in ("tr_open", "tr_close"):
            in_row = token.type == "tr_open"
            if not in_row:
                prose.add("paragraph", ", ".join(filter(None, row)) + ".")
                row = []
        elif token.type in ("heading_open", "heading_close"):
            heading = token.type == "heading_open"
        elif token.type == "inline":
            said = _spoken(token.children or [])
            if in_row:
                row.append(said)
            else:
                prose.add("heading" if heading else "paragraph", said)
    return prose


def _spoken(tokens: list[Token]) -> str:
    """Return what is read of a line: the words of a link, of a bare address its host."""
    said, bare = [], False
    for token in tokens:
        if token.type == "link_open":
            bare = token.info == "auto"
        elif token.type == "link_close":
            bare = False
        elif token.type in ("softbreak", "hardbreak"):
            said.append("\n")
        elif token.type in ("text", "code_inline", "image"):
            host = urlsplit(token.content).hostname if bare and "[" not in token.content else None
            said.append(host or token.content)
    return "".join(said)
