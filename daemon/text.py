"""Numbers and names that others chose, fit for screens, documents and file names. Pure.

Rules
-----
1. Text that others wrote is shown through ``shown``, on a page, on a terminal and in a label:
   no control character, none that turns the reading direction, no lone surrogate.
2. A name goes into JSON, SQL and logs through ``display``, into a file name of ours through
   ``output_name``.
"""

import os
import re
import unicodedata
from base64 import b64encode
from datetime import datetime

_JOINERS = "\u200c\u200d"  # Persian words and composed emoji need them; they hide nothing
_MINUTE, _HOUR, _DAYS_FROM = 60, 60, 48
_GIB_MB = 1024
_DEVICES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\.|$)", re.IGNORECASE)
_RESERVED = frozenset('<>:"/\\|?*')
# These turn the reading direction: a name could show an ending that it does not have.
_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode: controls, lone surrogates, ends of lines and of paragraphs."""
_OUTPUT_BYTES = 120
_UNITS = {
    "lufs": "LUFS",
    "lu": "LU",
    "db": "dB",
    "dbtp": "dBTP",
    "dbfs": "dBFS",
    "hz": "Hz",
    "ms": "ms",
    "bpm": "BPM",
}
"""By the suffix of a measurement's name."""
_SAY_ALL = ("lufs", "dbtp")
"""Of these, a headline has one: the unit alone says what was measured."""


def shown(text: object) -> str:
    r"""Return text fit for a screen: what is not printable is written out, as ``\x1b``."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in _JOINERS else _out(char) for char in text)


def _out(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def span(seconds: float | None) -> str:
    """Return a length of time in at most two units: ``12 s``, ``3 min``, ``2 h 05 min``."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    hours, minutes = divmod(whole // _MINUTE, _HOUR)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes:02} min" if hours < _DAYS_FROM else f"{hours // 24} days"


def size(mebibytes: float) -> str:
    """Return a size in the unit that suits it: ``512 MiB``, ``1.5 GiB``."""
    return f"{mebibytes / _GIB_MB:.1f} GiB" if mebibytes >= _GIB_MB else f"{mebibytes:.0f} MiB"


def figure(name: str, value: object) -> str:
    """Return a measurement with its unit, which is the suffix of its name."""
    label, _, suffix = name.rpartition("_")
    unit = _UNITS.get(suffix)
    label = (label if unit or suffix == "s" else name).replace("_", " ")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{label} {value}"
    if suffix == "s" and label:
        return f"{label} {span(value)}"
    number = f"{round(value, 2)}".replace("-", "−")
    if unit is None:
        return f"{label} {number}"
    return f"{number} {unit}" if suffix in _SAY_ALL or not label else f"{label} {number} {unit}"


def count(number: int, thing: str) -> str:
    """Return ``1 worker`` or ``2 workers``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def age_s(moment: object, now_ms: int) -> float | None:
    """Return how long ago an RFC 3339 time was; ``None`` when it is none."""
    try:
        return now_ms / 1000 - datetime.fromisoformat(str(moment)).timestamp()
    except (ValueError, OverflowError):
        return None


def spellings(name: str) -> tuple[str, ...]:
    """Return a name as it is, and with its accents composed and decomposed: each once."""
    forms = (unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    return tuple(dict.fromkeys((name, *forms)))


def display(name: str) -> str:
    """Return a name fit for JSON, SQL and logs; bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def base64_of(name: str) -> str | None:
    """Return the bytes of an undecodable name in base64; ``None`` when ``display`` tells all."""
    raw = os.fsencode(name)
    return b64encode(raw).decode("ascii") if display(name) != name else None


def output_name(name: str) -> str:
    """Return a name that every file system of today takes, at most 120 bytes long.

    NFC; control characters, ends of lines, direction marks, undecodable bytes and those that
    Windows reserves become ``_``; no dot or space at the end; no device name of Windows.
    """
    clean = "".join(_safe(letter) for letter in unicodedata.normalize("NFC", name))
    if _DEVICES.match(clean) or clean.startswith("."):
        clean = "_" + clean
    cut = clean.encode("utf-8")[:_OUTPUT_BYTES].decode("utf-8", "ignore")
    return cut.rstrip(". ") or "_"


def _safe(letter: str) -> str:
    refused = letter in _RESERVED or letter in _DIRECTIONS
    return "_" if refused or unicodedata.category(letter) in _UNSAFE else letter
