"""What a stem is, and what a mix wants of it.

A role is read from the words of the file name (``role_words``), or given in the settings.
``PROFILES`` holds what each role asks for: its loudness against the lead, its place in the
picture, its corner and its broad spectrum.

Rules
-----
Rule 1: a word names a role as a whole word: ``bassoon`` is no bass. A word that is not known is
taken for what it ends with, in languages that join words, or begins with. A phrase goes before
its words: a lead guitar is a guitar. What is said to be lacking (``no kick``) names nothing.

Rule 2: of several roles the narrower wins (``drums_hats`` is hats), except that kick and
snare in one stem are the drums, and a voice that backs is never the lead.

Rule 3: what all names of a folder share is the song's title and tells nothing, unless it is all
that there is. What stands in brackets, and the name of a folder, speak where the name does not.

References
----------
Levels: Pestana, Reiss, "Intelligent audio production strategies informed by best
practices", AES 53rd, 2014; De Man, "Towards a better understanding of mix engineering",
2017. Spectra: Pestana et al., "Spectral characteristics of popular commercial
recordings", AES 135th, 2013, drawn as five broad regions.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from dsp.mixing.role_words import (
    AND,
    ASIDE,
    JOINING,
    LACKING,
    LANGUAGES,
    NO_VOICE,
    WEAK,
    WITHOUT,
)
from dsp.stem_roles import NO_ROLE


@dataclass(frozen=True)
class Profile:
    """What a role asks of a mix."""

    level_lu: float
    """Integrated loudness of its active parts against the lead's."""
    pan: float = 0.0
    """How far from the middle a mono stem may sit, 0..1; the side is chosen for balance."""
    width: float = 1.0
    corner_hz: float = 30.0
    """High-pass: what lies below is not this role's."""
    spectrum_db: tuple[float, float, float, float, float] = (0.0, 0.0, -3.0, -8.0, -14.0)
    """Long-term level per third octave in ``REGIONS``, relative to each other."""
    ride: float = 0.0
    """Share of phrase-level loudness differences to even out."""
    air_db: float = 0.0
    """High shelf at 11 kHz."""
    drive_db: float = 0.0
    """Saturation: how far the stem is driven."""
    voice: bool = False
    """Sibilance is looked for."""
    over_rest_lu: float = 0.0
    """Of a lead: its loudness against the sum of the rest, while it sounds."""
    ride_range_db: float = 3.0
    finished: bool = False
    """Music that is a mix by itself: its colour is left alone."""


REGIONS = ((60.0, 200.0), (200.0, 600.0), (600.0, 2000.0), (2000.0, 6000.0), (6000.0, 16000.0))
"""Low, low middle, middle, presence, air: corners in Hz."""

PROFILES: dict[str, Profile] = {
    "lead": Profile(
        0.0, 0.0, 1.0, 80.0, (-12.0, 0.0, -3.0, -10.0, -18.0), 0.5, 1.0, 2.0, voice=True
    ),
    "speech": Profile(
        0.0,
        0.0,
        1.0,
        80.0,
        (-6.0, 0.0, -6.0, -14.0, -20.0),
        0.6,
        air_db=0.5,
        voice=True,
        over_rest_lu=10.0,
    ),
    "backing": Profile(
        -8.0, 0.35, 1.2, 120.0, (-15.0, 0.0, -3.0, -9.0, -16.0), 0.4, 1.0, 1.0, voice=True
    ),
    "drums": Profile(-2.5, 0.0, 1.1, 30.0, (0.0, -6.0, -8.0, -9.0, -12.0), 0.0, 0.5, 2.0),
    "kick": Profile(-5.0, 0.0, 1.0, 30.0, (0.0, -12.0, -16.0, -18.0, -28.0), 0.0, 0.0, 2.0),
    "snare": Profile(-6.0, 0.0, 1.0, 80.0, (-4.0, 0.0, -4.0, -6.0, -10.0), 0.0, 0.5, 2.0),
    "hats": Profile(-11.0, 0.25, 1.1, 200.0, (-30.0, -22.0, -12.0, -3.0, 0.0)),
    "perc": Profile(-11.0, 0.4, 1.1, 100.0, (-12.0, -6.0, -4.0, 0.0, -3.0)),
    "bass": Profile(-4.0, 0.0, 1.0, 30.0, (0.0, -7.0, -16.0, -26.0, -40.0), 0.4, 0.0, 3.0),
    "guitar": Profile(-8.0, 0.5, 1.1, 90.0, (-8.0, 0.0, -3.0, -8.0, -20.0), 0.2, 0.0, 1.0),
    "keys": Profile(-8.0, 0.35, 1.0, 60.0, (-4.0, 0.0, -6.0, -14.0, -26.0), 0.2),
    "synth": Profile(-9.0, 0.4, 1.1, 60.0, (-4.0, 0.0, -4.0, -9.0, -16.0)),
    "pad": Profile(-12.0, 0.2, 1.3, 100.0, (-6.0, 0.0, -5.0, -12.0, -22.0)),
    "strings": Profile(-10.0, 0.35, 1.2, 90.0, (-8.0, 0.0, -4.0, -10.0, -20.0), 0.2),
    "brass": Profile(-8.0, 0.4, 1.1, 90.0, (-10.0, 0.0, -2.0, -8.0, -18.0), 0.2),
    "fx": Profile(-13.0, 0.3, 1.2, 40.0),
    "music": Profile(-8.0, finished=True),
    "jingle": Profile(-8.0, finished=True),
    "other": Profile(-8.0, 0.3, 1.0, 30.0),
}
"""Every role."""

_NARROW_FIRST = (
    "backing", "lead", "speech", "bass", "guitar", "keys", "pad", "strings", "brass", "synth",
    "fx", "hats", "perc", "snare", "kick", "drums", "jingle", "music", "other",
)  # fmt: skip
_VOICES = ("backing", "lead", "speech")
_LONGEST = 4  # words of a phrase
_SHORTEST_JOINED, _SHORTEST_STEM = 4, 6
"""Letters: what is shorter stands in words of another meaning, too."""
_ENDINGS = "аеиоуыьюя"
"""Of Russian words, which change them for number and case."""
_BRACKETS = re.compile(r"[(\[{（【]([^)\]}）】]*)[)\]}）】]")
_UNSPACED_SIGNS = r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]"
_UNSPACED = re.compile(_UNSPACED_SIGNS)
_CASE = re.compile(r"(?<=[a-zß-ÿа-яё])(?=[A-ZÀ-ÞА-ЯЁ])")
_BETWEEN = re.compile(
    r"[\W_]+|(?<=\D)(?=\d)|(?<=\d)(?=\D)"
    rf"|(?<=[a-z])(?={_UNSPACED_SIGNS})|(?<={_UNSPACED_SIGNS})(?=[a-z])"
)
_SIMPLE = re.compile(r"[a-z ]*")
_MARKS = re.compile(r"[\u0300-\u036f]")

Parts: TypeAlias = list[list[str]]
"""The words of a name: those outside brackets, then those of each bracket."""


class Told(NamedTuple):
    """What a name says."""

    role: str
    """A key of ``PROFILES``."""
    why: str
    """For the recall sheet."""
    aside: bool = False
    """A click, a reference or a mix: no stem of the song."""


NAMELESS = Told("other", NO_ROLE)


def role_of(name: str) -> Told:
    """Return what one name says, with or without folders and suffix."""
    return roles_of([name])[name]


def roles_of(names: Sequence[str]) -> dict[str, Told]:
    """Return what each name says among the others of its folder."""
    parts = {name: _parts_of(name.rsplit("/", 1)[-1]) for name in names}
    shared = _shared(list(parts.values()))
    told = {name: _told(_less(each, shared)) for name, each in parts.items()}
    if not any(told.values()) or all(word in _TELLING or word.isdigit() for word in shared):
        told = {name: told[name] or _told(each) for name, each in parts.items()}
    folders = {name: name.rpartition("/")[0] for name in names}
    if len(set(folders.values())) > 1:
        told = {name: told[name] or _told(_parts_of(folders[name])) for name in names}
    return {name: each or NAMELESS for name, each in told.items()}


def _parts_of(name: str) -> Parts:
    text = re.sub(r"\.[A-Za-z0-9]{2,4}$", "", unicodedata.normalize("NFC", name))
    return [_words(text) for text in (_BRACKETS.sub(" | ", text), *_BRACKETS.findall(text))]


def _words(text: str) -> list[str]:
    """Return the words of a text: split at changes of case and script, digits, punctuation."""
    if _SIMPLE.fullmatch(text):  # as most of the thousand phrases that every start goes through
        return text.split()
    spaced = _CASE.sub(" ", unicodedata.normalize("NFC", text))
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", spaced.casefold()))
    plain = unicodedata.normalize("NFC", bare)
    return [word for word in _BETWEEN.split(plain) if word]


_TABLE = [
    (language, role, phrase, " ".join(_words(phrase)))
    for language, roles in LANGUAGES.items()
    for role, phrases in roles.items()
    for phrase in phrases
]
_PHRASES = {words: (role, phrase.removesuffix("?")) for _, role, phrase, words in reversed(_TABLE)}
"""The role of every phrase, and the phrase as it is spelt."""
_TELLING = frozenset(word for phrase in _PHRASES for word in phrase.split())
_INSIDE = sorted((p for p in _PHRASES if _UNSPACED.search(p)), key=lambda p: (-len(p), p))
_JOINED = {p.replace(" ", ""): p for p in _PHRASES if " " in p and len(p) > _SHORTEST_STEM}
"""Phrases written as one word: ``leadguitar``."""


def _parts_of_words(languages: Container[str], letters: int) -> list[str]:
    """Return what a longer word may begin or end with, longest first."""
    parts = {
        words
        for language, role, phrase, words in _TABLE
        if language in languages and len(words) >= letters
        if role not in ("fx", "other", ASIDE) and not phrase.endswith("?")
    }
    return sorted(parts, key=lambda part: (-len(part), part))


_LAST = _parts_of_words(JOINING, _SHORTEST_JOINED)
_FIRST = [*_LAST, *_parts_of_words(LANGUAGES, _SHORTEST_STEM)]
"""Of a joined word, and of one that is inflected."""


def _shared(parts: Sequence[Parts]) -> frozenset[str]:
    """Return the words that all names have, or all but a fifth of them."""
    if len(parts) < 2:  # noqa: PLR2004 - one name shares with none
        return frozenset()
    counts = Counter(word for each in parts for word in {word for words in each for word in words})
    return frozenset(w for w, count in counts.items() if count >= len(parts) - len(parts) // 5)


def _less(parts: Parts, shared: frozenset[str]) -> Parts:
    return [["" if word in shared else word for word in words] for words in parts]


def _told(parts: Parts) -> Told | None:
    """Return what the words say; those in brackets only where the others say nothing."""
    found = [phrases for phrases in map(_found, parts) if phrases]
    voiceless = any(phrase in NO_VOICE for phrases in found for phrase in phrases.values())
    for phrases in found:
        kept = {
            role: phrase
            for role, phrase in phrases.items()
            if not (voiceless and (role in _VOICES or phrase in WEAK))
        }
        if kept:
            return _decided(kept)
    return None


def _found(words: Sequence[str]) -> dict[str, str]:
    """Return the first phrase of each role, the first that is not weak if there is one."""
    found: dict[str, str] = {}
    for role, phrase in sorted(_said(words), key=lambda said: said[1] in WEAK):
        found.setdefault(role, phrase)
    return found


def _said(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield roles and the phrases that tell them, longest first, what is lacking left out."""
    place, lacking = 0, False
    while place < len(words):
        word = words[place]
        phrase, count = next(_phrases_at(words, place), ("", 1))
        if word in WITHOUT or (lacking and word in AND):
            lacking, count = True, 1
        elif phrase:
            if not lacking:
                yield _PHRASES[phrase]
        else:
            lacking = False
            yield from map(_PHRASES.__getitem__, _inside(word))
        place += count


def _phrases_at(words: Sequence[str], place: int) -> Iterator[tuple[str, int]]:
    """Yield the phrases that begin at a word, spaced or not, and of how many words; longest first.

    What is one word in the table may have been split: ``SnareTeppich``.
    """
    for count in range(min(_LONGEST, len(words) - place), 0, -1):
        those = words[place : place + count]
        joined = "".join(those)
        if (spaced := " ".join(those)) in _PHRASES:
            yield spaced, count
        elif len(joined) >= _SHORTEST_STEM and joined in _PHRASES:
            yield joined, count


def _inside(word: str) -> Iterator[str]:
    """Yield the phrases in a word: what it ends or begins with, or all where none are spaced."""
    if not _UNSPACED.search(word):
        part = (
            _JOINED.get(word)
            or next((end for end in _LAST if word.endswith(end)), None)
            or next((start for start in _FIRST if word.startswith(start.rstrip(_ENDINGS))), None)
        )
        if part:
            yield part
    if any(sign in word for sign in LACKING):
        return
    for phrase in _INSIDE:
        if phrase in word:
            word = word.replace(phrase, " ")
            yield phrase


def _decided(found: Mapping[str, str]) -> Told:
    strong = {role: phrase for role, phrase in found.items() if phrase not in WEAK}
    if "backing" not in found or strong.keys() - {"lead", ASIDE}:  # vocals may be a harmony
        found = strong or found
    if {"kick", "snare"} <= found.keys():
        return Told("drums", "its name says kick and snare")
    for role in _NARROW_FIRST:
        if role in found and (role != "other" or ASIDE not in found):
            return Told(role, f"its name says {found[role]}")
    return Told("other", f"its name says {found[ASIDE]}", aside=True)
