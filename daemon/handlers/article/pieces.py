"""A text cut where a reader breathes: after sentences, long ones after clauses.

Rules
-----
Rule 1: no word is lost, doubled or changed: the pieces, joined by spaces, are the text.
Rule 2: no piece is longer than the limit. Only a word that is longer itself is cut inside.
"""

import re
from collections.abc import Iterator

_END = re.compile(r"[.!?…。！？]+[\"'”’»)\]]*(?=\s|$)")
_CLAUSE = re.compile(r"[,;:–—、，；：]+[\"'”’»)\]]*(?=\s|$)")
_ABBREVIATIONS = frozenset(
    (
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "sr",
        "jr",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "cf",
        "fig",
        "no",
        "vol",
        "approx",
        "dept",
        "est",
        "inc",
        "ltd",
        "co",
        "mt",
        "z.b",
        "d.h",
        "u.a",
        "bzw",
        "usw",
        "ca",
        "nr",
    )
)


def pieces_of(text: str, most_chars: int) -> list[str]:
    """Return the pieces of a paragraph, as few as fit."""
    pieces: list[str] = []
    for sentence in sentences(" ".join(text.split())):
        for part in _fitting(sentence, most_chars):
            whole = len(part) == len(sentence)
            if whole and pieces and len(pieces[-1]) + 1 + len(part) <= most_chars:
                pieces[-1] += f" {part}"
            else:
                pieces.append(part)
    return pieces


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text whose white space is single spaces."""
    start = 0
    for end in _END.finditer(text):
        before = text[start : end.start()].rpartition(" ")[2].lstrip("(\"'“‘")
        follows = text[end.end() : end.end() + 2].strip()
        short = before.lower() in _ABBREVIATIONS or (len(before) == 1 and before.isupper())
        if end.group().startswith(".") and (short or follows.islower()):
            continue
        if sentence := text[start : end.end()].strip():
            yield sentence
        start = end.end()
    if rest := text[start:].strip():
        yield rest


def _fitting(sentence: str, most_chars: int) -> Iterator[str]:
    while len(sentence) > most_chars:
        head = sentence[: most_chars + 1]
        cuts = [match.end() for match in _CLAUSE.finditer(head) if match.end() <= most_chars]
        cut = cuts[-1] if cuts and cuts[-1] > most_chars // 4 else head.rfind(" ")
        cut = cut if cut > 0 else most_chars
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence
