"""The words by which stems are named: ``role_words.toml``, and those that turn its meaning.

A phrase goes before its words: a bass drum is no bass. Chinese, Japanese and Korean, without
spaces, are found within words; the last part of a word tells its role in the languages that
join words.
"""

import tomllib
from pathlib import Path

ASIDE = "aside"
"""Not a role: what hangs about with stems and is none of them."""

LANGUAGES = {
    language: {role: " ".join(phrases.split()).split(", ") for role, phrases in roles.items()}
    for language, roles in tomllib.loads(
        Path(__file__).with_suffix(".toml").read_text("utf-8")
    ).items()
}
"""Per language a role, and its phrases; one that ends in ``?`` is weak."""

JOINING = ("german", "dutch", "swedish")
"""In these a rhythm guitar is one word, which ends in that for guitar."""
WEAK = frozenset(
    phrase.removesuffix("?")
    for roles in LANGUAGES.values()
    for phrases in roles.values()
    for phrase in phrases
    if phrase.endswith("?")
)
"""What tells a role only where nothing else does: a lead guitar, an 808 snare, a
guitar on the right (``dx``, which is dialogue elsewhere)."""
NO_VOICE = frozenset(
    {"instrumental", "karaoke", "playback", "off vocal"}
    | {"オケ", "カラオケ", "オフボーカル", "伴奏", "반주"}
)
"""What says that no voice is in it, whatever the song is called."""
WITHOUT = frozenset(
    {"no", "not", "non", "without", "minus", "sans", "ohne", "kein", "keine", "sin", "senza", "sem"}
    | {"zonder", "geen", "utan", "ingen", "inga", "bez", "без"}
)
"""What follows is not in the stem."""
AND = frozenset({"and", "or", "und", "oder", "et", "ou", "y", "e", "o", "en", "och", "i", "и"})
LACKING = ("なし", "抜き", "无", "無", "没有", "없음", "없는")
"""The same where words are not spaced, before or after what is lacking."""
