"""What an article consists of, whatever it was written in."""

import unicodedata
from dataclasses import dataclass, field
from typing import Literal

_KEPT = "\n\t\u200c\u200d"
"""The two joiners decide how words of some scripts are spelt."""


@dataclass(frozen=True)
class Block:
    """A heading or a paragraph."""

    kind: Literal["heading", "paragraph"]
    text: str


@dataclass
class Prose:
    """The blocks of a text, and what its markup says of it."""

    blocks: list[Block] = field(default_factory=list)
    title: str = ""
    language: str = ""
    """Its code, without a region."""
    code_blocks: int = 0
    """Left out: nobody reads a program aloud."""

    def add(self, kind: Literal["heading", "paragraph"], text: str) -> None:
        """Append a block, unless nothing in it can be spoken."""
        text = cleaned(text).strip()
        if any(letter.isalnum() for letter in text):
            self.blocks.append(Block(kind, text))


def cleaned(text: str) -> str:
    """Return a text without characters that have no sound: controls, marks of direction."""
    return "".join(
        letter for letter in text if letter in _KEPT or unicodedata.category(letter)[0] != "C"
    )
