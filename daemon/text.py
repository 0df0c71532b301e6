"""Numbers and strangers' names, fit for a person's screen. Pure.

Rule 1: text that others wrote is shown through ``shown``, on a page, on a terminal and in a
label: no control character, none that turns the reading direction, no lone surrogate.
"""

from datetime import datetime

_JOINERS = "\u200c\u200d"  # Persian words and composed emoji need them; they hide nothing
_MINUTE, _HOUR, _DAYS_FROM = 60, 60, 48
_GIB_MB = 1024


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


def count(number: int, thing: str) -> str:
    """Return ``1 worker`` or ``2 workers``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def age_s(moment: object, now_ms: int) -> float | None:
    """Return how long ago an RFC 3339 time was; ``None`` when it is none."""
    try:
        return now_ms / 1000 - datetime.fromisoformat(str(moment)).timestamp()
    except (ValueError, OverflowError):
        return None
