"""HTML that cannot be left unescaped by forgetting something.

Rule 1: HTML comes into being in ``fill`` alone, from templates that are literals of our own.
Whatever else is put into a template is shown (see ``words``) and escaped on the way.

Why not Jinja2, which the report of a mix uses: there it lives in a worker. Here it would cost
the parent 2.5 MB of the 45 MB it may have (measured in the running daemon), for one page.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import LiteralString
from urllib.parse import quote

from daemon.text import shown


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def fill(template: LiteralString, /, **values: object) -> Html:
    """Return the template with each value in the place that has its name."""
    return Html(template.format_map({name: _safe(value) for name, value in values.items()}))


def joined(parts: Iterable[Html]) -> Html:
    """Return pieces of HTML one after the other."""
    return Html("".join(parts))


def link(parts: Sequence[str]) -> str:
    """Return a relative link; each part of the path is quoted on its own."""
    return "/".join(quote(part, safe="", errors="surrogatepass") for part in parts)


def _safe(value: object) -> str:
    return value if isinstance(value, Html) else escape(shown(value))
